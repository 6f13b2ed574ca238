"""What linear heads learn from traces, and how.

Shape legend: n examples (tokens or pictures), D width, O outputs; ``*heads`` any leading shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from unlazy.ledger import Batch
from unlazy.tokens import Site, Trace

HELD_OUT = 10
"""Every so-manieth training picture is held out, to choose the rate and when to stop; by us. The
papers choose on the pictures that they report, which favours the reported number."""


@dataclass(frozen=True)
class Plan:
    """How heads learn: every seed with every learning rate, all of them at once.

    Each step's rate falls from the given one to 0 as a half cosine over all ``epochs``. A head
    whose held-out merit has not risen for ``patience`` epochs stops; the best epoch's stands.
    """

    rates: tuple[float, ...]
    seeds: int
    epochs: int
    patience: int
    optimizer: Literal["adam", "adamw", "sgd"]

    def __post_init__(self) -> None:
        if min(self.seeds, self.epochs, self.patience) < 1:
            raise ValueError("seeds, epochs and patience must be at least 1")
        if not self.rates or min(self.rates) <= 0:
            raise ValueError(f"rates are one or more learning rates above 0, not {self.rates}")


@dataclass(frozen=True)
class Lesson:
    """Which pictures heads learn from, and in which order.

    Attributes:
        pictures: at most so many, evenly spread over the training pictures; None: all.
        batch: pictures a step, over all ranks.
        seed: of the order, of which are held out, and of crops.
        crops: whether a random part of each picture is seen instead of its middle, see
            ``unlazy.data.crops``; pictures that are held out are seen as the evaluated ones.
    """

    pictures: int | None
    batch: int
    seed: int
    crops: bool = False

    def __post_init__(self) -> None:
        if self.batch < 1 or (self.pictures is not None and self.pictures < 2):
            raise ValueError("batch must be at least 1, and pictures at least 2")


@runtime_checkable
class Task(Protocol):
    """A frozen dataclass: which examples a trace gives, and what heads should say of them."""

    @property
    def name(self) -> str:
        """Key of its heads."""
        ...

    @property
    def plan(self) -> Plan:
        """How its heads learn."""
        ...

    @property
    def reads(self) -> frozenset[Site]:
        """The sites that it needs."""
        ...

    @property
    def outputs(self) -> int:
        """How many numbers a head gives."""
        ...

    def examples(self, trace: Trace, batch: Batch) -> tuple[Float[Tensor, "n D"], Tensor]:
        """What heads see, and what they should say, (n, ...), on the device of the trace."""
        ...

    def loss(
        self, scores: Float[Tensor, "*heads n O"], target: Tensor
    ) -> Float[Tensor, "*heads n"]:
        """What learning makes small."""
        ...

    def merit(
        self, scores: Float[Tensor, "*heads n O"], target: Tensor
    ) -> Float[Tensor, "*heads n"]:
        """What decides on held-out pictures; higher is better."""
        ...
