"""Where a data set lies: below the folder that was given, or in one of the usual ones in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def find_folder(root: str | Path, names: Sequence[str], holds: Sequence[str], what: str) -> Path:
    """``root``, or the first folder of ``names`` below it, that has all of ``holds``.

    Raises:
        FileNotFoundError: there is none; the message says what was looked for.
    """
    root = Path(root)
    for folder in (root, *(root / name for name in names)):
        if all((folder / each).exists() for each in holds):
            return folder
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    raise FileNotFoundError(
        f"no {what} in {root}: {' and '.join(holds)} must lie there, or in"
        f" {', '.join(names)} below it"
    )
