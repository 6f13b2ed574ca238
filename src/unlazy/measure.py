"""One forward pass, many measurements."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from unlazy import distributed
from unlazy.backbones.base import Backbone
from unlazy.batches import CPU_PIXELS, GPU_PIXELS, Skipped, batches
from unlazy.geometry import View
from unlazy.ledger import Batch, Ledger, Measure, Seen
from unlazy.tokens import Site


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


def check_view(backbone: Backbone, view: View) -> None:
    """Before any picture is decoded: can the model take what the view shows?

    Raises:
        ValueError: it cannot.
    """
    facts = backbone.facts
    if view.fit != "native":
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

    Raises:
        ValueError: the model cannot take the view, or a measure needs what the model has not.
    """
    check_view(backbone, view)
    sites = frozenset().union(*(each.reads for each in measures))
    ledger, skipped, names = Ledger(), [], {}
    boxes, cropped, forward, started = 0, 0, 0.0, time.perf_counter()

    def skip(item: Skipped) -> None:
        skipped.append(item)
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
    ):
        forward += _observe(backbone, batch, sites, measures=measures, ledger=ledger)
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


def _observe(
    backbone: Backbone,
    batch: Batch,
    sites: frozenset[Site],
    *,
    measures: Sequence[Measure],
    ledger: Ledger,
) -> float:
    """One forward pass that every measure observes; the seconds inside the model.

    The trace is gone on return: two of them never take memory at once.
    """
    before = time.perf_counter()
    trace = backbone.trace(backbone.normalise(batch.pixels), sites)
    seconds = time.perf_counter() - before
    if not torch.isfinite(trace.image).all():
        raise ValueError(
            f"{backbone.facts.name} returned values that are not finite for {batch.names[0]}"
            " or its batch; are its weights sound, and is its dtype wide enough?"
        )
    for each in measures:
        ledger.add(each.name, each.observe(trace, batch), batch.indices)
    ledger.indices.extend(batch.indices)
    return seconds
