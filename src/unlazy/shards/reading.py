"""Reading token shards: rows by index or in batches, from mapped files, never all in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from unlazy.batches import Skipped
from unlazy.catalog import suggest
from unlazy.ledger import Seen
from unlazy.shards.manifest import damage, read_manifest

OPEN = 256  # files that are mapped at once


class Shards:
    """The rows of a finished extraction; pictures are called by their index in the data set.

    Attributes:
        folder: of the shards.
        manifest: all that is known of them, see docs/shards.md.
        keys: what there are rows of.
        indices: (n,) of the pictures, ascending.
        names: one a picture.
        labels: class index of each picture, None where it is not known.

    Raises:
        ValueError: there are no finished shards in the folder, or a file is missing or truncated;
            ``verify`` finds altered ones too.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        found = read_manifest(self.folder)
        if found is None:
            raise ValueError(
                f"there are no token shards in {self.folder}; unlazy extract makes them"
            )
        if not found["complete"]:
            raise ValueError(
                f"the extraction into {self.folder} has not finished; the same command goes on from"
                " what is there"
            )
        self.manifest: dict[str, Any] = found
        self.keys: tuple[str, ...] = tuple(found["keys"])
        parts = [shard["indices"] for shard in found["shards"]]
        self.indices = np.array([index for part in parts for index in part], dtype=np.int64)
        self.names = tuple(name for shard in found["shards"] for name in shard["names"])
        self.labels: tuple[int | None, ...] = tuple(
            label for shard in found["shards"] for label in _labels(shard)
        )
        self._starts = np.cumsum([0, *map(len, parts)])
        self._open: OrderedDict[int, Any] = OrderedDict()
        self._owners: dict[tuple[int, str], frozenset[int]] = {}
        self._check_files()

    def __len__(self) -> int:
        return len(self.indices)

    def shape(self, key: str) -> tuple[int, ...] | None:
        """Of a row; None where rows differ in shape."""
        self._check(key)
        shape = self.manifest["keys"][key]["shape"]
        return None if shape is None else tuple(shape)

    def having(self, key: str) -> np.ndarray:
        """(k,) indices, ascending, of the pictures that have a row."""
        self._check(key)
        found: list[int] = []
        for shard in self.manifest["shards"]:
            rows = shard["rows"].get(key)
            if rows is not None:
                found += rows.get("by_picture", shard["indices"])
        return np.array(found, dtype=np.int64)

    def row(self, key: str, index: int) -> Tensor:
        """The row of one picture, whatever its shape.

        Raises:
            KeyError: it has none.
        """
        self._check(key)
        (position,) = self._positions([index])
        number = int(self._number(position))
        return self._rows_of(number, key, position[None])[0]

    def rows(self, key: str, indices: Sequence[int] | np.ndarray) -> Tensor:
        """(k, ...) rows of some pictures, in the order of ``indices``.

        Raises:
            KeyError: a picture has none.
            ValueError: their shapes differ.
        """
        shape = self.shape(key)
        if shape is None:
            raise ValueError(
                f"rows of {key} differ in shape, since pictures have several sizes; read one by one"
                " with row()"
            )
        positions = self._positions(indices)
        numbers = self._number(positions)
        dtype = getattr(torch, self.manifest["keys"][key]["dtype"])
        found = torch.empty((len(positions), *shape), dtype=dtype)
        for number in np.unique(numbers):
            places = np.flatnonzero(numbers == number)
            some = self._rows_of(int(number), key, positions[places])
            found[torch.from_numpy(places)] = torch.stack(some) if isinstance(some, list) else some
        return found

    def batches(
        self, *keys: str, size: int, seed: int | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """All pictures that have rows of all ``keys``, ``size`` at a time.

        ``index`` says which, and ``label`` is their class index, -1 where it is not known. The last
        batch may be smaller. By default in ascending order; a ``seed`` shuffles, another one
        otherwise.

        Raises:
            ValueError: rows differ in shape.
        """
        order = self.indices
        for key in keys:
            order = np.intersect1d(order, self.having(key), assume_unique=True)
        if seed is not None:
            order = np.random.default_rng(seed).permutation(order)
        for start in range(0, len(order), size):
            some = order[start : start + size]
            found = {key: self.rows(key, some) for key in keys}
            labels = (self.labels[position] for position in self._positions(some))
            known = torch.tensor([-1 if label is None else label for label in labels])
            yield found | {"index": torch.from_numpy(some.copy()), "label": known}

    def verify(self) -> None:
        """Read every file and compare its SHA-256 with the manifest's.

        Raises:
            ValueError: some are missing, truncated or altered.
        """
        shards = self.manifest["shards"]
        found = {shard["file"]: damage(self.folder, shard) for shard in shards}
        said = [f"{self.folder / name} {what}" for name, what in found.items() if what is not None]
        if said:
            raise ValueError(
                f"{len(said)} of {len(shards)} files are damaged: {'; '.join(said[:3])}; run the"
                " same extract command again, it makes them anew"
            )

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Pictures that could not be read."""
        return tuple(Skipped(**item) for item in self.manifest["skipped"])

    def seen(self) -> Seen:
        """All rows as a measure's ``conclude`` wants them: each is read when it is asked for."""
        return Seen({key: _Rows(self, key) for key in self.keys}, {}, tuple(self.indices.tolist()))

    def _positions(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Where pictures stand among those that were used."""
        wanted = np.asarray(indices, dtype=np.int64)
        positions = np.searchsorted(self.indices, wanted)
        missing = wanted[self.indices[np.minimum(positions, len(self) - 1)] != wanted]
        if missing.size:
            raise KeyError(f"no rows of picture {missing[0]}: it was skipped, or there is none")
        return positions

    def _number(self, positions: np.ndarray) -> np.ndarray:
        """Which shard holds a position."""
        return np.searchsorted(self._starts, positions, side="right") - 1

    def _rows_of(self, number: int, key: str, positions: np.ndarray) -> Tensor | list[Tensor]:
        """Copies of rows of one shard: stacked as they lie there, or one by one."""
        rows, file = self.manifest["shards"][number]["rows"].get(key), self._file(number)
        if rows is not None and "by_picture" not in rows:
            return file.get_tensor(key)[torch.from_numpy(positions - self._starts[number])]
        having = self._having(number, key)
        found = []
        for index in self.indices[positions].tolist():
            if index not in having:
                raise KeyError(
                    f"picture {index} has no row of {key}; having() names those with one"
                )
            found.append(file.get_tensor(f"{key}#{index}").clone())
        return found

    def _having(self, number: int, key: str) -> frozenset[int]:
        """Pictures of a shard that have a row of their own; looked up for every row."""
        if (number, key) not in self._owners:
            rows = self.manifest["shards"][number]["rows"].get(key)
            self._owners[number, key] = frozenset(() if rows is None else rows["by_picture"])
        return self._owners[number, key]

    def _file(self, number: int) -> Any:
        """A mapped file; those that were used last stay so."""
        if number not in self._open:
            path = self.folder / self.manifest["shards"][number]["file"]
            self._open[number] = safe_open(path, "pt")
        self._open.move_to_end(number)
        while len(self._open) > OPEN:
            self._open.popitem(last=False)
        return self._open[number]

    def _check(self, key: str) -> None:
        if key not in self.keys:
            raise ValueError(f"{self.folder} has no rows of {key!r}; {suggest(key, self.keys)}")

    def _check_files(self) -> None:
        for shard in self.manifest["shards"]:
            path = self.folder / shard["file"]
            size = path.stat().st_size if path.is_file() else 0
            if size != shard["bytes"]:
                raise ValueError(
                    f"{path} has {size:,} bytes instead of {shard['bytes']:,}; the same extraction"
                    " makes it again"
                )


def _labels(shard: Mapping[str, Any]) -> Sequence[int | None]:
    """One a picture; an entry has none where no picture has one."""
    return shard.get("labels", [None] * len(shard["indices"]))


class _Rows(Mapping[int, np.ndarray]):
    """Picture -> row of one key."""

    def __init__(self, shards: Shards, key: str) -> None:
        self._shards, self._key = shards, key
        self._having = dict.fromkeys(shards.having(key).tolist())

    def __getitem__(self, index: int) -> np.ndarray:
        if index not in self._having:
            raise KeyError(index)
        row = self._shards.row(self._key, index)
        return (row.float() if row.dtype == torch.bfloat16 else row).numpy()  # which NumPy lacks

    def __iter__(self) -> Iterator[int]:
        return iter(self._having)

    def __len__(self) -> int:
        return len(self._having)
