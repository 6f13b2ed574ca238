"""What all trained probes have in common: their settings, and what a reader must know of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from unlazy.benchmarks.probe import Steps
from unlazy.ledger import Estimate
from unlazy.probes.bank import Heads
from unlazy.probes.task import Lesson, Plan


@dataclass(frozen=True)
class Trained(Steps):
    """Settings of a probe that learns.

    Attributes:
        rates: learning rates, of which held-out training pictures choose.
        seeds: heads that begin differently; numbers are means over them.
        epochs: at most so many.
        patience: a head stops after so many epochs without getting better.
        pictures: training pictures, evenly spread; none: all.
        batch: pictures a step.
        seed: of the order, and of which training pictures are held out.
    """

    rates: tuple[float, ...] = (0.001, 0.01, 0.1)
    seeds: int = 3
    epochs: int = 30
    patience: int = 3
    pictures: int | None = 2000
    batch: int = 32
    seed: int = 0
    optimizer: ClassVar[Literal["adam", "adamw", "sgd"]] = "adam"
    by_norm: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _ = self.plan, self.lesson  # which check their values

    @property
    def plan(self) -> Plan:
        """How heads learn."""
        return Plan(self.rates, self.seeds, self.epochs, self.patience, self.optimizer)

    @property
    def lesson(self) -> Lesson:
        """Which training pictures."""
        return Lesson(self.pictures, self.batch, self.seed)


DESCENT = ("rates", "seeds", "epochs", "patience", "batch", "seed")
"""Settings that a closed form has no use for."""
HELD_OUT_NOTE = (
    "learning rate and epoch were chosen on a held-out tenth of the training pictures; the paper"
    " chooses on the pictures that it reports"
)


def subset_note(probe: Trained) -> str:
    """On how many pictures was learned."""
    many = "all" if probe.pictures is None else f"at most {probe.pictures:,}"
    return f"learned from {many} training pictures (--set pictures=none takes all)"


def chosen_note(what: str, heads: Heads, tried: Sequence[float]) -> str:
    """On how much was learned, and which rates and epochs were chosen."""
    rates = ", ".join(f"{rate:g}" for rate in sorted(set(heads.rates)))
    low, high = min(heads.epochs), max(heads.epochs)
    epochs = f"epoch {low}" if low == high else f"epochs {low} to {high}"
    learned, held = heads.examples
    ends = {"lowest": min(tried), "highest": max(tried)} if len(tried) > 1 else {}
    at = [word for word, rate in ends.items() if rate in heads.rates]
    hint = f" (the {' and the '.join(at)} of those tried)" if at else ""
    return (
        f"{what}: {learned:,} examples to learn from and {held:,} held out; learning rate"
        f" {rates}{hint}, best after {epochs}"
    )


def cannot_tell(values: Mapping[str, Mapping[str, Estimate]], measure: str, key: str) -> list[str]:
    """A remark where a number of outliers is missing."""
    if key in values.get(measure, {}):
        return []
    return ["cannot tell: no token's norm stands above the others, so there are no outliers"]
