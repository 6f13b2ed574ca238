"""LOST: grow an object from the patch that is like the fewest others."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unlazy.discovery.batch import flat_keys
from unlazy.discovery.objects import Objects, component_at

_ROWS = 128  # of the affinity held at once; the fastest of 64 to 512 on a CPU


def lost(
    keys: Float[Tensor, "B H W D"],
    *,
    potentials: int = 100,
    valid: Bool[Tensor, "B H W"] | None = None,
) -> Objects:
    """The connected patches that correlate with a seed and with those that resemble it.

    With A = K K^T of the keys (not normalised): a patch's degree is the number of others with
    A > 0; the seed has the lowest one; of the ``potentials`` lowest-degree patches those with
    A > 0 to the seed join it; foreground is where their rows of A sum to more than 0; the object
    is the seed's part of it. Equal degrees go by reading order (the public code leaves that open).
    A seed whose key is zero has an empty mask.

    The sum of rows is one product with the sum of keys, so that no affinity is kept.

    Source: Siméoni et al., *Localizing Objects with Self-Supervised Transformers and no Labels*,
    section 3; ``potentials`` is their k.

    Raises:
        ValueError: NaN or infinite keys, a picture without a valid patch, no potentials.

    >>> keys = torch.tensor([[[[1.0, 0.0], [1.0, 0.0], [-1.0, 1.0], [1.0, 0.1]]]])
    >>> lost(keys).box.tolist()
    [[2, 0, 3, 1]]
    """
    if potentials < 1:
        raise ValueError(f"potentials={potentials}; use 1 or more, the paper has 100")
    flat, on = flat_keys(keys, valid)
    count = flat.shape[1]
    place = torch.arange(count, device=flat.device)
    rank = degrees(flat).masked_fill(~on, count) * count + place  # all different: no ties
    lowest = rank.topk(min(potentials, count), dim=1, largest=False).indices  # (B, k), rising
    seed = lowest[:, 0]
    near = flat.gather(1, lowest[..., None].expand(-1, -1, flat.shape[2]))  # (B, k, D)
    alike = (near[:, :1] @ near.mT) > 0  # (B, 1, k)
    expanded = alike.to(near.dtype) @ near  # (B, 1, D)
    mask = (expanded @ flat.mT) > 0  # (B, 1, N)
    return component_at(mask.view(keys.shape[:3]), seed)


def degrees(keys: Float[Tensor, "B N D"]) -> Int[Tensor, "B N"]:
    """How many other patches have a positive product with each patch.

    Half of the symmetric affinity is computed, a few rows at a time.

    >>> degrees(torch.tensor([[[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]])).tolist()
    [[1, 2, 1]]
    """
    found = torch.zeros(keys.shape[:2], dtype=torch.float32, device=keys.device)
    for start in range(0, keys.shape[1], _ROWS):
        rows = keys[:, start : start + _ROWS]
        positive = (rows @ keys[:, start:].mT).gt_(0)  # (B, rows, N - start)
        positive.diagonal(dim1=1, dim2=2).zero_()
        found[:, start : start + _ROWS] += positive.sum(2)
        found[:, start + _ROWS :] += positive[:, :, _ROWS:].sum(1)
    return found.long()  # counts below 2 ** 24 are exact
