"""Weights of the ViT that is trained here, from and to timm's VisionTransformer.

Names are the same; ``vit_files.timm_layout`` says what differs with registers.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import nn

from unlazy.backbones.vit import ViT, ViTConfig
from unlazy.backbones.vit_files import (
    POOLS,
    not_in_timm,
    own_layout,
    timm_arguments,
    timm_layout,
)

EPS = 1e-6  # of the norms


def to_timm(model: ViT) -> VisionTransformer:
    """The same function as a timm model, with a copy of the weights.

    Raises:
        ValueError: timm has no such pool, or no windows.
    """
    config = model.config
    reason = not_in_timm(config)
    if reason:
        raise ValueError(reason)
    built = VisionTransformer(**timm_arguments(config), drop_path_rate=config.drop_path)
    built.load_state_dict(timm_layout(config, model.state_dict()))
    return built.train(model.training)


def from_timm(model: nn.Module, **changes: Any) -> ViT:
    """The same function as a ``ViT``, with a copy of the weights.

    Args:
        model: a timm VisionTransformer without parts that ``ViT`` has not (rotary positions,
            norms of q and k, a norm after pooling).
        changes: fields of ``ViTConfig`` to set otherwise, such as ``pool`` for fine-tuning. The
            weights of a pool, and a head of another ``num_classes``, are fresh.

    Raises:
        ValueError: a part that ``ViT`` has not, or a change that the weights do not allow; the
            message names it.
    """
    if not isinstance(model, VisionTransformer):
        raise ValueError(f"{type(model).__name__} is no timm VisionTransformer")
    config = dataclasses.replace(_config(model, changes), **changes)
    if config.registers != model.num_reg_tokens:
        raise ValueError(
            f"the timm model has {model.num_reg_tokens} registers, {config.registers} were asked"
            " for; registers are learned with the rest and cannot be added to trained weights"
        )
    built, state = ViT(config), own_layout(config, dict(model.state_dict()))
    if config.num_classes != model.num_classes:
        state = {key: value for key, value in state.items() if not key.startswith("head.")}
    ours = built.state_dict()
    foreign = sorted(key for key in state if key not in ours or state[key].shape != ours[key].shape)
    if foreign:
        raise ValueError(
            f"ViT has no {', '.join(foreign[:5])} of that shape; this timm model cannot be"
            " converted"
        )
    fresh = ("head.", "pool.") if config.num_classes != model.num_classes else ("pool.",)
    absent = sorted(  # a bias that timm leaves out is zero in ours
        key
        for key in set(ours) - set(state)
        if not key.startswith(fresh) and not key.endswith(".bias")
    )
    if absent:
        raise ValueError(
            f"the timm model has no {', '.join(absent[:5])}, which ViT cannot be without; it"
            " cannot be converted"
        )
    built.load_state_dict(ours | state)
    return built.train(model.training)


def _config(model: VisionTransformer, changes: dict[str, Any]) -> ViTConfig:
    """The configuration that is the same function, up to ``changes``."""
    patch, size = model.patch_embed.patch_size, model.patch_embed.img_size
    if patch[0] != patch[1] or size is None or size[0] != size[1]:
        raise ValueError(f"patches {patch} and images {size} must be square")
    pools = {theirs: ours for ours, theirs in POOLS.items()}
    if model.global_pool not in pools and "pool" not in changes:
        raise ValueError(f"ViT has no pool {model.global_pool!r}; choose one with pool=")
    block: Any = model.blocks[0]
    activation, norms = block.mlp.act, (block.norm1, block.norm2, model.norm)
    if type(activation) is not nn.GELU or activation.approximate != "none":
        raise ValueError(f"ViT has no {type(activation).__name__} activation, only exact GELU")
    if any(getattr(norm, "eps", EPS) != EPS for norm in norms):
        raise ValueError(f"ViT has layer norms with eps {EPS} alone")
    return ViTConfig(
        img_size=size[0],
        patch_size=patch[0],
        embed_dim=model.embed_dim,
        depth=len(model.blocks),
        num_heads=block.attn.num_heads,
        num_classes=model.num_classes,
        class_token=model.has_class_token,
        registers=model.num_reg_tokens,
        pool=changes.get("pool") or pools[model.global_pool],  # pyright: ignore
        layer_scale=1e-5 if hasattr(block.ls1, "gamma") else None,
    )
