"""Contact sheets: pictures of a benchmark's hits and misses, and its curves, for its page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from unlazy.data.spread import Spread

SHOWN = 12
"""Pictures a group on the page, at most."""


@dataclass(frozen=True)
class Box:
    """A box to draw: whose it is (the same words have the same colour), xyxy in viewed pixels."""

    label: str
    corners: tuple[float, float, float, float]


@dataclass(frozen=True)
class Panel:
    """One picture of a sheet.

    Attributes:
        name: of the picture.
        pixels: as the model saw it.
        caption: what came of it, in a few words.
        boxes: to draw over picture and map.
        map: a value a patch, shown beside the picture; None for none.
        best: (row, column) of the patch to mark; None for none.
    """

    name: str
    pixels: UInt8[Tensor, "3 height width"]
    caption: str = ""
    boxes: tuple[Box, ...] = ()
    map: Float[np.ndarray, "H W"] | None = None
    best: tuple[int, int] | None = None


@dataclass(frozen=True)
class Group:
    """Pictures under one heading.

    Attributes:
        title: such as "Misses".
        meaning: how they were chosen, in a sentence.
        panels: in the order of the data.
    """

    title: str
    meaning: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Curve:
    """A plot: ``lines`` are a label with points (x, y) each."""

    title: str
    across: str
    up: str
    lines: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]


@dataclass(frozen=True)
class Sheet:
    """What the page of a benchmark shows besides numbers.

    Attributes:
        groups: of pictures.
        map_title, map_meaning: what the panels' maps show, on one scale for all.
        curves: plots.
    """

    groups: tuple[Group, ...] = ()
    map_title: str = ""
    map_meaning: str = ""
    curves: tuple[Curve, ...] = ()


def misses_and_hits(
    hits: Mapping[int, Any],
    order: Sequence[int],
    panels: Callable[[Sequence[int]], tuple[Panel, ...]],
    *,
    titles: tuple[str, str] = ("Misses", "Hits"),
    by: str = "",
    note: str = "",
) -> tuple[Group, Group]:
    """Two groups of pictures, evenly spread over the data.

    Args:
        hits: picture -> 1 or 0; pictures without one are left out.
        order: of the data.
        panels: draws some pictures.
        titles: of the groups.
        by: whose hits, after the titles.
        note: to say of the panels.
    """

    def group(title: str, hit: int) -> Group:
        members = [index for index in order if index in hits and hits[index] == hit]
        part = Spread(members, SHOWN)
        chosen = [part[place] for place in range(len(part))]
        some = f"{len(chosen)} of {len(members)}, evenly spread over the data."
        meaning = some if len(chosen) < len(members) else f"All {len(members)}."
        return Group(f"{title} {by}".strip(), f"{meaning} {note}".strip(), panels(chosen))

    return group(titles[0], 0), group(titles[1], 1)
