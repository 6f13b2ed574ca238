"""Label supervision: the augmentation and the loss of one step."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlazy.training.recipes import LabelRecipe


def augment(pixels: Tensor, padding: int) -> Tensor:
    """Random shifted crops and horizontal flips of a uint8 batch ``(B, 3, H, W)``."""
    height, width = pixels.shape[-2:]
    padded = F.pad(pixels.float(), (padding,) * 4, mode="reflect").to(pixels.dtype)
    tops = torch.randint(0, 2 * padding + 1, (len(pixels),)).tolist()
    lefts = torch.randint(0, 2 * padding + 1, (len(pixels),)).tolist()
    crops = torch.stack(
        [
            image[:, top : top + height, left : left + width]
            for image, top, left in zip(padded, tops, lefts, strict=True)
        ]
    )
    flipped = torch.rand(len(pixels)) < 0.5
    return torch.where(flipped[:, None, None, None], crops.flip(-1), crops)


def normalise(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Scale uint8 ``(B, 3, H, W)`` to [0, 1], subtract ``mean`` and divide by ``std``."""
    scale = 255 * pixels.new_tensor(std, dtype=torch.float32)[:, None, None]
    shift = 255 * pixels.new_tensor(mean, dtype=torch.float32)[:, None, None]
    return (pixels.float() - shift) / scale


def loss(model: nn.Module, images: Tensor, labels: Tensor, recipe: LabelRecipe) -> Tensor:
    """Cross-entropy with label smoothing, averaged over the batch."""
    return F.cross_entropy(model(images), labels, label_smoothing=recipe.label_smoothing)
