"""What the page's template is given: pictures with their captions and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unlazy.report import colours, figures
from unlazy.report.colours import Scale
from unlazy.report.figures import Kind
from unlazy.report.findings import Findings
from unlazy.report.meanings import readable

SMALL = 96
"""Least width in pixels of a map in a strip."""


@dataclass(frozen=True)
class Figure:
    """A picture with its caption and alternative text; or the reason why there is none."""

    caption: str
    uri: str = ""
    alt: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Strip:
    """Figures of one model in a row."""

    label: str
    figures: tuple[Figure, ...]
    note: str = ""


@dataclass(frozen=True)
class Legend:
    """What a kind of map shows, with its colour bar if it has a scale."""

    title: str
    meaning: str
    bar: str = ""
    low: str = ""
    high: str = ""


@dataclass(frozen=True)
class Shown:
    """One picture with the maps of every model."""

    name: str
    strips: tuple[Strip, ...]


def legend(kind: Kind, scale: Scale | None, *, relative: bool) -> Legend:
    """The colour bar of a kind of map, its ends in numbers."""
    if scale is None:
        return Legend(kind.title, kind.meaning)
    unit = " x median" if relative and kind.relative else ""
    more = " or more" if scale.capped else ""
    low, high = f"{readable(scale.low)}{unit}", f"{readable(scale.high)}{unit}{more}"
    return Legend(kind.title, kind.meaning, colours.data_uri(colours.bar(scale)), low, high)


def legends(several: Sequence[Findings], kinds: Sequence[Kind]) -> tuple[Legend, ...]:
    """Of the kinds of which at least one model has a map."""
    relative = len(several) > 1
    return tuple(
        legend(kind, figures.scale(several, kind), relative=relative)
        for kind in kinds
        if any(figures.has_maps(each, kind) for each in several)
    )


def shown(several: Sequence[Findings], kinds: Sequence[Kind]) -> tuple[Shown, ...]:
    """For each shown picture of the first model: photo and maps, model by model."""
    relative = len(several) > 1
    scales = {kind: figures.scale(several, kind) for kind in kinds}
    # A figure that no model has is explained once, not for every picture.
    used = [kind for kind in kinds if any(figures.has_maps(each, kind) for each in several)]
    maps = [
        {kind: figures.maps(each, kind, relative=relative) for kind in used} for each in several
    ]
    found = []
    for index in several[0].shown:
        name = several[0].measured.names[index]
        strips = []
        for each, theirs in zip(several, maps, strict=True):
            photo = _photo(each, index, name)
            painted = (
                _map(each, kind, theirs[kind].get(index), scales[kind], name) for kind in used
            )
            strips.append(Strip(each.label, (photo, *painted)))
        found.append(Shown(name, tuple(strips)))
    return tuple(found)


def _photo(findings: Findings, index: int, name: str) -> Figure:
    seen = findings.measured.seen.get("pictures")
    if seen is None or index not in seen.kept.get("pixels", {}):
        return Figure("Photo", reason="This photo was not kept.")
    pixels = seen.kept["pixels"][index]
    _, height, width = pixels.shape
    caption = f"Photo, {width} x {height}"
    alt = f"The photo {name} as the model sees it."
    return Figure(caption, colours.data_uri(colours.photo(pixels)), alt)


def _map(
    findings: Findings, kind: Kind, one: np.ndarray | None, scale: Scale | None, name: str
) -> Figure:
    if one is None:
        reason = figures.missing(findings, kind.measure) or "Not kept for this photo."
        return Figure(kind.title, reason=reason)
    rows, columns = one.shape[:2]
    alt = f"{kind.title} of {name}, {columns} by {rows} patches"
    if scale is not None:
        alt += f", from {readable(float(one.min()))} to {readable(float(one.max()))}"
    return Figure(kind.title, colours.data_uri(figures.paint_kind(one, scale)), f"{alt}.")


def block_strips(several: Sequence[Findings]) -> tuple[Legend, tuple[Strip, ...]] | None:
    """Norm maps after every block, of the shown picture with the most extreme norm."""
    index = _extreme(several[0])
    maps = [figures.block_maps(each, index) for each in several]
    if not any(maps):
        return None
    kind = Kind("block", "Norm", "blocks", "map", "", relative=True)
    scale = Scale.over([one for theirs in maps for one in theirs], colours="viridis")
    name = several[0].measured.names[index]
    strips = []
    for each, theirs in zip(several, maps, strict=True):
        note = "" if theirs else figures.missing(each, "blocks") or "Not kept for this photo."
        painted = tuple(
            Figure(
                f"block {layer}",
                colours.data_uri(colours.paint(one, scale, width=SMALL)),
                f"Norms of {name} after block {layer}; maximum {one.max():.3g} x median.",
            )
            for layer, one in enumerate(theirs)
        )
        strips.append(Strip(each.label, painted, note))
    return legend(kind, scale, relative=True), tuple(strips)


def _extreme(findings: Findings) -> int:
    """The shown picture whose largest norm is highest over its median."""
    found = figures.maps(findings, figures.NORM)
    ratios = {index: one.max() / max(np.median(one), 1e-12) for index, one in found.items()}
    return max(ratios, key=lambda index: ratios[index]) if ratios else findings.shown[0]


def outlier_strips(several: Sequence[Findings]) -> tuple[Legend, tuple[Strip, ...]] | None:
    """Where high norms sit, over all pictures."""
    maps = [figures.outlier_maps(each) for each in several]
    if not any(maps):
        return None
    every = [one for theirs in maps for one in theirs.values()]
    scale = Scale.over(every, colours="magma", zero=True)
    strips = []
    for each, theirs in zip(several, maps, strict=True):
        note = figures.missing(each, "norms") or "Photos have different grids: no common places."
        painted = tuple(
            Figure(
                rule,
                colours.data_uri(colours.paint(one, scale)),
                f"Share of pictures with a high-norm patch at each place ({rule});"
                f" at most {one.max():.3g}.",
            )
            for rule, one in theirs.items()
        )
        strips.append(Strip(each.label, painted, "" if theirs else note))
    kind = Kind("places", "Share of the pictures", "norms", "", "")
    return legend(kind, scale, relative=False), tuple(strips)


def small_maps(
    findings: Findings, kind: Kind, maps: Mapping[int, np.ndarray], scale: Scale | None, label: str
) -> Strip:
    """Maps of one kind in a row, each with the name of its picture."""
    painted = tuple(
        Figure(
            findings.measured.names[index],
            colours.data_uri(
                figures.paint_kind(one, scale)
                if scale is None
                else colours.paint(one, scale, width=SMALL)
            ),
            f"{kind.title} norms of {findings.measured.names[index]},"
            f" from {readable(float(one.min()))} to {readable(float(one.max()))}.",
        )
        for index, one in maps.items()
    )
    return Strip(label, painted)
