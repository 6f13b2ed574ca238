"""How a benchmark's pictures pass through a model, and which training pictures were used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from unlazy.backbones.base import Backbone
from unlazy.batches import Used, none_usable
from unlazy.benchmarks.base import Fitting, Inputs, unseen
from unlazy.data.spread import Spread
from unlazy.geometry import View
from unlazy.ledger import Measure, Seen
from unlazy.measure import Measured, measure
from unlazy.parts import Keep
from unlazy.probes.bank import Heads
from unlazy.probes.stream import Reading, learn
from unlazy.probes.task import Lesson, Task
from unlazy.shards import extract
from unlazy.traces import TraceFiles

Passes = dict[int | None, Used]
"""How many training pictures were asked for, evenly spread (None: all) -> which were used."""


@dataclass(frozen=True)
class Passing:
    """How pictures pass through a model; the fields are those of ``bench.run_benchmark``.

    ``tokens``: a folder of shards for what a probe learns from.
    """

    backbone: Backbone
    batch_size: int | None = None
    workers: int = 0
    progress: Callable[[int], None] | None = None
    traces: TraceFiles | None = None
    fitting: Fitting = unseen
    tokens: Path | None = None

    def quietly(self) -> Passing:
        """In this process and without progress, for few pictures."""
        return Passing(self.backbone, self.batch_size)

    def inputs(
        self,
        evaluated: Any,
        training: Any,
        keep: Keep | None,
        passes: Passes | None = None,
    ) -> Inputs:
        """What a benchmark is given.

        Args:
            evaluated: pictures that the numbers are about.
            training: pictures to learn from.
            keep: where passes and training are kept.
            passes: gets which of other than the evaluated pictures were used; a pass in which no
                picture could be used is then an error.
        """

        def note(pictures: int | None, used: Used) -> None:
            if passes is not None:
                passes[pictures] = passes.get(pictures, used).merged(used)

        def look(dataset: Any, measures: Sequence[Measure], view: View) -> Measured:
            found = measure(
                self.backbone,
                dataset,
                measures,
                view=view,
                batch_size=self.batch_size,
                workers=self.workers,
                progress=self.progress,
                keep=keep,
                traces=self.traces,
            )
            if passes is not None:
                if not found.names:
                    raise none_usable(found.skipped)
                if dataset is not evaluated:
                    note(_asked(dataset), Used(len(dataset), found.skipped))
            return found

        def learn_from(
            dataset: Any, tasks: Sequence[Task], view: View, lesson: Lesson
        ) -> dict[str, Heads]:
            reading = Reading(self.backbone, view, self.batch_size, self.workers, self.progress)
            heads, used = learn(reading, dataset, tasks, lesson, keep=keep)
            note(lesson.pictures, used)
            return heads

        def store(
            folder: Path, dataset: Any, measures: Sequence[Measure], view: View
        ) -> Mapping[str, Seen]:
            shards = extract(
                self.backbone,
                dataset,
                measures,
                folder=folder,
                view=view,
                batch_size=self.batch_size,
                workers=self.workers,
                progress=self.progress,
            )
            note(_asked(dataset), Used(len(dataset), shards.skipped))
            return dict.fromkeys((each.name for each in measures), shards.seen())

        return Inputs(
            *(self.backbone, evaluated, training, look, learn_from, self.fitting),
            store=self.tokens and partial(store, self.tokens),
        )


def _asked(dataset: Any) -> int | None:
    """How many training pictures were asked for; None: all."""
    return dataset.count if isinstance(dataset, Spread) else None
