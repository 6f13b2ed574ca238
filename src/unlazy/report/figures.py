"""Figures of findings: maps on their shared scales, and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from unlazy.measures.norms import Norms
from unlazy.measures.pca import PCA
from unlazy.report import plots
from unlazy.report.colours import WIDTH, Scale, paint, paint_colours
from unlazy.report.findings import Findings
from unlazy.report.kinds import Kind
from unlazy.scores import Cutoff, cutoff

Limits = tuple[float, float]


@dataclass(frozen=True)
class Layer:
    """Maps of one kind, of several models, on one scale.

    Attributes:
        kind: of the maps.
        maps: a model's as ``maps`` gives them.
        scale: over all maps; None for PCA, whose maps hold colours already.
    """

    kind: Kind
    maps: tuple[dict[int, np.ndarray], ...]
    scale: Scale | None

    def paint(self, one: np.ndarray, *, width: int = WIDTH) -> bytes:
        """One of the maps as PNG, at least ``width`` pixels wide."""
        if self.scale is None:
            return paint_colours(one, width=width)
        return paint(one, self.scale, width=width)


def layers(several: Sequence[Findings], kinds: Sequence[Kind]) -> tuple[Layer, ...]:
    """Of the kinds of which at least one model has a map."""
    found = []
    for kind in kinds:
        theirs = tuple(maps(each, kind, relative=len(several) > 1) for each in several)
        every = [one for mine in theirs for one in mine.values()]
        if every:
            scale = Scale.over(every, colours=kind.colours, zero=kind.zero)
            found.append(Layer(kind, theirs, None if kind.key == "pca" else scale))
    return tuple(found)


def maps(findings: Findings, kind: Kind, *, relative: bool = False) -> dict[int, np.ndarray]:
    """Index -> map (H, W) in the kind's unit, or (H, W, 3) colours for PCA, of the shown pictures.

    Pictures without such a map are left out. ``relative``: for a comparison.
    """
    seen = findings.measured.seen.get(kind.measure)
    if seen is None or not seen.kept.get(kind.row):
        return {}
    kept = seen.kept[kind.row]
    if kind.key == "pca":
        owners = [index for index in seen.order if index in kept]
        measure = cast(PCA, findings.measures["pca"])
        return dict(zip(owners, measure.colours(seen), strict=True))
    median = _median(seen.flat(kind.row)) if relative and kind.unit == "median" else 1.0
    scaled: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "": lambda one: one,
        "median": lambda one: one / median,
        "uniform": lambda one: one * one.size,
        "mean": lambda one: one / max(float(one.mean()), 1e-12),
    }
    return {index: scaled[kind.unit](kept[index]) for index in findings.shown if index in kept}


def missing(findings: Findings, measure: str) -> str:
    """Why a figure cannot be shown; empty if it can.

    A model may lack what the measure reads, or the measure was left out of the run.
    """
    if measure in findings.measured.seen:
        return ""
    streams = findings.facts.streams
    if measure == "attention" and "attention" not in streams:
        return "This model has no attention that could be read."
    if measure == "qkv" and not {"query", "key", "value"} <= streams:
        return "This model has no queries, keys and values that could be read."
    if measure == "patch_score" and "shared" not in streams:
        return "This model gives no patches in the space of its picture vector."
    return "This was not measured in this run."


def block_maps(findings: Findings, index: int) -> list[np.ndarray]:
    """Norm maps of one picture after each block, each over its own median."""
    seen = findings.measured.seen.get("blocks")
    if seen is None:
        return []
    found = []
    for layer in range(findings.facts.depth):
        rows = seen.kept.get(f"map/{layer}", {})
        if index not in rows:
            return []
        found.append(rows[index] / _median(rows[index]))
    return found


def outlier_maps(findings: Findings) -> dict[str, np.ndarray]:
    """Cut-off -> (H, W) share of pictures with a high-norm patch there; empty for mixed grids."""
    seen, measure = findings.measured.seen.get("norms"), findings.measures.get("norms")
    if seen is None or not isinstance(measure, Norms):
        return {}
    rules: dict[str, Cutoff] = {"over three medians": "3median", "top 2 % of all patches": "p98"}
    found = {title: measure.outlier_map(seen, rule) for title, rule in rules.items()}
    return {title: one for title, one in found.items() if one is not None}


def relative_norms(findings: Findings) -> np.ndarray:
    """(n,) norms of all patches over their median; empty if they were not measured."""
    norms = _flat(findings, "norms", "before")
    return norms / _median(norms) if norms.size else norms


def similarities(findings: Findings) -> np.ndarray:
    """(n,) similarity of every patch to its neighbours; empty if it was not measured."""
    return _flat(findings, "neighbours", "similarity")


def common_axis(
    several: Sequence[Findings], values: Callable[[Findings], np.ndarray]
) -> Limits | None:
    """Least and largest value of all models in a comparison; None for a single model."""
    every = [found for each in several if (found := values(each)).size]
    if len(several) < 2 or not every:
        return None
    return min(float(one.min()) for one in every), max(float(one.max()) for one in every)


def histogram(findings: Findings, *, name: str, limits: Limits | None = None) -> str:
    """Norms of all patches; with ``limits``, in multiples of the median on that axis."""
    norms, measure = _flat(findings, "norms", "before"), findings.measures.get("norms")
    if not norms.size or not isinstance(measure, Norms):
        return ""
    median = _median(norms)
    named = {
        "median": median,
        "3 x median": cutoff(norms, "3median"),
        "98th percentile": cutoff(norms, "p98"),
        "fixed cut-off": measure.absolute,
        "maximum": float(norms.max()),
    }
    if limits is None:
        return plots.norm_histogram(norms, named, name=name)
    relative = {key: one / median for key, one in named.items()}
    label = "norm over the model's median"
    return plots.norm_histogram(
        relative_norms(findings), relative, name=name, label=label, limits=limits
    )


def block_plot(findings: Findings, *, name: str) -> str:
    """Median, 98th percentile and maximum of the norms after each block."""
    seen = findings.measured.seen.get("blocks")
    return plots.block_lines(np.stack(seen.rows("quantiles")), name=name) if seen else ""


def neighbour_plot(findings: Findings, *, name: str, limits: Limits | None = None) -> str:
    """Similarity to neighbours of the top 2 % by norm against the rest."""
    similarity = similarities(findings)
    if not similarity.size:
        return ""
    norm = _flat(findings, "neighbours", "norm")
    high = norm > np.quantile(norm, 0.98)
    return plots.similarity_densities(similarity, high, name=name, limits=limits)


def _flat(findings: Findings, measure: str, row: str) -> np.ndarray:
    """(n,) values of all patches in float64, so that no maximum is rounded off its axis."""
    seen = findings.measured.seen.get(measure)
    return np.empty(0) if seen is None else seen.flat(row).astype(np.float64)


def _median(values: np.ndarray) -> float:
    return max(float(np.median(values)), 1e-12)
