"""Swin v2 of timm: cosine attention in shifted windows, read on the grid of each stage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unlazy.backbones.base import Call, patch_tokens
from unlazy.backbones.hierarchical import Hierarchical
from unlazy.backbones.plain import split_heads
from unlazy.tokens import Site, Tokens

MAX_LOGIT_SCALE = 100.0  # Source: Swin Transformer V2, section 3.3 (temperature at least 0.01)
BIAS_RANGE = 16.0  # Source: the authors' released code; not in the paper


class SwinV2(Hierarchical):
    """timm's Swin v2: cosine attention inside shifted windows.

    Windows are put back on the stage's grid, and tokens that only pad a window are dropped.
    Queries and keys are read as they enter the dot product, which is after their normalisation:
    each head's part has norm 1.
    """

    def __init__(self, model: nn.Module, *, name: str, weights: str) -> None:
        patch_embed: Any = model.patch_embed
        super().__init__(
            model,
            name=name,
            weights=weights,
            size=tuple(patch_embed.img_size),
            position="continuous relative bias inside windows",
        )

    @staticmethod
    def stages(model: Any) -> Sequence[Any]:
        return tuple(model.layers)

    @staticmethod
    def stem_stride(model: Any) -> int:
        return model.patch_embed.patch_size[0]

    @staticmethod
    def last_norm(model: Any) -> nn.Module:
        return model.norm

    def read_attention(self, site: Site, call: Call) -> Tokens:
        if "windows" not in call.memo:
            call.memo["windows"] = _project_windows(call.module, call.args[0])
        q, k, v = call.memo["windows"]
        _, block = self.place(site.layer)
        grid = self.grid(call.size, site.layer)
        if site.stream == "attention":
            weights = _window_attention(call.module, q, k, _mask(call))  # (B * windows, A, T, T)
            real = _real(block.window_size, grid, like=weights)  # (windows, T)
            kept = weights.unflatten(0, (-1, len(real))) * real[:, None, :, None]
            received = _unwindow(kept.sum(dim=3).flatten(0, 1).transpose(1, 2), block, grid)
            return patch_tokens(received / received.sum(dim=1, keepdim=True), grid)
        part = {"query": q, "key": k, "value": v}[site.stream]
        return patch_tokens(_unwindow(part.transpose(1, 2).flatten(2), block, grid), grid)

    def rebuild(self, layer: int, call: Call) -> Tensor:
        attn: Any = call.module
        q, k, v = _project_windows(attn, call.args[0])
        weights = _window_attention(attn, q, k, _mask(call))
        return attn.proj((weights @ v).transpose(1, 2).flatten(2))


def _mask(call: Call) -> Tensor | None:
    return call.kwargs.get("mask", call.args[1] if len(call.args) > 1 else None)


def _project_windows(attn: Any, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unit queries, unit keys and values, each (B * windows, A, T, d)."""
    bias = None
    if attn.q_bias is not None:
        bias = torch.cat([attn.q_bias, attn.k_bias, attn.v_bias])
    q, k, v = split_heads(F.linear(windows, attn.qkv.weight, bias), attn.num_heads)
    return F.normalize(q, dim=-1), F.normalize(k, dim=-1), v


def _window_attention(attn: Any, q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
    """Attention inside each window, (B * windows, A, T, T); rows sum to 1."""
    area = q.shape[2]
    logits = q @ k.transpose(-2, -1) * attn.logit_scale.clamp(max=math.log(MAX_LOGIT_SCALE)).exp()
    table = attn.cpb_mlp(attn.relative_coords_table).flatten(0, -2)  # (offsets, A)
    pairs = table[attn.relative_position_index.flatten()].unflatten(0, (area, area))
    logits = logits + BIAS_RANGE * pairs.permute(2, 0, 1).sigmoid()
    if mask is not None:  # (windows, T, T): pairs that a cyclic shift has brought together
        logits = (logits.unflatten(0, (-1, len(mask))) + mask[:, None]).flatten(0, 1)
    return logits.softmax(dim=-1)


def _counts(window: tuple[int, int], grid: tuple[int, int]) -> tuple[int, int]:
    return math.ceil(grid[0] / window[0]), math.ceil(grid[1] / window[1])


def _real(window: tuple[int, int], grid: tuple[int, int], *, like: Tensor) -> Tensor:
    """1 for window positions that hold a token, 0 for those that only pad; (windows, T)."""
    down, across = _counts(window, grid)
    plane = like.new_zeros(down * window[0], across * window[1])
    plane[: grid[0], : grid[1]] = 1
    split = plane.unflatten(0, (down, window[0])).unflatten(2, (across, window[1]))
    return split.transpose(1, 2).flatten(2).flatten(0, 1)


def _unwindow(windows: Tensor, block: Any, grid: tuple[int, int]) -> Float[Tensor, "B N D"]:
    """Windows (B * windows, T, D) back on the grid: unsplit, unpad, undo the cyclic shift."""
    split = windows.unflatten(0, (-1, *_counts(block.window_size, grid)))
    plane = split.unflatten(3, tuple(block.window_size)).transpose(2, 3).flatten(1, 2).flatten(2, 3)
    cropped = plane[:, : grid[0], : grid[1]]
    return cropped.roll(tuple(block.shift_size), dims=(1, 2)).flatten(1, 2)
