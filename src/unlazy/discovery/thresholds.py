"""Rules that tell foreground from background by one number a patch.

Computed in float64. ``valid`` as in the package.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def above_mean(
    scores: Float[Tensor, "B N"], valid: Bool[Tensor, "B N"], *, k: float = 1.0, ddof: int = 1
) -> Bool[Tensor, "B N"]:
    """Scores above their mean by more than ``k`` standard deviations.

    ``ddof`` 1 divides by N - 1 as torch does by default, 0 by N. All-equal scores, and fewer than
    ``ddof`` + 1 patches, have no foreground for ``k`` >= 0.

    >>> above_mean(torch.tensor([[0.0, 0.0, 0.0, 4.0]]), torch.ones(1, 4).bool()).tolist()
    [[False, False, False, True]]
    """
    known = torch.where(valid, scores.double(), 0)
    count = valid.sum(1, keepdim=True)
    away = torch.where(valid, known - known.sum(1, keepdim=True) / count, 0)
    spread = (away.square().sum(1, keepdim=True) / (count - ddof).clamp(min=1)).sqrt()
    return (away > k * spread) & valid


def top_mass(
    values: Float[Tensor, "B N"], valid: Bool[Tensor, "B N"], *, share: float = 0.6
) -> Bool[Tensor, "B N"]:
    """The highest values that together hold ``share`` of the mass; values must not be negative.

    Values are summed from the lowest up; those at which the sum exceeds 1 - ``share`` stay. Of
    equal ones the later in reading order stay. No mass, no foreground.

    Source: DINO, ``visualize_attention.py``.

    >>> top_mass(torch.tensor([[1.0, 4.0, 2.0, 3.0]]), torch.ones(1, 4).bool()).tolist()
    [[False, True, False, True]]
    """
    known = torch.where(valid, values.double(), 0)
    order = known.argsort(dim=1, stable=True)
    rising = known.gather(1, order)
    total = rising.sum(1, keepdim=True)
    kept = (rising / total.where(total > 0, 1)).cumsum(1) > 1 - share
    return torch.zeros_like(valid).scatter_(1, order, kept) & valid


def top_entries(
    values: Float[Tensor, "B N"], valid: Bool[Tensor, "B N"], *, share: float = 0.6
) -> Bool[Tensor, "B N"]:
    """The highest ``share`` of the valid entries, rounded to whole patches and at least one.

    Ties go to the lower index.

    >>> top_entries(torch.tensor([[1.0, 4.0, 2.0, 3.0]]), torch.ones(1, 4).bool()).tolist()
    [[False, True, False, True]]
    """
    known = torch.where(valid, values.double(), -torch.inf)
    order = known.argsort(dim=1, descending=True, stable=True)
    keep = (share * valid.sum(1, keepdim=True)).round().clamp(min=1)
    kept = torch.arange(values.shape[1], device=values.device) < keep
    return torch.zeros_like(valid).scatter_(1, order, kept) & valid


def unit_range(scores: Float[Tensor, "B N"], valid: Bool[Tensor, "B N"]) -> Float[Tensor, "B N"]:
    """Scores scaled to [0, 1] within each picture, in float64; 0 where all are equal, or padding.

    >>> unit_range(torch.tensor([[-1.0, 3.0, 1.0]]), torch.ones(1, 3).bool()).tolist()
    [[0.0, 1.0, 0.5]]
    """
    known = scores.double()
    low = known.masked_fill(~valid, torch.inf).amin(1, keepdim=True)
    width = known.masked_fill(~valid, -torch.inf).amax(1, keepdim=True) - low
    return torch.where(valid, (known - low) / width.where(width > 0, 1), 0)
