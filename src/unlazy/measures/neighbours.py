"""Are high-norm patches redundant? Cosine similarity to neighbours after patch embedding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F

from unlazy.finite import check_finite, patch_norms
from unlazy.ledger import Batch, Observation, Seen
from unlazy.metrics import ranking_auc
from unlazy.scores import neighbour_similarity, quantile
from unlazy.tokens import EMBED, Site, Trace, block, norm_of

UNIFORM = 0.1  # share of all patches that count as most uniform


@dataclass(frozen=True)
class Neighbours:
    """Similarity of a patch embedding to its four neighbours, high-norm patches against the rest.

    High-norm means above the 98th percentile over all tokens. Where the last grid is coarser
    than the first, similarities are averaged over each final token's footprint. Positions are
    not yet added; border patches average over the neighbours that exist.

    Source: *Do All Vision Transformers Need Registers?*, claim on redundancy.
    """

    name: str = "neighbours"

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({EMBED, norm_of(block(-1))})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        similarity = neighbour_similarity(trace[EMBED].map())
        check_finite(similarity, batch.names, "patches", where="after the patch embedding")
        grid = trace[norm_of(block(-1))].grid
        norm = patch_norms(trace, batch).unflatten(1, grid)
        if similarity.shape != norm.shape:
            similarity = F.adaptive_avg_pool2d(similarity[:, None], grid)[:, 0]
        return {"similarity": similarity, "norm": norm}

    def conclude(self, seen: Seen) -> dict[str, float]:
        similarity, norm = seen.flat("similarity"), seen.flat("norm")
        high = norm > quantile(norm, 0.98)
        found = {"mean": float(similarity.mean())}
        if high.any():
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
