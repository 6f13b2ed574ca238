"""Probe: a benchmark with small models that learn first; several probes share their passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from unlazy.benchmarks.base import Benchmark, Inputs
from unlazy.benchmarks.views import usual_view
from unlazy.data.spread import Spread
from unlazy.geometry import View
from unlazy.ledger import Measure, Seen
from unlazy.probes.bank import Heads
from unlazy.probes.groups import HIGH
from unlazy.probes.norm_counts import NormCounts, Quantiles
from unlazy.probes.task import Lesson, Task
from unlazy.tokens import Facts

COUNTS = NormCounts().name


@dataclass(frozen=True)
class Learned:
    """What probes know when the evaluated pictures come.

    Attributes:
        norms: of all tokens of the evaluated pictures.
        seen: study's name -> what it observed of the training pictures.
        heads: task's name -> what was learned.
    """

    norms: Quantiles
    seen: Mapping[str, Seen]
    heads: Mapping[str, Heads]

    @property
    def least(self) -> float:
        """The norm from which a token is an outlier."""
        return self.norms.above(HIGH)


class Probe(Benchmark, Protocol):
    """A benchmark in steps that several share: one forward pass serves all probes asked for.

    1. The norms of the evaluated pictures' tokens say which are outliers.
    2. ``studies`` observe the training pictures, once.
    3. ``tasks`` learn from them in epochs.
    4. ``judges`` observe the evaluated pictures.

    Steps 2 and 3 may be empty. Its ``measures`` are ``prepare([self], inputs)[0]``.
    """

    @property
    def by_norm(self) -> bool:
        """Whether it tells tokens apart by their norms; else step 1 is left out."""
        ...

    @property
    def stores(self) -> bool:
        """Whether its studies give rows and no sums, so that files can keep them."""
        ...

    @property
    def lesson(self) -> Lesson:
        """Which training pictures."""
        ...

    def studies(self, inputs: Inputs, norms: Quantiles) -> Sequence[Measure]:
        """What observes the training pictures; names tell studies of all probes apart."""
        ...

    def tasks(self, inputs: Inputs) -> Sequence[Task]:
        """What learns from the training pictures; names tell tasks of all probes apart."""
        ...

    def judges(self, inputs: Inputs, learned: Learned) -> Sequence[Measure]:
        """What observes the evaluated pictures."""
        ...


class Steps:
    """The steps of a probe that has no studies, no tasks and no view of its own."""

    stores: ClassVar[bool] = False

    def view(self, facts: Facts) -> View:
        """The middle of the picture: 256 to 224 pixels."""
        return shared_view(facts)

    def studies(self, inputs: Inputs, norms: Quantiles) -> Sequence[Measure]:
        """None."""
        return []

    def tasks(self, inputs: Inputs) -> Sequence[Task]:
        """None."""
        return []

    def measures(self, inputs: Inputs) -> Sequence[Measure]:
        """Takes them, alone."""
        this: Any = self  # a Probe, with the class attributes of what inherits this
        return prepare([this], inputs)[0]


def prepare(probes: Sequence[Probe], inputs: Inputs) -> list[Sequence[Measure]]:
    """Let probes learn, together where they learn from the same pictures; their judges.

    Probes that name a study or a task alike share it.
    """
    view = shared_view(inputs.backbone.facts)
    norms = Quantiles(np.zeros(0))
    if any(probe.by_norm for probe in probes):
        norms = Quantiles.of(inputs.look(inputs.evaluated, [NormCounts()], view).seen[COUNTS])
    store = inputs.store
    studies: dict[tuple[int | None, bool], dict[str, Measure]] = {}
    tasks: dict[Lesson, dict[str, Task]] = {}
    for probe in probes:
        for study in probe.studies(inputs, norms):
            where = probe.lesson.pictures, store is not None and probe.stores
            _take(studies.setdefault(where, {}), study)
        for task in probe.tasks(inputs):
            _take(tasks.setdefault(probe.lesson, {}), task)
    _check_names(studies.values())
    _check_names(tasks.values())
    seen: dict[str, Seen] = {}
    for (pictures, stored), each in studies.items():
        part = inputs.training if pictures is None else Spread(inputs.training, pictures)
        named = list(each.values())
        seen |= (
            store(part, named, view) if stored and store else inputs.look(part, named, view).seen
        )
    heads: dict[str, Heads] = {}
    for lesson, each in tasks.items():
        heads |= inputs.learn(inputs.training, list(each.values()), view, lesson)
    learned = Learned(norms, seen, heads)
    return [probe.judges(inputs, learned) for probe in probes]


def _take(known: dict[str, Any], one: Any) -> None:
    """Add a study or task; one that is there is shared.

    Raises:
        ValueError: another one of that name is there.
    """
    if known.setdefault(one.name, one) != one:
        raise ValueError(f"two probes learn {one.name} in two ways; run them one by one")


def _check_names(several: Iterable[Mapping[str, Any]]) -> None:
    names = [name for each in several for name in each]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(
            f"probes learn {', '.join(sorted(twice))} from different pictures; run them one by one"
        )


def shared_view(facts: Facts) -> View:
    """The view of all probes: the middle of the picture at the model's own size."""
    return usual_view(facts)


def grid_of(facts: Facts) -> tuple[int, int]:
    """(H, W) of the last patches under the shared view."""
    return facts.size[0] // facts.patch[0], facts.size[1] // facts.patch[1]
