"""Pictures to measure on: JPEG files cut from the photographs, and drawn noise without a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from unlazy.data.photos import Photos
from unlazy.data.sample import Sample


def write_photos(folder: Path, count: int, *, short_side: int) -> None:
    """``count`` different JPEG files, ``short_side`` pixels on the short side, 4:3 or squarer."""
    photos, rng = Photos(), np.random.default_rng(0)
    for index in range(count):
        image = photos[index % len(photos)].image
        height = int(rng.uniform(0.4, 1.0) * min(image.size))
        width = min(image.width, height * 4 // 3)
        left = int(rng.integers(image.width - width + 1))
        top = int(rng.integers(image.height - height + 1))
        scale = short_side / min(width, height)
        image.resize(
            (round(width * scale), round(height * scale)),
            Image.Resampling.BICUBIC,
            box=(left, top, left + width, top + height),
        ).save(folder / f"{index:04}.jpg", quality=90)


class Noise:
    """``count`` pictures of smooth coloured noise, drawn when they are asked for.

    Args:
        count: how many.
        size: (height, width).
        first: number of the first; pictures of the same number are the same.
    """

    def __init__(self, count: int, size: tuple[int, int], *, first: int = 0) -> None:
        self.count, self.size, self.first = count, size, first

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        coarse = np.random.default_rng(self.first + index).integers(
            256, size=(8, 8, 3), dtype=np.uint8
        )
        height, width = self.size
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)
        return Sample(image, f"{index:06}")
