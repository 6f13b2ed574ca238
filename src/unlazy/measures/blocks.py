"""Norms after every block: at which depth do high norms appear?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from unlazy.ledger import Batch, Observation, Seen, Some
from unlazy.tokens import Site, Trace, block, norm_of


@dataclass(frozen=True)
class BlockNorms:
    """Median, 98th percentile and maximum of the patch norms after each block.

    Rows: ``quantiles`` (depth, 3) a picture; for the pictures in ``shown`` also
    ``map/<layer>`` (H, W).

    Source: *Do All Vision Transformers Need Registers?*, appendix on block-wise maps.

    Attributes:
        depth: blocks of the model.
        shown: indices of the pictures whose maps are kept.
    """

    depth: int
    shown: frozenset[int] = frozenset()
    name: str = "blocks"
    extremes: ClassVar[frozenset[str]] = frozenset(
        {"highest_max_over_median", "highest_at_block", "largest_rise_at_block"}
    )

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset(norm_of(block(layer)) for layer in range(self.depth))

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        rows = []
        found: dict = {}
        which = torch.tensor([index in self.shown for index in batch.indices])
        for layer in range(self.depth):
            tokens = trace[norm_of(block(layer))]
            norms = tokens.patches[..., 0].float()
            bounds = torch.tensor([0.5, 0.98, 1.0], device=norms.device)
            rows.append(norms.quantile(bounds, dim=1).T)  # (B, 3)
            if which.any():
                found[f"map/{layer}"] = Some(which, tokens.map()[which.to(norms.device), ..., 0])
        return found | {"quantiles": torch.stack(rows, dim=1)}

    def conclude(self, seen: Seen) -> dict[str, float]:
        ratio = self.ratios(seen)
        steps = np.diff(ratio)
        return {
            "first_block_max_over_median": float(ratio[0]),
            "last_block_max_over_median": float(ratio[-1]),
            "highest_max_over_median": float(ratio.max()),
            "highest_at_block": float(ratio.argmax()),
            "largest_rise_at_block": float(steps.argmax() + 1) if len(steps) else 0.0,
        }

    def ratios(self, seen: Seen) -> np.ndarray:
        """(depth,) maximum over median of the norms, mean over pictures."""
        quantiles = seen.stack("quantiles")
        return (quantiles[:, :, 2] / np.maximum(quantiles[:, :, 0], 1e-12)).mean(axis=0)
