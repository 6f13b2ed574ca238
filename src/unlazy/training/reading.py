"""Augmentation of pictures that worker processes read: timm's and torchvision's transforms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from unlazy.data.sample import Sample
from unlazy.training.kinds import CroppedRecipe, DistillRecipe, LabelRecipe
from unlazy.training.recipe import Recipe
from unlazy.training.views import MEAN, STD, Colour


class Single:
    """One random crop by timm: flips, RandAugment and random erasing as the recipe has them."""

    def __init__(self, recipe: CroppedRecipe) -> None:
        from timm.data.transforms_factory import create_transform

        label = recipe if isinstance(recipe, LabelRecipe) else None
        no_jitter: Any = None
        policy = label.rand_augment if label else None
        try:
            self.crop: Any = create_transform(
                recipe.model.img_size,
                is_training=True,
                scale=recipe.crop_scale,
                hflip=recipe.flip,
                color_jitter=no_jitter,
                auto_augment=policy,
                re_prob=label.erasing if label else 0.0,
                re_mode="pixel",
                interpolation="bicubic",
                mean=MEAN,
                std=STD,
            )
        except (AssertionError, ValueError) as problem:
            raise ValueError(
                f"timm has no policy {policy!r}; rand_augment is such as rand-m9-mstd0.5-inc1"
            ) from problem

    def __call__(self, image: Any) -> list[Tensor]:
        """A picture's view."""
        return [self.crop(image)]


class Several:
    """DINO's crops by torchvision: two global ones and the local ones."""

    def __init__(self, recipe: DistillRecipe) -> None:
        from torchvision.transforms import v2

        plain = replace(recipe.colour, solarise=0.0)
        first = _crop(v2, recipe.whole, recipe.global_scale, plain, blur=1.0)
        second = _crop(v2, recipe.whole, recipe.global_scale, recipe.colour, blur=0.1)
        local = _crop(v2, recipe.local_size, recipe.local_scale, plain, blur=0.5)
        self.crops = [first, second] + [local] * recipe.local_crops

    def __call__(self, image: Any) -> list[Tensor]:
        """A picture's views."""
        return [crop(image) for crop in self.crops]


def _crop(
    v2: Any, size: int, scale: tuple[float, float], colour: Colour, *, blur: float
) -> Callable[[Any], Tensor]:
    """Source: DINO's augmentation; the blur's kernel covers three of its standard deviations."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale, interpolation=v2.InterpolationMode.BICUBIC),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=colour.jitter),
            v2.RandomGrayscale(colour.grey),
            v2.RandomApply([v2.GaussianBlur(13, (0.1, 2.0))], p=blur),
            v2.RandomSolarize(128, p=colour.solarise),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def transform_of(recipe: Recipe) -> Callable[[Any], list[Tensor]]:
    """How a picture that is read becomes views."""
    if isinstance(recipe, DistillRecipe):
        return Several(recipe)
    assert isinstance(recipe, CroppedRecipe)
    return Single(recipe)


@dataclass(frozen=True)
class Caption:
    """The tokens of a sample: of its own caption, or of its class by a random template."""

    tokens: Tensor
    context: int

    def __call__(self, sample: Sample) -> Tensor:
        """(context,) int64."""
        from unlazy.backbones.text_tower import tokenize
        from unlazy.data.captions import Captioned

        if isinstance(sample, Captioned):
            return tokenize([sample.caption], self.context)[0]
        assert sample.label is not None
        return self.tokens[sample.label, int(torch.randint(self.tokens.shape[1], ()))]


def label_of(sample: Sample) -> int:
    """The class index; -1 where there is none."""
    return -1 if sample.label is None else sample.label
