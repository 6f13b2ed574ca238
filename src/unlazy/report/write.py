"""Writing findings to a folder: everything or nothing."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from unlazy.report.findings import Findings
from unlazy.report.page import write_maps, write_page


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


def write_report(findings: Sequence[Findings], out: Path) -> Path:
    """Write page, Records and maps, all or none of them; returns the page.

    One model: ``index.html``, ``record.json``, ``maps/``. Several: ``record-NAME.json`` and
    ``maps-NAME/`` each. What an earlier run left under these names is replaced.

    Raises:
        OSError: no room or no permission; what was in the folder before stays as it was.
    """
    with tempfile.TemporaryDirectory(dir=out, prefix=".part-") as name:
        part = Path(name)
        write_page(findings, part)
        for found in findings:
            suffix = f"-{slug(found.label)}" if len(findings) > 1 else ""
            found.record.write(part / f"record{suffix}.json")
            write_maps(found, part / f"maps{suffix}")
        for path in sorted(part.iterdir()):
            target = out / path.name
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(path, target)
    return out / "index.html"


def slug(label: str) -> str:
    """A label as part of a file name.

    >>> slug("timm:vit_tiny/x")
    'timm-vit_tiny-x'
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", label).strip("-.") or "unnamed"
