"""Coarse segmentation: a map of patches, thresholded, against a picture's masks."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unlazy.discovery.batch import flat_valid
from unlazy.discovery.thresholds import above_mean, top_entries, top_mass, unit_range

Rule = Literal["mass", "unit_mass", "entries", "mean_std"]


def coarse_mask(
    scores: Float[Tensor, "B H W"],
    *,
    rule: Rule = "unit_mass",
    share: float = 0.6,
    valid: Bool[Tensor, "B H W"] | None = None,
) -> Bool[Tensor, "B H W"]:
    """The foreground of a map.

    - ``unit_mass``: scores scaled to [0, 1] within the picture, then as ``mass``; for scores that
      may be negative, as cosines. Ours, for Table 6 of *Vision Transformers Need More Than
      Registers*, which leaves the threshold open.
    - ``mass``: the highest values that together hold ``share`` of the sum, as DINO has it for
      attention.
    - ``entries``: the highest ``share`` of the patches, as CRATE has it (appendix B.3).
    - ``mean_std``: more than one standard deviation above the mean.

    For the attention of all heads fold them into B. All-equal scores have no foreground but under
    ``mass`` and ``entries``.

    Raises:
        ValueError: NaN, a picture without a valid patch, negative scores under ``mass``,
            unknown rule.

    >>> import torch
    >>> coarse_mask(torch.tensor([[[-1.0, 3.0, 1.0, 2.0]]])).tolist()
    [[[False, True, False, True]]]
    """
    on = flat_valid(scores, valid, "scores")
    flat = scores.flatten(1)
    if rule == "unit_mass":
        found = top_mass(unit_range(flat, on), on, share=share)
    elif rule == "mass":
        if (on & (flat < 0)).any():
            raise ValueError("negative scores have no mass; use rule='unit_mass'")
        found = top_mass(flat, on, share=share)
    elif rule == "entries":
        found = top_entries(flat, on, share=share)
    elif rule == "mean_std":
        found = above_mean(flat, on)
    else:
        raise ValueError(f"rule={rule!r}; use unit_mass, mass, entries or mean_std")
    return found.view(scores.shape)


def head_overlap(
    masks: Bool[np.ndarray, "A h w"],
    truth: Bool[np.ndarray, "h w"],
    *,
    void: Bool[np.ndarray, "h w"] | None = None,
) -> Float[np.ndarray, " A"]:
    """Intersection over union of each head's mask with the object; the protocol takes the best.

    Void pixels count nowhere. 0 where a head chose nothing; NaN where there is no object either.

    Source: DINO, Table 9 of its appendix: the best of the heads, picture by picture.

    >>> head_overlap(np.array([[[True, True]], [[False, True]]]), np.array([[False, True]])).max()
    np.float64(1.0)
    """
    counted = np.ones_like(truth) if void is None else ~void
    both = (masks & truth & counted).sum(axis=(1, 2))
    either = ((masks | truth) & counted).sum(axis=(1, 2))
    return np.where(either > 0, both / np.maximum(either, 1), np.nan)


def overlap_by_class(
    masks: Bool[np.ndarray, "A h w"],
    classes: Int[np.ndarray, "h w"],
    *,
    background: int = 0,
    void: int = 255,
) -> dict[int, float]:
    """For each class of a picture the overlap of the head that suits it best.

    CRATE takes the mean over a picture's classes, then over pictures, on the grid of patches.

    Source: *White-Box Transformers via Sparse Rate Reduction*, appendix B.3.

    >>> overlap_by_class(np.array([[[True, True]], [[False, True]]]), np.array([[3, 3]]))
    {3: 1.0}
    """
    present = set(np.unique(classes).tolist()) - {background, void}
    unknown = classes == void
    return {
        each: float(head_overlap(masks, classes == each, void=unknown).max())
        for each in sorted(present)
    }
