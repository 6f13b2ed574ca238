"""torchvision's vision transformers and ResNets.

Its ViTs have attention by ``nn.MultiheadAttention``, and refuse all image sizes but one; here their
position embedding is resized to others.
"""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torchvision.models import VisionTransformer, WeightsEnum, get_model, get_model_weights
from torchvision.models.vision_transformer import interpolate_embeddings

from unlazy.backbones.base import Backbone, Call
from unlazy.backbones.convnet import ResNet
from unlazy.backbones.plain import PlainViT, Projections, in_projected
from unlazy.backbones.weights import (
    PretrainedUnavailable,
    Weights,
    fit,
    read_checkpoint,
    stripped,
)
from unlazy.catalog import UnknownName, suggest
from unlazy.tokens import CROP, EMBED, FINAL, SHARED, Facts, Site

VITS = ("vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14")
RESNETS = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
)
RESNET_SIZE = 224
PUBLISHED = "IMAGENET1K_V1"  # the tag that papers mean by "torchvision ViT-B/16"
LEGACY_MLP = {".mlp.linear_1.": ".mlp.0.", ".mlp.linear_2.": ".mlp.3."}


class TorchvisionViT(PlainViT):
    """A torchvision ViT, unchanged; for images of other sizes its encoder gets other positions."""

    def __init__(self, model: VisionTransformer, *, name: str, weights: str) -> None:
        layers: Any = model.encoder.layers
        patch = (model.patch_size, model.patch_size)
        facts = Facts(
            name=name,
            family="torchvision VisionTransformer",
            dim=model.hidden_dim,
            depth=len(layers),
            heads=layers[-1].num_heads,
            patch=patch,
            multiple=patch,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
            size=(model.image_size, model.image_size),
            supervision="label",
            has_cls=True,
            num_registers=0,
            weights=weights,
            position="learned, resized by bicubic",
            activation=type(layers[-1].mlp[1]).__name__,
            interpolation="bicubic" if "SWAG" in name else "bilinear",
        )
        super().__init__(model, facts)

    def locate(self, site: Site) -> nn.Module:
        model: Any = self.model
        if site == EMBED:
            return model.conv_proj
        if site in (FINAL, SHARED):
            return model.encoder.ln
        layer = model.encoder.layers[site.layer]
        if site.stream == "block":
            return layer
        return layer.mlp[3] if site.stream == "neurons" else layer.self_attention

    def encode(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B E"]:
        model: Any = self.model
        patches = model.conv_proj(images)  # (B, D, H, W)
        first = model.class_token.expand(len(images), -1, -1)
        tokens = torch.cat([first, patches.flatten(2).mT], dim=1)
        encoder, grid = model.encoder, (patches.shape[-2], patches.shape[-1])
        positions = {"pos_embedding": resized(encoder.pos_embedding, grid)}
        return functional_call(encoder, positions, (tokens,))[:, 0]

    def classifier(self) -> nn.Module | None:
        model: Any = self.model
        return model.heads

    def projections(self, call: Call) -> Projections:
        attn: Any = call.module
        return Projections(*in_projected(attn, call.args[0]), attn.head_dim**-0.5)

    def attention_module(self, layer: int) -> nn.Module:
        model: Any = self.model
        return model.encoder.layers[layer].self_attention

    def rebuild(self, layer: int, call: Call) -> Tensor:
        attn: Any = call.module
        return attn.out_proj(self.mix(self.projections(call)))


def resized(positions: Float[Tensor, "1 T D"], grid: tuple[int, int]) -> Float[Tensor, "1 t D"]:
    """Position embeddings of CLS and a square grid, resized to another; itself at its own size.

    Source: torchvision's ``interpolate_embeddings``, which has square grids only.

    >>> resized(torch.tensor([[[5.0], [0.0], [1.0], [2.0], [3.0]]]), (1, 2)).flatten().tolist()
    [5.0, 0.0, 1.0]
    """
    first, flat = positions[:, :1], positions[:, 1:]
    side = math.isqrt(flat.shape[1])
    if grid == (side, side):
        return positions
    square = flat.mT.unflatten(2, (side, side)).float()
    other = F.interpolate(square, size=grid, mode="bicubic", align_corners=True)
    return torch.cat([first, other.flatten(2).mT.to(positions.dtype)], dim=1)


def wrap(model: nn.Module, *, name: str, weights: str, size: int | None = None) -> Backbone:
    """The Backbone around a torchvision model.

    Args:
        model: a VisionTransformer or a ResNet.
        name: as the user gave it.
        weights: "random", "pretrained" or the checkpoint's file name.
        size: side of a ResNet's native images, in pixels; a ViT states its own.
    """
    if isinstance(model, VisionTransformer):
        backbone: Any = TorchvisionViT(model, name=name, weights=weights)
    else:
        side = size or RESNET_SIZE
        own = {"library": "torchvision", "name": name, "weights": weights}
        backbone = ResNet(model, size=(side, side), **own)
    backbone.facts = dataclasses.replace(backbone.facts, crop_pct=_crop(name))
    return backbone


def _crop(name: str) -> float:
    """The share of the short side that the evaluation of a name's published weights shows.

    >>> round(224 / _crop("vit_l_16")), _crop("mine")
    (242, 0.875)
    """
    try:
        shown: Any = _published(*name.partition(".")[::2]).transforms()
    except (UnknownName, ValueError):  # a model of the user's
        return CROP
    return shown.crop_size[0] / shown.resize_size[0]


def load(name: str, *, weights: Weights, size: int | None = None) -> Backbone:
    """A torchvision backbone.

    Args:
        name: ``vit_b_16``, or ``vit_b_16.TAG`` for one of several published sets of weights.
        weights: "pretrained", "random", or the Path of a local checkpoint.
        size: side of the images, in pixels; a ViT's position embeddings are interpolated to it.

    Raises:
        UnknownName: no such model or tag.
        PretrainedUnavailable: the published weights cannot be downloaded.
        BadCheckpoint, CheckpointMismatch: the local file cannot be used.
    """
    arch, _, tag = name.partition(".")
    if arch not in (*VITS, *RESNETS):
        known = [*VITS, *RESNETS]
        raise UnknownName(f"torchvision has no model {arch!r}; {suggest(arch, known)}")
    published = _published(arch, tag)
    if weights == "random":
        model = get_model(arch, **_build_options(arch, {}, size))
        return wrap(model, name=name, weights="random", size=size)
    if isinstance(weights, Path):
        state, source = read_checkpoint(weights), weights.name
    else:
        state, source = _download(published, name), "pretrained"
    return _fitted(arch, state, name=name, source=source, size=size)


def names() -> dict[str, list[str]]:
    """Readable torchvision models by family; a tag after the dot names the weights."""
    return {
        family: [f"{arch}.{tag.name}" for arch in archs for tag in get_model_weights(arch)]
        for family, archs in (("ViT", VITS), ("ResNet", RESNETS))
    }


def modern_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keys of a ViT's MLP as torchvision names them now; its published files have older ones.

    >>> list(modern_keys({"encoder.layers.encoder_layer_0.mlp.linear_2.bias": torch.zeros(1)}))
    ['encoder.layers.encoder_layer_0.mlp.3.bias']
    """

    def modern(key: str) -> str:
        for old, new in LEGACY_MLP.items():
            key = key.replace(old, new)
        return key

    return {modern(key): tensor for key, tensor in state.items()}


def _published(arch: str, tag: str) -> WeightsEnum:
    known = {found.name: found for found in get_model_weights(arch)}
    if not tag:
        return known.get(PUBLISHED) or next(iter(known.values()))
    if tag not in known:
        raise UnknownName(f"torchvision has no weights {tag!r} of {arch}; {suggest(tag, known)}")
    return known[tag]


def _download(published: WeightsEnum, name: str) -> dict[str, Tensor]:
    try:
        return dict(published.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:  # no network, or a file that fails its hash
        raise PretrainedUnavailable(name, error) from error


def _fitted(
    arch: str, state: dict[str, Tensor], *, name: str, source: str, size: int | None
) -> Backbone:
    skeleton = get_model(arch)
    _, plain = stripped(skeleton, state, convert=modern_keys)
    patch = getattr(skeleton, "patch_size", None)
    if patch and size and "encoder.pos_embedding" in plain:
        state = dict(interpolate_embeddings(size, patch, OrderedDict(plain)))
    model = get_model(arch, **_build_options(arch, plain, size))
    fit(model, state, name=source, convert=modern_keys)
    return wrap(model, name=name, weights=source, size=size)


def _build_options(arch: str, state: dict[str, Tensor], size: int | None) -> dict[str, Any]:
    """Image size and number of classes, as asked for or as the weights have them."""
    options: dict[str, Any] = {}
    head = state.get("heads.head.weight", state.get("fc.weight"))
    if head is not None:
        options["num_classes"] = len(head)
    if arch not in VITS:
        return options
    patch = int(arch.rpartition("_")[2])
    if size and size % patch:
        raise ValueError(f"{arch} takes sides that are multiples of {patch} px, got {size}")
    if size:
        options["image_size"] = size
    elif "encoder.pos_embedding" in state:
        options["image_size"] = patch * math.isqrt(state["encoder.pos_embedding"].shape[1] - 1)
    return options
