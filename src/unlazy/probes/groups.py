"""Tokens in groups by their norm, and means over the tokens of a group.

Shape legend: B pictures, N tokens, K groups, S seeds. A picture's rows are sums over its tokens of
a group, so that a mean over tokens of many pictures, and its interval over pictures, need no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unlazy.ledger import Seen

GROUPS = ("normal", "outlier")
HIGH = 0.98
"""Tokens whose norm is above that of this share of all tokens are outliers.
Source: *Do All Vision Transformers Need Registers?*, 3.3. It labels 2 % of ANY model's tokens."""


def by_norm(norms: Float[Tensor, "B N"], least: float) -> Bool[Tensor, "2 B N"]:
    """Which tokens are normal, and which are outliers, that is, have at least this norm.

    >>> by_norm(torch.tensor([[1.0, 5.0]]), 5.0).tolist()
    [[[True, False]], [[False, True]]]
    """
    high = norms >= least
    return torch.stack([~high, high])


def sums(
    values: Float[Tensor, "*any B N"], groups: Bool[Tensor, "K B N"]
) -> Float[Tensor, "B *any K"]:
    """Of each picture, the sum of a value over the tokens of each group.

    >>> groups = torch.tensor([[[True, False]], [[True, True]]])
    >>> sums(torch.tensor([[3.0, 4.0]]), groups).tolist()
    [[3.0, 7.0]]
    """
    return torch.einsum("...bn,kbn->b...k", values.double(), groups.double()).float()


def means(seen: Seen, key: str, groups: Sequence[str]) -> dict[str, np.ndarray]:
    """Group -> the mean of a value over all its tokens, (S,) or (); a group without any is absent.

    Args:
        seen: with rows ``key`` (S, K) or (K,), and ``count`` (K,).
        key: of the value.
        groups: names of the K groups.
    """
    count = seen.stack("count").sum(axis=0, dtype=np.float64)
    total = seen.stack(key).sum(axis=0, dtype=np.float64)
    return {
        group: np.asarray(total[..., place] / count[place])
        for place, group in enumerate(groups)
        if count[place]
    }


def over_seeds(name: str, found: Mapping[str, np.ndarray]) -> dict[str, float]:
    """``name_GROUP``: mean over seeds; with several, ``seed_sd_name_GROUP``: how far they differ.

    >>> over_seeds("top1", {"normal": np.array([0.5, 0.7])})["top1_normal"]
    0.6
    """
    numbers = {f"{name}_{group}": float(np.mean(each)) for group, each in found.items()}
    for group, each in found.items():
        if np.size(each) > 1:
            numbers[f"seed_sd_{name}_{group}"] = float(np.std(each, ddof=1))
    return numbers


def difference(name: str, found: Mapping[str, np.ndarray]) -> dict[str, float]:
    """``name_outlier_minus_normal``, where there are both."""
    if not all(group in found for group in GROUPS):
        return {}
    apart = float(np.mean(found["outlier"]) - np.mean(found["normal"]))
    return {f"{name}_outlier_minus_normal": apart}
