"""Weights of the ViT that is trained here, from and to timm's VisionTransformer.

Names are the same. Two things differ where a model has registers: timm gives positions to patches
alone (``no_embed_class``), so the position of CLS is added to the CLS token.
"""

from __future__ import annotations

import dataclasses

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from unlazy.backbones.vit import ViT, ViTConfig

POOLS = {"cls": "token", "mean": "avg", "max": "max"}


def to_timm(model: ViT) -> VisionTransformer:
    """The same function as a timm model, with a copy of the weights.

    Raises:
        ValueError: timm has no such pool, or no windows.
    """
    config = model.config
    if config.pool not in POOLS:
        raise ValueError(f"timm has no {config.pool} pool; only {', '.join(POOLS)} go there")
    if config.windows:
        raise ValueError("timm's VisionTransformer has no windowed blocks")
    built = VisionTransformer(
        img_size=config.img_size,
        patch_size=config.patch_size,
        num_classes=config.num_classes,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
        class_token=config.class_token,
        reg_tokens=config.registers,
        no_embed_class=config.registers > 0,
        global_pool=POOLS[config.pool],
        fc_norm=False,
        init_values=config.layer_scale,
        drop_path_rate=config.drop_path,
        dynamic_img_size=True,
    )
    state = dict(model.state_dict())
    if config.registers and config.class_token:
        state["cls_token"] = state["cls_token"] + state["pos_embed"][:, :1]
        state["pos_embed"] = state["pos_embed"][:, 1:]
    built.load_state_dict(state)
    return built.train(model.training)


def from_timm(model: nn.Module, **changes: object) -> ViT:
    """The same function as a ``ViT``, with a copy of the weights.

    Args:
        model: a timm VisionTransformer without parts that ``ViT`` has not (rotary positions,
            norms of q and k, a norm after pooling).
        changes: fields of ``ViTConfig`` to set otherwise, such as ``pool`` for fine-tuning;
            parameters that timm's model has not keep their initial values.

    Raises:
        ValueError: a part that ``ViT`` has not; the message names it.
    """
    if not isinstance(model, VisionTransformer):
        raise ValueError(f"{type(model).__name__} is no timm VisionTransformer")
    state: dict[str, Tensor] = dict(model.state_dict())
    pools = {theirs: ours for ours, theirs in POOLS.items()}
    patch, size = model.patch_embed.patch_size, model.patch_embed.img_size
    if patch[0] != patch[1] or size is None or size[0] != size[1]:
        raise ValueError(f"patches {patch} and images {size} must be square")
    config = ViTConfig(
        img_size=size[0],
        patch_size=patch[0],
        embed_dim=model.embed_dim,
        depth=len(model.blocks),
        num_heads=model.blocks[0].attn.num_heads,
        num_classes=model.num_classes,
        class_token=model.has_class_token,
        registers=model.num_reg_tokens,
        pool=pools.get(model.global_pool, "cls"),  # type: ignore[arg-type]
        layer_scale=1e-5 if "blocks.0.ls1.gamma" in state else None,
    )
    built = ViT(dataclasses.replace(config, **changes))
    if model.no_embed_class and model.has_class_token:
        state["pos_embed"] = torch.cat(
            [torch.zeros_like(state["pos_embed"][:, :1]), state["pos_embed"]], dim=1
        )
    ours = built.state_dict()
    foreign = sorted(state.keys() - ours.keys())
    if foreign:
        raise ValueError(
            f"ViT has no {', '.join(foreign[:5])}; this timm model cannot be converted"
        )
    built.load_state_dict(ours | state)
    return built.train(model.training)
