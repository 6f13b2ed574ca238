"""How many classes the pictures are of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from unlazy.ledger import Batch, Observation, Seen
from unlazy.tokens import Site, Trace


@dataclass(frozen=True)
class Labels:
    """Counts classes and labelled pictures; row ``label``, -1 where there is none."""

    name: str = "labels"
    resamples: ClassVar[int] = 0

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset()

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        return {"label": torch.tensor([-1 if each is None else each for each in batch.labels])}

    def conclude(self, seen: Seen) -> dict[str, float]:
        labels = seen.stack("label")
        labels = labels[labels >= 0]
        return {"pictures": float(labels.size), "classes": float(len(set(labels.tolist())))}
