"""Coarse segmentation: a map of patches, thresholded, for comparison with a picture's masks."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float
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

    For the attention of several heads fold these into B; the protocols take the best one.
    All-equal scores have no foreground but under ``mass`` and ``entries``.

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
