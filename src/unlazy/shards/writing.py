"""One shard: the rows of some consecutive pictures of a data set, as one safetensors file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from unlazy.batches import Skipped
from unlazy.ledger import Batch
from unlazy.shards.manifest import write_entry
from unlazy.shards.observers import Rows
from unlazy.whole_files import write_whole


@dataclass
class Collected:
    """What was seen so far of the pictures ``range`` of a data set."""

    number: int
    range: tuple[int, int]
    rows: dict[str, list[Rows]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    labels: dict[int, int | None] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, batch: Batch, rows: Mapping[str, Rows]) -> None:
        """Take in a batch."""
        self.names.update(zip(batch.indices, batch.names, strict=True))
        self.labels.update(zip(batch.indices, batch.labels, strict=True))
        for key, each in rows.items():
            self.rows.setdefault(key, []).append(each)


def file_name(number: int) -> str:
    """Of a shard.

    >>> file_name(7)
    'shard-00007.safetensors'
    """
    return f"shard-{number:05d}.safetensors"


def write_shard(folder: Path, collected: Collected) -> dict[str, Any]:
    """Write shard and entry, each whole or not at all; returns the entry.

    Raises:
        OSError: no room or no permission; what was there before stays.
    """
    indices = sorted(collected.names)
    content, rows = _content(collected, indices)
    entry: dict[str, Any] = {
        "file": file_name(collected.number),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "range": list(collected.range),
        "count": len(indices),
        "rows": rows,
        "indices": indices,
        "names": [collected.names[index] for index in indices],
    }
    labels = [collected.labels[index] for index in indices]
    if any(label is not None for label in labels):
        entry["labels"] = labels
    skipped = sorted(collected.skipped, key=lambda item: item.index)
    entry["skipped"] = [
        {"index": item.index, "name": item.name, "reason": item.reason} for item in skipped
    ]
    write_whole(folder / entry["file"], content, sync=True)
    write_entry(folder, entry)
    return entry


def _content(collected: Collected, indices: list[int]) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a shard, and what is in it by key; what was collected goes on the way."""
    tensors: dict[str, Tensor] = {"index": torch.tensor(indices, dtype=torch.int64)}
    rows: dict[str, Any] = {}
    for key in sorted(collected.rows):
        packed, about = _packed(key, collected.rows.pop(key), indices)
        tensors |= packed
        if packed:
            rows[key] = about
    return save(tensors, metadata={"format": "pt"}), rows


def _packed(
    key: str, parts: list[Rows], indices: list[int]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Rows in one tensor where all pictures have one of the same shape, else one tensor each."""
    owners = [index for each in parts for index in each.indices]
    shapes = {tuple(each.values.shape[1:]) for each in parts if each.indices}
    about: dict[str, Any] = {
        "shape": list(shapes.pop()) if len(shapes) == 1 else None,
        "dtype": str(parts[0].values.dtype).removeprefix("torch."),
        "n": len(owners),
    }
    if sorted(owners) == indices and about["shape"] is not None:
        values = torch.cat([each.values for each in parts])
        if owners != indices:
            order = sorted(range(len(owners)), key=owners.__getitem__)
            values = values[order]
        return {key: values}, about
    pairs = ((index, row) for each in parts for index, row in zip(*_columns(each), strict=True))
    single = {f"{key}#{index}": row.clone() for index, row in sorted(pairs, key=lambda it: it[0])}
    return single, about | {"by_picture": sorted(owners)}


def _columns(rows: Rows) -> tuple[tuple[int, ...], tuple[Tensor, ...]]:
    return rows.indices, rows.values.unbind()
