"""Scenes: drawn pictures with exact boxes and masks, for tests, demos and controlled studies.

One striped object lies on a textured background with unstriped clutter. Its class is either the
stripes' orientation and period (a local cue: a patch inside of the object tells it) or the pair of
orientations of its two halves (a wider cue: a patch leaves three classes of six). Colour, place,
outline and background tell nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from PIL import Image

from unlazy.data.sample import Sample

ORIENTATIONS = (0, 45, 90, 135)
"""Degrees from the x axis along which the stripes alternate."""
PERIODS = (1 / 16, 1 / 8)
"""Length of one bright and one dark stripe, as a share of the picture's short side."""
CLASSES = tuple(
    f"{'fine' if period == PERIODS[0] else 'coarse'} stripes at {angle} degrees"
    for period in PERIODS
    for angle in ORIENTATIONS
)
"""Names of the classes where stripes are the cue."""
PAIRS = tuple(combinations(range(len(ORIENTATIONS)), 2))
"""Orientations of an object's halves, where the pair is the cue; stripes are fine."""


def _disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.hypot(x, y) - 1


def _ellipse(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 0.6 * (np.hypot(x, y / 0.6) - 1)


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) - 0.75


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    side = 0.75**0.5
    return np.maximum(y, np.maximum(side * x - y / 2, -side * x - y / 2)) - 0.55


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    fifth, inner = np.pi / 5, 0.5
    angle = np.abs(np.mod(np.arctan2(y, x), 2 * fifth) - fifth)  # 0 at a notch, fifth at a tip
    radius = np.hypot(x, y)
    tip = np.cos(fifth) - inner, np.sin(fifth)  # edge from the notch to the tip
    length = np.hypot(*tip)
    across = (radius * np.cos(angle) - inner) * tip[1] - radius * np.sin(angle) * tip[0]
    return across / length


Outline = Callable[[np.ndarray, np.ndarray], np.ndarray]
SHAPES: tuple[Outline, ...] = (
    _disc,
    _ellipse,
    _square,
    _triangle,
    _star,
)
"""Distance from the outline (negative inside) of shapes that fit into the unit circle."""
Cue = Literal["stripes", "pair"]


@dataclass(frozen=True)
class Scenes:
    """Drawn pictures; each is a function of ``seed`` and its index alone.

    Attributes:
        count: how many.
        size: (height, width) in pixels.
        object_size: least and greatest diameter, as a share of the short side; the object lies
            wholly inside of the picture.
        clutter: number of unstriped shapes in the background.
        cue: what tells the class: the object's stripes, or the pair of stripes of its halves.
        seed: another seed draws other pictures.
    """

    count: int = 200
    size: tuple[int, int] = (128, 128)
    object_size: tuple[float, float] = (0.35, 0.65)
    clutter: int = 8
    cue: Cue = "stripes"
    seed: int = 0

    def __post_init__(self) -> None:
        least, greatest = self.object_size
        if not 0 < least <= greatest <= 1:
            raise ValueError(f"object_size={self.object_size}; use 0 < least <= greatest <= 1")
        if least * min(self.size) < 4:
            raise ValueError(
                f"objects of {least * min(self.size):.1f} pixels are too small to draw; "
                "raise size, or the first of object_size, to make them 4 pixels or more"
            )
        if min(self.count, self.clutter, self.seed) < 0:
            raise ValueError("count, clutter and seed must not be negative")

    def __len__(self) -> int:
        return self.count

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; the label of sample ``i`` is ``i % len(classes)``."""
        if self.cue == "stripes":
            return CLASSES
        return tuple(
            f"stripes at {ORIENTATIONS[a]} and {ORIENTATIONS[b]} degrees" for a, b in PAIRS
        )

    @property
    def period(self) -> int:
        """After how many pictures the labels repeat."""
        return len(self.classes)

    def __getitem__(self, index: int) -> Sample:
        index = self._checked(index)
        label = index % len(self.classes)
        background, cover, stripes = self._draw(index)
        mask = (cover >= 0.5).astype(np.uint8)
        rows, columns = np.where(mask.any(axis=1))[0], np.where(mask.any(axis=0))[0]
        box = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return Sample(
            image=_picture(background + cover[..., None] * (stripes - background)),
            name=self.name_of(index),
            label=label,
            boxes=np.array([box], dtype=np.float32),
            mask=mask,
        )

    def name_of(self, index: int) -> str:
        """The name of a picture."""
        return f"scene-{self.seed}-{index:06d}"

    def background(self, index: int) -> Image.Image:
        """The same picture without its object."""
        return _picture(self._draw(self._checked(index))[0])

    def _checked(self, index: int) -> int:
        if not -self.count <= index < self.count:
            raise IndexError(f"scene {index} of {self.count}")
        return index % self.count

    def _draw(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Background (H, W, 3), the object's cover (H, W) in [0, 1], and its stripes (H, W, 3)."""
        rng = np.random.default_rng([self.seed, index])
        background = _background(rng, self.size)
        for _ in range(self.clutter):
            radius = rng.uniform(0.04, 0.3) * min(self.size)
            centre = rng.uniform(0, self.size[0]), rng.uniform(0, self.size[1])
            cover = _cover(rng, self.size, radius=radius, centre=centre)[..., None]
            background += rng.uniform(0.6, 1) * cover * (_paint(rng, self.size) - background)
        radius = rng.uniform(*self.object_size) * min(self.size) / 2
        centre = tuple(rng.uniform(radius, side - radius) for side in self.size)
        cover = _cover(rng, self.size, radius=radius, centre=centre)
        if self.cue == "stripes":
            return background, cover, _stripes(rng, self.size, index % len(CLASSES))
        first, second = PAIRS[index % len(PAIRS)]
        half = _half(rng, self.size, centre)[..., None]
        stripes = (_stripes(rng, self.size, each) for each in (first, second))
        return background, cover, np.where(half, *stripes)


