"""Label supervision: views, mixing and the loss."""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from unlazy.backbones.vit import ViT
from unlazy.training.kinds import CroppedRecipe, LabelRecipe
from unlazy.training.objective import Batch, generator_of
from unlazy.training.views import Resized, Shift, Views


class Label:
    """Cross-entropy with label smoothing on class labels, mixed or not.

    Attributes:
        trained: images -> logits.
        averaged: its moving average, if the recipe has one.
    """

    def __init__(self, recipe: LabelRecipe) -> None:
        self.recipe = recipe
        self.trained: nn.Module = ViT(recipe.model)
        self.averaged: nn.Module | None = copy.deepcopy(self.trained) if recipe.ema else None
        self.state: dict[str, Tensor] = {}

    def views(self) -> Views:
        """How a held picture is shown."""
        return cropped(self.recipe)

    def targets(self, labels: Tensor, generator: Generator) -> Tensor:
        """The class indices themselves."""
        return labels

    def loss(self, module: nn.Module, batch: Batch, *, step: int, steps: int) -> Tensor:
        """Mean over the batch."""
        recipe = self.recipe
        images, labels = batch.views[0], batch.targets
        if not recipe.mixup and not recipe.cutmix:
            return F.cross_entropy(module(images), labels, label_smoothing=recipe.label_smoothing)
        images, share = mix(images, recipe, generator_of(recipe.seed, step, "mix"))
        logits = module(images)
        own, other = (
            F.cross_entropy(logits, each, label_smoothing=recipe.label_smoothing)
            for each in (labels, swap(labels))
        )
        return share * own + (1 - share) * other

    def after_backward(self, step: int, steps: int) -> None:
        """Nothing."""

    def after_step(self, step: int, steps: int) -> None:
        """Nothing."""

    def momentum(self, step: int, steps: int) -> float:
        """Decay of the moving average."""
        return self.recipe.ema

    def vectors(self) -> dict[str, dict[str, Tensor]]:
        """None."""
        return {}

    def exports(self) -> dict[str, nn.Module]:
        """File name -> what is kept of the trained, or averaged, module."""
        return {"model": self.averaged or self.trained}


def cropped(recipe: CroppedRecipe) -> Views:
    """One random crop of a held picture."""
    if recipe.crop == "shift":
        return Shift(recipe.padding, recipe.flip)
    return Resized(recipe.model.img_size, recipe.crop_scale, recipe.flip)


def swap(rows: Tensor) -> Tensor:
    """Rows 0 and 1, 2 and 3, ... exchanged: partners stay on one rank, however many there are.

    >>> swap(torch.arange(4)).tolist()
    [1, 0, 3, 2]

    Raises:
        ValueError: an odd number of rows.
    """
    if len(rows) % 2:
        raise ValueError(
            f"mixing pairs the pictures of a batch, but a rank's part has {len(rows)};"
            " use a batch that gives each part an even number"
        )
    return rows.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def mix(images: Tensor, recipe: LabelRecipe, generator: Generator) -> tuple[Tensor, float]:
    """Each image mixed with its partner, and the share of the image itself.

    One share and one rectangle for the whole batch. With both kinds, each has half of the steps.

    Source: mixup (Zhang et al., 2018) and CutMix (Yun et al., 2019), as DeiT combines them.
    """
    coin = float(torch.rand((), generator=generator))
    cut = recipe.cutmix > 0 and (recipe.mixup == 0 or coin < 0.5)
    seed = int(torch.randint(2**62, (), generator=generator))
    rng = np.random.default_rng(seed)
    alpha = recipe.cutmix if cut else recipe.mixup
    share = float(rng.beta(alpha, alpha))
    if not cut:
        return share * images + (1 - share) * swap(images), share
    top, bottom = _span(images.shape[-2], share, rng.random())
    left, right = _span(images.shape[-1], share, rng.random())
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = swap(images)[..., top:bottom, left:right]
    covered = (bottom - top) * (right - left) / (images.shape[-2] * images.shape[-1])
    return mixed, 1 - covered


def _span(side: int, share: float, centre: float) -> tuple[int, int]:
    """Where a rectangle of ``1 - share`` of the area lies along one axis, clipped to the image."""
    length, middle = side * (1 - share) ** 0.5, int(centre * side)
    return max(0, int(middle - length / 2)), min(side, int(middle + length / 2))
