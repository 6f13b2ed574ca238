"""From a data set to batches of pictures that have one size, decoded while the model works."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import torch
from torch import Tensor

from unlazy import distributed
from unlazy.data.sample import Unreadable
from unlazy.geometry import View, Viewed
from unlazy.ledger import Batch

GPU_PIXELS = 32 * 224 * 224  # that pass through a model at once
CPU_PIXELS = 8 * 224 * 224
"""Fewer on a CPU: activations over 32 MiB, which glibc maps afresh each time, took about a tenth of
the time of ViT-S and ViT-B at 32 pictures of 224 x 224; at 8 there are none."""
PENDING_BATCHES = 32  # how many batches' pixels may wait for more pictures of their size
MOST_AHEAD = 64  # pictures
MOST_ENLARGED = 2**23
"""Pixels to which a picture may be enlarged: a strip, scaled by its short side, knows no end."""


@dataclass(frozen=True)
class Skipped:
    """A picture that was not used, and why."""

    index: int
    name: str
    reason: str


@dataclass(frozen=True)
class Used:
    """How many pictures there were to use, and which of them were not used.

    >>> first = Used(9, (Skipped(3, "c", "broken"),))
    >>> first.merged(Used(9, (Skipped(1, "a", "no label"), Skipped(3, "c", "broken")))).count
    7
    """

    pictures: int
    skipped: tuple[Skipped, ...]

    @property
    def count(self) -> int:
        """How many were used."""
        return self.pictures - len(self.skipped)

    def merged(self, other: Used) -> Used:
        """Of two passes over the same pictures: what one of them did not use is skipped."""
        found = {each.index: each for each in (*self.skipped, *other.skipped)}
        return Used(self.pictures, tuple(found[index] for index in sorted(found)))


def none_usable(skipped: Sequence[Skipped]) -> ValueError:
    """What to raise where no picture could be used.

    >>> none_usable([Skipped(0, "a.jpg", "broken")])
    ValueError('none of the 1 pictures was usable (a.jpg: broken)')
    """
    reasons = "; ".join(f"{item.name}: {item.reason}" for item in skipped[:5])
    return ValueError(f"none of the {len(skipped)} pictures was usable ({reasons})")


def batches(
    dataset: Any,
    view: View,
    *,
    batch_size: int | None,
    pixels: int,
    workers: int,
    skip: Callable[[Skipped], None],
    done: frozenset[int] = frozenset(),
) -> Iterator[Batch]:
    """Batches of equal picture size, in the order in which sizes fill up.

    When pictures of many sizes wait, those of the size that holds most pixels go unfilled.

    Args:
        dataset: as for ``measure``.
        view: as for ``measure``.
        batch_size: pictures in a full batch; None: as many as have ``pixels`` together.
        pixels: how many pixels should pass through the model at once.
        workers: as for ``measure``.
        skip: called with each picture that could not be read.
        done: indices of pictures that are not to be read.
    """
    mine = [index for index in distributed.shard(len(dataset)) if index not in done]
    groups = grouped_batches(
        dataset, view, [mine], batch_size=batch_size, pixels=pixels, workers=workers, skip=skip
    )
    return chain.from_iterable(groups)


def grouped_batches(
    dataset: Any,
    view: View,
    groups: Sequence[Sequence[int]],
    *,
    batch_size: int | None,
    pixels: int,
    workers: int,
    skip: Callable[[Skipped], None],
) -> Iterator[Iterator[Batch]]:
    """The batches of one group of indices after the other; no batch is of two groups.

    Whatever a rank has done before, the pictures of a group meet in the same batches. Each group
    is to be used up before the next one is asked for.
    """
    ahead = 2 if view.varies else batch_size or fitting(view.size, pixels)
    indices = list(chain.from_iterable(groups))
    found = iter(items(dataset, view, indices, ahead=ahead, workers=workers))
    for group in groups:
        some = islice(found, len(group))
        yield _filled(some, batch_size=batch_size, pixels=pixels, skip=skip)


def _filled(
    found: Iterable[Item | Skipped],
    *,
    batch_size: int | None,
    pixels: int,
    skip: Callable[[Skipped], None],
) -> Iterator[Batch]:
    """Batches of pictures of one size, as sizes fill up."""
    waiting: dict[tuple[int, ...], list[Item]] = {}
    held: dict[tuple[int, ...], int] = {}  # as many pixels as take the memory that waits

    for item in found:
        if isinstance(item, Skipped):
            skip(item)
            continue
        size = tuple(item.viewed.pixels.shape[1:])
        waiting.setdefault(size, []).append(item)
        held[size] = held.get(size, 0) + _bytes(item.viewed) // 3
        full = batch_size or fitting(size, pixels)
        most = PENDING_BATCHES * max(pixels, full * math.prod(size))
        if len(waiting[size]) < full and sum(held.values()) <= most:
            continue
        if len(waiting[size]) < full:
            size = max(held, key=held.__getitem__)
        del held[size]
        yield batch_of(waiting.pop(size))
    while waiting:
        yield batch_of(waiting.pop(next(iter(waiting))))


@dataclass(frozen=True)
class Item:
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

    def __getitem__(self, position: int) -> Item | Skipped:
        index = self.indices[position]
        try:
            sample = self.dataset[index]
        except Unreadable as problem:
            name = getattr(self.dataset, "name_of", str)(index)
            return Skipped(index, name, str(problem))
        height, width = self.view.window((sample.image.height, sample.image.width)).size
        if height * width > max(MOST_ENLARGED, sample.image.height * sample.image.width):
            reason = f"it is so narrow that it would be enlarged to {width} x {height} pixels"
            return Skipped(index, sample.name, reason)
        masks = {"instances": sample.instances, "void": sample.void}
        viewed = self.view(sample.image, sample.boxes, sample.mask, **masks)
        return Item(index, sample.name, sample.label, viewed)


def items(
    dataset: Any, view: View, indices: Sequence[int], *, ahead: int, workers: int
) -> Iterable[Item | Skipped]:
    """Pictures in the order of ``indices``; workers decode about ``ahead`` while the model works.

    They send bytes: tensors would travel as shared memory, with a file held open for each one
    that waits for its batch.
    """
    viewing = _Viewing(dataset, view, indices)
    workers = min(workers, len(viewing))
    if workers == 0:
        return map(viewing.__getitem__, range(len(viewing)))
    loader = torch.utils.data.DataLoader(
        viewing,
        batch_size=None,
        num_workers=workers,
        collate_fn=pickle.dumps,
        prefetch_factor=max(2, min(MOST_AHEAD, ahead) // workers),
    )
    return map(pickle.loads, loader)


def fitting(size: tuple[int, ...], pixels: int) -> int:
    """How many pictures of a size (H, W) have about so many pixels; at least one."""
    return max(1, pixels // math.prod(size))


def _bytes(viewed: Viewed) -> int:
    """Of pixels and masks: those of many instances outweigh the pixels."""
    arrays = (viewed.pixels, viewed.mask, viewed.instances, viewed.void)
    return sum(each.numel() for each in arrays if each is not None)


def blank_padding(images: Tensor, views: Sequence[Viewed]) -> Tensor:
    """Normalised images (B, 3, H, W), in place, with zeros where a view is padded.

    Zero is the mean colour: padding with black before normalisation would draw an edge.
    """
    for image, viewed in zip(images, views, strict=True):
        if viewed.shown is not None and viewed.shown != image.shape[-2:]:
            height, width = viewed.shown
            image[:, height:], image[:, :, width:] = 0, 0
    return images


def batch_of(items: list[Item]) -> Batch:
    """Pictures of one size, together."""
    return Batch(
        indices=tuple(item.index for item in items),
        pixels=torch.stack([item.viewed.pixels for item in items]),
        names=tuple(item.name for item in items),
        labels=tuple(item.label for item in items),
        views=tuple(item.viewed for item in items),
    )
