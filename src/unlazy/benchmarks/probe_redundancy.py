"""Redundancy: do high-norm tokens sit where neighbouring patches look alike? Nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.paper_b import LIKELIER_IN_REDUNDANT
from unlazy.benchmarks.probe import Learned, Steps
from unlazy.benchmarks.probe_settings import cannot_tell
from unlazy.benchmarks.sheet import Curve, Sheet
from unlazy.ledger import Estimate, Measure
from unlazy.measure import Measured
from unlazy.measures.neighbours import Neighbours
from unlazy.probes.task import Lesson

BINS = 40


@dataclass(frozen=True)
class Redundancy(Steps):
    """Likeness of patches to their neighbours after patch embedding: outliers against the rest.

    The headline is how many times more often outliers lie in the most uniform tenth of all patches.

    Source: *Do All Vision Transformers Need Registers?* (B), claim 3 and Figure 3.

    Attributes:
        neighbours: ``mean`` over those that exist; ``interior``: only patches that have all four.
        mapping: of the first patches to coarser final tokens: ``mean`` of those that a token
            covers, or the one ``nearest`` to its middle.
    """

    neighbours: Literal["mean", "interior"] = "mean"
    mapping: Literal["mean", "nearest"] = "mean"
    name: ClassVar[str] = "redundancy"
    version: ClassVar[int] = 2
    needs: ClassVar[frozenset[Need]] = frozenset()
    by_norm: ClassVar[bool] = False
    headline: ClassVar[Headline] = Headline(
        "neighbours",
        "redundant_ratio",
        others=(("AUC of likeness", "auc"), ("difference of likeness", "difference")),
        scale=1.0,
    )
    published: ClassVar[tuple[Published, ...]] = tuple(
        Published(model, value, "B, Claim 3", "about; what counts as uniform is not stated")
        for model, value in LIKELIER_IN_REDUNDANT.items()
    )

    @property
    def lesson(self) -> Lesson:
        """Not used."""
        return Lesson(None, 1, 0)

    @property
    def _measure(self) -> Neighbours:
        return Neighbours(self.neighbours, self.mapping)

    def judges(self, inputs: Inputs, learned: Learned) -> Sequence[Measure]:
        """The measure of that name."""
        return [self._measure]

    def remarks(
        self, measures: Sequence[Any], values: Mapping[str, Mapping[str, Estimate]]
    ) -> tuple[str, ...]:
        """What cannot be told."""
        return tuple(cannot_tell(values, "neighbours", "difference"))

    def sheet(self, inputs: Inputs, measured: Measured) -> Sheet:
        """How likeness is distributed over outliers, and over the rest."""
        similarity, high = self._measure.patches(measured.seen["neighbours"])
        edges = np.histogram_bin_edges(similarity, BINS)
        lines = []
        for label, chosen in (("outliers", high), ("the rest", ~high)):
            if chosen.any():
                density, _ = np.histogram(similarity[chosen], edges, density=True)
                middle = (edges[1:] + edges[:-1]) / 2
                points = tuple(zip(middle.tolist(), density.tolist(), strict=True))
                lines.append((label, points))
        title, across = "Likeness to neighbours", "mean cosine to the four neighbours"
        return Sheet(curves=(Curve(title, across, "density", tuple(lines)),))
