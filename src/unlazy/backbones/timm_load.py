"""Loading timm models by name: published weights, local checkpoints or random weights."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import timm
from timm.layers.attention import Attention, AttentionRope
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva, EvaAttention
from timm.models.pvt_v2 import PyramidVisionTransformerV2
from timm.models.resnet import ResNet as TimmResNet
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from unlazy.backbones.base import Backbone
from unlazy.backbones.convnet import ResNet
from unlazy.backbones.hierarchical import PVTv2
from unlazy.backbones.hub import hub_or_cache
from unlazy.backbones.swin import SwinV2
from unlazy.backbones.timm import TimmViT, supervision
from unlazy.backbones.weights import (
    CheckpointMismatch,
    Convert,
    PretrainedUnavailable,
    Weights,
    fit,
    read_checkpoint,
    stripped,
)
from unlazy.catalog import UnknownName, suggest

PLAIN = ("vision_transformer", "deit", "eva")
OPTIONS: dict[str, dict[str, Any]] = {  # by timm module: how it is built to take any size
    **{module: {"dynamic_img_size": True} for module in PLAIN},
    "swin_transformer_v2": {"strict_img_size": False},
    "pvt_v2": {},
    "resnet": {},
}
SIZED = (*PLAIN, "swin_transformer_v2")  # timm modules whose models are built for a size
DEFAULT_SIZE = 224
UNREAD = (  # parallel or differential attention, or families that no test covers
    *("_xp_", "18x2", "36x1", "dlittle", "dpwee", "dwee", "pwee"),
    *("aimv2", "beit3", "radio", "sapiens2", "_rope_mixed", "test_"),
)
OTHER_FAMILIES = {"text": "CLIP", "label": "ViT", "self": "other", "unknown": "other"}
ATTENTIONS = (Attention, AttentionRope, EvaAttention)
SUPPORTED = (
    "ViT, DeiT, DeiT3, DINO, DINOv2, DINOv3, EVA-02, MAE, CLIP, SigLIP, Swin v2, PVT v2, ResNet"
)


class UnsupportedModel(ValueError):
    """A timm model that no adapter reads."""


def wrap(model: nn.Module, *, name: str, weights: str, size: int | None = None) -> Backbone:
    """The Backbone around a timm model, by its class.

    Args:
        model: as timm built it.
        name: as the user gave it; tells the supervision.
        weights: "random", "pretrained" or the checkpoint's file name.
        size: side of the native images, in pixels, for models that are not built for one.

    Raises:
        UnsupportedModel: no adapter reads this class.
    """
    native = getattr(model, "pretrained_cfg", {}).get("input_size", (3, DEFAULT_SIZE, DEFAULT_SIZE))
    sides = (size, size) if size else tuple(native[-2:])
    if isinstance(model, VisionTransformer | VisionTransformerDistilled | Eva):
        blocks: Any = model.blocks
        kinds = {type(getattr(block, "attn", None)) for block in blocks}
        if kinds <= set(ATTENTIONS):
            return TimmViT(model, name=name, weights=weights)
        kind = f"{type(model).__name__} of {type(blocks[0]).__name__}"
        raise UnsupportedModel(f"{name} is a {kind}; this version reads {SUPPORTED}")
    if isinstance(model, SwinTransformerV2):
        return SwinV2(model, name=name, weights=weights)
    if isinstance(model, PyramidVisionTransformerV2):
        return PVTv2(model, name=name, weights=weights, size=sides)
    if isinstance(model, TimmResNet):
        return ResNet(model, library="timm", name=name, weights=weights, size=sides)
    raise UnsupportedModel(f"{name} is a {type(model).__name__}; this version reads {SUPPORTED}")


def load(name: str, *, weights: Weights, size: int | None = None) -> Backbone:
    """A timm backbone.

    Args:
        name: as in timm, with or without a tag, for example ``vit_small_patch14_reg4_dinov2``.
        weights: "pretrained", "random", or the Path of a local checkpoint, whose keys may be
            timm's or those of the original release.
        size: side of the native images, in pixels, instead of timm's.

    Raises:
        UnknownName: timm has no such model.
        UnsupportedModel: no adapter reads it.
        PretrainedUnavailable: the published weights cannot be downloaded.
        BadCheckpoint, CheckpointMismatch: the local file cannot be used.
    """
    options = _options(name, size)
    if isinstance(weights, Path):
        model = _from_file(name, read_checkpoint(weights), weights.name, options)
        return wrap(model, name=name, weights=weights.name, size=size)
    if weights == "random":
        return wrap(timm.create_model(name, **options), name=name, weights="random", size=size)
    try:
        with hub_or_cache():
            model = timm.create_model(name, pretrained=True, **options)
    except (OSError, RuntimeError) as error:
        raise PretrainedUnavailable(name, error) from error
    return wrap(model, name=name, weights=weights, size=size)


def names() -> dict[str, list[str]]:
    """Readable timm models by family, with their published weights' tags; builds none."""
    families: dict[str, list[str]] = {}
    plain = timm.list_models(module=list(PLAIN), pretrained=True)  # pyright: ignore
    for name in plain:
        if not any(part in name for part in UNREAD):
            families.setdefault(_family(name), []).append(name)
    for family, module in (
        ("Swin v2", "swin_transformer_v2"),
        ("PVT v2", "pvt_v2"),
        ("ResNet", "resnet"),
    ):
        found = timm.list_models(module=module, pretrained=True)
        families[family] = [name for name in found if not any(part in name for part in UNREAD)]
    return families


