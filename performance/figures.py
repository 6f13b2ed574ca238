"""Figures: measured numbers with the samples behind them, and the bars they are held against."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.table import Table

Unit = Literal["x", "s", "MB", "kB", "B", "share", "images/s"]


@dataclass(frozen=True)
class Figure:
    """A median with its samples.

    Attributes:
        quantity: what was measured.
        unit: "x" for a ratio; MB, kB and B are powers of 1000.
        samples: one a round, in order.
        at_most, at_least: the bar, if there is one.
        note: how it was measured, where the quantity does not say.
    """

    quantity: str
    unit: Unit
    samples: tuple[float, ...]
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def value(self) -> float:
        """Median of the samples."""
        return statistics.median(self.samples)

    @property
    def bar(self) -> str:
        """The bar and whether it is met; empty without one."""
        if self.at_most is not None:
            met, text = self.value <= self.at_most, f"<= {self.at_most:g}"
        elif self.at_least is not None:
            met, text = self.value >= self.at_least, f">= {self.at_least:g}"
        else:
            return ""
        return f"{text} {'met' if met else 'MISSED'}"

    def as_json(self) -> dict:
        """Everything, with the median spelled out."""
        return {"value": self.value, "verdict": self.bar} | dataclasses.asdict(self)


def table(benchmark: str, figures: Sequence[Figure]) -> Table:
    """One row a figure: median, range over the rounds, bar."""
    found = Table(title=benchmark, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("quantity", "median", "range", "n", "bar"):
        side: Literal["left", "right"] = "left" if heading in ("quantity", "bar") else "right"
        found.add_column(heading, justify=side, no_wrap=heading != "quantity")
    for each in figures:
        low, high = (shown(end(each.samples), each.unit) for end in (min, max))
        spread = f"{low.split()[0]} .. {high.split()[0]}" if low != high else ""
        found.add_row(
            each.quantity, shown(each.value, each.unit), spread, str(len(each.samples)), each.bar
        )
    return found


def shown(value: float, unit: Unit) -> str:
    """As printed, to about four digits.

    >>> shown(1.04, "x"), shown(0.25, "share"), shown(12345.6, "B")
    ('1.040 x', '25.0 %', '12,346 B')
    """
    if unit == "share":
        return f"{100 * value:.1f} %"
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    return f"{value:,.{digits}f} {unit}"


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, ...]:
    """Round by round, so that drift of the machine cancels."""
    return tuple(a / b for a, b in zip(above, below, strict=True))


def interleaved(
    tasks: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, tuple[float, ...]]:
    """Seconds of each task: A B A B ..., every task once a round; the caller warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            before = clock()
            task()
            seconds[name].append(clock() - before)
    return {name: tuple(row) for name, row in seconds.items()}
