"""Records that earlier runs of ``unlazy claims`` left in a folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from unlazy.report.claims.content import PROBES
from unlazy.report.record import Record, read_record
from unlazy.report.write import slug

BESIDE = (*PROBES, "knn")
"""What claims run besides their own pass; a Record each."""


def written_earlier(out: Path) -> set[Path]:
    """Records of claims in a folder, and those of what was run besides of the same models.

    They are known by name and content together: other files, damaged ones too, are the user's.

    Raises:
        OSError: a file cannot be read.
    """
    found = set()
    for path in out.glob("record*.json"):
        record, suffix = _record(path, "claims"), path.stem.removeprefix("record")
        if record is None or not _names(suffix, record):
            continue
        found.add(path)
        for name in BESIDE:
            file = path.with_name(f"{name}{suffix}.json")
            beside = _record(file, name)
            if beside is not None and _weights(beside) == _weights(record):
                found.add(file)
    return found


def _record(path: Path, benchmark: str) -> Record | None:
    """A Record of this benchmark, or None."""
    with suppress(ValueError, FileNotFoundError):
        record = read_record(path)
        return record if record.benchmark.get("name") == benchmark else None
    return None


def _names(suffix: str, record: Record) -> bool:
    """Whether claims would have named the Record's file so."""
    return not suffix or suffix.startswith(f"-{slug(record.model['name'])}")


def _weights(record: Record) -> str:
    return record.model["weights_hash"]
