"""Where the image vector looks: CLS attention, or the attention received, of one block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from unlazy.ledger import Batch, Observation, Seen
from unlazy.scores import overlap, spearman, top_share
from unlazy.tokens import Site, Tokens, Trace, attention, block, norm_of


@dataclass(frozen=True)
class Attention:
    """Attention to each patch, mean over heads, and its overlap with high-norm patches.

    Rows: ``map`` (H, W) without renormalisation after the prefix tokens are dropped, ``prefix``
    (attention that goes to CLS and registers), ``top_mass`` (part of the patches' attention that
    the highest ``share`` receives), ``top_share`` (how large a part of the patches these are: a
    small grid has no 2 %, but at least one patch counts), ``iou`` and ``rank_correlation`` between
    attention and norm. High-attention and high-norm patches are different things: some models
    have the one without the other.

    Source: *Do All Vision Transformers Need Registers?*, 3.1.

    Attributes:
        share: the part of the patches that counts as high, for both.
    """

    layer: int = -1
    share: float = 0.02
    name: str = "attention"
    extremes: ClassVar[frozenset[str]] = frozenset({"top_share"})

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({attention(self.layer), norm_of(block(self.layer))})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        received = trace[attention(self.layer)]
        weight = received.map().float().mean(-1)  # (B, H, W)
        flat = weight.flatten(1)
        total = flat.sum(1)
        keep = max(1, round(self.share * flat.shape[1]))
        found = {
            "map": weight,
            "prefix": _prefix(received),
            "top_mass": flat.topk(keep, dim=1).values.sum(1) / total.clamp(min=1e-12),
            "top_share": torch.full_like(total, keep / flat.shape[1]),
            "peak_over_median": flat.amax(1) / flat.median(dim=1).values.clamp(min=1e-12),
        }
        norm = trace[norm_of(block(self.layer))]
        if norm.grid == received.grid:
            norms = norm.patches[..., 0]
            found["iou"] = overlap(top_share(flat, self.share), top_share(norms, self.share))
            found["rank_correlation"] = spearman(flat, norms)
        return found

    def conclude(self, seen: Seen) -> dict[str, float]:
        found = {
            "prefix": seen.mean("prefix"),
            "top_mass": seen.mean("top_mass"),
            "top_share": seen.mean("top_share"),
            "max_over_median": seen.mean("peak_over_median"),
        }
        for key in ("iou", "rank_correlation"):
            if key in seen:
                found[f"{key}_with_norm"] = seen.mean(key)
        return found


def _prefix(received: Tokens) -> Float[Tensor, "B"]:
    """Attention to CLS and registers, mean over heads; 1 minus the rest would cancel digits."""
    prefix = received.registers.float().mean(-1).sum(1)
    return prefix if received.cls is None else prefix + received.cls.float().mean(-1)
