"""Register heads: do registers add to what CLS and the mean patch know of the class?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.classification import BASELINES
from unlazy.benchmarks.paper_b import TABLE_4, TABLE_5
from unlazy.benchmarks.probe import Learned
from unlazy.benchmarks.probe_settings import HELD_OUT_NOTE, Trained, chosen_note, subset_note
from unlazy.ledger import Estimate, Measure
from unlazy.probes.register_heads import (
    PRETRAINED,
    VARIANTS,
    Joined,
    Variant,
    VectorClass,
    VectorTask,
    load_head,
)
from unlazy.tokens import Facts

AS_NAMED = (
    "pretrained head",
    "CLS + mean patch",
    "CLS + mean patch + registers",
    "mean patch + registers",
)
_TABLE_5 = {model: (TABLE_4[model].with_registers, *learned) for model, learned in TABLE_5.items()}


@dataclass(frozen=True)
class RegisterHeads(Trained):
    """Top-1 of linear classifiers on CLS, mean patch and registers, put side by side.

    Tokens are read after the last normalisation, of the middle of each picture; ``dinov2-linear``
    learns from random crops as DINOv2 does. A model without registers, or without CLS, has fewer of
    them.

    Source: *Do All Vision Transformers Need Registers?* (B), claim 5, Tables 4 and 5 (SGD, cosine,
    20 epochs; rates not stated).

    Attributes:
        head: a file of DINOv2's own head of one layer (``*_linear_head.pth``), evaluated beside.
    """

    epochs: int = 20
    patience: int = 20
    head: Path | None = None
    optimizer: ClassVar[Literal["adam", "adamw", "sgd"]] = "sgd"
    by_norm: ClassVar[bool] = False
    name: ClassVar[str] = "register-heads"
    version: ClassVar[int] = 3
    needs: ClassVar[frozenset[Need]] = frozenset({"labels", "training"})
    headline: ClassVar[Headline] = Headline(
        "register_heads",
        "top1_cls_mean",
        others=(
            ("CLS, mean patch and registers", "top1_cls_mean_registers"),
            ("mean patch and registers", "top1_mean_registers"),
            ("the head that was given", "top1_pretrained"),
        ),
        baselines=BASELINES,
    )
    published: ClassVar[tuple[Published, ...]] = (
        *(
            Published(f"{model} with registers, {name}", values[place], "B, Table 5")
            for place, name in enumerate(AS_NAMED)
            for model, values in _TABLE_5.items()
        ),
        *(
            Published(
                f"DINOv2-{size} without registers, pretrained head",
                TABLE_4[f"DINOv2-{size.upper()}"].without_registers,
                "B, Table 4",
            )
            for size in "SBLg"
        ),
    )

    def variants(self, facts: Facts) -> tuple[Variant, ...]:
        """Those that the model has the tokens for."""
        return tuple(
            each
            for each in VARIANTS
            if (facts.has_cls or each.startswith("mean"))
            and (facts.num_registers or not each.endswith("registers"))
        )

    def tasks(self, inputs: Inputs) -> Sequence[VectorTask]:
        """One a variant.

        Raises:
            ValueError: the model has neither CLS nor registers, the data no names of classes, or
                the given head another number of them.
        """
        facts = inputs.backbone.facts
        variants = self.variants(facts)
        if not variants:
            raise ValueError(f"{facts.name} has neither a class token nor registers; use linear")
        classes = num_classes(inputs)
        self._given(facts, classes)
        return [
            VectorTask(f"register_heads/{each}", self.plan, Joined(each), classes)
            for each in variants
        ]

    def judges(self, inputs: Inputs, learned: Learned) -> Sequence[Measure]:
        """All heads on the same pictures."""
        facts = inputs.backbone.facts
        found = {each: learned.heads[f"register_heads/{each}"] for each in self.variants(facts)}
        vectors = {each: Joined(each) for each in self.variants(facts)}
        given = self._given(facts, num_classes(inputs))
        return [VectorClass({**found, **given}, {**vectors, PRETRAINED: Joined("cls_mean")})]

    def _given(self, facts: Facts, classes: int) -> dict[str, Any]:
        if self.head is None:
            return {}
        if not facts.has_cls:
            raise ValueError(f"{facts.name} has no class token, which the given head needs")
        return {PRETRAINED: load_head(self.head, dim=facts.dim, classes=classes)}

    def notes(self, facts: Facts) -> tuple[str, ...]:
        """What is missing, and what differs from the paper."""
        missing = [each for each in VARIANTS if each not in self.variants(facts)]
        absent = (f"the model has not the tokens for {', '.join(missing)}",) if missing else ()
        return *absent, subset_note(self), HELD_OUT_NOTE

    def remarks(
        self, measures: Sequence[Any], values: Mapping[str, Mapping[str, Estimate]]
    ) -> tuple[str, ...]:
        """What was chosen."""
        heads = measures[0].heads
        return tuple(
            chosen_note(name, each, self.rates) for name, each in heads.items() if each.rates
        )


def num_classes(inputs: Inputs) -> int:
    """Of the training pictures.

    Raises:
        ValueError: they have no names of classes.
    """
    classes = getattr(inputs.training, "classes", None)
    if not classes:
        raise ValueError("the training pictures have no names of classes")
    return len(classes)
