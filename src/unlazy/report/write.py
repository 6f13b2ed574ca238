"""Writing findings to a folder, whole files only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from unlazy.report.findings import Findings


def claim(out: Path) -> None:
    """Make the output folder and prove that it can be written, before any work.

    Raises:
        OSError: it cannot; the message says which folder.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".probe"
        probe.write_bytes(b"unlazy")
        probe.unlink()
    except OSError as problem:
        raise OSError(f"cannot write to {out}: {problem.strerror or problem}") from problem


def write_findings(findings: Sequence[Findings], out: Path) -> list[Path]:
    """Write ``record.json``; with several models ``record-NAME.json`` each."""
    paths = []
    for found in findings:
        suffix = f"-{slug(found.label)}" if len(findings) > 1 else ""
        path = out / f"record{suffix}.json"
        found.record.write(path)
        paths.append(path)
    return paths


def slug(label: str) -> str:
    """A label as part of a file name.

    >>> slug("timm:vit_tiny/x")
    'timm-vit_tiny-x'
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", label).strip("-.") or "unnamed"
