"""Are high-norm patches redundant? Cosine similarity to neighbours after patch embedding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unlazy.finite import check_finite, patch_norms
from unlazy.ledger import Batch, Observation, Seen
from unlazy.metrics import ranking_auc
from unlazy.scores import neighbour_similarity, quantile
from unlazy.tokens import EMBED, Site, Trace, block, norm_of

UNIFORM = 0.1  # share of all patches that count as most uniform


@dataclass(frozen=True)
class Neighbours:
    """Similarity of a patch embedding to its four neighbours, high-norm patches against the rest.

    High-norm means above the 98th percentile over all tokens. Positions are not yet added.

    Source: *Do All Vision Transformers Need Registers?*, claim on redundancy, which says nothing of
    borders and of grids that become coarser.

    Attributes:
        neighbours: ``mean``: patches at the border average over the neighbours that exist;
            ``interior``: only patches that have all four take part.
        mapping: where the last grid is coarser than the first, a final token has the ``mean`` over
            its footprint, or what the patch ``nearest`` to its middle has.
    """

    neighbours: Literal["mean", "interior"] = "mean"
    mapping: Literal["mean", "nearest"] = "mean"
    name: str = "neighbours"

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({EMBED, norm_of(block(-1))})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        similarity = neighbour_similarity(trace[EMBED].map())
        check_finite(similarity, batch.names, "patches", where="after the patch embedding")
        grid = trace[norm_of(block(-1))].grid
        norm = patch_norms(trace, batch).unflatten(1, grid)
        if self.neighbours == "interior":
            inside = torch.zeros_like(similarity, dtype=torch.bool)
            inside[:, 1:-1, 1:-1] = True
            similarity = similarity.masked_fill(~inside, torch.nan)
        if similarity.shape != norm.shape:
            similarity = self._mapped(similarity, grid)
        return {"similarity": similarity, "norm": norm}

    def _mapped(
        self, similarity: Float[Tensor, "B H W"], grid: tuple[int, int]
    ) -> Float[Tensor, "B h w"]:
        """What each final token has; NaN where no patch of its takes part."""
        one = similarity[:, None]
        if self.mapping == "nearest":
            return F.interpolate(one, grid, mode="nearest-exact")[:, 0]
        if self.neighbours == "mean":
            return F.adaptive_avg_pool2d(one, grid)[:, 0]
        total, count = (
            F.adaptive_avg_pool2d(each, grid) for each in (one.nan_to_num(), (~one.isnan()).float())
        )
        return (total / count)[:, 0]

    def patches(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """Similarity of the patches that take part, (n,), and whether their norm is high, (n,)."""
        similarity, norm = seen.flat("similarity"), seen.flat("norm")
        high = norm > quantile(norm, 0.98)
        if self.neighbours == "mean":
            return similarity, high
        inside = ~np.isnan(similarity)
        return similarity[inside], high[inside]

    def conclude(self, seen: Seen) -> dict[str, float]:
        similarity, high = self.patches(seen)
        found = {"mean": float(similarity.mean())} if similarity.size else {}
        if high.any() and not high.all():
            dense = most(similarity, UNIFORM)
            above, rest = similarity[high].mean(), similarity[~high].mean()
            found |= {
                "high_norm": float(above),
                "rest": float(rest),
                "difference": float(above - rest),
                "auc": ranking_auc(similarity, high),
            }
            if dense[~high].any():
                found["redundant_ratio"] = float(dense[high].mean() / dense[~high].mean())
        return found


def most(values: np.ndarray, share: float) -> np.ndarray:
    """How far each value is among the highest ``share``, in [0, 1]; equal ones at the border alike.

    >>> most(np.array([3.0, 1.0, 1.0, 0.0]), 0.5).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    wanted = share * values.size
    place = values.size - math.ceil(wanted)
    border = np.partition(values, place)[place]
    above, tied = values > border, values == border
    return above + tied * (wanted - above.sum()) / tied.sum()
