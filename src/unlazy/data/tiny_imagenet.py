"""Tiny ImageNet: 200 ImageNet classes at 64 x 64 pixels, one box per image.

Layout: ``wnids.txt``, ``words.txt``, ``train/<wnid>/images/*.JPEG`` with
``train/<wnid>/<wnid>_boxes.txt``, ``val/images/*.JPEG`` with ``val/val_annotations.txt``.
Boxes are given in inclusive pixels; here they become half-open xyxy (``xmax + 1``).

Source: Stanford CS231N, from ILSVRC.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from unlazy.data.sample import Sample

NUM_CLASSES, NUM_TRAIN, NUM_VAL = 200, 100_000, 10_000
SIDE = 64


@dataclass(frozen=True)
class Row:
    """One annotated file: path, class index, half-open xyxy box in pixels."""

    path: Path
    label: int
    box: tuple[float, float, float, float]


class TinyImageNet:
    """Images, labels and boxes of one split, in a fixed order.

    Raises:
        FileNotFoundError: ``root`` is not a Tiny ImageNet folder; the message says what is missing.
    """

    def __init__(self, root: str | Path, split: Literal["train", "val"] = "val") -> None:
        self.root, self.split = Path(root), split
        if split not in ("train", "val"):
            raise ValueError(f"Tiny ImageNet has no split {split!r}; use train or val")
        if not (self.root / "wnids.txt").is_file():
            raise FileNotFoundError(
                f"{self.root} is no Tiny ImageNet folder: wnids.txt is missing. "
                "Unpack tiny-imagenet-200 and give the folder that holds wnids.txt."
            )
        self.wnids = (self.root / "wnids.txt").read_text().split()
        words = dict(
            line.split("\t", 1) for line in (self.root / "words.txt").read_text().splitlines()
        )
        self.classes = [words[wnid].split(",")[0] for wnid in self.wnids]
        self.rows = self._train_rows() if split == "train" else self._val_rows()

    def _train_rows(self) -> list[Row]:
        rows = []
        for label, wnid in enumerate(self.wnids):
            folder = self.root / "train" / wnid
            for line in (folder / f"{wnid}_boxes.txt").read_text().splitlines():
                name, *box = line.split()
                rows.append(Row(folder / "images" / name, label, _half_open(box)))
        return rows

    def _val_rows(self) -> list[Row]:
        label = {wnid: index for index, wnid in enumerate(self.wnids)}
        rows = []
        for line in (self.root / "val" / "val_annotations.txt").read_text().splitlines():
            name, wnid, *box = line.split()
            if wnid in label:  # some copies ship a part of the classes' images only
                path = self.root / "val" / "images" / name
                rows.append(Row(path, label[wnid], _half_open(box)))
        return rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        from unlazy.data.folder import read_image

        row = self.rows[index]
        return Sample(
            image=read_image(row.path),
            name=self.name_of(index),
            label=row.label,
            boxes=np.array([row.box], dtype=np.float32),
        )

    @property
    def labels(self) -> list[int]:
        """Class index of each picture."""
        return [row.label for row in self.rows]

    def name_of(self, index: int) -> str:
        """The name of a picture, readable or not."""
        return self.rows[index].path.relative_to(self.root).as_posix()

    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """All images of the split at once: ``(n, 64, 64, 3)`` uint8 and labels ``(n,)`` int64.

        1.2 GB for the training split; decoding takes about a minute on one core.
        """
        images = np.empty((len(self), SIDE, SIDE, 3), dtype=np.uint8)
        for index, row in enumerate(self.rows):
            with Image.open(row.path) as image:
                images[index] = np.asarray(image.convert("RGB"))
        return images, np.array([row.label for row in self.rows], dtype=np.int64)


def _half_open(box: list[str]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(value) for value in box)
    return left, top, right + 1, bottom + 1
