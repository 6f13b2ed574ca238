"""What one kind of supervision adds to the loop."""

from __future__ import annotations

import zlib
from typing import NamedTuple, Protocol

import torch
from torch import Generator, Tensor, nn

from unlazy.training.views import Views


class Batch(NamedTuple):
    """One rank's part of a step.

    Attributes:
        views: normalised images (B, 3, h, w), one a view.
        targets: (B, ...) whatever the objective made of labels or captions.
        indices: (B,) positions in the training data.
    """

    views: list[Tensor]
    targets: Tensor
    indices: Tensor

    def parts(self, count: int) -> list[Batch]:
        """The same pictures in ``count`` equal parts."""
        views = zip(*(view.chunk(count) for view in self.views), strict=True)
        rest = zip(self.targets.chunk(count), self.indices.chunk(count), strict=True)
        return [Batch(list(v), *pair) for v, pair in zip(views, rest, strict=True)]


class Objective(Protocol):
    """A loss with the modules that it trains.

    Attributes:
        trained: what the optimizer moves; called once a part of the batch.
        averaged: its exponential moving average (the teacher), or None.
        state: further tensors that a checkpoint must keep, changed in place.
    """

    trained: nn.Module
    averaged: nn.Module | None
    state: dict[str, Tensor]

    def views(self) -> Views:
        """How a held picture is shown."""
        ...

    def targets(self, labels: Tensor, generator: Generator) -> Tensor:
        """What the loss compares with, from the labels of the whole global batch."""
        ...

    def loss(self, module: nn.Module, batch: Batch, *, step: int, steps: int) -> Tensor:
        """The loss of one part of the batch; ``module`` is ``trained``, perhaps over ranks."""
        ...

    def after_backward(self, step: int, steps: int) -> None:
        """Called when the gradients of all parts are there and clipped."""
        ...

    def after_step(self, step: int, steps: int) -> None:
        """Called when the weights have moved."""
        ...

    def momentum(self, step: int, steps: int) -> float:
        """Decay of the moving average at this step."""
        ...

    def vectors(self) -> dict[str, dict[str, Tensor]]:
        """File name -> further tensors that a finished run keeps; called on every rank."""
        ...

    def exports(self) -> dict[str, nn.Module]:
        """File name -> module whose weights a finished run keeps; ``model`` is the ViT."""
        ...


def generator_of(seed: int, step: int, purpose: str) -> Generator:
    """Randomness that is the same on all ranks: a function of seed, step and purpose.

    The purpose ``views`` counts steps from ``(seed + 1) * 1_000_003``.
    """
    offset = 0 if purpose == "views" else zlib.crc32(purpose.encode()) << 24
    return torch.Generator().manual_seed((seed + 1) * 1_000_003 + step + offset)
