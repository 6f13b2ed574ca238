"""Whole pictures: the view that object discovery shares, and which patches lie on the picture.

Shape legend: B pictures, H x W patches.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from unlazy.geometry import View, Viewed
from unlazy.ledger import Batch
from unlazy.tokens import Facts


def whole_view(facts: Facts, *, resize: int | None = None, longest: int | None = None) -> View:
    """Nothing is cut off: zeros on the right and below make sides whole patches.

    A model of one size sees the picture squashed to it.

    Source: LOST's public code, which TokenCut and later work follow: no resize.

    Args:
        facts: of the model.
        resize: pixels of the short side; None: the picture's own.
        longest: most pixels of a side; None: no limit.
    """
    if not facts.any_size:
        return View(facts.size, "squash", "bicubic", facts.multiple)
    return View(facts.size, "pad", "bicubic", facts.multiple, resize=resize, longest=longest)


def squashed(facts: Facts) -> tuple[str, ...]:
    """What a reader must know of the view of a model of one size."""
    if facts.any_size:
        return ()
    height, width = facts.size
    return (
        f"{facts.name} takes {width} x {height} pixels only: pictures were squashed to that,"
        " while published figures keep their shape and size",
    )


def shown_size(viewed: Viewed) -> tuple[int, int]:
    """(H, W) pixels of a view that the picture fills."""
    return viewed.shown or (viewed.pixels.shape[-2], viewed.pixels.shape[-1])


def patch_size(batch: Batch, grid: tuple[int, int]) -> tuple[int, int]:
    """Pixels (H, W) of a patch."""
    return batch.pixels.shape[-2] // grid[0], batch.pixels.shape[-1] // grid[1]


def on_picture(
    batch: Batch, grid: tuple[int, int], device: torch.device
) -> Bool[Tensor, "B H W"] | None:
    """Which patches hold at least one pixel of their picture; None: all."""
    (height, width), valid = patch_size(batch, grid), torch.zeros(len(batch.views), *grid)
    for row, viewed in zip(valid, batch.views, strict=True):
        bottom, right = shown_size(viewed)
        row[: -(-bottom // height), : -(-right // width)] = 1
    return None if valid.all() else valid.bool().to(device)
