"""Linear classifiers as DINO and DINOv2 train them: on random crops, of the last blocks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.classification import BASELINES
from unlazy.benchmarks.paper_b import TABLE_4
from unlazy.benchmarks.probe import Learned
from unlazy.benchmarks.probe_registers import num_classes
from unlazy.benchmarks.probe_settings import Trained, chosen_note, subset_note
from unlazy.ledger import Estimate, Measure
from unlazy.probes.last_blocks import LastBlocks
from unlazy.probes.register_heads import VectorClass, VectorTask
from unlazy.probes.task import Lesson, Plan
from unlazy.tokens import Facts

RATES = (
    *(1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3),
    *(5e-3, 1e-2, 2e-2, 5e-2, 1e-1),
)
"""DINOv2's 13."""
BASE = 256
"""The batch that rates are given for, in both protocols; others learn in proportion."""
NEVER = 1_000_000
"""Epochs of patience: neither protocol stops early."""
SMALL = 384
"""Width of ViT-S, up to which DINO takes four blocks."""
BEST = (
    "learning rate and epoch were chosen on a held-out tenth of the training pictures; the papers"
    " report the best on the evaluated pictures"
)


@dataclass(frozen=True)
class DINOLinear(Trained):
    """Top-1 of a linear classifier that learns as DINO's does.

    SGD with momentum 0.9, rate 0.001 x ``batch`` / 256, cosine, 100 epochs, on random crops and
    flips, which pass the model anew in each epoch. The vector is CLS of the last four blocks (up
    to the width of ViT-S), or of the last one and its mean patch.

    Source: Caron et al., Emerging Properties in Self-Supervised Vision Transformers (DINO), its
    ``eval_linear``.

    Attributes:
        blocks: how many; none: four or one, as above.
        mean: whether the mean patch of the last block is there; none: where one block is.
    """

    rates: tuple[float, ...] = (0.001,)
    seeds: int = 1
    epochs: int = 100
    patience: int = NEVER
    pictures: int | None = None
    batch: int = 256
    blocks: int | None = None
    mean: bool | None = None
    optimizer: ClassVar[Literal["adam", "adamw", "sgd"]] = "sgd"
    by_norm: ClassVar[bool] = False
    name: ClassVar[str] = "dino-linear"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[Need]] = frozenset({"labels", "training"})
    headline: ClassVar[Headline] = Headline("dino_linear", "top1_linear", baselines=BASELINES)
    published: ClassVar[tuple[Published, ...]] = (
        Published("DINO ViT-S/16, 300 epochs", 76.0, "DINO"),
        Published("DINO ViT-S/16, released", 77.0, "DINO"),
    )

    @property
    def plan(self) -> Plan:
        """At rates in proportion to the batch."""
        plan = super().plan
        return dataclasses.replace(plan, rates=tuple(r * self.batch / BASE for r in plan.rates))

    @property
    def lesson(self) -> Lesson:
        """On crops."""
        return dataclasses.replace(super().lesson, crops=True)

    def tasks(self, inputs: Inputs) -> Sequence[VectorTask]:
        """One.

        Raises:
            ValueError: the model is no plain ViT, or the data have no names of classes.
        """
        name = self.headline.measure
        return [VectorTask(name, self.plan, self._vector(inputs), num_classes(inputs))]

    def judges(self, inputs: Inputs, learned: Learned) -> Sequence[Measure]:
        """What it says of the middle of each evaluated picture."""
        name = self.headline.measure
        heads = {"linear": learned.heads[name]}
        return [VectorClass(heads, {"linear": self._vector(inputs)}, name)]

    def _vector(self, inputs: Inputs) -> LastBlocks:
        backbone = inputs.backbone
        facts = backbone.facts
        blocks = self.blocks or (min(4, facts.depth) if facts.dim <= SMALL else 1)
        mean = blocks == 1 if self.mean is None else self.mean
        return LastBlocks.of(backbone, blocks, mean=mean)

    def notes(self, facts: Facts) -> tuple[str, ...]:
        """What differs from the papers."""
        return subset_note(self), BEST

    def remarks(
        self, measures: Sequence[Any], values: Mapping[str, Mapping[str, Estimate]]
    ) -> tuple[str, ...]:
        """What was chosen."""
        return (chosen_note("classifier", measures[0].heads["linear"], self.plan.rates),)


@dataclass(frozen=True)
class DINOv2Linear(DINOLinear):
    """Top-1 of DINOv2's head of one layer, trained as DINOv2 trains it.

    CLS and mean patch of the last block; 13 learning rates x ``batch`` / 256; on ImageNet 12,500
    steps of 1,024 pictures, which are 10 epochs.

    Source: Oquab et al., DINOv2, its ``eval/linear``.
    """

    rates: tuple[float, ...] = RATES
    epochs: int = 10
    batch: int = 1024
    blocks: int | None = 1
    mean: bool | None = True
    name: ClassVar[str] = "dinov2-linear"
    headline: ClassVar[Headline] = Headline("dinov2_linear", "top1_linear", baselines=BASELINES)
    published: ClassVar[tuple[Published, ...]] = tuple(
        Published(f"DINOv2-{size}{with_registers}, its own head", value, "B, Table 4")
        for size in "SBLg"
        for with_registers, value in (
            ("", TABLE_4[f"DINOv2-{size.upper()}"].without_registers),
            (" with registers", TABLE_4[f"DINOv2-{size.upper()}"].with_registers),
        )
    )
