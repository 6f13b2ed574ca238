"""Discovery by patch score: one threshold on one map."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unlazy.discovery.batch import flat_valid
from unlazy.discovery.objects import Component, Objects, component_at, largest_component
from unlazy.discovery.thresholds import above_mean


def by_patch_score(
    scores: Float[Tensor, "B H W"],
    *,
    k: float = 1.0,
    ddof: int = 1,
    component: Component = "argmax",
    valid: Bool[Tensor, "B H W"] | None = None,
) -> Objects:
    """The connected patches that score above the picture's mean by ``k`` standard deviations.

    Any score of patches will do; the paper's is the cosine to the image vector. All-equal scores
    have no object. Of equally high patches the first in reading order is the seed.

    Source: *Vision Transformers Need More Than Registers*, section on object discovery. It names
    neither ``ddof`` nor which component; the defaults are ours.

    Raises:
        ValueError: NaN or infinite scores, a picture without a valid patch, unknown component.

    >>> by_patch_score(torch.tensor([[[0.0, 0.0, 0.0, 4.0]]])).box.tolist()
    [[3, 0, 4, 1]]
    """
    on = flat_valid(scores, valid, "scores")
    flat = scores.flatten(1)
    foreground = above_mean(flat, on, k=k, ddof=ddof).view(scores.shape)
    if component == "largest":
        return largest_component(foreground)
    if component != "argmax":
        raise ValueError(f"component={component!r}; use argmax or largest")
    return component_at(foreground, flat.masked_fill(~on, -torch.inf).argmax(1))
