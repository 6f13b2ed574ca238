"""Norms of queries, keys and values of one block, as maps and for high-norm patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlazy.ledger import Batch, Observation, Seen
from unlazy.scores import median, quantile
from unlazy.tokens import Site, Trace, block, key, norm_of, query, value


@dataclass(frozen=True)
class QKVNorms:
    """L2 norms of query, key and value over the full width, biases included.

    Rows: ``query``, ``key``, ``value`` (H, W); ``norm`` the patch norm. ``*_high_over_rest``
    divides the median at patches above the 98th percentile of the norm by the median elsewhere.

    Source: *Do All Vision Transformers Need Registers?*, appendix on query, key and value maps.
    """

    layer: int = -1
    name: str = "qkv"
    extremes: ClassVar[frozenset[str]] = frozenset(
        f"{part}_max_over_median" for part in ("query", "key", "value")
    )

    @property
    def reads(self) -> frozenset[Site]:
        parts = (query(self.layer), key(self.layer), value(self.layer), block(-1))
        return frozenset(norm_of(part) for part in parts)

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        parts = {"query": query(self.layer), "key": key(self.layer), "value": value(self.layer)}
        found = {name: trace[norm_of(site)].map()[..., 0] for name, site in parts.items()}
        return found | {"norm": trace[norm_of(block(-1))].map()[..., 0]}

    def conclude(self, seen: Seen) -> dict[str, float]:
        norm = seen.flat("norm")
        high = norm > quantile(norm, 0.98)
        rest = ~high
        found = {}
        for part in ("query", "key", "value"):
            flat = seen.flat(part)
            middle = median(flat)
            found[f"{part}_median"] = middle
            found[f"{part}_max_over_median"] = float(flat.max() / max(middle, 1e-12))
            if flat.shape == norm.shape and high.any():
                found[f"{part}_high_over_rest"] = median(flat[high]) / max(
                    median(flat[rest]), 1e-12
                )
        return found
