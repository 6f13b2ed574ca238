"""Recipes: a function that returns a frozen, complete description of one training run.

Each docstring states the data, the cost, the expected result and the command.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from unlazy.backbones.vit import ViTConfig


@dataclass(frozen=True)
class LabelRecipe:
    """Supervised training of a plain ViT on class labels.

    Attributes:
        epochs: passes over the training split.
        batch: images a step, over all ranks.
        warmup: share of all steps in which the learning rate rises linearly from zero;
            a cosine to zero follows.
        padding: reflected pixels on each side before the random crop; horizontal flips at 0.5.
    """

    name: str
    model: ViTConfig = field(default_factory=ViTConfig)
    data: str = "tiny-imagenet"
    epochs: int = 5
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.05
    label_smoothing: float = 0.1
    padding: int = 6
    clip_norm: float = 1.0
    seed: int = 0


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
