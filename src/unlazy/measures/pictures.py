"""The photographs as the model sees them, for the pictures that a page shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from unlazy.ledger import Batch, Observation, Seen, Some
from unlazy.tokens import Site, Trace


@dataclass(frozen=True)
class Pictures:
    """Keeps the viewed pixels of the pictures in ``shown``: rows ``pixels`` (3, height, width)."""

    shown: frozenset[int] = frozenset()
    name: str = "pictures"
    resamples: ClassVar[int] = 0

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset()

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        which = torch.tensor([index in self.shown for index in batch.indices])
        return {"pixels": Some(which, batch.pixels[which])} if which.any() else {}

    def conclude(self, seen: Seen) -> dict[str, float]:
        return {}
