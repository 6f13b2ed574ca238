"""Writing findings to a folder: everything or nothing."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from unlazy.report.findings import Findings
from unlazy.report.page import write_maps, write_page

OWN_MAP = re.compile(r"\d{5}_.*\.(png|jpg)")
"""Names that ``write_maps`` gives; files with other names in a maps folder are the user's."""
PART = ".unlazy-part-"
"""Begins the name of the folder in which a report is written before it is moved into place."""


def claim(out: Path) -> None:
    """Prove that the output folder can be made and written, before any work.

    What a killed run left half-written is removed.

    Raises:
        OSError: it cannot; the message says which folder.
    """
    with naming(out), _folder(out):
        for part in out.glob(f"{PART}*"):
            with suppress(FileNotFoundError), _held(part) as alone:
                if alone:  # else a run is writing it at this moment
                    shutil.rmtree(part)
        with tempfile.TemporaryFile(dir=out) as probe:
            probe.write(b"unlazy")


def write_report(findings: Sequence[Findings], out: Path) -> Path:
    """Write page, Records and maps, all or none of them; returns the page.

    One model: ``index.html``, ``record.json``, ``maps/``. Several: ``record-NAME.json`` and
    ``maps-NAME/`` each. What an earlier run left under these names is replaced;
    files of other names are left alone.

    Raises:
        OSError: no room or no permission; what was in the folder before stays as it was.
    """
    with (
        naming(out),
        _folder(out),
        tempfile.TemporaryDirectory(dir=out, prefix=PART) as name,
        _held(name),
    ):
        part, labels = Path(name), [each.label for each in findings]
        write_page(findings, part)
        for found, suffix in zip(findings, suffixes(labels), strict=True):
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


def suffixes(labels: Sequence[str]) -> list[str]:
    """What tells the files of several models apart; a number where two names look alike.

    >>> suffixes(["timm:a"]), suffixes(["timm:a", "timm/a"])
    ([''], ['-timm-a', '-timm-a-2'])
    """
    if len(labels) == 1:
        return [""]
    found: list[str] = []
    for label in labels:
        plain = f"-{slug(label)}"
        tries = (plain, *(f"{plain}-{number}" for number in range(2, len(labels) + 1)))
        found.append(next(suffix for suffix in tries if suffix not in found))
    return found


@contextmanager
def naming(out: Path) -> Iterator[None]:
    """The message of a full or read-only disk says which folder is meant."""
    try:
        yield
    except OSError as problem:
        raise OSError(f"cannot write to {out}: {problem.strerror or problem}") from problem


@contextmanager
def _folder(out: Path) -> Iterator[None]:
    """Make a folder; what is made here and empty in the end goes again."""
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


@contextmanager
def _held(folder: str | Path) -> Iterator[bool]:
    """Lock a folder until this process ends, however it ends; whether that worked.

    It does not where another process holds it, nor on file systems without locks.
    """
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked = True
    except OSError:
        locked = False
    try:
        yield locked
    finally:
        os.close(opened)


def slug(label: str) -> str:
    """A label as part of a file name.

    >>> slug("timm:vit_tiny/x")
    'timm-vit_tiny-x'
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", label).strip("-.") or "unnamed"
