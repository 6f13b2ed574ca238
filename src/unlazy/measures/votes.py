"""LazyStrike token votes: which patches a channel-wise pool would pick, as a diagnostic."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from unlazy import pooling
from unlazy.ledger import Batch, Observation, Seen
from unlazy.tokens import FINAL, Site, Trace


@dataclass(frozen=True)
class Votes:
    """In how many channels a patch is among the ``keep`` most stable ones (reading ``released``).

    Rows: ``map`` (H, W), counts that sum to keep * D. Votes look good on untrained networks
    too: read them beside a random-weight row. On a model that was not trained with the pool
    they are a diagnostic, not a repair.

    Source: *Vision Transformers Need More Than Registers*, token-selection figure; the public
    code draws it with keep = 1.

    Attributes:
        keep: tokens picked in each channel, at most the number of patches.
    """

    keep: int = 1
    name: str = "votes"

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({FINAL})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        final = trace[FINAL]
        keep = min(self.keep, final.patches.shape[1])
        votes = pooling.votes(final.patches, keep=keep)
        top = votes.amax(1, keepdim=True)
        share = votes / votes.sum(1, keepdim=True)
        entropy = -torch.special.xlogy(share, share).sum(1) / math.log(max(2, share.shape[1]))
        return {
            "map": votes.unflatten(1, final.grid),
            "top_share": (top[:, 0] / votes.sum(1)).float(),
            "entropy": entropy,
            "over_half": (votes * 2 > top).float().mean(1),
        }

    def conclude(self, seen: Seen) -> dict[str, float]:
        return {
            "entropy": seen.mean("entropy"),
            "top_patch_share": seen.mean("top_share"),
            "patches_over_half_of_top": seen.mean("over_half"),
        }
