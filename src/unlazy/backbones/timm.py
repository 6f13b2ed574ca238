"""Plain ViTs of timm: ViT, DeiT, DeiT3, DINO, DINOv2, DINOv3, EVA-02, MAE, CLIP and SigLIP towers.

Reads ``timm.models.vision_transformer.VisionTransformer`` (and its distilled kind) and
``timm.models.eva.Eva``; hierarchical models are in ``hierarchical``, ResNets in ``convnet``.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from timm.layers.attention import Attention
from timm.layers.pos_embed_sincos import apply_rot_embed_cat
from torch import Tensor, nn

from unlazy.backbones.base import Call, trained_head
from unlazy.backbones.plain import PlainViT, Projections, split_heads
from unlazy.tokens import CROP, EMBED, FINAL, SHARED, STREAMS, Facts, Site

TEXT_TAGS = ("clip", "siglip", "openai", "laion", "datacomp", "metaclip", "webli", "dfn", "pe_core")
SELF_TAGS = ("dino", "mae", "lvd", "ijepa", "sat493m", "lunit", ".mim_")
LABEL_TAGS = ("in1k", "in12k", "in21k", "in22k", "imagenet", "bamboo")


def supervision(name: str) -> str:
    """What a timm name says of the supervision of its weights.

    >>> supervision("vit_base_patch16_clip_224.openai"), supervision("vit_small_patch14_dinov2")
    ('text', 'self')
    >>> supervision("vit_base_patch16_clip_224.openai_ft_in1k"), supervision("deit3_small_patch16")
    ('label', 'label')
    >>> supervision("vit_base_patch16_lingbot.robbyant")
    'unknown'
    """
    lowered = name.lower()
    if "_ft_" in lowered:
        return "label"
    if any(word in lowered for word in SELF_TAGS):
        return "self"
    if any(word in lowered for word in TEXT_TAGS):
        return "text"
    known = "." not in lowered or any(word in lowered for word in LABEL_TAGS)
    return "label" if known else "unknown"


def preprocessing(model: nn.Module, usual: str) -> dict[str, Any]:
    """Mean, std, interpolation and crop that timm states of a model's weights.

    Args:
        model: as timm built it; without a configuration, ImageNet's mean and std are taken.
        usual: the interpolation where none is stated.
    """
    config: dict[str, Any] = getattr(model, "pretrained_cfg", None) or {}
    return {
        "mean": tuple(config.get("mean", (0.485, 0.456, 0.406))),
        "std": tuple(config.get("std", (0.229, 0.224, 0.225))),
        "interpolation": config.get("interpolation") or usual,
        "crop_pct": config.get("crop_pct") or CROP,
        "squashed": config.get("crop_mode") == "squash",
    }


class TimmViT(PlainViT):
    """A plain timm ViT, unchanged, that takes any image size its patches divide."""

    def __init__(self, model: nn.Module, *, name: str, weights: str) -> None:
        config: dict[str, Any] = getattr(model, "pretrained_cfg", None) or {}
        patch_embed: Any = model.patch_embed
        patch = tuple(patch_embed.patch_size)
        has_cls = bool(
            getattr(model, "has_class_token", getattr(model, "cls_token", None) is not None)
        )
        rotary = getattr(model, "rope", None) is not None
        absolute = getattr(model, "pos_embed", None) is not None
        learned = "learned, resized by bicubic with antialias"
        position = " and ".join(["rotary"] * rotary + [learned] * absolute) or "none"
        blocks: Any = model.blocks
        facts = Facts(
            name=name,
            family=f"timm {type(model).__name__}",
            dim=model.num_features,  # pyright: ignore[reportArgumentType]
            depth=len(blocks),
            heads=blocks[-1].attn.num_heads,
            patch=patch,
            multiple=patch,
            **preprocessing(model, "bicubic"),
            size=tuple(patch_embed.img_size or config.get("input_size", (3, 224, 224))[-2:]),
            supervision=supervision(name),
            has_cls=has_cls,
            num_registers=model.num_prefix_tokens - has_cls,  # pyright: ignore
            weights=weights,
            position=position,
            activation=_activation(blocks[-1].mlp),
            streams=frozenset(STREAMS),
            any_size=bool(getattr(model, "dynamic_img_size", False) or not absolute),
        )
        super().__init__(model, facts)

    def locate(self, site: Site) -> nn.Module:
        model: Any = self.model
        if site == EMBED:
            return model.patch_embed
        if site in (FINAL, SHARED):
            return model.norm
        layer = model.blocks[site.layer]
        if site.stream == "block":
            return layer
        if site.stream == "neurons":
            return layer.mlp.fc2
        return layer.attn.qkv if _calls_qkv(layer.attn) else layer.attn

    def embedded(self, output: Tensor) -> Float[Tensor, "B N D"]:
        return output.flatten(1, -2)  # (B, N, D), or (B, H, W, D) where any size is taken

    def encode(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B E"]:
        model: Any = self.model
        features = model.forward_features(images)
        return model.forward_head(features, pre_logits=not self._projects)

    def classifier(self) -> nn.Module | None:
        return trained_head(self.model, self.facts.supervision)

    def projections(self, call: Call) -> Projections:
        if isinstance(call.output, Tensor) and _is_qkv(call.module, self.model):
            attn = _owner(call.module, self.model)
            q, k, v = split_heads(call.output, attn.num_heads)
            return Projections(attn.q_norm(q), attn.k_norm(k), v, attn.scale)
        attn: Any = call.module
        q, k, v = _project(attn, call.args[0])
        q, k = attn.q_norm(q), attn.k_norm(k)
        rope = call.kwargs.get("rope", call.args[1] if len(call.args) > 1 else None)
        if rope is not None:
            q, k = _rotate(attn, q, rope).type_as(v), _rotate(attn, k, rope).type_as(v)
        return Projections(q, k, v, attn.scale)

    def attention_module(self, layer: int) -> nn.Module:
        model: Any = self.model
        return model.blocks[layer].attn

    def rebuild(self, layer: int, call: Call) -> Tensor:
        attn: Any = call.module
        inputs = call.args[0]
        if _calls_qkv(attn):
            inner = Call(attn.qkv, (inputs,), {}, attn.qkv(inputs), call.size)
        else:
            inner = call
        mixed = attn.norm(self.mix(self.projections(inner)))
        if attn.gate is not None:
            mixed = mixed * attn.gate(inputs).sigmoid()
        return attn.proj(mixed)

    @property
    def _projects(self) -> bool:
        """Whether the head is the projection of a CLIP tower rather than a classifier."""
        return self.facts.supervision == "text" and not isinstance(self.model.head, nn.Identity)

    def final(self, tokens: Tensor) -> Tensor:
        """Models that pool before they normalise: each token normalised as the pool would be."""
        model: Any = self.model
        return model.fc_norm(tokens) if isinstance(model.norm, nn.Identity) else tokens

    def shared(self, tokens: Tensor) -> Tensor:
        model: Any = self.model
        if model.attn_pool is not None:  # a token's share is the pool's output on it alone
            batch, length, dim = tokens.shape
            alone = model.attn_pool(tokens.reshape(batch * length, 1, dim))
            tokens = alone.reshape(batch, length, -1)
        shared = model.fc_norm(tokens)
        return model.head(shared) if self._projects else shared


def _activation(mlp: nn.Module) -> str:
    found = getattr(mlp, "act", None)
    return type(found).__name__ if found is not None else type(mlp).__name__


def _calls_qkv(attn: nn.Module) -> bool:
    """Whether the attention calls its ``qkv`` as a module and needs nothing else (no rotation)."""
    return isinstance(attn, Attention)


def _is_qkv(module: nn.Module, model: nn.Module) -> bool:
    return isinstance(module, nn.Linear)


def _owner(qkv: nn.Module, model: Any) -> Any:
    return next(block.attn for block in model.blocks if block.attn.qkv is qkv)


def _project(attn: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if attn.qkv is not None:
        bias = attn.qkv.bias
        if getattr(attn, "q_bias", None) is not None:
            bias = torch.cat([attn.q_bias, attn.k_bias, attn.v_bias])
        return split_heads(F.linear(x, attn.qkv.weight, bias), attn.num_heads)
    parts = [layer(x) for layer in (attn.q_proj, attn.k_proj, attn.v_proj)]
    width = parts[0].shape[-1] // attn.num_heads
    q, k, v = (part.unflatten(2, (-1, width)).transpose(1, 2) for part in parts)
    groups = q.shape[1] // k.shape[1]  # grouped-query attention repeats keys and values
    return q, k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)


def _rotate(attn: Any, heads: Tensor, rope: Tensor) -> Tensor:
    prefix, patches = heads[:, :, : attn.num_prefix_tokens], heads[:, :, attn.num_prefix_tokens :]
    rotated = apply_rot_embed_cat(patches, rope, half=getattr(attn, "rotate_half", False))
    return torch.cat([prefix, rotated], dim=2)
