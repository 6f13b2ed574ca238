"""What all methods ask of their input before they work."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def flat_valid(
    features: Float[Tensor, "B H W *D"], valid: Bool[Tensor, "B H W"] | None, name: str
) -> Bool[Tensor, "B N"]:
    """The valid patches in reading order.

    Raises:
        ValueError: a picture has no valid patch, or a value there that is not finite.
    """
    if features.shape[1] * features.shape[2] == 0:
        raise ValueError(f"{name} of shape {tuple(features.shape)}; a grid has at least one patch")
    total = features.flatten(3).sum(-1) if features.ndim > 3 else features  # keeps NaN and inf
    if valid is None:
        valid = torch.ones_like(total, dtype=torch.bool)
    if valid.shape != features.shape[:3]:
        raise ValueError(
            f"valid of shape {tuple(valid.shape)} for {name} {tuple(features.shape)}; use (B, H, W)"
        )
    empty = ~valid.flatten(1).any(1)
    if empty.any():
        raise ValueError(
            f"no valid patch in pictures {_listed(empty)} of the batch; leave them out"
        )
    broken = (valid & ~torch.isfinite(total)).flatten(1).any(1)
    if broken.any():
        raise ValueError(
            f"{name} of pictures {_listed(broken)} of the batch hold NaN or infinity;"
            " leave them out, or run the model in float32"
        )
    return valid.flatten(1)


def flat_keys(
    keys: Float[Tensor, "B H W D"], valid: Bool[Tensor, "B H W"] | None
) -> tuple[Float[Tensor, "B N D"], Bool[Tensor, "B N"]]:
    """Keys in reading order in at least float32, zero where not valid, and what is valid."""
    on = flat_valid(keys, valid, "keys")
    flat = keys.flatten(1, 2).to(torch.promote_types(keys.dtype, torch.float32))
    return (flat if valid is None else flat.masked_fill(~on[..., None], 0)), on


def _listed(which: Bool[Tensor, " B"]) -> str:
    return str(which.nonzero().flatten().tolist())
