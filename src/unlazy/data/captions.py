"""Pictures with captions in tar shards, as webdataset writes them.

Files of one sample follow each other and share their name up to the first dot of its last part:
``000017.jpg`` and ``000017.txt``, or ``000017.json`` with a key ``caption``.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tarfile import BLOCKSIZE

import numpy as np

from unlazy.data.folder import SUFFIXES, decode_image
from unlazy.data.from_files import FromFiles, sizes_of
from unlazy.data.sample import Sample, Unreadable

DAMAGED = "the shard is damaged, only what stands before the damage is used"


@dataclass(frozen=True)
class Captioned(Sample):
    """A sample with its caption."""

    caption: str = ""


class CaptionShards(FromFiles):
    """The samples of all ``*.tar`` below a folder, in sorted order.

    The headers of all shards are read once, here; a picture is then one seek and one read. A
    sample without picture or caption, and what follows the damage in a shard, is left out.

    Attributes:
        skipped: name -> reason of what was left out.

    Raises:
        FileNotFoundError: no shard, or no whole sample in any.
    """

    classes: tuple[str, ...] = ()

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.shards = sorted(self.root.rglob("*.tar"))
        if not self.shards:
            raise FileNotFoundError(f"no *.tar shard in {self.root} or below it")
        self.skipped: dict[str, str] = {}
        rows = [row for place in range(len(self.shards)) for row in self._index(place)]
        if not rows:
            raise FileNotFoundError(
                f"no picture with a caption in the {len(self.shards)} shards of {self.root};"
                " a sample is NAME.jpg with NAME.txt, or with NAME.json that has a key caption"
            )
        self._rows = np.array(rows, dtype=np.int64)  # shard, places of both files, JSON or not

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Captioned:
        shard, at, size, text_at, text_size, is_json = self._rows[index].tolist()
        path = self.shards[shard]
        picture = _bytes(path, at, size)
        image = decode_image(picture)
        text = _text(_bytes(path, text_at, text_size))
        caption = _caption(text) if is_json else text.strip()
        if not caption:
            raise Unreadable("its caption is empty")
        return Captioned(image=image, name=self.name_of(index), caption=caption)

    def name_of(self, index: int) -> str:
        """Shard and position in it, readable or not."""
        shard, at = self._rows[index, :2].tolist()
        return f"{self._told(self.shards[shard])} at byte {at}"

    def _told(self, path: Path) -> str:
        """What messages call a shard: several folders may have one of the same name."""
        return path.relative_to(self.root).as_posix()

    def _told_by(self) -> Iterator[bytes]:
        yield self._rows.tobytes()
        yield sizes_of(self.shards)

    def _index(self, shard: int) -> Iterator[tuple[int, ...]]:
        """Rows of the whole samples of one shard."""
        for key, files in self._samples(self.shards[shard]):
            picture = next((files[end] for end in files if f".{end}" in SUFFIXES), None)
            is_json, text = "txt" not in files, files.get("txt") or files.get("json")
            name = f"{self._told(self.shards[shard])}:{key}"
            if picture is None:
                self.skipped[name] = "it has no picture"
            elif text is None:
                self.skipped[name] = "it has no caption"
            else:
                yield (shard, *picture, *text, int(is_json))

    def _samples(self, path: Path) -> Iterator[tuple[str, dict[str, tuple[int, int]]]]:
        """Key of each sample and ending -> (offset, size) of its files."""
        last, files = "", {}
        size = path.stat().st_size
        try:
            with tarfile.open(path, "r:") as shard:
                for member in shard:
                    folder, _, name = member.name.rpartition("/")
                    stem, _, ending = name.partition(".")
                    key = f"{folder}/{stem}"
                    if key != last and files:
                        yield last, files
                        files = {}
                    last = key
                    if member.isfile() and member.offset_data + member.size <= size:
                        files[ending.lower()] = (member.offset_data, member.size)
                ends = shard.offset + BLOCKSIZE <= size
                if not ends or any(_bytes(path, shard.offset, BLOCKSIZE)):  # tar's mark: zeros
                    self.skipped[self._told(path)] = f"{DAMAGED} at byte {shard.offset}"
        except (tarfile.TarError, OSError, EOFError) as problem:
            self.skipped[self._told(path)] = f"{DAMAGED}: {problem}"
        if files:
            yield last, files


def _bytes(path: Path, at: int, size: int) -> bytes:
    try:
        with path.open("rb") as shard:
            shard.seek(at)
            found = shard.read(size)
    except OSError as problem:
        raise Unreadable(f"{path} cannot be read: {problem.strerror}") from problem
    if len(found) < size:
        raise Unreadable(f"{path} ends within it")
    return found


def _text(written: bytes) -> str:
    try:
        return written.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise Unreadable(f"its caption is no UTF-8: {problem}") from problem


def _caption(text: str) -> str:
    """``caption`` of a JSON object."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as problem:
        raise Unreadable(f"its caption is no JSON: {problem}") from problem
    if not isinstance(found, dict) or not isinstance(found.get("caption"), str):
        raise Unreadable('its JSON is no object with a text under "caption"')
    return found["caption"].strip()
