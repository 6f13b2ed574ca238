"""Plots as SVG text that takes its colours and its font from the page around it."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from jaxtyping import Float

from unlazy.benchmarks.sheet import Curve
from unlazy.ledger import Estimate

SIZE = (4.3, 2.75)  # inches; small, so that text stays readable where the page is narrow
VARIABLES = {
    "#010203": "var(--ink)",
    "#010204": "var(--muted)",
    "#010205": "var(--line)",
    "#010206": "var(--accent)",
    "#010207": "var(--alarm)",
}
"""Colours that no plot uses otherwise, and the variables of the page that replace them."""
INK, MUTED, LINE, ACCENT, ALARM = VARIABLES
BINS = 80
SIMILARITY_BINS = 48


def norm_histogram(
    norms: Float[np.ndarray, " n"],
    cutoffs: Mapping[str, float],
    *,
    name: str,
    label: str = "norm before the last normalisation",
    limits: tuple[float, float] | None = None,
) -> str:
    """How many patches have which norm, on a logarithmic count, with named cut-offs.

    Args:
        norms: of all patches of all pictures.
        cutoffs: name -> norm; those beyond the axis are left out.
        name: distinct on a page.
        label: of the axis.
        limits: of the axis; by default the range of ``norms``.
    """
    low, high = limits or (float(norms.min()), float(norms.max()))
    pad = 0.04 * (high - low) or 0.5
    edges = np.histogram_bin_edges(norms, BINS, range=(low, high))
    figure, axes = _canvas()
    axes.hist(norms, bins=edges, color=ACCENT, linewidth=0)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.6)  # one patch is a visible bar
    axes.set_xlim(low - pad, high + pad)
    shown = sorted((value, key) for key, value in cutoffs.items() if low <= value <= high + pad)
    for turn, (value, key) in enumerate(shown):
        axes.axvline(value, color=ALARM if key != "median" else MUTED, linewidth=1, linestyle="--")
        anchor = "right" if value > low + 0.6 * (high - low) else "left"
        axes.annotate(
            f" {key} {value:.4g} ",
            (value, 1),
            xytext=(0, 4 + 12 * (len(shown) - 1 - turn)),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            horizontalalignment=anchor,
            color=INK,
            fontsize=9,
        )
    axes.set_xlabel(label)
    axes.set_ylabel("patches")
    figure.subplots_adjust(top=0.97 - 0.062 * max(1, len(shown)))
    return _svg(figure, name)


def block_lines(quantiles: Float[np.ndarray, "n depth 3"], *, name: str) -> str:
    """Median, 98th percentile and maximum of the norms after each block, mean over pictures."""
    middle = quantiles.mean(axis=0)  # (depth, 3)
    layers = np.arange(len(middle))
    figure, axes = _canvas()
    lines = (("median", MUTED, "-"), ("98th percentile", ACCENT, "-"), ("maximum", ALARM, "-"))
    for column, (label, colour, style) in enumerate(lines):
        marker = "o" if len(layers) < 30 else ""
        axes.plot(
            layers, middle[:, column], style, marker=marker, markersize=3, color=colour, label=label
        )
    if middle.min() > 0 and middle.max() / middle.min() > 20:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("block (counted from 0)")
    axes.set_ylabel("norm")
    _legend(axes)
    return _svg(figure, name)


def similarity_densities(
    similarity: Float[np.ndarray, " n"],
    high: np.ndarray,
    *,
    name: str,
    limits: tuple[float, float] | None = None,
) -> str:
    """Similarity to the four neighbours: patches in ``high`` (n,) bool against the rest."""
    edges = np.histogram_bin_edges(similarity, SIMILARITY_BINS, range=limits)
    figure, axes = _canvas()
    for chosen, label, colour in ((~high, "the rest", MUTED), (high, "top 2 % by norm", ALARM)):
        if chosen.any():
            counts, _ = np.histogram(similarity[chosen], edges)
            share = counts / counts.sum() / np.diff(edges)
            axes.stairs(share, edges, fill=True, color=colour, alpha=0.22, linewidth=0)
            axes.stairs(share, edges, color=colour, linewidth=1.4, label=label)
    axes.set_xlabel("mean cosine to the four neighbours")
    axes.set_ylabel("density")
    _legend(axes)
    return _svg(figure, name)


def lines(curve: Curve, *, name: str) -> str:
    """Any curve: its lines with their labels above; after five, styles come again."""
    figure, axes = _canvas()
    styles = cycle(((ACCENT, "-"), (ALARM, "-"), (MUTED, "-"), (INK, "--"), (ACCENT, ":")))
    for label, points in curve.lines:
        colour, style = next(styles)
        across, up = zip(*points, strict=True)
        axes.plot(across, up, style, color=colour, label=label, marker="o", markersize=3)
    axes.set_xlabel(curve.across)
    axes.set_ylabel(curve.up)
    _legend(axes)
    return _svg(figure, name)


def titled(curves: Sequence[Curve], *, name: str) -> list[tuple[str, str]]:
    """(title, SVG) of each curve; ``name`` is distinct on a page."""
    return [(each.title, lines(each, name=f"{name}-{turn}")) for turn, each in enumerate(curves)]


@dataclass(frozen=True)
class Dot:
    """A model: where it stands, its value, and whether it is marked by a star."""

    across: float
    found: Estimate
    star: bool


def dots(
    groups: Mapping[str, Sequence[Dot]],
    *,
    name: str,
    up: str,
    across: str,
    line: float | None = None,
) -> str:
    """Values with their intervals, a line through each group; the letter of a group at its end.

    With ``line``, over size on a logarithmic axis, on which ``line`` is marked; without, a column
    a group.
    """
    figure, axes = _canvas()
    for place, (letter, found) in enumerate(groups.items()):
        spread = np.linspace(-0.2, 0.2, len(found)) if len(found) > 1 else np.zeros(1)
        at = [
            each.across if line else place + shift
            for each, shift in zip(found, spread, strict=True)
        ]
        values = [each.found.value for each in found]
        axes.plot(at, values, color=MUTED, linewidth=1)
        for where, each in zip(at, found, strict=True):
            low, high = each.found.low, each.found.high
            if low is not None and high is not None:
                axes.vlines(where, low, high, color=MUTED, linewidth=1)
            style, colour = ("*", ALARM) if each.star else ("o", ACCENT)
            axes.plot(
                where, each.found.value, style, color=colour, markersize=9 if each.star else 5
            )
        if line:
            axes.annotate(
                letter,
                (at[-1], values[-1]),
                xytext=(6, 3),
                textcoords="offset points",
                color=INK,
                fontsize=9,
            )
    if line:
        axes.set_xscale("log")
        axes.axvline(line, color=LINE, linewidth=1, linestyle="--")
    else:
        axes.set_xticks(range(len(groups)), list(groups))
        axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    return _svg(figure, name)


def _canvas() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.15, right=0.98, bottom=0.19, top=0.89)
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(LINE)
    axes.tick_params(which="both", color=LINE, labelcolor=MUTED, labelsize=9)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.xaxis.label.set_fontsize(9.5)
    axes.yaxis.label.set_fontsize(9.5)
    return figure, axes


def _legend(axes: Any) -> None:
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, labelcolor=INK, fontsize=9
    )


def _svg(figure: Any, name: str) -> str:
    """SVG text to put into a page: no prolog, ids of its own, colours of the page."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    content = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(content, metadata={"Date": None})
    text = content.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r" font-family: [^;\"]*;", "", text)
    text = re.sub(r'\b(width|height)="[\d.]+pt" ', "", text, count=2)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    return text