def _family(name: str) -> str:
    """The family of a plain ViT.

    >>> _family("vit_base_patch16_224.dino"), _family("deit3_small_patch16_224.fb_in1k")
    ('DINO', 'DeiT3')
    """
    marks = {
        "dinov3": "DINOv3",
        "dinov2": "DINOv2",
        ".dino": "DINO",
        ".mae": "MAE",
        "siglip": "SigLIP",
        "eva02": "EVA-02",
        "eva_": "EVA",
        "deit3": "DeiT3",
        "deit": "DeiT",
    }
    found = next((family for mark, family in marks.items() if mark in name), None)
    if found is None or (found == "SigLIP" and supervision(name) == "label"):
        return OTHER_FAMILIES[supervision(name)]
    return found


def _options(name: str, size: int | None) -> dict[str, Any]:
    arch = name.partition(".")[0]
    if not timm.is_model(arch):
        raise UnknownName(f"timm has no model {arch!r}; {suggest(arch, timm.list_models())}")
    tags = timm.list_models(f"{arch}.*", pretrained=True)
    if "." in name and name not in tags:
        raise UnknownName(f"timm has no weights {name!r}; {suggest(name, tags)}")
    module = timm.model_entrypoint(arch).__module__.rpartition(".")[2]
    if module not in OPTIONS:
        raise UnsupportedModel(f"{name} is of timm's {module}; this version reads {SUPPORTED}")
    sized = {"img_size": size} if size and module in SIZED else {}
    return OPTIONS[module] | sized


def _from_file(
    name: str, state: dict[str, Tensor], file: str, options: dict[str, Any]
) -> nn.Module:
    """A model with the classes of the file, or without a classifier where the file has none."""
    model = timm.create_model(name, **options)
    convert = _conversion(model, name)
    classes = _classes(model, stripped(model, state, convert=convert)[1])
    if supervision(name) != "text" and classes != getattr(model, "num_classes", None):
        model = timm.create_model(name, num_classes=classes, **options)
        convert = _conversion(model, name)
    try:
        fit(model, state, name=file, convert=convert)
    except CheckpointMismatch as error:
        raise CheckpointMismatch(f"{error} (asked for timm's {name})") from error
    return model


def _classes(model: Any, state: dict[str, Tensor]) -> int:
    """How many classes the file's classifier has; 0 without one."""
    named = model.pretrained_cfg.get("classifier") or "head"
    first = named if isinstance(named, str) else named[0]
    found = state.get(f"{first}.weight")
    return 0 if found is None else len(found)


def _conversion(model: nn.Module, name: str) -> Convert | None:
    """Timm's own conversion from the key names and sizes of original releases."""
    source: Any = importlib.import_module(type(model).__module__)
    filtered = getattr(source, "checkpoint_filter_fn", None)
    if filtered is None:
        return None
    deit = {"adapt_layer_scale": True} if name.startswith("deit") else {}
    flexi = {"interpolation": "bilinear", "antialias": False} if name.startswith("flexi") else {}
    return lambda state: filtered(state, model, **deit, **flexi)
