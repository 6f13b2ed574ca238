"""Position probe: where a token was, said from the token alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.paper_b import TABLE_1
from unlazy.benchmarks.probe import Learned, grid_of
from unlazy.benchmarks.probe_settings import (
    HELD_OUT_NOTE,
    Trained,
    cannot_tell,
    chosen_note,
    subset_note,
)
from unlazy.ledger import Estimate, Measure
from unlazy.probes.position import PositionErrors, PositionTask, Target
from unlazy.tokens import Facts

DARCET = "Darcet et al., Vision Transformers Need Registers"


def both_groups(rows: Mapping[str, tuple[float, float]], table: str) -> tuple[Published, ...]:
    """A row for normal tokens and one for outliers of each model of paper B."""
    return tuple(
        Published(f"{model}, {group}", value, f"B, {table}")
        for model, values in rows.items()
        for group, value in zip(("normal", "outliers"), values, strict=True)
    )


@dataclass(frozen=True)
class PositionProbe(Trained):
    """How well a linear classifier tells a token's place, for normal tokens and for outliers.

    Outliers are the tokens above the 98th percentile of the norms before the last normalisation,
    over all evaluated pictures. One head learns from all tokens, after that normalisation.

    Source: *Do All Vision Transformers Need Registers?* (B), 3.3 and Table 1.

    Attributes:
        target: of what the loss takes the squared error: ``expected`` row and column under the
            classifier's softmax, or those of a regression ``head`` beside it; the numbers are the
            classifier's.
    """

    rates: tuple[float, ...] = (0.01, 0.1, 1.0)
    target: Target = "expected"
    name: ClassVar[str] = "position"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[Need]] = frozenset({"training"})
    headline: ClassVar[Headline] = Headline(
        "position",
        "top1_normal",
        others=(("outlier tokens", "top1_outlier"),),
        baselines=(
            ("always the normal tokens' most common place", "majority_normal"),
            ("always the outliers' most common place", "majority_outlier"),
        ),
    )
    published: ClassVar[tuple[Published, ...]] = (
        *both_groups({model: row[:2] for model, row in TABLE_1.items()}, "Table 1"),
        Published("DINOv2-g, normal", 41.7, DARCET),
        Published("DINOv2-g, outliers", 22.8, DARCET),
    )

    def tasks(self, inputs: Inputs) -> Sequence[PositionTask]:
        """One: the place of each token."""
        return [PositionTask(self.plan, grid_of(inputs.backbone.facts), self.target)]

    def judges(self, inputs: Inputs, learned: Learned) -> Sequence[Measure]:
        """How often and how far heads miss."""
        grid = grid_of(inputs.backbone.facts)
        return [PositionErrors(learned.heads["position"], learned.least, grid)]

    def notes(self, facts: Facts) -> tuple[str, ...]:
        """What differs from the paper."""
        return subset_note(self), HELD_OUT_NOTE

    def remarks(
        self, measures: Sequence[Any], values: Mapping[str, Mapping[str, Estimate]]
    ) -> tuple[str, ...]:
        """What was chosen, and what cannot be told."""
        chosen = chosen_note("position heads", measures[0].heads, self.rates)
        return chosen, *cannot_tell(values, "position", "top1_outlier")
