"""Are high-norm patches redundant? Cosine similarity to neighbours after patch embedding."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F

from unlazy.ledger import Batch, Observation, Seen
from unlazy.metrics import ranking_auc
from unlazy.scores import neighbour_similarity, quantile
from unlazy.tokens import EMBED, Site, Trace, block, norm_of


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
        norm = trace[norm_of(block(-1))].map()[..., 0]
        if similarity.shape != norm.shape:
            similarity = F.adaptive_avg_pool2d(similarity[:, None], trace[norm_of(block(-1))].grid)[
                :, 0
            ]
        return {"similarity": similarity, "norm": norm.float()}

    def conclude(self, seen: Seen) -> dict[str, float]:
        similarity, norm = seen.flat("similarity"), seen.flat("norm")
        high = norm > quantile(norm, 0.98)
        found = {"mean": float(similarity.mean())}
        if high.any():
            dense = similarity > quantile(similarity, 0.9)
            above, rest = similarity[high].mean(), similarity[~high].mean()
            found |= {
                "high_norm": float(above),
                "rest": float(rest),
                "difference": float(above - rest),
                "auc": ranking_auc(similarity, high),
                "redundant_ratio": float(dense[high].mean() / max(dense[~high].mean(), 1e-12)),
            }
        return found
