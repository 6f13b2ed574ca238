"""Writing findings to a folder: everything or nothing."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from unlazy.report.findings import Findings
from unlazy.report.page import write_maps, write_page

OWN_MAP = re.compile(r"\d{5}_.*\.(png|jpg)")
"""Names that ``write_maps`` gives; files with other names in a maps folder are the user's."""


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
    ``maps-NAME/`` each. What an earlier run left under these names is replaced;
    files of other names are left alone.

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
        written = {path.relative_to(part) for path in part.rglob("*") if path.is_file()}
        for path in sorted(written):
            (out / path).parent.mkdir(exist_ok=True)
            os.replace(part / path, out / path)
    for folder in {path.parent for path in written if path.parent != Path()}:
        for old in (out / folder).iterdir():
            if OWN_MAP.fullmatch(old.name) and old.relative_to(out) not in written:
                old.unlink()
    return out / "index.html"


def slug(label: str) -> str:
    """A label as part of a file name.

    >>> slug("timm:vit_tiny/x")
    'timm-vit_tiny-x'
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", label).strip("-.") or "unnamed"
