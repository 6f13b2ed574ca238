"""The manifest of a folder of shards: what they are of, and an entry a shard.

While an extraction runs, the manifest says what the shards are of, and each shard has a file of
its own with its entry; in the end the manifest holds all entries.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from unlazy.backbones.base import Backbone
from unlazy.geometry import View
from unlazy.identity import PACKAGES, Unidentified, identity
from unlazy.shards.observers import Observer
from unlazy.whole_files import PART, write_whole

FORMAT = "unlazy shards"
VERSION = 1
MANIFEST = "manifest.json"
TOLD_APART = ("model", "fix", "view", "sites", "observers", "dtype", "data", "runs_on", "packages")
"""Fields that a message compares where two extractions are not the same."""

Json = dict[str, Any]


def describe(
    backbone: Backbone,
    dataset: Any,
    observers: Sequence[Observer],
    *,
    view: View,
    dtype: torch.dtype | None,
    source: str,
) -> Json:
    """What the shards of an extraction are of; ``identity`` is None where that cannot be told."""
    reference = next(backbone.parameters())
    weights, name = backbone.fingerprint(), None
    lower = [] if backbone.precision is None else [f"autocast to {_plain(backbone.precision)}"]
    try:
        about = {"format": [FORMAT, VERSION], "dtype": str(dtype)}
        name = identity(backbone, dataset, observers, view=view, about=about, weights=weights)
    except Unidentified as problem:
        warnings.warn(f"this extraction cannot be resumed: it depends on {problem}", stacklevel=2)
    facts = dataclasses.asdict(backbone.facts) | {"weights_hash": weights}
    sites = frozenset().union(*(each.reads for each in observers))
    return {
        "format": FORMAT,
        "version": VERSION,
        "complete": False,
        "identity": name,
        "model": facts | {"streams": sorted(facts["streams"])},
        "fix": backbone.fix,
        "data": {"source": source, "pictures": len(dataset)},
        "view": dataclasses.asdict(view),
        "sites": sorted(map(str, sites)),
        "observers": [repr(each) for each in observers],
        "dtype": "as observed" if dtype is None else _plain(dtype),
        "runs_on": [reference.device.type, _plain(reference.dtype), *lower],
        "packages": {each: importlib.metadata.version(each) for each in (*PACKAGES, "safetensors")},
    }


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def read_manifest(folder: Path) -> Json | None:
    """The manifest of a folder, or None where it has none.

    Raises:
        ValueError: it is damaged, or of another format.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_bytes())
    except ValueError as problem:
        raise ValueError(
            f"{path} is damaged ({problem}); delete {folder} and extract again"
        ) from problem
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"{path} is not the manifest of token shards; choose another folder")
    if found["version"] != VERSION:
        raise ValueError(
            f"{folder} holds shards of version {found['version']}, this program reads {VERSION};"
            " extract again into another folder"
        )
    return found


def check_same(folder: Path, old: Json, new: Json) -> None:
    """Whether the shards of a folder are those that are asked for.

    Raises:
        ValueError: they are not, or that cannot be told; the message says what differs.
    """
    if old["identity"] is not None and old["identity"] == new["identity"]:
        return
    plain = json.loads(json.dumps(new))
    differing = [_difference(key, old, plain) for key in TOLD_APART if old[key] != plain[key]]
    unknown = None in (old["identity"], new["identity"])
    last = (
        "it cannot be told from this one"
        if unknown
        else "other pictures or labels, or another program"
    )
    what = "; ".join(differing) or last
    raise ValueError(
        f"{folder} holds shards of another extraction ({what}); choose another folder, or"
        " delete this one"
    )


def _difference(key: str, old: Json, new: Json) -> str:
    before, now = old[key], new[key]
    if not isinstance(before, dict) or not isinstance(now, dict):
        return f"{key}: {before}, now {now}"
    parts = sorted(part for part in before.keys() | now.keys() if before.get(part) != now.get(part))
    said = ", ".join(f"{part} {before.get(part)}, now {now.get(part)}" for part in parts[:3])
    return f"{key}: {said}"


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """The whole file or nothing, one line a field."""
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(item)}" for key, item in manifest.items())
    write_whole(folder / MANIFEST, f"{{\n{lines}\n}}\n".encode(), sync=True)


def begun(head: Json) -> Json:
    """The manifest of an extraction that runs: without what is known in the end."""
    known = ("keys", "count", "order", "skipped", "shards")
    return {key: item for key, item in head.items() if key not in known} | {"complete": False}


def finish(folder: Path, head: Json, entries: Iterable[Json]) -> None:
    """Write the manifest of a finished extraction; the entries' own files go."""
    ordered = sorted(entries, key=lambda entry: entry["range"])
    shards = [{key: item for key, item in each.items() if key != "skipped"} for each in ordered]
    complete = {
        **head,
        "complete": True,
        "keys": _keys(shards),
        "count": sum(each["count"] for each in shards),
        "order": "pictures ascend by index, within a shard and from shard to shard as listed",
        "skipped": [item for each in ordered for item in each["skipped"]],
        "shards": shards,
    }
    write_manifest(folder, complete)
    forget_entries(folder)


def forget_entries(folder: Path) -> None:
    """The entries' own files go: the manifest has them, or they are of no extraction."""
    for path in folder.glob("shard-*.json"):
        path.unlink()


def _keys(shards: Iterable[Json]) -> Json:
    """Of each key: its rows' shape (None where it differs), dtype, and how many there are."""
    found: Json = {}
    for shard in shards:
        for key, rows in shard["rows"].items():
            seen = found.setdefault(key, {"shape": rows["shape"], "dtype": rows["dtype"], "n": 0})
            if seen["shape"] != rows["shape"]:
                seen["shape"] = None
            seen["n"] += rows["n"]
    return dict(sorted(found.items()))


def entries_of(folder: Path, manifest: Json) -> dict[str, Json]:
    """File name of each shard that was written -> its entry, skipped pictures included."""
    found = {}
    if manifest["complete"]:
        skipped = {item["index"]: item for item in manifest["skipped"]}
        for shard in manifest["shards"]:
            first, last = shard["range"]
            mine = [skipped[index] for index in range(first, last) if index in skipped]
            found[shard["file"]] = shard | {"skipped": mine}
        return found
    for path in folder.glob("shard-*.json"):
        try:
            entry = json.loads(path.read_bytes())
        except ValueError:
            continue  # its shard is made again
        found[entry["file"]] = entry
    return found


def write_entry(folder: Path, entry: Json) -> None:
    """What says that a shard is written."""
    path = (folder / entry["file"]).with_suffix(".json")
    write_whole(path, json.dumps(entry).encode(), sync=True)


def reopen(folder: Path, head: Json, entries: Iterable[Json]) -> None:
    """Make a finished extraction one that runs: some of its shards are to be made again."""
    for entry in entries:
        write_entry(folder, entry)
    write_manifest(folder, head)


def damage(folder: Path, entry: Json) -> str | None:
    """What is wrong with the file of an entry; None for nothing."""
    path = folder / entry["file"]
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != entry["bytes"]:
        return f"has {path.stat().st_size:,} bytes instead of {entry['bytes']:,}"
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return None if digest == entry["sha256"] else "is altered (its SHA-256 is another)"


def sweep(folder: Path) -> None:
    """Remove what a killed run left half-written."""
    for half in folder.glob(f".*{PART}"):
        half.unlink(missing_ok=True)
