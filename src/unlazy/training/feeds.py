"""Where batches come from: pixels held in memory, or pictures read anew by worker processes.

The order of an epoch is a function of (seed, epoch), a picture's views of (seed, step) or of
(seed, epoch, index): nothing has to be remembered to go on after a stop.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from unlazy import distributed
from unlazy.data.sample import Unreadable
from unlazy.training.objective import Batch, Objective, generator_of
from unlazy.training.recipe import Recipe

IN_A_ROW = 10
"""So many unreadable pictures after one another are an error, not an accident."""


class Feed(Protocol):
    """The batches of a run.

    Attributes:
        count: of the training pictures.
        steps: of the whole run.
        device: where batches, and so the model, are.
        skipped: name -> reason of each picture that could not be used, so far, on this rank.
    """

    count: int
    steps: int
    device: torch.device
    skipped: dict[str, str]

    def batches(self, first: int) -> Iterator[Batch]:
        """This rank's part of each step from ``first`` on."""
        ...

    def name_of(self, index: int) -> str:
        """The name of a training picture."""
        ...


def pictures_of(feed: Feed) -> dict[str, Any]:
    """How many pictures a run learns from, and a hash of their names in order."""
    digest = hashlib.sha256()
    for index in range(feed.count):
        digest.update(f"{feed.name_of(index)}\n".encode())
    return {"count": feed.count, "names": digest.hexdigest()[:16]}


def steps_of(recipe: Recipe, count: int) -> int:
    """Optimizer steps of a run over ``count`` pictures; what is left of an epoch is dropped.

    Raises:
        ValueError: less than one batch, or a batch that ranks and parts do not divide.
    """
    parts = distributed.world() * recipe.accumulate
    if recipe.batch % parts:
        raise ValueError(
            f"batch {recipe.batch} does not divide into {distributed.world()} ranks"
            f" x {recipe.accumulate} accumulated parts; use a multiple of {parts}"
        )
    if count < recipe.batch:
        raise ValueError(f"{count} pictures do not fill one batch of {recipe.batch}")
    return count // recipe.batch * recipe.epochs


def reading_workers(recipe: Recipe) -> int:
    """Processes that read for this rank: as asked, or half of this rank's processors, at most 8."""
    if recipe.workers is not None:
        return recipe.workers
    return min(8, (os.cpu_count() or 1) // (2 * distributed.world()))


def chosen(recipe: Recipe, count: int, step: int) -> Tensor:
    """The pictures of a step, over all ranks: ``(batch,)`` indices."""
    per_epoch = count // recipe.batch
    order = _order(recipe.seed, step // per_epoch, count)
    return order[step % per_epoch * recipe.batch :][: recipe.batch]


@lru_cache(maxsize=1)
def _order(seed: int, epoch: int, count: int) -> Tensor:
    """The permutation of an epoch."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=generator)


def mine(count: int) -> slice:
    """This rank's rows of a global batch."""
    share = count // distributed.world()
    return slice(distributed.rank() * share, (distributed.rank() + 1) * share)


@dataclass
class Held:
    """Pictures whose uint8 pixels (n, 3, H, W) and labels (n,) lie in memory."""

    recipe: Recipe
    objective: Objective
    pixels: Tensor
    labels: Tensor
    names: Callable[[int], str] = str
    skipped: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.count = len(self.pixels)
        self.steps = steps_of(self.recipe, self.count)
        self.device = self.pixels.device

    def name_of(self, index: int) -> str:
        """The name of a training picture."""
        return self.names(index)

    def batches(self, first: int) -> Iterator[Batch]:
        """Cut and paint on the device where the pixels are."""
        views, device = self.objective.views(), self.device
        part = mine(self.recipe.batch)
        for step in range(first, self.steps):
            indices = chosen(self.recipe, len(self.pixels), step)
            generator = generator_of(self.recipe.seed, step, "views")
            draws = views.draw(len(indices), generator)
            draws = {key: value[part].to(device) for key, value in draws.items()}
            targets = self.objective.targets(self.labels[indices], generator)[part].to(device)
            indices = indices[part]
            shown = views.apply(self.pixels[indices.to(device)], draws)
            yield Batch(shown, targets, indices)


_Item = tuple[list[Tensor] | None, Any, int, dict[str, str]]
"""Views, target, index, and name -> reason of pictures passed over; no views: too many of them."""


class _Reading(torch.utils.data.Dataset):
    """Reads, augments and pairs one picture in a worker, from its own randomness.

    An unreadable picture is replaced by the next one.
    """

    def __init__(self, dataset: Any, transform: Callable, target: Callable, seed: int) -> None:
        self.dataset, self.transform, self.target, self.seed = dataset, transform, target, seed

    def __getitem__(self, place: tuple[int, int]) -> _Item:
        epoch, index = place
        skipped: dict[str, str] = {}
        for step in range(IN_A_ROW):
            found = (index + step) % len(self.dataset)
            try:
                sample = self.dataset[found]
            except Unreadable as problem:
                skipped[self.dataset.name_of(found)] = str(problem)
                continue
            _seed_all(self.seed, epoch, index)
            return self.transform(sample.image), self.target(sample), found, skipped
        return None, None, index, skipped  # raised by the main process, which has no traceback


def _seed_all(*parts: int) -> None:
    """Seed what augmentations draw from: Python, NumPy and torch."""
    state = np.random.SeedSequence(parts).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]))  # noqa: NPY002  (timm's augmentations draw from it)
    torch.manual_seed(int(state[2]))


