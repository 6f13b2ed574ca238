"""Epochs over training pictures: one trace a batch, from which all tasks learn.

Nothing is kept of a trace. A step is taken after the same pictures on any number of ranks: each
takes its share of them, and gradients are summed before they are divided by the number of examples.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from unlazy import distributed
from unlazy.backbones.base import Backbone
from unlazy.batches import (
    CPU_PIXELS,
    GPU_PIXELS,
    Item,
    Skipped,
    Used,
    batch_of,
    fitting,
    items,
)
from unlazy.data.crops import Crops
from unlazy.data.spread import Chosen, Spread
from unlazy.geometry import View, Viewed
from unlazy.ledger import Batch
from unlazy.measure import check_view, trace_batch
from unlazy.parts import Keep
from unlazy.probes.bank import Bank, Heads
from unlazy.probes.kept import Kept, kept_epochs
from unlazy.probes.task import HELD_OUT, Lesson, Task
from unlazy.tokens import Site, Trace


@dataclass(frozen=True)
class Reading:
    """How pictures pass through the model.

    Attributes:
        backbone: the model.
        view: of the pictures.
        batch_size: pictures a forward pass; None chooses by size.
        workers: processes that decode.
        progress: called with the number of pictures that this rank finished or skipped.
    """

    backbone: Backbone
    view: View
    batch_size: int | None = None
    workers: int = 0
    progress: Callable[[int], None] | None = None


def learn(
    reading: Reading,
    training: Any,
    tasks: Sequence[Task],
    lesson: Lesson,
    *,
    keep: Keep | None = None,
) -> tuple[dict[str, Heads], Used]:
    """Train the heads of all tasks; every rank returns the same, and which pictures were used.

    Args:
        reading: the model, and how it sees pictures.
        training: pictures, as for ``measure``.
        tasks: with distinct names.
        lesson: which pictures, in which order.
        keep: where to leave the state after every epoch, and to go on from what the same training
            left there.

    Raises:
        ValueError: fewer than two training pictures, or none that can be used; a head that learns
            with no rate.
    """
    check_view(reading.backbone, reading.view)
    part = training if lesson.pictures is None else Spread(training, lesson.pictures)
    held, used = held_out(len(part), lesson.seed)
    kept = None if keep is None else kept_epochs(keep, reading, part, tasks, lesson)
    school = _School(reading, tasks)
    epoch = school.restore(kept)
    while not school.finished():
        order = np.random.default_rng([lesson.seed, epoch]).permutation(used).tolist()
        school.teach(_lesson_of(part, lesson, epoch, reading.view), order, lesson.batch)
        school.examine((part, reading.view), held, lesson.batch)
        epoch += 1
        skipped = school.lost()
        if kept is not None and distributed.on_main():
            kept.write(epoch, school.states(), skipped)
    taken = Used(len(part), school.lost())
    if taken.skipped:
        first = taken.skipped[0]
        warnings.warn(
            f"{len(taken.skipped)} training pictures could not be used, first {first.name}:"
            f" {first.reason}",
            stacklevel=2,
        )
    return {name: bank.heads(name) for name, bank in school.banks.items()}, taken


def _lesson_of(part: Any, lesson: Lesson, epoch: int, view: View) -> Seeing:
    if not lesson.crops:
        return part, view
    return Crops(part, lesson.seed, epoch), dataclasses.replace(view, fit="squash", resize=None)


def held_out(count: int, seed: int) -> tuple[list[int], list[int]]:
    """Which of ``count`` pictures decide, and which are learned from.

    >>> [len(each) for each in held_out(25, 0)]
    [3, 22]

    Raises:
        ValueError: fewer than two.
    """
    if count < 2:
        raise ValueError(f"there are {count} training pictures; heads need at least 2 to learn")
    order = np.random.default_rng(seed).permutation(count)
    decides = np.arange(count) % HELD_OUT == 0
    return sorted(order[decides].tolist()), sorted(order[~decides].tolist())


Seeing = tuple[Any, View]
"""Pictures, and how they are seen."""


class _School:
    """The banks of all tasks."""

    def __init__(self, reading: Reading, tasks: Sequence[Task]) -> None:
        self.reading, self.tasks = reading, tasks
        self.banks = {task.name: self._bank(task) for task in tasks}
        self._skipped: dict[int, Skipped] = {}  # by place among the pictures

    def finished(self) -> bool:
        """Whether every task has learned what it can."""
        return all(bank.done for bank in self.banks.values())

    def teach(self, seeing: Seeing, order: Sequence[int], batch: int) -> None:
        """One epoch."""
        steps = math.ceil(len(order) / batch)
        for place, pictures in enumerate(self._rounds(seeing, order, batch)):
            open_to = self._open()
            for trace, seen in self._traces(pictures, open_to):
                for task in open_to:
                    features, target = _sound(task, trace, seen)
                    self.banks[task.name].learn(features[None], target, task.loss)
            for task in open_to:
                bank = self.banks[task.name]
                bank.step((bank.epoch + place / steps) / task.plan.epochs)

    def examine(self, seeing: Seeing, held: Sequence[int], batch: int) -> None:
        """Held-out pictures decide which heads have become better."""
        open_to = self._open()
        for pictures in self._rounds(seeing, held, batch):
            for trace, seen in self._traces(pictures, open_to):
                for task in open_to:
                    features, target = _sound(task, trace, seen)
                    self.banks[task.name].examine(features[None], target, task.merit)
        for task in open_to:
            self.banks[task.name].close()

    def lost(self) -> tuple[Skipped, ...]:
        """Pictures that no rank could use so far, in their order."""
        for each in distributed.gather(self._skipped):
            self._skipped |= each
        return tuple(self._skipped[index] for index in sorted(self._skipped))

    def states(self) -> dict[str, Any]:
        """Of every bank."""
        return {name: bank.state() for name, bank in self.banks.items()}

    def restore(self, kept: Kept | None) -> int:
        """Go on after the last epoch that was kept; how many that were."""
        found = (0, {}, []) if kept is None or not distributed.on_main() else kept.read()
        epoch, states, skipped = distributed.gather(found)[0]
        self._skipped = {each.index: each for each in skipped}
        for name, state in states.items():
            self.banks[name].restore(state)
        return epoch

    def _open(self) -> list[Task]:
        """Tasks that still learn."""
        return [task for task in self.tasks if not self.banks[task.name].done]

    def _bank(self, task: Task) -> Bank:
        """Of the width that the model gives to a black picture."""
        pixels = torch.zeros(1, 3, *self.reading.view.size, dtype=torch.uint8)
        batch = Batch((0,), pixels, ("a black picture",), (0,), (Viewed(pixels[0]),))
        with torch.no_grad():
            backbone = self.reading.backbone
            trace = backbone.trace(backbone.normalise(pixels), task.reads)
            features, _ = task.examples(trace, batch)
        return Bank(
            task.plan,
            inputs=1,
            dim=features.shape[-1],
            outputs=task.outputs,
            device=next(backbone.parameters()).device,
        )

    def _rounds(self, seeing: Seeing, order: Sequence[int], batch: int) -> Iterator[list[Item]]:
        """This rank's share of every ``batch`` pictures; as many rounds on every rank."""
        part, view = Chosen(seeing[0], order), seeing[1]
        reading, places = self.reading, distributed.shard(len(order))
        found = items(part, view, places, ahead=batch, workers=reading.workers)
        by_round = itertools.groupby(
            zip(places, found, strict=True), key=lambda pair: pair[0] // batch
        )
        upcoming = next(by_round, None)
        for turn in range(math.ceil(len(order) / batch)):
            if upcoming is None or upcoming[0] != turn:
                yield []
                continue
            pictures = [item for _, item in upcoming[1]]
            for item in pictures:
                if isinstance(item, Skipped):
                    index = order[item.index]
                    self._skipped[index] = dataclasses.replace(item, index=index)
            yield [item for item in pictures if not isinstance(item, Skipped)]
            if reading.progress is not None:
                reading.progress(len(pictures))
            upcoming = next(by_round, None)

    def _traces(
        self, pictures: Sequence[Item], tasks: Sequence[Task]
    ) -> Iterator[tuple[Trace, Batch]]:
        """As many pictures at once as fit; gradients may be taken of what follows a trace."""
        backbone = self.reading.backbone
        sites: frozenset[Site] = frozenset().union(*(task.reads for task in tasks))
        on_cpu = next(backbone.parameters()).device.type == "cpu"
        pixels = CPU_PIXELS if on_cpu else GPU_PIXELS
        most = self.reading.batch_size or fitting(self.reading.view.size, pixels)
        for start in range(0, len(pictures), most):
            batch = batch_of(list(pictures[start : start + most]))
            with torch.no_grad():
                trace = trace_batch(backbone, batch, sites)
            yield trace, batch


def _sound(task: Task, trace: Trace, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The examples of a task.

    Raises:
        ValueError: features that are not finite.
    """
    features, target = task.examples(trace, batch)
    if not torch.isfinite(features).all():
        raise ValueError(
            f"the model returned tokens that are not finite (NaN or infinite) for {batch.names[0]}"
            " or its batch; are its weights sound, and is its dtype wide enough?"
        )
    return features, target
