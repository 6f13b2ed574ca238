"""Calibrating a fix on pictures: the passes that it asks for, and their Record."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unlazy import distributed
from unlazy.backbones.base import Backbone
from unlazy.batches import none_usable
from unlazy.fixes.base import Fix
from unlazy.fixes.files import FIX, TENSORS, Made, contents, parameters
from unlazy.geometry import View
from unlazy.ledger import Estimate, Measure, Seen, estimates
from unlazy.measure import Measured, measure
from unlazy.report.record import Record, environment
from unlazy.tokens import neurons
from unlazy.whole_files import write_whole

CALIBRATION_VERSION = 1  # bump when any number of a calibration could change
HELD = 256 * 2**20  # bytes of activations that a pass may hold at once, unless one image has more


def calibrate(
    fix: Fix,
    backbone: Backbone,
    dataset: Any,
    *,
    source: str,
    view: View,
    batch_size: int | None = None,
    workers: int = 0,
    progress: Callable[[int], None] | None = None,
) -> tuple[Fix, Record]:
    """The calibrated fix, and the Record of its calibration.

    Memory does not grow with the number of pictures, but for their norms. Under torchrun every
    rank returns the same.

    Args:
        fix: with its settings.
        backbone: the model.
        dataset: the pictures; a few hundred are enough.
        source: what to call the pictures in the Record.
        view: how pictures become input.
        batch_size: images a pass; None chooses one that holds at most 256 MiB of activations.
        workers: decoding processes.
        progress: called with numbers of finished pictures, in every pass.

    Raises:
        NothingToFix: the pictures show nothing that the fix could act on.
        ValueError: no picture could be used, or the fix cannot change this model.
    """
    passes: list[tuple[Sequence[Measure], Measured]] = []

    def look(measures: Sequence[Measure]) -> Mapping[str, Seen]:
        measured = measure(
            backbone,
            dataset,
            measures,
            view=view,
            batch_size=batch_size or _fitting(backbone, measures, view),
            workers=workers,
            progress=progress,
        )
        if not measured.names:
            raise none_usable(measured.skipped)
        passes.append((measures, measured))
        return measured.seen

    before = time.perf_counter()
    made = fix.calibrate(backbone, look)
    seconds = time.perf_counter() - before
    return made, _record(made, backbone, passes, source=source, view=view, seconds=seconds)


def write_fix(fix: Fix, record: Record, made: Made, out: Path) -> Path:
    """Write a calibrated fix with its Record; returns the folder.

    Raises:
        OSError: the folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    record.write(out / "record.json")
    files = contents(fix, made)
    for stale in (FIX, TENSORS):  # of another fix that was in this folder
        (out / stale).unlink(missing_ok=True)
    for name, content in reversed(files.items()):  # fix.json last: then all is there
        write_whole(out / name, content)
    return out


def _fitting(backbone: Backbone, measures: Sequence[Measure], view: View) -> int | None:
    """Images a pass whose MLP activations fit; None where none are read."""
    sites = frozenset().union(*(each.reads for each in measures))
    layers = sum(site.stream == "neurons" and not site.norm for site in sites)
    if not layers:
        return None
    linear: Any = backbone.locate(neurons(0))
    patch = backbone.facts.patch
    tokens = (view.size[0] // patch[0]) * (view.size[1] // patch[1])
    width = linear.in_features * linear.weight.element_size()
    return max(1, min(32, HELD // (layers * tokens * width)))


def _record(
    fix: Fix,
    backbone: Backbone,
    passes: Sequence[tuple[Sequence[Measure], Measured]],
    *,
    source: str,
    view: View,
    seconds: float,
) -> Record:
    values: dict[str, dict[str, Estimate]] = {}
    for measures, measured in passes:
        for each in measures:
            values[each.name] = estimates(each, measured.seen[each.name])
    first = passes[0][1]
    used = len(first.names)
    reference = next(backbone.parameters())
    return Record(
        model=dataclasses.asdict(backbone.facts) | {"weights_hash": backbone.fingerprint()},
        fix=fix.name,
        benchmark={"name": "calibration", "version": CALIBRATION_VERSION},
        data={"source": source, "n": used, "skipped": len(first.skipped)},
        parameters={"view": view, "fix": parameters(fix)},
        values=values,
        timing={"seconds": seconds, "images_per_second": used * len(passes) / seconds},
        environment=environment(
            device=str(reference.device),
            dtype=str(reference.dtype).removeprefix("torch."),
            ranks=distributed.world(),
            seed=0,
        ),
        verdict=fix.summary(),
        skipped=tuple({"name": item.name, "reason": item.reason} for item in first.skipped),
    )
