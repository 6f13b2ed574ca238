"""Record: what happened, as JSON. Every published number comes from one."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unlazy import distributed
from unlazy.backbones.base import Backbone
from unlazy.batches import Used
from unlazy.fixes.files import parameters as settings_of
from unlazy.identity import PACKAGES
from unlazy.ledger import Estimate
from unlazy.measure import Measured
from unlazy.whole_files import write_whole


@dataclass(frozen=True)
class Record:
    """One model on one data set.

    Attributes:
        model: its facts, with a hash of its weights.
        fix: the fix applied, or None.
        benchmark: what was run, with its version.
        data: what the pictures were: source, n used, n skipped; ``training``: n and skipped of the
            pictures that a benchmark learned from.
        parameters: every resolved parameter of the view, of each measure and of the fix.
        values: measure -> number -> value with its 95 % interval over images.
        verdict: the findings in words.
        skipped: name and reason of each picture that was not used, training pictures last.
        timing: seconds, and images a second.
        environment: package versions, device, dtype, threads, ranks, seed.
    """

    model: Mapping[str, Any]
    benchmark: Mapping[str, Any]
    data: Mapping[str, Any]
    parameters: Mapping[str, Any]
    values: Mapping[str, Mapping[str, Estimate]]
    timing: Mapping[str, float]
    environment: Mapping[str, Any]
    fix: str | None = None
    verdict: tuple[str, ...] = ()
    skipped: tuple[Mapping[str, str], ...] = field(default=())

    def to_json(self) -> str:
        """Readable JSON; a number that is not finite becomes null."""
        return json.dumps(_plain(self), indent=1, sort_keys=False, allow_nan=False)

    def write(self, path: Path) -> None:
        """Write the whole file or nothing."""
        write_whole(path, self.to_json().encode())


def record_of(
    backbone: Backbone,
    measured: Measured,
    *,
    benchmark: Mapping[str, Any],
    source: str,
    parameters: Mapping[str, Any],
    values: Mapping[str, Mapping[str, Estimate]],
    seed: int,
    verdict: tuple[str, ...] = (),
    problems: Mapping[str, str] | None = None,
    learned: Sequence[Used] = (),
) -> Record:
    """The Record of one pass of a model over pictures.

    Args:
        backbone: the model.
        measured: the pass.
        benchmark: what was run, with its version.
        source: what to call the pictures.
        parameters: of the view and of each measure.
        values: measure -> number -> estimate; measures without numbers are left out.
        seed: of the bootstrap.
        verdict: findings in words.
        problems: name -> what was wrong with an annotation.
        learned: the training pictures, where a benchmark learns from some.
    """
    reference, fixed = next(backbone.parameters()), backbone.fix_settings
    skipped = [*measured.skipped, *(item for each in learned for item in each.skipped)]
    return Record(
        model=dataclasses.asdict(backbone.facts) | {"weights_hash": backbone.fingerprint()},
        benchmark=benchmark,
        data=_pictures(measured, source, learned)
        | ({"problems": dict(problems)} if problems else {}),
        parameters={**parameters, **({} if fixed is None else {"fix": settings_of(fixed)})},
        values={name: found for name, found in values.items() if found},
        timing=_timing(measured),
        environment=environment(
            device=str(reference.device),
            dtype=str(reference.dtype).removeprefix("torch."),
            ranks=distributed.world(),
            seed=seed,
        ),
        fix=backbone.fix,
        verdict=verdict,
        skipped=tuple({"name": item.name, "reason": item.reason} for item in skipped),
    )


def _pictures(measured: Measured, source: str, learned: Sequence[Used]) -> dict[str, Any]:
    """How many pictures and boxes there were, and how many of them were used."""
    boxes, cropped = measured.boxes
    data = {
        "source": source,
        "n": len(measured.names),
        "skipped": len(measured.skipped),
        "boxes": boxes,
        "boxes_cropped_away": cropped,
    }
    if learned:
        bank = sum(each.count for each in learned)
        lost = sum(len(each.skipped) for each in learned)
        data["training"] = {"n": bank, "skipped": lost}
    return data


def _timing(measured: Measured) -> dict[str, float]:
    found = {
        "seconds": measured.seconds,
        "images_per_second": len(measured.names) / measured.seconds,
        "forward_share": measured.forward_seconds / (measured.seconds * distributed.world()),
    }
    return found | ({"read_traces": measured.read} if measured.read else {})


def environment(*, device: str, dtype: str, ranks: int, seed: int) -> dict[str, Any]:
    """What a number may depend on besides its inputs."""
    import torch

    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "packages": versions,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": device,
        "dtype": dtype,
        "threads": torch.get_num_threads(),
        "ranks": ranks,
        "seed": seed,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Estimate):
        return {"value": _plain(value.value), "low": _plain(value.low), "high": _plain(value.high)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str | int | bool | None):
        return value
    return str(value)
