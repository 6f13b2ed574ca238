"""Benchmark: a measure with its data, view and version, and what has been published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from unlazy.backbones.base import Backbone
from unlazy.geometry import View
from unlazy.ledger import Measure, Seen
from unlazy.measure import Measured
from unlazy.probes.bank import Heads
from unlazy.probes.task import Lesson, Task
from unlazy.tokens import Facts

Need = Literal["boxes", "masks", "labels", "training"]
"""What the pictures must come with; ``training``: a labelled split besides the evaluated one."""


@dataclass(frozen=True)
class Published:
    """A figure of a paper, in the unit of the benchmark's headline.

    Attributes:
        model: as the paper calls it.
        value: what it reports.
        source: paper and table.
        note: what to know before comparing.
        data: that it was measured on, as on the command line.
    """

    model: str
    value: float
    source: str
    note: str = ""
    data: str = "imagenet"


@dataclass(frozen=True)
class Headline:
    """The number of a benchmark that is compared.

    Attributes:
        measure, key: where it is among the values.
        how: in words, how the model does it, where it has several ways.
        count: key, of the same measure, of how many pictures it rests on; "" for all.
        others: in words -> key, of the same measure, of what else the model does.
        baselines: in words -> key, of the same measure, of what needs no model.
        scale: factor to the unit of published figures.
    """

    measure: str
    key: str
    how: str = ""
    count: str = ""
    others: tuple[tuple[str, str], ...] = ()
    baselines: tuple[tuple[str, str], ...] = ()
    scale: float = 100.0

    def text(self, value: float) -> str:
        """A scaled number: per cent with one digit, others with four that count.

        >>> Headline("m", "k").text(62.5), Headline("m", "k", scale=1).text(0.58666)
        ('62.5', '0.5867')
        """
        return f"{value:.1f}" if self.scale == 100 else f"{value:.4g}"


Fitting = Callable[[int, int], None]
"""Hears of a fit on vectors in memory: epochs done, and epochs in all."""


def unseen(done: int, total: int) -> None:
    """Nobody looks on."""


def _cannot_learn(*_: Any) -> dict[str, Heads]:
    raise ValueError("nothing learns in epochs here")


@dataclass(frozen=True)
class Inputs:
    """What a benchmark is run on.

    Attributes:
        backbone: the model, or a fixed one.
        evaluated: pictures that the numbers are about.
        training: labelled pictures to learn from, or None.
        look: passes a data set through the backbone under a view and lets measures observe it.
        learn: trains heads of tasks on the pictures of a lesson; task's name -> heads.
        fitting: hears of the epochs of a fit on vectors that a look kept.
        store: as ``look``, but what measures observe is kept in files and read from there when it
            is asked for; measure's name -> what it saw. None: there are none.
    """

    backbone: Backbone
    evaluated: Any
    training: Any | None
    look: Callable[[Any, Sequence[Measure], View], Measured]
    learn: Callable[[Any, Sequence[Task], View, Lesson], dict[str, Heads]] = _cannot_learn
    fitting: Fitting = unseen
    store: Callable[[Any, Sequence[Measure], View], Mapping[str, Seen]] | None = None


class Benchmark(Protocol):
    """A frozen dataclass whose fields are its parameters.

    For its page it may have a method ``sheet(inputs, measured) -> Sheet``: pictures of hits and
    misses, chosen from the rows of ``measured`` and looked at again, or curves. One that passes
    over training pictures first has ``learns_from(training)``: those that it does.
    ``notes(facts)`` says what a reader must know before comparing, and ``remarks(measures,
    values)`` what he must know of these numbers.

    Attributes:
        name: on the command line.
        version: raised whenever any number could change.
        needs: what the pictures must come with.
        headline: the number to compare.
        published: figures of the papers for that number.
    """

    @property
    def name(self) -> str:
        """On the command line."""
        ...

    @property
    def version(self) -> int:
        """Raised whenever any number could change."""
        ...

    @property
    def needs(self) -> frozenset[Need]:
        """What the pictures must come with."""
        ...

    @property
    def headline(self) -> Headline:
        """The number to compare."""
        ...

    @property
    def published(self) -> tuple[Published, ...]:
        """Figures of the papers for that number."""
        ...

    def view(self, facts: Facts) -> View:
        """How pictures become input of a model with these facts."""
        ...

    def measures(self, inputs: Inputs) -> Sequence[Measure]:
        """What observes the evaluated pictures; may pass over the training pictures before."""
        ...
