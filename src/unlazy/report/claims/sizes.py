"""The plots of claim 2: largest norms over size, and over families."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unlazy.report import plots
from unlazy.report.claims.answer import Thresholds
from unlazy.report.claims.evidence import Evidence
from unlazy.report.claims.families import family
from unlazy.report.claims.single import presence
from unlazy.report.plots import Dot
from unlazy.report.sentences import estimate


@dataclass(frozen=True)
class Sizes:
    """Two plots as SVG, and what their letters mean: (letter, family)."""

    size: str
    families: str
    letters: tuple[tuple[str, str], ...]


def sizes(everyone: Sequence[Evidence], thresholds: Thresholds) -> Sizes | None:
    """Largest norm over the median against parameters and families; None where none was measured.

    Random weights, and models with registers, are families apart.
    """
    groups: dict[str, list[Dot]] = {}
    for each in sorted(everyone, key=lambda one: one.parameters):
        found = estimate(each.values, "norms", "max_over_median_per_image")
        if found is not None:
            high = presence(each.values, thresholds) == "group"
            groups.setdefault(_name(each), []).append(Dot(each.parameters / 1e6, found, high))
    if not groups:
        return None
    letters = {name: chr(ord("A") + place % 26) for place, name in enumerate(groups)}
    drawn = {letters[name]: dots for name, dots in groups.items()}
    up = "largest norm over the median"
    line = thresholds.large / 1e6
    return Sizes(
        plots.dots(drawn, name="sizes", up=up, across="parameters (millions)", line=line),
        plots.dots(drawn, name="families", up=up, across="family"),
        tuple((letter, name) for name, letter in letters.items()),
    )


def _name(one: Evidence) -> str:
    added = " with registers" if one.facts.num_registers else ""
    return family(one.facts.name) + added + (", random weights" if one.control else "")
