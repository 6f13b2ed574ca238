"""One forward pass, many measurements."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from unlazy import distributed
from unlazy.backbones.base import Backbone
from unlazy.batches import CPU_PIXELS, GPU_PIXELS, Skipped, batches, blank_padding
from unlazy.geometry import View
from unlazy.identity import Unidentified, identity
from unlazy.ledger import Batch, Ledger, Measure, Seen
from unlazy.parts import Files, Keep, Part
from unlazy.tokens import Site, Trace
from unlazy.traces import TraceFiles


@dataclass(frozen=True)
class Measured:
    """The result of one pass over a data set.

    Attributes:
        seen: measure name -> what it observed.
        names: index -> name of each picture that was used.
        skipped: pictures that were not.
        seconds: wall time of the pass, over all runs that it took; mean over ranks.
        forward_seconds: time inside the model with its hooks, summed over ranks.
        boxes: how many boxes were given, and how many a view cropped away.
        read: how many pictures' traces were read instead of run.
    """

    seen: dict[str, Seen]
    names: dict[int, str]
    skipped: tuple[Skipped, ...]
    seconds: float
    forward_seconds: float
    boxes: tuple[int, int]
    read: int = 0


def check_view(backbone: Backbone, view: View) -> None:
    """Before any picture is decoded: can the model take what the view shows?

    Raises:
        ValueError: it cannot.
    """
    facts = backbone.facts
    if not view.varies:
        backbone.check_size(*view.size)
    elif not facts.any_size:
        raise ValueError(
            f"{facts.name} takes {'x'.join(map(str, facts.size))} px only, so it cannot see each"
            " picture at its native size; use fit crop or squash"
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
    keep: Keep | None = None,
    traces: TraceFiles | None = None,
) -> Measured:
    """Pass a data set through a model once and let every measure observe the same traces.

    Under torchrun each rank takes its share; all ranks return the same result.

    Args:
        backbone: the model, as it is.
        dataset: ``__len__`` and ``__getitem__ -> Sample`` (or ``Unreadable`` raised).
        measures: with distinct names.
        view: how pictures become model input.
        batch_size: images a forward pass; None chooses by image size and device.
        workers: processes that decode; 0 decodes in this one.
        progress: called with the number of pictures that this rank finished or skipped.
        keep: where to keep what was observed, and to go on from what the same pass left there.
        traces: where to read traces that are there, and to keep those that are not.

    Raises:
        ValueError: the model cannot take the view, or a measure needs what the model has not.
        OSError: there is no room to keep what was observed.
    """
    check_view(backbone, view)
    sites = frozenset().union(*(each.reads for each in measures))
    files = None if keep is None else _files(keep, backbone, dataset, measures, view=view)
    whole = files.read() if files is not None and distributed.on_main() else Part()
    done = frozenset().union(*distributed.gather(whole.indices))
    part, started, before = Part(), time.perf_counter(), whole.seconds
    if progress is not None and done:
        progress(len(done.intersection(distributed.shard(len(dataset)))))

    def skip(item: Skipped) -> None:
        part.skipped.append(item)
        if progress is not None:
            progress(1)

    on_cpu = next(backbone.parameters()).device.type == "cpu"
    for batch in batches(
        dataset,
        view,
        batch_size=batch_size,
        pixels=CPU_PIXELS if on_cpu else GPU_PIXELS,
        workers=workers,
        skip=skip,
        done=done,
    ):
        _observe(backbone, batch, sites, measures=measures, part=part, traces=traces)
        for kept in (viewed.kept for viewed in batch.views if viewed.kept is not None):
            part.boxes, part.cropped = part.boxes + len(kept), part.cropped + int((~kept).sum())
        if progress is not None:
            progress(len(batch.indices))
        if files is not None and files.due():
            part.seconds = time.perf_counter() - started - (whole.seconds - before)
            files.write(part)
            whole.join(part)
            part = Part()
    part.seconds = time.perf_counter() - started - (whole.seconds - before)
    if files is not None:
        files.write(part)
    whole.join(part)
    return _measured(whole, measures)


def _files(
    keep: Keep, backbone: Backbone, dataset: Any, measures: Sequence[Measure], *, view: View
) -> Files | None:
    """The files of this pass; None, with a warning, where it cannot be told from others."""
    name = ""
    if distributed.on_main():
        try:
            name = identity(backbone, dataset, measures, view=view, about=keep.about)
        except Unidentified as problem:
            warnings.warn(f"a run of this cannot be resumed: it depends on {problem}", stacklevel=3)
    name = distributed.gather(name)[0]
    return Files(keep.folder / name[:16]) if name else None


def _measured(whole: Part, measures: Sequence[Measure]) -> Measured:
    """The parts of all ranks together; every rank gets the same."""
    seen = whole.ledger.gather(measures)
    everyone = distributed.gather(dataclasses.replace(whole, ledger=Ledger()))
    total = Part()
    for each in everyone:
        total.join(each)
    return Measured(
        seen=seen,
        names=dict(sorted(total.names.items())),
        skipped=tuple(sorted(total.skipped, key=lambda item: item.index)),
        seconds=total.seconds / distributed.world(),
        forward_seconds=total.forward,
        boxes=(total.boxes, total.cropped),
        read=total.read,
    )


def _observe(
    backbone: Backbone,
    batch: Batch,
    sites: frozenset[Site],
    *,
    measures: Sequence[Measure],
    part: Part,
    traces: TraceFiles | None,
) -> None:
    """One trace, run or read, that every measure observes.

    The trace is gone on return: two of them never take memory at once.
    """
    trace = None if traces is None else traces.read(batch, sites)
    if trace is None:
        before = time.perf_counter()
        trace = trace_batch(backbone, batch, sites)
        part.forward += time.perf_counter() - before
        if traces is not None:
            traces.write(batch, trace)
    else:
        part.read += len(batch.indices)
    for each in measures:
        part.ledger.add(each.name, each.observe(trace, batch), batch.indices)
    part.ledger.indices.extend(batch.indices)
    part.names.update(zip(batch.indices, batch.names, strict=True))


def trace_batch(backbone: Backbone, batch: Batch, sites: frozenset[Site]) -> Trace:
    """One forward pass over a batch.

    Raises:
        ValueError: the model returned values that are not finite.
    """
    images = blank_padding(backbone.normalise(batch.pixels), batch.views)
    trace = backbone.trace(images, sites)
    if not torch.isfinite(trace.image).all():
        raise ValueError(
            f"{backbone.facts.name} returned values that are not finite for {batch.names[0]}"
            " or its batch; are its weights sound, and is its dtype wide enough?"
        )
    return trace
