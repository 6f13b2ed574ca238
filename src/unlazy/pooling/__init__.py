"""Pooling: from the patch tokens (and CLS) of an image to its vector."""

from unlazy.pooling.lazystrike import (
    Kernel,
    LazyStrike,
    Reading,
    kept,
    lazy_strike,
    lazy_strike_scores,
    low_pass,
    votes,
)
from unlazy.pooling.pools import (
    AttentionPool,
    MaxPool,
    MeanPool,
    PoolName,
    SimPool,
    build_pool,
)

__all__ = [
    "AttentionPool",
    "Kernel",
    "LazyStrike",
    "MaxPool",
    "MeanPool",
    "PoolName",
    "Reading",
    "SimPool",
    "build_pool",
    "kept",
    "lazy_strike",
    "lazy_strike_scores",
    "low_pass",
    "votes",
]
