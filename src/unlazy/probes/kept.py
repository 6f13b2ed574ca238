"""The state of training after an epoch, in a file: training that is killed goes on from it.

The file is the SHA-256 of what follows, 32 bytes, and what ``torch.save`` makes of the state.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from unlazy import distributed
from unlazy.batches import Skipped
from unlazy.identity import Unidentified, identity
from unlazy.parts import Keep
from unlazy.probes.bank import Bank
from unlazy.probes.task import Lesson, Task
from unlazy.whole_files import write_whole

DIGEST = 32  # bytes


class Kept:
    """The last epoch of one training.

    Attributes:
        path: of its file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, epoch: int, states: dict[str, Any], skipped: Sequence[Skipped]) -> None:
        """Replace what was kept, whole or not at all.

        Args:
            epoch: how many are done.
            states: of the banks after them.
            skipped: training pictures that could not be used.

        Raises:
            OSError: no room or no permission; the epoch before stays.
        """
        rows, file = [dataclasses.astuple(each) for each in skipped], io.BytesIO()
        torch.save({"epoch": epoch, "states": states, "skipped": rows}, file)
        state = file.getvalue()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, hashlib.sha256(state).digest() + state, sync=True)
        except OSError as problem:
            raise OSError(
                f"cannot keep in {self.path.parent} what was learned: {problem}; what is there"
                " stays, and the same command goes on from it"
            ) from problem

    def read(self) -> tuple[int, dict[str, Any], list[Skipped]]:
        """Epochs done, states after them, pictures skipped; a damaged file counts as none."""
        if not self.path.is_file():
            return 0, {}, []
        content = self.path.read_bytes()
        digest, state = content[:DIGEST], content[DIGEST:]
        if hashlib.sha256(state).digest() != digest:
            warnings.warn(f"{self.path} is damaged and not used", stacklevel=2)
            self.path.unlink(missing_ok=True)
            return 0, {}, []
        found = torch.load(io.BytesIO(state), weights_only=True, map_location="cpu")
        return found["epoch"], found["states"], [Skipped(*row) for row in found["skipped"]]


def kept_epochs(
    keep: Keep, reading: Any, pictures: Any, tasks: Sequence[Task], lesson: Lesson
) -> Kept | None:
    """The file of this training; None, with a warning, where it cannot be told from others."""
    name = ""
    if distributed.on_main():
        about = {**keep.about, "tasks": tuple(tasks), "lesson": lesson, "bank": Bank}
        try:
            name = identity(reading.backbone, pictures, [], view=reading.view, about=about)
        except Unidentified as problem:
            warnings.warn(f"training cannot be resumed: it depends on {problem}", stacklevel=3)
    name = distributed.gather(name)[0]
    return Kept(keep.folder / f"learned-{name[:16]}.pt") if name else None
