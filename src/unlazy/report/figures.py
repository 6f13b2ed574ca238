"""Figures of findings: which maps there are, their shared scales, and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from unlazy.measures.norms import Norms
from unlazy.measures.pca import PCA
from unlazy.report import plots
from unlazy.report.colours import Scale, paint, paint_colours
from unlazy.report.findings import Findings
from unlazy.scores import Cutoff, cutoff


@dataclass(frozen=True)
class Kind:
    """A kind of map: where its rows are, and how it is coloured.

    Attributes:
        key: for file names.
        title: above the map.
        measure, row: where its rows are.
        meaning: one line for the legend.
        colours: of the scale.
        zero: whether the scale starts at 0.
        relative: whether models are compared in multiples of their median.
    """

    key: str
    title: str
    measure: str
    row: str
    meaning: str
    colours: str = "viridis"
    zero: bool = False
    relative: bool = False


NORM = Kind(
    "norm",
    "Norm",
    "norms",
    "before",
    "Length of each patch vector before the last normalisation. Single bright squares on plain"
    " background are what to look for.",
    relative=True,
)
ATTENTION = Kind(
    "attention",
    "Attention",
    "attention",
    "map",
    "How much the picture's vector attends to each patch in the last block, mean over heads.",
    colours="magma",
    zero=True,
)
KINDS = (
    NORM,
    ATTENTION,
    Kind(
        "score",
        "Patch score",
        "patch_score",
        "cosine",
        "Likeness (cosine) of each patch to the vector of the whole picture. It should be high on"
        " the object.",
    ),
    Kind(
        "centred_score",
        "Centred score",
        "patch_score",
        "centred_cosine",
        "The same after subtracting the picture's mean patch, which all patches share.",
    ),
    Kind(
        "votes",
        "Votes",
        "votes",
        "map",
        "In how many channels a patch is the most stable one (LazyStrike). A diagnostic: votes look"
        " good on untrained networks too.",
        colours="magma",
        zero=True,
    ),
    Kind(
        "pca",
        "PCA colours",
        "pca",
        "tokens",
        "Patches with like features have like colours, over all pictures; black is what the first"
        " component takes for background.",
    ),
)
QKV = tuple(
    Kind(part, part.capitalize(), "qkv", part, f"Norm of the {part} vectors.", relative=True)
    for part in ("query", "key", "value")
)


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


def has_maps(findings: Findings, kind: Kind) -> bool:
    """Whether ``maps`` gives any."""
    seen = findings.measured.seen.get(kind.measure)
    return seen is not None and bool(seen.kept.get(kind.row))


def maps(findings: Findings, kind: Kind, *, relative: bool = False) -> dict[int, np.ndarray]:
    """Index -> map (H, W), or (H, W, 3) colours for PCA, of the shown pictures that have one.

    With ``relative``, kinds that say so are divided by the median over all pictures.
    """
    seen = findings.measured.seen.get(kind.measure)
    if seen is None or not has_maps(findings, kind):
        return {}
    if kind.key == "pca":
        owners = [index for index in seen.order if index in seen.kept[kind.row]]
        measure = cast(PCA, findings.measures["pca"])
        return dict(zip(owners, measure.colours(seen), strict=True))
    kept = seen.kept[kind.row]
    unit = max(float(np.median(seen.flat(kind.row))), 1e-12) if relative and kind.relative else 1.0
    return {index: kept[index] / unit for index in findings.shown if index in kept}


def scale(several: Sequence[Findings], kind: Kind) -> Scale | None:
    """The one colour scale over all shown pictures of all models; None without maps or for PCA."""
    if kind.key == "pca":
        return None
    relative = len(several) > 1
    every = [one for each in several for one in maps(each, kind, relative=relative).values()]
    return Scale.over(every, colours=kind.colours, zero=kind.zero) if every else None


def paint_kind(one: np.ndarray, colours: Scale | None) -> bytes:
    """A map of any kind as PNG; without a scale it holds colours already."""
    return paint_colours(one) if colours is None else paint(one, colours)


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
        found.append(rows[index] / max(float(np.median(rows[index])), 1e-12))
    return found


def outlier_maps(findings: Findings) -> dict[str, np.ndarray]:
    """Cut-off -> (H, W) share of pictures with a high-norm patch there; empty for mixed grids."""
    seen, measure = findings.measured.seen.get("norms"), findings.measures.get("norms")
    if seen is None or not isinstance(measure, Norms):
        return {}
    rules: dict[str, Cutoff] = {"over three medians": "3median", "top 2 % of all patches": "p98"}
    found = {title: measure.outlier_map(seen, rule) for title, rule in rules.items()}
    return {title: one for title, one in found.items() if one is not None}


def histogram(findings: Findings, *, name: str, limits: tuple[float, float] | None = None) -> str:
    """Norms of all patches; with ``limits``, in multiples of the median on that axis."""
    seen, measure = findings.measured.seen.get("norms"), findings.measures.get("norms")
    if seen is None or not isinstance(measure, Norms):
        return ""
    norms = seen.flat("before").astype(np.float64)
    median = max(float(np.median(norms)), 1e-12)
    named = {
        "median": median,
        "3 x median": cutoff(norms, "3median"),
        "98th percentile": cutoff(norms, "p98"),
        f"fixed {measure.absolute:g}:": measure.absolute,
        "maximum": float(norms.max()),
    }
    if limits is None:
        return plots.norm_histogram(norms, named, name=name)
    relative = {key: one / median for key, one in named.items()}
    label = "norm over the model's median"
    return plots.norm_histogram(norms / median, relative, name=name, label=label, limits=limits)


def relative_limits(several: Sequence[Findings]) -> tuple[float, float]:
    """Least and largest norm over its model's median."""
    ends = []
    for each in several:
        if "norms" in each.measured.seen:
            norms = each.measured.seen["norms"].flat("before")
            ends.append(np.array([norms.min(), norms.max()]) / max(float(np.median(norms)), 1e-12))
    return (float(np.min(ends)), float(np.max(ends))) if ends else (0.0, 1.0)


def block_plot(findings: Findings, *, name: str) -> str:
    """Median, 98th percentile and maximum of the norms after each block."""
    seen = findings.measured.seen.get("blocks")
    return plots.block_lines(np.stack(seen.rows("quantiles")), name=name) if seen else ""


def neighbour_plot(findings: Findings, *, name: str) -> str:
    """Similarity to neighbours of the top 2 % by norm against the rest."""
    seen = findings.measured.seen.get("neighbours")
    if seen is None:
        return ""
    norm = seen.flat("norm")
    high = norm > np.quantile(norm, 0.98)
    return plots.similarity_densities(seen.flat("similarity"), high, name=name)
