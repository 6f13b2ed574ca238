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
        return json.dumps(plain(self), indent=1, sort_keys=False, allow_nan=False)

    def write(self, path: Path) -> None:
        """Write the whole file or nothing."""
        write_whole(path, self.to_json().encode())


class NoRecord(ValueError):
    """A file holds JSON, but no Record."""


def read_record(path: Path) -> Record:
    """A Record that was written; a number that was not finite is NaN.

    Raises:
        NoRecord: the file is of another kind.
        ValueError: it is damaged; the message names it and says what to do.
        OSError: it cannot be read.
    """
    again = "measure it again, or leave it out"
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); {again}") from error
    needed = {"model", "benchmark", "data", "values"}
    if not isinstance(content, Mapping) or not needed <= content.keys():
        raise NoRecord(f"{path} is no Record")
    try:
        fields = {each.name: content[each.name] for each in dataclasses.fields(Record)}
        fields["values"] = {
            measure: {key: read_estimate(each) for key, each in found.items()}
            for measure, found in fields["values"].items()
        }
        fields["verdict"] = tuple(fields["verdict"])
        _ = fields["model"]["weights_hash"], fields["benchmark"]["version"]
        _ = fields["data"]["source"], int(fields["data"]["n"]), fields["environment"]["seed"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is no whole Record ({error!r}); {again}") from error
    return Record(**fields)


def read_estimate(found: Mapping[str, Any]) -> Estimate:
    """An estimate as a Record's JSON has it.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    low, high = (None if found[key] is None else float(found[key]) for key in ("low", "high"))
    return Estimate(math.nan if found["value"] is None else float(found["value"]), low, high)


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
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": device,
        "dtype": dtype,
        "threads": torch.get_num_threads(),
        "ranks": ranks,
        "seed": seed,
    }


def plain(value: Any) -> Any:
    """A value as a Record's JSON has it: six digits, None where a number is not finite.

    >>> plain({"a": (1.23456789, float("nan"))})
    {'a': [1.23457, None]}
    """
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Estimate):
        return {"value": plain(value.value), "low": plain(value.low), "high": plain(value.high)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, str | int | bool | None):
        return value
    return str(value)
