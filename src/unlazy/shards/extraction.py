"""Extraction: from a model and pictures to token shards, by any number of ranks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from unlazy import distributed
from unlazy.backbones.base import Backbone
from unlazy.batches import Skipped
from unlazy.geometry import View
from unlazy.measure import check_view
from unlazy.shards import manifest
from unlazy.shards.observers import Observer
from unlazy.shards.reading import Shards
from unlazy.shards.wanted import Wanted
from unlazy.shards.writing import Collected, file_name, write_shard

Progress = Callable[[int], None]
T = TypeVar("T")


@torch.inference_mode()
def extract(
    backbone: Backbone,
    dataset: Any,
    observers: Sequence[Observer],
    *,
    folder: Path | str,
    view: View,
    dtype: torch.dtype | None = None,
    source: str = "",
    batch_size: int | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> Shards:
    """Pass a data set through a model once and store what observers see, a row a picture.

    Started again, it goes on from the shards that are whole, also on another number of ranks; one
    that is missing, truncated or altered is named and made again. The same call gives the same
    files: the pictures of a shard meet in the same batches whatever was done before.

    Args:
        backbone: the model, as it is.
        dataset: as for ``measure``.
        observers: Measures without sums, or ``TokensAt``.
        folder: gets the shards and ``manifest.json``.
        view: how pictures become model input.
        dtype: in which floating numbers are stored; None: as observed.
        source: what to call the pictures in the manifest.
        batch_size: as for ``measure``; no batch reaches beyond a shard.
        workers: as for ``measure``.
        progress: called with the number of pictures that this rank finished or skipped.

    Raises:
        ValueError: the folder holds shards of something else, the model cannot take the view or
            lacks a site, a value is too large for ``dtype``, or no picture was usable.
        OSError: there is no room; what is written stays, and the same call goes on from it.
    """
    check_view(backbone, view)
    wanted = Wanted(backbone, dataset, tuple(observers), view, dtype, batch_size, workers)
    folder, tell = Path(folder), progress or (lambda done: None)
    head = _agreed(lambda: _claim(folder, wanted, source))
    entries = _sound(folder, head, tell)
    written = {entry["file"] for entry in entries}
    missing = [n for n in range(_num_shards(head)) if file_name(n) not in written]
    if head["complete"] and not missing:
        return Shards(folder)
    if head["complete"]:
        head = manifest.begun(head)
        _agreed(lambda: manifest.reopen(folder, head, entries))
    mine = missing[distributed.rank() :: distributed.world()]
    made = _make(folder, head, wanted, mine, progress=tell)
    entries += [entry for each in distributed.gather(made) for entry in each]
    with _naming(folder, head):
        _agreed(lambda: manifest.finish(folder, head, entries))
    return Shards(folder)


def _claim(folder: Path, wanted: Wanted, source: str) -> manifest.Json:
    """The manifest that is there, if it is of the same extraction, or a new one without shards."""
    new = manifest.describe(
        wanted.backbone,
        wanted.dataset,
        wanted.observers,
        view=wanted.view,
        dtype=wanted.dtype,
        source=source,
    )
    old = manifest.read_manifest(folder)
    if old is not None:
        manifest.check_same(folder, old, new)
        manifest.sweep(folder)
        if old["complete"]:
            manifest.forget_entries(folder)
        return old
    each = wanted.bytes_each()
    head = new | {"bytes_per_picture": each, "pictures_per_shard": wanted.pictures_per_shard(each)}
    with _naming(folder, head):
        folder.mkdir(parents=True, exist_ok=True)
        manifest.forget_entries(folder)
        manifest.write_manifest(folder, head)
    return head


def _sound(folder: Path, head: manifest.Json, progress: Progress) -> list[manifest.Json]:
    """The entries of all shards that are as they were written; each rank looks at some."""
    entries, sound = manifest.entries_of(folder, head), []
    for number in distributed.shard(_num_shards(head)):
        entry = entries.get(file_name(number))
        if entry is None:
            continue
        problem = manifest.damage(folder, entry)
        if problem is not None:
            warnings.warn(f"{folder / entry['file']} {problem}; it is made again", stacklevel=3)
            continue
        sound.append(entry)
        progress(entry["count"] + len(entry["skipped"]))
    return [entry for each in distributed.gather(sound) for entry in each]


def _make(
    folder: Path,
    head: manifest.Json,
    wanted: Wanted,
    numbers: Sequence[int],
    *,
    progress: Progress,
) -> list[manifest.Json]:
    """Make shards, one after the other; a second thread writes while the model works."""
    size, count = head["pictures_per_shard"], len(wanted.dataset)
    groups = [range(size * number, min(size * (number + 1), count)) for number in numbers]
    skipped: list[Skipped] = []

    def skip(item: Skipped) -> None:
        skipped.append(item)
        progress(1)

    made: list[manifest.Json] = []
    pending: list[Future[manifest.Json]] = []
    with ThreadPoolExecutor(1) as thread:
        batches = wanted.batches(groups, skip)
        for number, group, some in zip(numbers, groups, batches, strict=True):
            collected = Collected(number, (group.start, group.stop))
            for batch in some:
                collected.add(batch, wanted.rows(batch))
                progress(len(batch.indices))
            collected.skipped += skipped
            skipped.clear()
            made += [each.result() for each in pending]
            pending = [thread.submit(_write, folder, head, collected)]
        return made + [each.result() for each in pending]


def _write(folder: Path, head: manifest.Json, collected: Collected) -> manifest.Json:
    with _naming(folder, head):
        return write_shard(folder, collected)


def _num_shards(head: manifest.Json) -> int:
    return math.ceil(head["data"]["pictures"] / head["pictures_per_shard"])


@contextmanager
def _naming(folder: Path, head: manifest.Json) -> Iterator[None]:
    """The message of a full or read-only disk says what to do."""
    try:
        yield
    except OSError as problem:
        left = _num_shards(head) - len(list(folder.glob("shard-*.json")))
        needed = left * head["pictures_per_shard"] * head["bytes_per_picture"] / 1e6
        raise OSError(
            f"cannot write to {folder}: {problem.strerror or problem}; about {needed:,.1f} MB are"
            " still to be written there: make room, then the same command goes on from what is"
            " there"
        ) from problem


def _agreed(make: Callable[[], T]) -> T:
    """What the main rank makes, on every rank; a mistake there is everyone's."""
    made: T | None = None
    problem: Exception | None = None
    if distributed.on_main():
        try:
            made = make()
        except (ValueError, OSError) as error:
            problem = error
    made, problem = distributed.gather((made, problem))[0]
    if problem is not None:
        raise problem
    return made  # pyright: ignore[reportReturnType]
