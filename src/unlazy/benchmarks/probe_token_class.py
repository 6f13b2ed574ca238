"""Token-class probe: how much of the whole picture single tokens know."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.classification import BASELINES
from unlazy.benchmarks.paper_b import TABLE_3
from unlazy.benchmarks.probe import Learned
from unlazy.benchmarks.probe_position import DARCET
from unlazy.benchmarks.probe_settings import HELD_OUT_NOTE, Trained, chosen_note, subset_note
from unlazy.ledger import Estimate, Measure, Seen
from unlazy.probes.bank import Heads
from unlazy.probes.chosen import KINDS, UNKNOWN, Chosen
from unlazy.probes.groups import HIGH
from unlazy.probes.norm_counts import Quantiles
from unlazy.probes.token_class import TokenClass, fit
from unlazy.tokens import Facts

OF_DARCET = {"DINOv2-g": (86.0, 65.8, 69.0)}
AS_NAMED = {"cls": "CLS", "normal": "normal", "outlier": "outliers"}


@dataclass(frozen=True)
class TokenClassProbe(Trained):
    """How well a linear classifier tells a picture's class from one of its tokens.

    From CLS (of a model without one, the mean patch), one random normal token, or one random
    outlier, on the same pictures: those that have both. Outliers are the tokens above the 98th
    percentile of the norms before the last normalisation, over all evaluated pictures; tokens are
    read after it. Numbers are means over ``seeds`` draws of tokens.

    Source: *Do All Vision Transformers Need Registers?* (B), 3.3 and Table 3 (200,000 training
    pictures that have an outlier; here those count, of ``pictures``, that have one). Few do, and
    each passes the model once: hence more ``pictures``.
    """

    rates: tuple[float, ...] = (0.0001, 0.001, 0.01)
    seeds: int = 5
    pictures: int | None = 10_000
    batch: int = 64
    name: ClassVar[str] = "token-class"
    version: ClassVar[int] = 3
    stores: ClassVar[bool] = True
    needs: ClassVar[frozenset[Need]] = frozenset({"labels", "training"})
    headline: ClassVar[Headline] = Headline(
        "token_class",
        "top1_outlier",
        count="pictures",
        others=(("normal tokens", "top1_normal"), ("CLS or mean patch", "top1_cls")),
        baselines=BASELINES,
    )
    published: ClassVar[tuple[Published, ...]] = tuple(
        Published(f"{model}, {AS_NAMED[kind]}", value, source)
        for source, rows in (("B, Table 3", TABLE_3), (DARCET, OF_DARCET))
        for model, values in rows.items()
        for kind, value in zip(KINDS, values, strict=True)
    )

    def studies(self, inputs: Inputs, norms: Quantiles) -> Sequence[Chosen]:
        """The tokens to learn from."""
        return [Chosen(norms.above(HIGH), self.seeds, name="token_class_training")]

    def judges(self, inputs: Inputs, learned: Learned) -> Sequence[Measure]:
        """Classifiers learn here, from tokens that a pass has kept."""
        device = next(inputs.backbone.parameters()).device
        seen = learned.seen["token_class_training"]
        known = labels_in(seen)
        heads = {kind: self._fit(seen, kind, known, device) for kind in KINDS if len(known) > 1}
        classes = len(set(known.values()))
        return [TokenClass(heads, learned.least, self.seeds, len(known), classes)]

    def fit_any(self, seen: Seen, device: torch.device) -> Heads:
        """Classifiers of tokens of any norm.

        Args:
            seen: by ``AnyToken``, of the training pictures.
            device: where to learn.

        Raises:
            ValueError: fewer than two labelled pictures.
        """
        known = labels_in(seen)
        if len(known) < 2:
            raise ValueError(f"{len(known)} training pictures have a label; it takes two or more")
        return self._fit(seen, "any", known, device)

    def _fit(self, seen: Seen, kind: str, labels: Mapping[int, int], device: torch.device) -> Heads:
        """Classifiers of one kind of tokens, from the pictures that have a label."""
        return fit(
            seen.kept[kind],
            labels,
            dataclasses.replace(self.plan, seeds=1),
            self.lesson,
            seeds=self.seeds,
            device=device,
            name=f"{self.name}, {kind} tokens",
        )

    def notes(self, facts: Facts) -> tuple[str, ...]:
        """What differs from the paper."""
        first = () if facts.has_cls else ("the model has no CLS: the mean patch stands for it",)
        return *first, subset_note(self), HELD_OUT_NOTE

    def remarks(
        self, measures: Sequence[Any], values: Mapping[str, Mapping[str, Estimate]]
    ) -> tuple[str, ...]:
        """What was chosen, and what cannot be told."""
        heads = measures[0].heads
        if "top1_outlier" not in values.get("token_class", {}):
            return ("cannot tell: too few pictures have both outliers and other tokens",)
        said = [chosen_note(f"{kind} classifiers", heads[kind], self.rates) for kind in KINDS]
        if measures[0].classes == 1:
            said.append("all training pictures are of one class: nothing is told apart")
        return tuple(said)


def labels_in(seen: Seen) -> dict[int, int]:
    """Picture -> class, of those that have one."""
    labels = {} if "label" not in seen else seen.kept["label"]
    owned = {index: int(labels[index]) for index in seen.order if index in labels}
    return {index: label for index, label in owned.items() if label != UNKNOWN}
