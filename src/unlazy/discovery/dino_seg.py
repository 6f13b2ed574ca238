"""DINO-seg: the CLS attention of one head, thresholded."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unlazy.discovery.batch import flat_valid
from unlazy.discovery.objects import (
    Component,
    Objects,
    component_at,
    label_components,
    largest_component,
    objects,
)
from unlazy.discovery.thresholds import top_mass


def dino_seg(
    attention: Float[Tensor, "B H W A"],
    *,
    head: int = 4,
    share: float = 0.6,
    component: Component = "largest",
    released: bool = False,
    valid: Bool[Tensor, "B H W"] | None = None,
) -> Objects:
    """A connected part of the patches that hold ``share`` of a head's attention.

    ``attention`` is the CLS row of the last block; what CLS pays to other tokens does not count.
    Heads count from 0: LOST's public code takes ``head`` 4, the fifth of ViT-S's six.

    ``released`` repeats a defect of that code: the last component in reading order is never
    chosen; where there is but one, the object is the background, and where there is none, all.

    Source: DINO, section on attention maps; the baseline of LOST (Siméoni et al.).

    Raises:
        ValueError: no such head, NaN, a picture without a valid patch, unknown component.

    >>> row = torch.tensor([[[[0.1], [0.5], [0.4], [0.0]]]])
    >>> dino_seg(row, head=0).box.tolist(), dino_seg(row, head=0, released=True).seed.tolist()
    ([[1, 0, 3, 1]], [0])
    """
    heads = attention.shape[-1]
    if not -heads <= head < heads:
        raise ValueError(f"head={head} of attention with {heads} heads; use 0..{heads - 1}")
    if component not in ("argmax", "largest") or (released and component != "largest"):
        raise ValueError(
            f"component={component!r}; use argmax or largest; the released code has only largest"
        )
    row = attention[..., head]
    on = flat_valid(row, valid, "attention")
    flat = row.flatten(1)
    foreground = top_mass(flat, on, share=share).view(row.shape)
    if released:
        return _released(foreground, on.view(row.shape))
    if component == "largest":
        return largest_component(foreground)
    return component_at(foreground, flat.masked_fill(~on, -torch.inf).argmax(1))


def _released(foreground: Bool[Tensor, "B H W"], valid: Bool[Tensor, "B H W"]) -> Objects:
    """The largest part but for the last one; the background where that leaves none."""
    labels = label_components(foreground)
    last = labels.max(axis=(1, 2), keepdims=True)
    offered = torch.from_numpy((labels > 0) & (labels < last))
    found = largest_component(offered)
    background = valid.cpu() & ~foreground.cpu()
    none = ~offered.flatten(1).any(1)
    mask = torch.where(none[:, None, None], background, found.mask)
    seed = np.where(none, background.flatten(1).int().argmax(1), found.seed)
    return objects(mask, torch.from_numpy(seed).to(foreground.device))
