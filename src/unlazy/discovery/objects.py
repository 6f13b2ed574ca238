"""Connected parts of a map of patches, and the boxes and masks of objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from torch import Tensor

Component = Literal["argmax", "largest"]
"""Which part of the foreground is the object: that of the highest patch, or the largest one."""

_FOUR = np.zeros((3, 3, 3), dtype=bool)  # four neighbours, and none in another picture
_FOUR[1] = ndimage.generate_binary_structure(2, 1)


@dataclass(frozen=True)
class Objects:
    """One object in each picture; an empty mask where none was found.

    Attributes:
        mask: its patches.
        box: tight around them: xyxy in patches, half-open; all zero for an empty mask.
        seed: the patch, counted in reading order, from which the mask was grown.
    """

    mask: Bool[Tensor, "B H W"]
    box: Int[Tensor, "B 4"]
    seed: Int[Tensor, " B"]


def label_components(foreground: Bool[Tensor, "B H W"]) -> Int[np.ndarray, "B H W"]:
    """Numbers the connected parts of all maps, 0 outside of them; no number occurs in two maps.

    Patches connect to their four neighbours, not diagonally. Numbers rise in reading order.
    """
    return cast(tuple[np.ndarray, int], ndimage.label(foreground.cpu().numpy(), _FOUR))[0]


def component_at(foreground: Bool[Tensor, "B H W"], seed: Int[Tensor, " B"]) -> Objects:
    """The connected part that holds the seed; empty where the seed is no foreground.

    >>> component_at(torch.tensor([[[True, False, True, True]]]), torch.tensor([3])).box.tolist()
    [[2, 0, 4, 1]]
    """
    return grow(label_components(foreground), seed)


def largest_component(foreground: Bool[Tensor, "B H W"]) -> Objects:
    """The largest connected part; the first in reading order among equals.

    >>> largest_component(torch.tensor([[[True, False, True, True]]])).box.tolist()
    [[2, 0, 4, 1]]
    """
    labels = label_components(foreground)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    seed = sizes[labels].reshape(len(labels), -1).argmax(axis=1)
    return grow(labels, torch.from_numpy(seed).to(foreground.device))


def grow(labels: Int[np.ndarray, "B H W"], seed: Int[Tensor, " B"]) -> Objects:
    """The part of each map with its seed's number."""
    flat = labels.reshape(len(labels), -1)
    own = np.take_along_axis(flat, seed.cpu().numpy()[:, None], axis=1)[:, :, None]
    return objects(torch.from_numpy((labels == own) & (own > 0)), seed)


def objects(mask: Bool[Tensor, "B H W"], seed: Int[Tensor, " B"]) -> Objects:
    """Masks with their tight boxes, on the seeds' device."""
    chosen = mask.cpu().numpy()
    (top, bottom), (left, right) = (_extent(chosen.max(axis=axis)) for axis in (2, 1))
    box = torch.from_numpy(np.stack([left, top, right, bottom], axis=1))
    return Objects(mask.to(seed.device), box.to(seed.device), seed)


def _extent(hit: Bool[np.ndarray, "B L"]) -> tuple[Int[np.ndarray, " B"], Int[np.ndarray, " B"]]:
    """First place and one past the last; zeros where there is none."""
    end = (hit.shape[1] - hit[:, ::-1].argmax(axis=1)) * hit.any(axis=1)
    return hit.argmax(axis=1), end


def boxes_in_pixels(
    box: Int[Tensor, "B 4"], patch: tuple[int, int], size: Int[Tensor, "B 2"]
) -> Float[Tensor, "B 4"]:
    """Boxes of patches (H, W) in pixels, clipped to the pictures' sizes (H, W) before padding.

    >>> boxes_in_pixels(torch.tensor([[1, 0, 3, 2]]), (16, 16), torch.tensor([[30, 40]])).tolist()
    [[16.0, 0.0, 40.0, 30.0]]
    """
    scale = box.new_tensor([patch[1], patch[0]] * 2)
    return torch.minimum(box * scale, size.flip(1).repeat(1, 2)).float()


def masks_in_pixels(
    mask: Bool[Tensor, "*B H W"], patch: tuple[int, int], size: tuple[int, int]
) -> Bool[Tensor, "*B h w"]:
    """Each pixel of a picture of ``size`` (H, W) is what its patch is; padding is cut off.

    >>> masks_in_pixels(torch.tensor([[True, False]]), (2, 2), (1, 3)).tolist()
    [[True, True, False]]
    """
    pixels = mask.repeat_interleave(patch[0], dim=-2).repeat_interleave(patch[1], dim=-1)
    return pixels[..., : size[0], : size[1]]
