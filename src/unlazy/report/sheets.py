"""Contact sheets painted: pictures with boxes and the highest patch, maps beside them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from unlazy.benchmarks.sheet import Box, Panel, Sheet
from unlazy.report import colours
from unlazy.report.colours import Scale
from unlazy.report.meanings import readable
from unlazy.report.panels import Legend

TINY = 192
"""Sides up to this are shown enlarged: pixel by pixel, and kept without loss."""


@dataclass(frozen=True)
class Rectangle:
    """What is drawn over a picture, in its pixels; ``colour``: number of the box's kind."""

    x: float
    y: float
    width: float
    height: float
    colour: int = 0


@dataclass(frozen=True)
class Frame:
    """A picture or a map, with what is drawn over it.

    Attributes:
        uri: holds the image, which is stretched over (height, width) in viewed pixels.
        sharp: enlarge pixel by pixel.
        alt: what is to be seen, in words.
    """

    uri: str
    width: int
    height: int
    sharp: bool
    alt: str


@dataclass(frozen=True)
class Card:
    """One picture of the sheet: frames side by side, all with the same boxes and mark."""

    name: str
    caption: str
    frames: tuple[Frame, ...]
    boxes: tuple[Rectangle, ...]
    mark: Rectangle | None


@dataclass(frozen=True)
class Painted:
    """A sheet as the template takes it: (title, meaning, cards) of each group.

    Attributes:
        groups: with pictures.
        kinds: what boxes of each colour are.
        legend: of the maps; None where there are none.
    """

    groups: tuple[tuple[str, str, tuple[Card, ...]], ...]
    kinds: tuple[str, ...]
    legend: Legend | None


def painted(sheet: Sheet) -> Painted:
    """All pictures of a sheet, its maps on one scale."""
    panels = [panel for group in sheet.groups for panel in group.panels]
    kinds = tuple(dict.fromkeys(box.label for panel in panels for box in panel.boxes))
    maps = [panel.map for panel in panels if panel.map is not None]
    scale = Scale.over(maps, colours="viridis") if maps else None
    groups = tuple(
        (group.title, group.meaning, tuple(_card(each, kinds, scale) for each in group.panels))
        for group in sheet.groups
    )
    return Painted(groups, kinds, None if scale is None else _legend(sheet, scale))


def _legend(sheet: Sheet, scale: Scale) -> Legend:
    bar = colours.data_uri(colours.bar(scale))
    ends = readable(scale.low), readable(scale.high)
    return Legend(sheet.map_title, sheet.map_meaning, bar, *ends)


def _card(panel: Panel, kinds: Sequence[str], scale: Scale | None) -> Card:
    height, width = panel.pixels.shape[-2:]
    said = f"{panel.name} as the model sees it{_spelt(panel.boxes)}"
    pixels = panel.pixels.numpy()
    sharp = max(height, width) <= TINY
    uri = colours.data_uri(_lossless(pixels) if sharp else colours.photo(pixels))
    frames, mark = [Frame(uri, width, height, sharp, f"{said}.")], None
    if panel.map is not None and scale is not None:
        rows, columns = panel.map.shape
        uri = colours.data_uri(colours.paint(panel.map, scale, width=columns))
        alt = f"Map of {panel.name}, {columns} by {rows} patches"
        if panel.best is not None:
            row, column = panel.best
            high, wide = height / rows, width / columns
            mark = Rectangle(column * wide, row * high, wide, high)
            alt += f"; the highest is in row {row + 1}, column {column + 1}"
        frames.append(Frame(uri, width, height, True, f"{alt}."))
    boxes = tuple(_rectangle(box, kinds.index(box.label)) for box in panel.boxes)
    return Card(panel.name, panel.caption, tuple(frames), boxes, mark)


def _spelt(boxes: Iterable[Box]) -> str:
    """Boxes in words, in whole pixels."""
    found = [
        f"{box.label} at {', '.join(f'{value:.0f}' for value in box.corners)}" for box in boxes
    ]
    return f", boxes (left, top, right, bottom): {'; '.join(found)}" if found else ""


def _rectangle(box: Box, colour: int) -> Rectangle:
    left, top, right, bottom = box.corners
    return Rectangle(left, top, right - left, bottom - top, colour)


def _lossless(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)))
    picture.save(content, "PNG", optimize=True)
    return content.getvalue()
