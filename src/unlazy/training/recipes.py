"""Recipes that run on one CPU core in hours, or on a GPU in minutes: Tiny ImageNet.

Each docstring states the data, the cost, the expected result and the command. ``paper`` has those
of the papers' size.
"""

from __future__ import annotations

from unlazy.backbones.vit import ViTConfig
from unlazy.training.recipe import DistillRecipe, LabelRecipe, TextRecipe

__all__ = ["DistillRecipe", "LabelRecipe", "TextRecipe", "ViTConfig"]


def tiny_label() -> LabelRecipe:
    """Plain ViT with a CLS token (d128, 6 blocks, patch 8) on Tiny ImageNet, label supervision.

    Data: Tiny ImageNet, 200 classes, 100,000 images of 64 px.
    Cost: about an hour on one CPU core (130 images/s).
    Expected: the card beside the bundled weights (``unlazy/bundled/tiny-label.json``).
    Command: ``unlazy train tiny_label --data tiny-imagenet-200``
    """
    return LabelRecipe(name="tiny_label")


def tiny_label_lazystrike() -> LabelRecipe:
    """``tiny_label`` with LazyStrike pooling, one patch a channel, as the public code trains it.

    Data, cost: as ``tiny_label``.
    Expected: the card beside the bundled weights (``unlazy/bundled/tiny-label-lazystrike.json``).
    Command: ``unlazy train tiny_label_lazystrike --data tiny-imagenet-200``
    """
    return LabelRecipe(name="tiny_label_lazystrike", model=ViTConfig(pool="lazy_strike", keep=1))


def tiny_label_registers() -> LabelRecipe:
    """``tiny_label`` with four registers.

    Data, cost: as ``tiny_label``.
    Expected: the card beside the bundled weights (``unlazy/bundled/tiny-label-registers.json``).
    Command: ``unlazy train tiny_label_registers --data tiny-imagenet-200``
    """
    return LabelRecipe(name="tiny_label_registers", model=ViTConfig(registers=4))
