"""Recipes that run on one CPU core: drawn scenes in minutes, Tiny ImageNet in hours.

Each docstring states the data, the cost, the expected result and the command. ``paper`` has those
of the papers' size.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from unlazy.backbones.vit import ViTConfig
from unlazy.training.kinds import DistillRecipe, LabelRecipe, SceneRecipe, TextRecipe
from unlazy.training.views import Colour

__all__ = ["DistillRecipe", "LabelRecipe", "SceneRecipe", "TextRecipe", "ViTConfig"]


def tiny_scenes() -> tuple[SceneRecipe, ...]:
    """The shortcut and two cures, one after the other: CLS, max and LazyStrike pooling.

    Small ViTs (d64, 4 blocks, patch 8) that learn the class of a striped object on a textured
    background. A patch inside of the object tells the class; what differs is the pool alone.

    Data: 4,000 drawn scenes of 64 px, 500 others to evaluate on. No folder is needed.
    Cost: three to five minutes on one CPU core, by its speed.
    Expected: docs/evidence/training.md. All learn the classes; the patch that resembles the image
        vector most lies off the object with CLS, on it with max.
    Command: ``unlazy train tiny_scenes``
    """
    return (
        scene_recipe("cls"),
        scene_recipe("max", pool="max"),
        scene_recipe("lazystrike", pool="lazy_strike", keep=1),
    )


def tiny_scene() -> SceneRecipe:
    """One model of ``tiny_scenes``: with CLS, or any other pool and settings.

    Data: as ``tiny_scenes``.
    Cost: a minute on one CPU core.
    Expected: as the model of ``tiny_scenes`` that it is.
    Command: ``unlazy train tiny_scene model.pool=max``
    """
    return scene_recipe("tiny_scene")


def scene_recipe(name: str, **model: Any) -> SceneRecipe:
    """One run of ``tiny_scenes``; ``model`` are fields of its ViT that differ."""
    return SceneRecipe(
        name=name,
        model=ViTConfig(**{"embed_dim": 64, "depth": 4, "num_classes": 8, **model}),
        epochs=6,
        batch=64,
        learning_rate=2e-3,
        padding=4,
        log_every=25,
        save_every=500,
        evaluate_every=62,
        evaluate_images=500,
    )


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


def tiny_dino() -> DistillRecipe:
    """The ViT of ``tiny_label`` without a head, under DINO: two crops of 48 px, four of 24 px.

    Small batches, a narrow head, colours that change half as often as in the original and a
    teacher that follows closely, for a run of hours on a small data set. Chosen by the loss on
    training pictures.

    Data: Tiny ImageNet, 100,000 images of 64 px; labels are not used.
    Cost: 6,248 steps of 64 pictures, about two hours on one CPU core in bfloat16, which takes
        AVX-512 BF16; leave ``precision`` out without it.
    Expected: no published number; compare with ``tiny_dino_lazystrike`` by k-NN and Point-in-Box.
    Command: ``unlazy train tiny_dino --data tiny-imagenet-200 precision=bfloat16``
    """
    return DistillRecipe(
        name="tiny_dino",
        epochs=4,
        batch=64,
        global_size=48,
        local_size=24,
        local_scale=(0.2, 0.6),
        colour=Colour(jitter=0.4, grey=0.1, solarise=0.1),
        prototypes=1024,
        bottleneck=64,
        teacher_temperature=0.04,
        momentum=0.99,
        frozen_epochs=0,
    )


def tiny_dino_lazystrike() -> DistillRecipe:
    """``tiny_dino`` with LazyStrike pooling in student and teacher, on every crop.

    Data, cost, expected: as ``tiny_dino``.
    Command: ``unlazy train tiny_dino_lazystrike --data tiny-imagenet-200 precision=bfloat16``
    """
    model = ViTConfig(num_classes=0, pool="lazy_strike", keep=1)
    return dataclasses.replace(tiny_dino(), name="tiny_dino_lazystrike", model=model)


def tiny_clip() -> TextRecipe:
    """The ViT of ``tiny_label`` without a head, beside a text tower of three layers.

    Captions are class names in open_clip's short list of prompt templates; two pictures of one
    class in a batch count as a wrong pair, as they do in CLIP.

    Data: Tiny ImageNet, 200 classes, 100,000 images of 64 px. Needs the extra ``text``. Other
        pictures in class folders: ``data=imagenet hold=false crop=resized --data FOLDER``.
    Cost: about 50 minutes on one CPU core in bfloat16 (100 images/s).
    Expected: the card beside the bundled weights (``unlazy/bundled/tiny-clip.json``).
    Command: ``unlazy train tiny_clip --data tiny-imagenet-200``
    """
    return TextRecipe(name="tiny_clip", epochs=3)


def tiny_clip_lazystrike() -> TextRecipe:
    """``tiny_clip`` with LazyStrike pooling in the image tower.

    Data, cost: as ``tiny_clip``.
    Expected: the card beside the bundled weights (``unlazy/bundled/tiny-clip-lazystrike.json``).
    Command: ``unlazy train tiny_clip_lazystrike --data tiny-imagenet-200``
    """
    model = ViTConfig(num_classes=0, pool="lazy_strike", keep=1)
    return dataclasses.replace(tiny_clip(), name="tiny_clip_lazystrike", model=model)


def tiny_finetune_lazystrike() -> LabelRecipe:
    """LazyStrike pooling put onto the trained trunk of ``tiny-label``, and one epoch more.

    The head is kept: it sees pooled patches instead of CLS. Another trunk: ``init=file:RUN`` or
    ``init=timm:NAME`` with the trunk's ``model.*``.

    Data: Tiny ImageNet.
    Cost: a fifth of ``tiny_label``.
    Expected: docs/evidence/training.md, beside its control, ``tiny_finetune_cls``.
    Command: ``unlazy train tiny_finetune_lazystrike --data tiny-imagenet-200``
    """
    return dataclasses.replace(
        tiny_label_lazystrike(),
        name="tiny_finetune_lazystrike",
        init="bundled:tiny-label",
        epochs=1,
        learning_rate=3e-4,
    )


def tiny_finetune_cls() -> LabelRecipe:
    """The control of ``tiny_finetune_lazystrike``: the same epoch more, with CLS kept.

    Data, cost: as ``tiny_finetune_lazystrike``.
    Expected: docs/evidence/training.md.
    Command: ``unlazy train tiny_finetune_cls --data tiny-imagenet-200``
    """
    return dataclasses.replace(
        tiny_finetune_lazystrike(), name="tiny_finetune_cls", model=ViTConfig()
    )
