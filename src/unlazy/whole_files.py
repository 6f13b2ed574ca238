"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

PART = ".part"
"""Ends the name of a file that is being written."""


def write_whole(path: Path, content: bytes, *, sync: bool = False) -> None:
    """Write a file so that a full disk or a kill never leaves half of it.

    Args:
        path: of the file.
        content: all of it.
        sync: wait until it is on the disk, so that a power failure does not either.

    Raises:
        OSError: the folder cannot be written; what was there before stays.
    """
    part = path.with_name(f".{path.name}{PART}")
    try:
        part.write_bytes(content)
        if sync:
            _sync(part)
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    if sync:
        with suppress(OSError):  # some file systems cannot do that to a folder
            _sync(path.parent)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, sync: bool = False) -> None:
    """The same for contiguous tensors on the CPU, as safetensors."""
    from safetensors.torch import save

    write_whole(path, save(dict(tensors)), sync=sync)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
