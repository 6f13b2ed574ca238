"""Recipes of the papers' size: ImageNet and image-caption data, on several GPUs.

None of them has been trained here; what is expected is quoted from where it is published. Start
them with ``torchrun --nproc_per_node=8 -m unlazy train NAME --data FOLDER``.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from unlazy.backbones.text_tower import TextConfig
from unlazy.backbones.vit import ViTConfig
from unlazy.training.kinds import DistillRecipe, LabelRecipe, TextRecipe

BASE = ViTConfig(
    img_size=224, patch_size=16, embed_dim=768, depth=12, num_heads=12, num_classes=1000
)
SMALL = dataclasses.replace(BASE, embed_dim=384, num_heads=6)
LARGE: dict[str, Any] = {"hold": False, "precision": "bfloat16", "evaluate_images": 50_000}
"""Of data that no memory holds."""


def imagenet_b16_last() -> LabelRecipe:
    """ViT-B/16 with LazyStrike as the public LAST-ViT code trains it; ``model.pool=cls`` is plain.

    100 epochs, AdamW 1e-3, weight decay 0.3 of every weight, betas 0.9 and 0.95, a cosine to 0.001
    of the learning rate, 1 % warm-up, crops and flips only, no clipping. Unlike there: the warm-up
    starts from zero (there from a tenth), crops are resized by bicubic (bilinear), the precision is
    bfloat16 (float32), fresh weights are timm's (torchvision's).

    Data: ImageNet-1k, ``FOLDER/train/<class>``, ``FOLDER/val/<class>``.
    Cost: 31,200 steps of 4096; not measured here.
    Expected: top-1 about 67.4 with one patch a channel (README of the public code).
    Command: ``torchrun --nproc_per_node=8 -m unlazy train imagenet_b16_last --data FOLDER``
    """
    return LabelRecipe(
        name="imagenet_b16_last",
        model=dataclasses.replace(BASE, pool="lazy_strike", keep=1),
        data="imagenet",
        **LARGE,
        epochs=100,
        batch=4096,
        learning_rate=1e-3,
        final_rate=0.001,
        weight_decay=0.3,
        decay="all",
        betas=(0.9, 0.95),
        warmup=0.01,
        clip_norm=None,
        label_smoothing=0.0,
        crop="resized",
        evaluate_every=1000,
    )


def imagenet_b32_last() -> LabelRecipe:
    """``imagenet_b16_last`` with patches of 32 px and seven of the 49 kept.

    Data: as ``imagenet_b16_last``.
    Cost: not measured here; a quarter of the tokens of B/16.
    Expected: the paper's ablation (Table 10) is best with seven patches.
    Command: ``torchrun --nproc_per_node=8 -m unlazy train imagenet_b32_last --data FOLDER``
    """
    recipe = imagenet_b16_last()
    model = dataclasses.replace(recipe.model, patch_size=32, keep=7)
    return dataclasses.replace(recipe, name="imagenet_b32_last", model=model)


def imagenet_s16_last() -> LabelRecipe:
    """``imagenet_b16_last`` with ViT-S/16 and, as the paper has it, half of the patches kept.

    Data: as ``imagenet_b16_last``.
    Cost: not measured here; a quarter of the multiplications of B/16.
    Expected: coarse segmentation 41.9 mIoU, against 29.5 of the plain model (paper, Table 6).
    Command: ``torchrun --nproc_per_node=8 -m unlazy train imagenet_s16_last --data FOLDER``
    """
    model = dataclasses.replace(SMALL, pool="lazy_strike", keep=0.5)
    return dataclasses.replace(imagenet_b16_last(), name="imagenet_s16_last", model=model)


def imagenet_s16_deit() -> LabelRecipe:
    """ViT-S/16 in the manner of DeiT: 300 epochs with all of its augmentation.

    RandAugment, mixup 0.8, CutMix 1, erasing 0.25, stochastic depth 0.1, label smoothing 0.1, a
    moving average. DeiT's repeated augmentation is left out.

    Data: as ``imagenet_b16_last``.
    Cost: 375,300 steps of 1024; not measured here.
    Expected: top-1 79.9 without distillation (README of DeiT).
    Command: ``torchrun --nproc_per_node=8 -m unlazy train imagenet_s16_deit --data FOLDER``
    """
    return LabelRecipe(
        name="imagenet_s16_deit",
        model=dataclasses.replace(SMALL, drop_path=0.1),
        data="imagenet",
        **LARGE,
        epochs=300,
        batch=1024,
        learning_rate=1e-3,
        final_rate=0.01,
        weight_decay=0.05,
        decay="deit",
        warmup=5 / 300,
        clip_norm=None,
        crop="resized",
        mixup=0.8,
        cutmix=1.0,
        rand_augment="rand-m9-mstd0.5-inc1",
        erasing=0.25,
        ema=0.99996,
        evaluate_every=12_510,
    )


def imagenet_b16_deit() -> LabelRecipe:
    """``imagenet_s16_deit`` with ViT-B/16; patches of 32 px: ``model.patch_size=32``.

    Data: as ``imagenet_b16_last``.
    Cost: 375,300 steps of 1024; not measured here.
    Expected: top-1 81.8 without distillation (README of DeiT).
    Command: ``torchrun --nproc_per_node=8 -m unlazy train imagenet_b16_deit --data FOLDER``
    """
    model = dataclasses.replace(BASE, drop_path=0.1)
    return dataclasses.replace(imagenet_s16_deit(), name="imagenet_b16_deit", model=model)


def clip_b16() -> TextRecipe:
    """ViT-B/16 and CLIP's text tower on captions; ``model.pool=lazy_strike`` is the paper's.

    Learning rate, betas, epsilon and weight decay are CLIP's for ViT-B; the learning rate rises
    over 2 % of the steps, there over 10,000 of them. CLS decays, in open_clip it does not.

    Data: tar shards of pictures and captions, for example CC12M; with ``FOLDER/val/<class>`` a
        zero-shot evaluation too. Needs the extra ``text``.
    Cost: not measured here; every GPU holds 4096 / GPUs pairs.
    Expected: Point-in-Box 39.8 plain, 50.1 with LazyStrike at M = half (paper, Table 3; its
        data are those of the public checkpoints).
    Command: ``torchrun --nproc_per_node=8 -m unlazy train clip_b16 --data FOLDER``
    """
    return TextRecipe(
        name="clip_b16",
        model=dataclasses.replace(BASE, num_classes=512),
        text=TextConfig(context=77, width=512, heads=8, layers=12),
        data="captions",
        **LARGE,
        epochs=32,
        batch=4096,
        learning_rate=5e-4,
        weight_decay=0.2,
        betas=(0.9, 0.98),
        eps=1e-6,
        warmup=0.02,
        clip_norm=None,
        crop="resized",
        flip=0.0,
        evaluate_every=5000,
    )


def dino_s16() -> DistillRecipe:
    """ViT-S/16 under DINO, 100 epochs; ``model.pool=lazy_strike`` pools every crop.

    DINO's vanilla run: eight local crops of 96 px, the teacher's temperature at 0.04 throughout,
    65,536 prototypes, learning rate 1e-3 with batches of 512. Gradients are clipped by their norm
    as a whole, there by that of each weight.

    Data: ImageNet-1k; labels serve the k-NN evaluation alone.
    Cost: 250,200 steps of 512; not measured here.
    Expected: k-NN 69.3 (DINO's README, same epochs and batch; by ``unlazy bench file:RUN knn``,
        the card seeks among fewer pictures); Point-in-Box 44.5 plain, 69.7 with LazyStrike
        (paper, Table 3).
    Command: ``torchrun --nproc_per_node=8 -m unlazy train dino_s16 --data FOLDER``
    """
    return DistillRecipe(
        name="dino_s16",
        model=dataclasses.replace(SMALL, num_classes=0, drop_path=0.1),
        data="imagenet",
        **LARGE,
        epochs=100,
        batch=512,
        learning_rate=1e-3,
        final_rate=1e-3,
        warmup=0.1,
        local_size=96,
        local_crops=8,
        hidden=2048,
        bottleneck=256,
        prototypes=65_536,
        teacher_temperature=0.04,
        evaluate_every=12_510,
    )


def windows_s16() -> LabelRecipe:
    """The window study: ViT-S/16 for 50 epochs with windows of 4 in blocks 1, 5, 9 and 11.

    ``model.windows=`` is the plain model, ``model.windows=0,1,2,3,4,5,6,7,8,9,10,11`` has windows
    throughout; ``model.class_token=false model.pool=mean`` then closes the way through CLS.

    Data: as ``imagenet_b16_last``.
    Cost: 15,600 steps of 4096; not measured here.
    Expected: top-1 and Point-in-Box 72.3 and 50.1 plain, 71.7 and 52.1 with these windows, 63.9
        and 59.8 with windows throughout (paper, Table 2).
    Command: ``torchrun --nproc_per_node=8 -m unlazy train windows_s16 --data FOLDER``
    """
    model = dataclasses.replace(SMALL, windows=(1, 5, 9, 11), window=4)
    return dataclasses.replace(imagenet_b16_last(), name="windows_s16", model=model, epochs=50)


def patch28_b() -> LabelRecipe:
    """The patch study: plain ViT-B with patches of 28 px; ``model.patch_size=16`` beside it.

    Data: as ``imagenet_b16_last``.
    Cost: 31,200 steps of 4096; not measured here.
    Expected: Point-in-Box 0.44 to 0.52 and top-1 62 to 55 from 16 to 28 px (paper, Figure 4);
        read it above chance, which rises with the patch as well.
    Command: ``torchrun --nproc_per_node=8 -m unlazy train patch28_b --data FOLDER``
    """
    model = dataclasses.replace(BASE, patch_size=28)
    return dataclasses.replace(imagenet_b16_last(), name="patch28_b", model=model)
