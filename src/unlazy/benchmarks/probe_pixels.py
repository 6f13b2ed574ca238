"""Pixel probe: the pixels under a token, said from the token alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.paper_b import TABLE_2
from unlazy.benchmarks.probe import Learned
from unlazy.benchmarks.probe_position import DARCET, both_groups
from unlazy.benchmarks.probe_settings import (
    DESCENT,
    HELD_OUT_NOTE,
    Trained,
    cannot_tell,
    chosen_note,
    subset_note,
)
from unlazy.ledger import Estimate, Measure
from unlazy.probes.norm_counts import Quantiles
from unlazy.probes.pixels import (
    NormalEquations,
    Patches,
    PixelErrors,
    PixelTask,
    mean_patch,
    solved,
)
from unlazy.tokens import Facts

Method = Literal["closed_form", "adamw"]
NOT_LEARNED = "where method=closed_form; use method=adamw"
FEW = 10  # training tokens a number of theirs; by us


@dataclass(frozen=True)
class PixelProbe(Trained):
    """How well a linear map tells the pixels under a token, for normal tokens and for outliers.

    ``error`` is the squared error summed over the values of a patch, of normalised pixels: the
    paper's figures fit that unit (the root of 337.2 is the 18.38 that Darcet et al. report). It
    grows with the patch; ``value_error`` does not; ``rgb_error`` and ``r2``
    do not depend on the normalisation of the input either.

    Source: *Do All Vision Transformers Need Registers?* (B), 3.3 and Table 2.

    Attributes:
        method: ``closed_form`` is the exact optimum, from one pass over the training pictures, with
            nothing to choose; ``adamw`` learns as the paper does, with the settings above.
    """

    method: Method = "closed_form"
    optimizer: ClassVar[Literal["adam", "adamw", "sgd"]] = "adamw"
    name: ClassVar[str] = "pixels"
    version: ClassVar[int] = 3
    needs: ClassVar[frozenset[Need]] = frozenset({"training"})
    headline: ClassVar[Headline] = Headline(
        "pixels",
        "error_normal",
        others=(("outlier tokens", "error_outlier"),),
        baselines=(
            ("the mean patch, at normal tokens", "mean_patch_error_normal"),
            ("the mean patch, at outliers", "mean_patch_error_outlier"),
        ),
        scale=1.0,
    )
    published: ClassVar[tuple[Published, ...]] = (
        *both_groups(TABLE_2, "Table 2"),
        Published("DINOv2-g, normal", 18.38**2, DARCET, "18.38 there, squared"),
        Published("DINOv2-g, outliers", 25.23**2, DARCET, "25.23 there, squared"),
    )

    @property
    def idle(self) -> Mapping[str, str]:
        """Settings that change nothing."""
        closed = self.method == "closed_form"
        return dict.fromkeys(DESCENT if closed else (), NOT_LEARNED)

    def studies(self, inputs: Inputs, norms: Quantiles) -> Sequence[NormalEquations]:
        """Sums for the closed form, or for the mean patch alone."""
        patches = patches_of(inputs.backbone.facts)
        if self.method == "closed_form":
            return [NormalEquations(patches)]
        return [NormalEquations(patches, tokens=False, name="mean_patch")]

    def tasks(self, inputs: Inputs) -> Sequence[PixelTask]:
        """One, unless there is a closed form."""
        if self.method == "closed_form":
            return []
        return [PixelTask(self.plan, patches_of(inputs.backbone.facts))]

    def judges(self, inputs: Inputs, learned: Learned) -> Sequence[Measure]:
        """How far the heads are off."""
        closed = self.method == "closed_form"
        seen = learned.seen["normal_equations" if closed else "mean_patch"]
        heads = solved(seen) if closed else learned.heads["pixels"]
        patches = patches_of(inputs.backbone.facts)
        return [PixelErrors(heads, learned.least, patches, mean_patch(seen))]

    def notes(self, facts: Facts) -> tuple[str, ...]:
        """The unit, and what differs from the paper."""
        height, width = facts.patch
        unit = f"errors are sums over {height} x {width} x 3 values of normalised pixels"
        told = "solved in closed form, not by AdamW as in the paper"
        method = told if self.method == "closed_form" else HELD_OUT_NOTE
        return subset_note(self), unit, method

    def remarks(
        self, measures: Sequence[Any], values: Mapping[str, Mapping[str, Estimate]]
    ) -> tuple[str, ...]:
        """What was chosen, and what cannot be told."""
        heads = measures[0].heads
        missing = cannot_tell(values, "pixels", "error_outlier")
        if heads.rates:
            return chosen_note("pixel heads", heads, self.rates), *missing
        count, dim = heads.examples[0], heads.weight.shape[2]
        said = f"pixel map: solved from {count:,} tokens"
        if count < FEW * dim:
            said += (
                f", few for a width of {dim:,} (fewer than {FEW} each): larger errors than"
                " those of a map from more pictures"
            )
        return said, *missing


def patches_of(facts: Facts) -> Patches:
    """How this model's input is cut."""
    return Patches(facts.patch, facts.mean, facts.std)