def _noise(rng: np.random.Generator, size: tuple[int, int], *, octaves: int = 5) -> np.ndarray:
    """Cloudy noise (H, W) float32, about [0, 1]: smooth random fields, each finer and weaker."""
    total = np.zeros(size, np.float32)
    for octave in range(octaves):
        cells = 2 ** (octave + 1) + 1
        grid = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
        field = grid.resize((size[1], size[0]), Image.Resampling.BICUBIC)
        total += (np.asarray(field) - 0.5) * 0.6**octave
    return np.clip(0.5 + 0.75 * total, 0, 1)


def _background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A slope between two colours, clouded by a third (H, W, 3)."""
    y, x = np.ogrid[: size[0], : size[1]]
    angle = rng.uniform(0, 2 * np.pi)
    slope = 0.5 + np.cos(angle) * (x / size[1] - 0.5) + np.sin(angle) * (y / size[0] - 0.5)
    low, high, cloud = rng.uniform(0.05, 0.95, (3, 3)).astype(np.float32)
    slope = np.clip(0.6 * slope + 0.8 * (_noise(rng, size) - 0.5) + 0.2, 0, 1)
    ground = low + slope.astype(np.float32)[..., None] * (high - low)
    clouds = np.clip(2.5 * (_noise(rng, size) - 0.4), 0, 0.8)[..., None]
    return ground + clouds * (cloud - ground)


def _paint(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """One colour with cloudy light (H, W, 3)."""
    colour = rng.uniform(0.05, 0.95, 3).astype(np.float32)
    return colour * (0.7 + 0.6 * _noise(rng, size, octaves=4)[..., None])


def _stripes(rng: np.random.Generator, size: tuple[int, int], label: int) -> np.ndarray:
    """Stripes of a class in two colours, one at least 0.4 brighter in each channel (H, W, 3)."""
    coarse, turn = divmod(label, len(ORIENTATIONS))
    angle = np.deg2rad(ORIENTATIONS[turn])
    y, x = np.ogrid[: size[0], : size[1]]
    along = (np.cos(angle) * x + np.sin(angle) * y) / (PERIODS[coarse] * min(size))
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (along + rng.random()))
    dark = rng.uniform(0, 0.55, 3)
    bright = rng.uniform(dark + 0.4, 1)
    light = 0.85 + 0.3 * _noise(rng, size, octaves=4)[..., None]
    return ((dark + wave[..., None] * (bright - dark)) * light).astype(np.float32)


def _cover(
    rng: np.random.Generator,
    size: tuple[int, int],
    *,
    radius: float,
    centre: tuple[float, ...],
) -> np.ndarray:
    """How much of each pixel some shape, turned at random, covers (H, W); (y, x) centre."""
    shape = SHAPES[rng.integers(len(SHAPES))]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.ogrid[: size[0], : size[1]]
    y, x = (y + 0.5 - centre[0]) / radius, (x + 0.5 - centre[1]) / radius
    turned = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    return np.clip(0.5 - radius * shape(*turned), 0, 1).astype(np.float32)


def _half(rng: np.random.Generator, size: tuple[int, int], centre: tuple[float, ...]) -> np.ndarray:
    """One side of a line through the (y, x) centre, turned at random (H, W)."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.ogrid[: size[0], : size[1]]
    return np.cos(angle) * (x + 0.5 - centre[1]) + np.sin(angle) * (y + 0.5 - centre[0]) > 0


def _picture(values: np.ndarray) -> Image.Image:
    return Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))
