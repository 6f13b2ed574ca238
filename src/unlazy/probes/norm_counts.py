"""Quantiles of the norms of all patches of a data set: one pass, bounded memory, any split.

Positive float32 numbers are ordered as their bit patterns are. The leading bits of the pattern are
a bin whose width is at most 2^-12 of the norm; counts of bins add up over batches and ranks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from unlazy.finite import patch_norms
from unlazy.ledger import Batch, Observation, Seen, Sum
from unlazy.tokens import Site, Trace, block, norm_of

DROPPED = 11  # bits of the mantissa's 23, so that 2^12 bins are an octave
LEAST, MOST = 2.0**-20, 2.0**20  # norms beyond are counted apart


def _pattern(number: float) -> int:
    """The bin's bits of a float32.

    >>> _pattern(2.0) - _pattern(1.0)
    4096
    """
    return int(np.float32(number).view(np.int32)) >> DROPPED


FIRST, BINS = _pattern(LEAST), _pattern(MOST) - _pattern(LEAST)


@dataclass(frozen=True)
class NormCounts:
    """How many patches have which norm before the last normalisation."""

    name: str = "norm_counts"
    resamples: ClassVar[int] = 0

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({norm_of(block(-1))})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        norms = patch_norms(trace, batch)
        place = (norms.contiguous().view(torch.int32) >> DROPPED).long() - FIRST
        counts = torch.bincount(place.flatten().clamp(-1, BINS) + 1, minlength=BINS + 2)
        return {"counts": Sum(counts)}

    def conclude(self, seen: Seen) -> dict[str, float]:
        return {}


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of counted norms, exact up to a bin.

    Attributes:
        counts: (BINS + 2,), from below ``LEAST`` to ``MOST`` and above.
    """

    counts: np.ndarray

    @classmethod
    def of(cls, seen: Seen) -> Quantiles:
        """What ``NormCounts`` saw."""
        return cls(seen.sums["counts"])

    def above(self, share: float) -> float:
        """The least norm that is above at least ``share`` of all patches, 0 for none of them.

        Where many patches share a bin, fewer than ``1 - share`` may have this norm or a greater
        one; none where all norms are alike.

        Raises:
            ValueError: that norm lies outside of what is counted.
        """
        if share <= 0:
            return 0.0
        wanted = math.ceil(round(share * int(self.counts.sum()), 6))
        place = int(np.searchsorted(np.cumsum(self.counts), wanted))
        if not 1 <= place <= BINS:
            raise ValueError(
                f"norms of patches lie outside of {LEAST:.1g} to {MOST:.1g}, where they are not"
                " told apart; are the weights sound?"
            )
        return float(np.int32((FIRST + place) << DROPPED).view(np.float32))