def _joined(items: Sequence[_Item]) -> tuple[list[Tensor], Tensor, Tensor, dict[str, str]]:
    for views, _, _, skipped in items:
        if views is None:
            return [], torch.empty(0), torch.empty(0), skipped
    shown = (item[0] for item in items if item[0] is not None)
    views = [torch.stack(each) for each in zip(*shown, strict=True)]
    targets = torch.stack([torch.as_tensor(item[1]) for item in items])
    indices = torch.tensor([item[2] for item in items])
    return views, targets, indices, {k: v for item in items for k, v in item[3].items()}


@dataclass
class Read:
    """Pictures that worker processes read and augment anew each time.

    Attributes:
        dataset: ``__len__``, ``__getitem__ -> Sample`` (or ``Unreadable`` raised), ``name_of``.
        transform: picture -> list of views; draws from the global generators alone.
        target: sample -> what the loss compares with.
    """

    recipe: Recipe
    dataset: Any
    transform: Callable
    target: Callable
    device: torch.device
    skipped: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.count = len(self.dataset)
        self.steps = steps_of(self.recipe, self.count)

    def name_of(self, index: int) -> str:
        """The name of a training picture."""
        return self.dataset.name_of(index)

    def batches(self, first: int) -> Iterator[Batch]:
        """In the order of the steps, whatever the number of workers."""
        loader = torch.utils.data.DataLoader(
            _Reading(self.dataset, self.transform, self.target, self.recipe.seed),
            batch_sampler=self._places(first),
            num_workers=reading_workers(self.recipe),
            collate_fn=_joined,
            pin_memory=self.device.type == "cuda",
        )
        for views, targets, indices, skipped in loader:
            self.skipped |= skipped
            if not views:
                names = ", ".join(skipped)
                raise Unreadable(f"{IN_A_ROW} pictures in a row cannot be read: {names}")
            moved = [view.to(self.device, non_blocking=True) for view in views]
            yield Batch(moved, targets.to(self.device, non_blocking=True), indices)

    def _places(self, first: int) -> Any:
        count = len(self.dataset)
        per_epoch = count // self.recipe.batch
        part = mine(self.recipe.batch)
        return [
            _Step(self.recipe, count, step, step // per_epoch, part)
            for step in range(first, self.steps)
        ]


@dataclass(frozen=True)
class _Step:
    """The (epoch, index) pairs of one step, listed when the loader asks for them."""

    recipe: Recipe
    count: int
    step: int
    epoch: int
    part: slice

    def __iter__(self) -> Iterator[tuple[int, int]]:
        indices = chosen(self.recipe, self.count, self.step)[self.part]
        return ((self.epoch, int(index)) for index in indices)
