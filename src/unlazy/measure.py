"""One forward pass, many measurements."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from unlazy import distributed
from unlazy.backbones.base import Backbone
from unlazy.data.sample import Unreadable
from unlazy.geometry import View, Viewed
from unlazy.ledger import Batch, Ledger, Measure, Seen

BATCH_PIXELS = 32 * 224 * 224  # how many pixels are passed through the model at once


@dataclass(frozen=True)
class Skipped:
    """A picture that was not used, and why."""

    index: int
    name: str
    reason: str


@dataclass(frozen=True)
class Measured:
    """The result of one pass over a data set.

    Attributes:
        seen: measure name -> what it observed.
        names: index -> name of each picture that was used.
        skipped: pictures that were not.
        seconds: wall time of the pass.
        forward_seconds: time inside the model with its hooks, summed over ranks.
        boxes: how many boxes were given, and how many a view cropped away.
    """

    seen: dict[str, Seen]
    names: dict[int, str]
    skipped: tuple[Skipped, ...]
    seconds: float
    forward_seconds: float
    boxes: tuple[int, int]


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


def _only(item: Any) -> Any:
    return item


def _batches(
    dataset: Any, view: View, *, batch_size: int | None, workers: int, skipped: list[Skipped]
) -> Iterator[Batch]:
    """Batches of equal picture size, in the order in which sizes fill up."""
    indices = distributed.shard(len(dataset))
    loader = torch.utils.data.DataLoader(
        _Viewing(dataset, view, indices),
        batch_size=None,
        num_workers=min(workers, len(indices)),
        collate_fn=_only,
    )
    buckets: dict[tuple[int, ...], list[_Item]] = {}
    for item in loader:
        if isinstance(item, Skipped):
            skipped.append(item)
            continue
        shape = tuple(item.viewed.pixels.shape)
        bucket = buckets.setdefault(shape, [])
        bucket.append(item)
        full = batch_size or max(1, BATCH_PIXELS // (shape[1] * shape[2]))
        if len(bucket) == full:
            yield _batch(buckets.pop(shape))
    for bucket in buckets.values():
        yield _batch(bucket)


def _batch(items: list[_Item]) -> Batch:
    return Batch(
        indices=tuple(item.index for item in items),
        pixels=torch.stack([item.viewed.pixels for item in items]),
        names=tuple(item.name for item in items),
        labels=tuple(item.label for item in items),
        views=tuple(item.viewed for item in items),
    )


@torch.inference_mode()
def measure(
    backbone: Backbone,
    dataset: Any,
    measures: Sequence[Measure],
    *,
    view: View,
    batch_size: int | None = None,
    workers: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Measured:
    """Pass a data set through a model once and let every measure observe the same traces.

    Under torchrun each rank takes its share; all ranks return the same result.

    Args:
        backbone: the model, as it is.
        dataset: ``__len__`` and ``__getitem__ -> Sample`` (or ``Unreadable`` raised).
        measures: with distinct names.
        view: how pictures become model input.
        batch_size: images a forward pass; None chooses by image size.
        workers: processes that decode; 0 decodes in this one.
        progress: called with the number of pictures that this rank finished.

    Raises:
        ValueError: no picture could be read, or a measure needs what the model has not.
    """
    sites = frozenset().union(*(each.reads for each in measures))
    ledger, skipped, names = Ledger(), [], {}
    boxes, cropped, forward, started = 0, 0, 0.0, time.perf_counter()
    for batch in _batches(dataset, view, batch_size=batch_size, workers=workers, skipped=skipped):
        before = time.perf_counter()
        trace = backbone.trace(backbone.normalise(batch.pixels), sites)
        forward += time.perf_counter() - before
        if not torch.isfinite(trace.image).all():
            raise ValueError(
                f"{backbone.facts.name} returned values that are not finite for {batch.names[0]}"
                " or its batch; are its weights sound, and is its dtype wide enough?"
            )
        for each in measures:
            ledger.add(each.name, each.observe(trace, batch), batch.indices)
        ledger.indices.extend(batch.indices)
        names.update(zip(batch.indices, batch.names, strict=True))
        for kept in (viewed.kept for viewed in batch.views if viewed.kept is not None):
            boxes, cropped = boxes + len(kept), cropped + int((~kept).sum())
        if progress is not None:
            progress(len(batch.indices))
    everyone = distributed.gather((skipped, names, boxes, cropped, forward))
    all_names = {index: name for _, theirs, *_ in everyone for index, name in theirs.items()}
    all_skipped = [item for theirs, *_ in everyone for item in theirs]
    return Measured(
        seen=ledger.gather(measures),
        names=dict(sorted(all_names.items())),
        skipped=tuple(sorted(all_skipped, key=lambda item: item.index)),
        seconds=time.perf_counter() - started,
        forward_seconds=sum(row[4] for row in everyone),
        boxes=(sum(row[2] for row in everyone), sum(row[3] for row in everyone)),
    )
