"""From a data set to batches of pictures that have one size, decoded while the model works."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from unlazy import distributed
from unlazy.data.sample import Unreadable
from unlazy.geometry import View, Viewed
from unlazy.ledger import Batch

BATCH_PIXELS = 32 * 224 * 224  # how many pixels are passed through the model at once
PENDING_BATCHES = 8  # how many batches' pixels may wait for more pictures of their size
MOST_AHEAD = 64  # pictures that are decoded while the model works


@dataclass(frozen=True)
class Skipped:
    """A picture that was not used, and why."""

    index: int
    name: str
    reason: str


def batches(
    dataset: Any,
    view: View,
    *,
    batch_size: int | None,
    workers: int,
    skip: Callable[[Skipped], None],
) -> Iterator[Batch]:
    """Batches of equal picture size, in the order in which sizes fill up.

    When pictures of many sizes wait, those of the size that holds most pixels go unfilled.
    """
    waiting: dict[tuple[int, ...], list[_Item]] = {}

    def pixels(size: tuple[int, ...]) -> int:
        return len(waiting[size]) * math.prod(size)

    for item in _items(dataset, view, batch_size=batch_size, workers=workers):
        if isinstance(item, Skipped):
            skip(item)
            continue
        size = tuple(item.viewed.pixels.shape[1:])
        waiting.setdefault(size, []).append(item)
        full = _full(size, batch_size)
        most = PENDING_BATCHES * max(BATCH_PIXELS, full * math.prod(size))
        if len(waiting[size]) == full:
            yield _batch(waiting.pop(size))
        elif sum(map(pixels, waiting)) > most:
            yield _batch(waiting.pop(max(waiting, key=pixels)))
    while waiting:
        yield _batch(waiting.pop(next(iter(waiting))))


@dataclass(frozen=True)
class _Item:
    """One picture as the model will see it; its full-size pixels stay in the worker."""

    index: int
    name: str
    label: int | None
    viewed: Viewed


class _Viewing(torch.utils.data.Dataset):
    """Decodes and views in the loader's workers; a bad picture becomes a Skipped."""

    def __init__(self, dataset: Any, view: View, indices: Sequence[int]) -> None:
        self.dataset, self.view, self.indices = dataset, view, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> _Item | Skipped:
        index = self.indices[position]
        try:
            sample = self.dataset[index]
        except Unreadable as problem:
            name = getattr(self.dataset, "name_of", str)(index)
            return Skipped(index, name, str(problem))
        viewed = self.view(sample.image, sample.boxes, sample.mask)
        return _Item(index, sample.name, sample.label, viewed)


def _items(
    dataset: Any, view: View, *, batch_size: int | None, workers: int
) -> Iterable[_Item | Skipped]:
    """This rank's pictures in order; workers decode about one batch ahead of the model.

    They send bytes: tensors would travel as shared memory, with a file held open for each one
    that waits for its batch.
    """
    viewing = _Viewing(dataset, view, distributed.shard(len(dataset)))
    workers = min(workers, len(viewing))
    if workers == 0:
        return map(viewing.__getitem__, range(len(viewing)))
    ahead = 2 if view.fit == "native" else min(MOST_AHEAD, _full(view.size, batch_size))
    loader = torch.utils.data.DataLoader(
        viewing,
        batch_size=None,
        num_workers=workers,
        collate_fn=pickle.dumps,
        prefetch_factor=max(2, ahead // workers),
    )
    return map(pickle.loads, loader)


def _full(size: tuple[int, ...], batch_size: int | None) -> int:
    """How many pictures of a size (H, W) make a batch."""
    return batch_size or max(1, BATCH_PIXELS // math.prod(size))


def _batch(items: list[_Item]) -> Batch:
    return Batch(
        indices=tuple(item.index for item in items),
        pixels=torch.stack([item.viewed.pixels for item in items]),
        names=tuple(item.name for item in items),
        labels=tuple(item.label for item in items),
        views=tuple(item.viewed for item in items),
    )
