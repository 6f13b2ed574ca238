"""Parts of a pass over pictures: what each gave adds up; kept in files, a pass can be resumed.

A file holds what one rank observed in some seconds, whole or not at all: ``npz`` without pickle,
whose checksums tell a damaged one. Parts are of distinct pictures, so any number of ranks can go on
from those of any other number.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import time
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unlazy import distributed
from unlazy.batches import Skipped
from unlazy.ledger import Ledger

SECONDS = 10.0  # at least, between two files of a rank
SHARE = 50.0  # times as long as writing the last one took, at least
HALF = ".half"  # ends the name of a file that is being written


@dataclass
class Part:
    """What some pictures of a pass gave.

    Attributes:
        ledger: what the measures observed.
        names: index -> name of each picture that was used.
        skipped: pictures that were not.
        boxes, cropped: how many boxes were given, and how many the view cropped away.
        read: pictures whose traces were read instead of run.
        forward, seconds: inside the model, and in all; summed over ranks.
    """

    ledger: Ledger = field(default_factory=Ledger)
    names: dict[int, str] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    boxes: int = 0
    cropped: int = 0
    read: int = 0
    forward: float = 0.0
    seconds: float = 0.0

    @property
    def indices(self) -> frozenset[int]:
        """All pictures of the part, used or skipped."""
        return frozenset(self.names) | {item.index for item in self.skipped}

    def join(self, other: Part) -> None:
        """Take in another part, of other pictures."""
        self.ledger.join(other.ledger)
        self.names |= other.names
        self.skipped += other.skipped
        self.boxes, self.cropped = self.boxes + other.boxes, self.cropped + other.cropped
        self.read += other.read
        self.forward, self.seconds = self.forward + other.forward, self.seconds + other.seconds


@dataclass(frozen=True)
class Keep:
    """Where passes leave their parts, so that a run that is killed can go on.

    Attributes:
        folder: gets one folder a pass; remove it once the numbers are written.
        about: what tells these passes from others besides model, view, measures and data.
    """

    folder: Path
    about: Mapping[str, Any]


class Files:
    """The parts of one pass in a folder, and when to write the next.

    Attributes:
        folder: of this pass alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cost, self._written = 0.0, time.perf_counter()

    def due(self) -> bool:
        """Whether enough time has passed for another file."""
        return time.perf_counter() - self._written >= max(SECONDS, SHARE * self._cost)

    def write(self, part: Part) -> None:
        """Write a part, unless it is empty.

        Raises:
            OSError: no room or no permission; the parts before stay.
        """
        if not part.indices:
            return
        before = time.perf_counter()
        path = self.folder / f"{min(part.indices):09d}-{distributed.rank()}.npz"
        half = path.with_suffix(HALF)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            half.write_bytes(_packed(part))
            os.replace(half, path)
        except OSError as problem:
            half.unlink(missing_ok=True)
            raise OSError(
                f"cannot keep in {self.folder} what was measured: {problem.strerror or problem};"
                " what is there stays, and the same command goes on from it"
            ) from problem
        self._written = time.perf_counter()
        self._cost = self._written - before

    def read(self) -> Part:
        """All parts joined; one that is damaged or has a picture again is left out and removed."""
        whole = Part()
        for path in sorted(self.folder.glob("*.npz")):
            try:
                part = _unpacked(path)
            except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
                warnings.warn(f"{path} is damaged and not used ({problem})", stacklevel=2)
                path.unlink(missing_ok=True)
                continue
            if part.indices & whole.indices:
                path.unlink(missing_ok=True)
            else:
                whole.join(part)
        for half in self.folder.glob(f"*{HALF}"):
            half.unlink(missing_ok=True)
        return whole


def _packed(part: Part) -> bytes:
    """The bytes of a file: arrays by number, and what they are as JSON."""
    arrays: list[np.ndarray] = []
    rows, sums = [], []
    for measure, key, indices, stack in _stacks(part.ledger):
        rows.append([measure, key, len(arrays), indices])
        arrays.append(stack)
    for measure, found in part.ledger.sums.items():
        for key, value in found.items():
            sums.append([measure, key, len(arrays)])
            arrays.append(value)
    about = {
        "rows": rows,
        "sums": sums,
        "indices": part.ledger.indices,
        "names": list(part.names.items()),
        "skipped": [dataclasses.astuple(item) for item in part.skipped],
        "counts": [part.boxes, part.cropped, part.read, part.forward, part.seconds],
    }
    content = io.BytesIO()
    arrays.append(np.frombuffer(json.dumps(about).encode(), dtype=np.uint8))
    np.savez(content, *arrays)
    return content.getvalue()


def _stacks(ledger: Ledger) -> Iterator[tuple[str, str, list[int], np.ndarray]]:
    """Measure, key, indices and rows (n, ...) of one shape and type."""
    for measure, keys in ledger.kept.items():
        for key, rows in keys.items():
            alike: dict[tuple[Any, ...], list[int]] = {}
            if not rows:
                yield measure, key, [], np.empty(0)
            for index, row in rows.items():
                alike.setdefault((row.shape, row.dtype.str), []).append(index)
            for indices in alike.values():
                yield measure, key, indices, np.stack([rows[index] for index in indices])


def _unpacked(path: Path) -> Part:
    with np.load(path, allow_pickle=False) as arrays:
        about = json.loads(arrays[arrays.files[-1]].tobytes())
        ledger = Ledger(indices=about["indices"])
        for measure, key, number, indices in about["rows"]:
            rows = ledger.kept.setdefault(measure, {}).setdefault(key, {})
            rows.update(zip(indices, map(np.asarray, arrays[f"arr_{number}"]), strict=True))
        for measure, key, number in about["sums"]:
            ledger.sums.setdefault(measure, {})[key] = arrays[f"arr_{number}"]
    skipped = [Skipped(*item) for item in about["skipped"]]
    return Part(ledger, dict(about["names"]), skipped, *about["counts"])
