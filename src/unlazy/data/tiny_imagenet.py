"""Tiny ImageNet: 200 ImageNet classes at 64 x 64 pixels, one box per image.

Layout: ``wnids.txt``, ``words.txt``, ``train/<wnid>/images/*.JPEG`` with
``train/<wnid>/<wnid>_boxes.txt``, ``val/images/*.JPEG`` with ``val/val_annotations.txt``.
Boxes are given in inclusive pixels; here they become half-open xyxy (``xmax + 1``).

Source: Stanford CS231N, from ILSVRC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from unlazy.data.annotated import Problems, fit, objects_of
from unlazy.data.class_folders import read_words
from unlazy.data.folder import read_image
from unlazy.data.from_files import FromFiles, sizes_of
from unlazy.data.pascal_xml import index_of
from unlazy.data.roots import find_folder
from unlazy.data.sample import Sample

NUM_CLASSES, NUM_TRAIN, NUM_VAL = 200, 100_000, 10_000
SIDE = 64
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Row:
    """One annotated file: path, class index, half-open xyxy box in pixels (None: not known)."""

    path: Path
    label: int
    box: Box | None


class TinyImageNet(FromFiles):
    """Pictures, labels and boxes of one split of Tiny ImageNet, in a fixed order.

    A line that cannot be read, and a box without an area inside of the picture, are left out and
    named; so are the pictures of classes that ``wnids.txt`` lacks.

    Attributes:
        classes: names in the order of the labels.
        problems: name -> reasons.

    Raises:
        FileNotFoundError: ``root`` is not a Tiny ImageNet folder, nor holds one of that name; the
            message says what is missing.
    """

    def __init__(self, root: str | Path, split: Literal["train", "val"] = "val") -> None:
        if split not in ("train", "val"):
            raise ValueError(f"Tiny ImageNet has no split {split!r}; use train or val")
        self.root = find_folder(root, ["tiny-imagenet-200"], ["wnids.txt"], "Tiny ImageNet")
        self.split = split
        self.wnids = (self.root / "wnids.txt").read_text().split()
        words = read_words(self.root / "words.txt")
        self.classes = [words.get(wnid, wnid) for wnid in self.wnids]
        self.problems = Problems()
        self.rows = list(self._train_rows() if split == "train" else self._val_rows())

    def _train_rows(self) -> Iterator[Row]:
        for label, wnid in enumerate(self.wnids):
            folder = self.root / "train" / wnid
            for place, (name, *box) in self._lines(folder / f"{wnid}_boxes.txt", 5):
                yield Row(folder / "images" / name, label, self._box(place, box))

    def _val_rows(self) -> Iterator[Row]:
        label = index_of(self.wnids)
        foreign: Counter[str] = Counter()  # some copies ship a part of the classes' images only
        for place, (name, wnid, *box) in self._lines(self.root / "val" / "val_annotations.txt", 6):
            if wnid in label:
                path = self.root / "val" / "images" / name
                yield Row(path, label[wnid], self._box(place, box))
            foreign[wnid] += wnid not in label
        for wnid, count in sorted((+foreign).items()):
            self.problems.add(wnid, f"not in wnids.txt: its {count} pictures are left out")

    def _lines(self, path: Path, count: int) -> Iterator[tuple[str, list[str]]]:
        """Place, in words, and the fields of each line that has so many."""
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            place, fields = f"{path.relative_to(self.root).as_posix()}, line {number}", line.split()
            if len(fields) == count:
                yield place, fields
            elif fields:
                self.problems.add(
                    place, f"it has {len(fields)} fields, not {count}; it is left out"
                )

    def _box(self, place: str, fields: list[str]) -> Box | None:
        """Half-open, inside of the picture; None where there is none."""
        try:
            left, top, right, bottom = (float(each) for each in fields)
        except ValueError:
            self.problems.add(place, f"its box is {' '.join(fields)}, not four numbers")
            return None
        if 0 <= left <= right < SIDE and 0 <= top <= bottom < SIDE:  # nearly all, and fast
            return left, top, right + 1, bottom + 1
        objects, reasons = fit(objects_of([((left, top, right + 1, bottom + 1), -1)]), (SIDE, SIDE))
        for reason in reasons:
            self.problems.add(place, reason)
        return tuple(objects.boxes[0].tolist()) if len(objects) else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        row = self.rows[index]
        return Sample(
            image=read_image(row.path),
            name=self.name_of(index),
            label=row.label,
            boxes=None if row.box is None else np.array([row.box], dtype=np.float32),
        )

    @property
    def labels(self) -> list[int]:
        """Class index of each picture."""
        return [row.label for row in self.rows]

    def name_of(self, index: int) -> str:
        """The name of a picture, readable or not."""
        return self.rows[index].path.relative_to(self.root).as_posix()

    def _told_by(self) -> Iterator[bytes]:
        yield ascii([self.classes, [(row.label, row.box) for row in self.rows]]).encode()
        yield sizes_of(row.path for row in self.rows)

    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """All images of the split at once: ``(n, 64, 64, 3)`` uint8 and labels ``(n,)`` int64.

        1.2 GB for the training split; decoding takes about a minute on one core.
        """
        images = np.empty((len(self), SIDE, SIDE, 3), dtype=np.uint8)
        for index, row in enumerate(self.rows):
            with Image.open(row.path) as image:
                images[index] = np.asarray(image.convert("RGB"))
        return images, np.array([row.label for row in self.rows], dtype=np.int64)
