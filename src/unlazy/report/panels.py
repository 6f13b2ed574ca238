"""What the page's template is given: pictures with their captions and texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from unlazy.data.photos import CREDITS
from unlazy.report import colours, figures
from unlazy.report.colours import Scale
from unlazy.report.figures import Layer
from unlazy.report.findings import Findings
from unlazy.report.kinds import BLOCK, PLACES, Kind
from unlazy.report.meanings import readable

SMALL = 96
"""Least width in pixels of a map in a strip."""
SMALL_PHOTO = 2 * SMALL
"""Longer side in pixels of a photo in a strip."""


@dataclass(frozen=True)
class Figure:
    """A picture with its caption and alternative text; or the reason why there is none."""

    caption: str
    uri: str = ""
    alt: str = ""
    reason: str = ""
    photo: bool = False


@dataclass(frozen=True)
class Strip:
    """Figures of one model in a row; or a note why there are none."""

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
    """One picture with the maps of every model, and whom it is owed to."""

    name: str
    strips: tuple[Strip, ...]
    credit: str = ""


def legend(kind: Kind, scale: Scale | None, *, relative: bool) -> Legend:
    """The colour bar of a kind of map, its ends in numbers; ``relative``: of a comparison."""
    if scale is None:
        return Legend(kind.title, kind.meaning)
    unit = f" x {kind.unit}" if kind.unit and (relative or kind.unit != "median") else ""
    more = " or more" if scale.capped else ""
    bar = colours.data_uri(colours.bar(scale))
    return Legend(
        kind.title, kind.meaning, bar, readable(scale.low), f"{readable(scale.high)}{unit}{more}"
    )


def legends(layers: Sequence[Layer]) -> tuple[Legend, ...]:
    """One a kind of map."""
    return tuple(legend(layer.kind, layer.scale, relative=len(layer.maps) > 1) for layer in layers)


def shown(several: Sequence[Findings], layers: Sequence[Layer]) -> tuple[Shown, ...]:
    """For each shown picture of the first model: photo and maps, model by model."""
    found = []
    for index in several[0].shown:
        name = several[0].measured.names[index]
        strips = []
        for turn, each in enumerate(several):
            maps = (_map(each, layer, layer.maps[turn].get(index), name) for layer in layers)
            strips.append(Strip(each.label, (_photo(each, index, name), *maps)))
        found.append(Shown(name, tuple(strips), credit(several[0], name)))
    return tuple(found)


def credit(findings: Findings, name: str) -> str:
    """Photographer, origin and licence of a photograph of ``data:photos``; empty for others."""
    bundled = "data:photos" in str(findings.record.data.get("source", "")).split()
    return CREDITS.get(name, "") if bundled else ""


def _photo(findings: Findings, index: int, name: str) -> Figure:
    pixels = _pixels(findings, index)
    if pixels is None:
        return Figure("Photo", reason="This photo was not kept.", photo=True)
    _, height, width = pixels.shape
    caption = f"Photo, {width}\u00a0x\u00a0{height}"
    alt = f"The photo {name} as the model sees it."
    return Figure(caption, colours.data_uri(colours.photo(pixels)), alt, photo=True)


def _small_photo(findings: Findings, index: int, caption: str) -> Figure:
    """A photo in a strip, to tell what its maps are of."""
    pixels = _pixels(findings, index)
    if pixels is None:
        return Figure(caption, reason="Not kept.", photo=True)
    uri = colours.data_uri(colours.photo(pixels, longest=SMALL_PHOTO))
    return Figure(caption, uri, f"The photo {findings.measured.names[index]}, small.", photo=True)


def _pixels(findings: Findings, index: int) -> np.ndarray | None:
    seen = findings.measured.seen.get("pictures")
    return None if seen is None else seen.kept.get("pixels", {}).get(index)


def _map(findings: Findings, layer: Layer, one: np.ndarray | None, name: str) -> Figure:
    title = layer.kind.title
    if one is None:
        return Figure(title, reason=_why_not(findings, layer.kind.measure))
    rows, columns = one.shape[:2]
    alt = f"{title} of {name}, {columns} by {rows} patches"
    if layer.scale is not None:
        alt += f", {_range(one)}"
    return Figure(title, colours.data_uri(layer.paint(one)), f"{alt}.")


def block_strips(several: Sequence[Findings]) -> tuple[Legend, tuple[Shown, ...]] | None:
    """Norm maps after every block, of every shown picture and model, on one scale."""
    shown = several[0].shown
    maps = [{index: figures.block_maps(each, index) for index in shown} for each in several]
    every = [one for theirs in maps for strip in theirs.values() for one in strip]
    if not every:
        return None
    scale = Scale.over(every, colours=BLOCK.colours, zero=BLOCK.zero)
    found = []
    for index in shown:
        name = several[0].measured.names[index]
        strips = tuple(
            _block_strip(each, index, theirs[index], scale)
            for each, theirs in zip(several, maps, strict=True)
        )
        found.append(Shown(name, strips))
    return legend(BLOCK, scale, relative=True), tuple(found)


def _block_strip(findings: Findings, index: int, maps: Sequence[np.ndarray], scale: Scale) -> Strip:
    """The photo, and its map after each block."""
    if not maps:
        return Strip(findings.label, (), _why_not(findings, "blocks"))
    name = findings.measured.names[index]
    painted = (
        Figure(
            f"block {layer}",
            colours.data_uri(colours.paint(one, scale, width=SMALL)),
            f"Norms of {name} after block {layer}; maximum {one.max():.3g} x median.",
        )
        for layer, one in enumerate(maps)
    )
    return Strip(findings.label, (_small_photo(findings, index, "Photo"), *painted))


def outlier_strips(several: Sequence[Findings]) -> tuple[Legend, tuple[Strip, ...]] | None:
    """Where high norms sit, over all pictures; a cut-off that no patch exceeds says so in words."""
    maps = [figures.outlier_maps(each) for each in several]
    if not any(maps):
        return None
    every = [one for theirs in maps for one in theirs.values() if one.any()]
    scale = Scale.over(every, colours=PLACES.colours, zero=PLACES.zero) if every else None
    strips = []
    for each, theirs in zip(several, maps, strict=True):
        painted = tuple(
            Figure(
                rule,
                colours.data_uri(colours.paint(one, scale)),
                f"Share of pictures with a high-norm patch at each place ({rule});"
                f" at most {one.max():.3g}.",
            )
            if scale is not None and one.any()
            else Figure(rule, reason="There are none: no patch of any picture is that high.")
            for rule, one in theirs.items()
        )
        note = figures.missing(each, "norms") or "Photos have different grids: no common places."
        strips.append(Strip(each.label, painted, "" if painted else note))
    return legend(PLACES, scale, relative=False), tuple(strips)


def qkv_strips(several: Sequence[Findings], layers: Sequence[Layer]) -> tuple[Strip, ...]:
    """Query, key and value maps of the shown pictures: a row of photos, then a row a map."""
    names = several[0].measured.names
    photos = (_small_photo(several[0], i, PurePath(names[i]).name) for i in several[0].shown)
    found = [Strip("Photo", tuple(photos))] if layers else []
    for turn, each in enumerate(several):
        reason = figures.missing(each, "qkv")
        if reason:
            found.append(Strip(each.label, (), reason))
            continue
        for layer in layers:
            title = layer.kind.title
            label = f"{each.label}: {title.lower()}" if len(several) > 1 else title
            names = each.measured.names
            painted = tuple(
                Figure(
                    PurePath(names[index]).name,  # several would begin with the same folders
                    colours.data_uri(layer.paint(one, width=SMALL)),
                    f"{title} norms of {names[index]}, {_range(one)}.",
                )
                for index, one in layer.maps[turn].items()
            )
            found.append(Strip(label, painted))
    return tuple(found)


def _why_not(findings: Findings, measure: str) -> str:
    return figures.missing(findings, measure) or "Not kept for this photo."


def _range(one: np.ndarray) -> str:
    return f"from {readable(float(one.min()))} to {readable(float(one.max()))}"
