"""The ViT that is trained here: readable from top to bottom, with timm's parameter names.

``vit_config`` holds its settings, ``vit_files`` its files on disk and on the Hub; ``trained``
reads it as a Backbone; ``vit_timm`` moves weights from and to timm.

Positions are added to CLS and patches; registers come after that, between CLS and patches, have
no position and are discarded at the output (Darcet et al., *Vision Transformers Need Registers*).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unlazy.backbones.vit_config import ViTConfig
from unlazy.backbones.vit_files import HubFiles
from unlazy.pooling import build_pool

__all__ = ["ViT", "ViTConfig"]


class PatchEmbed(nn.Module):
    """Patches of pixels -> tokens, row by row."""

    def __init__(self, patch: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)

    def forward(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B N D"]:
        """Embed.

        Raises:
            ValueError: a side is no multiple of the patch.
        """
        height, width = images.shape[-2:]
        patch = self.proj.stride[0]
        if height % patch or width % patch:
            raise ValueError(f"images of {height}x{width} px do not split into patches of {patch}")
        return self.proj(images).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Multi-head self-attention; ``mask`` is True where a query may look."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.num_heads, self.scale = heads, (dim // heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def heads(self, qkv: Float[Tensor, "B T D3"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys, values, each (B, A, T, d)."""
        q, k, v = qkv.unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def forward(
        self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "T T"] | None = None
    ) -> Float[Tensor, "B T D"]:
        """Attend."""
        q, k, v = self.heads(self.qkv(x))
        slow = q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.requires_grad
        mix = attend if slow else F.scaled_dot_product_attention
        return self.proj(mix(q, k, v, mask).transpose(1, 2).flatten(2))


def attend(
    q: Float[Tensor, "B A T d"],
    k: Float[Tensor, "B A T d"],
    v: Float[Tensor, "B A T d"],
    mask: Bool[Tensor, "T T"] | None,
) -> Float[Tensor, "B A T d"]:
    """Scaled dot-product attention as two products.

    PyTorch's fused kernel is slow to differentiate in bfloat16 on CPU: ``make perf`` has both.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.float().softmax(-1).to(v.dtype) @ v


class Mlp(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Transform each token."""
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    """A learned factor for each channel of a branch."""

    def __init__(self, dim: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), initial))

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Scale."""
        return x * self.gamma


def drop_path(branch: Tensor, probability: float, *, training: bool) -> Tensor:
    """Drop a whole branch of some samples and scale the others up (stochastic depth)."""
    if not training or probability == 0:
        return branch
    alive = branch.new_empty((len(branch), 1, 1)).bernoulli_(1 - probability)
    return branch * alive / (1 - probability)


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, config: ViTConfig, layer: int) -> None:
        super().__init__()
        dim, initial = config.embed_dim, config.layer_scale
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, config.num_heads)
        self.ls1 = nn.Identity() if initial is None else LayerScale(dim, initial)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim)
        self.ls2 = nn.Identity() if initial is None else LayerScale(dim, initial)
        self.windowed = layer in config.windows
        self.drop = config.drop_path * layer / max(1, config.depth - 1)

    def forward(self, x: Float[Tensor, "B T D"], mask: Tensor | None) -> Float[Tensor, "B T D"]:
        """One attention and one MLP branch."""
        attended = self.ls1(self.attn(self.norm1(x), mask if self.windowed else None))
        x = x + drop_path(attended, self.drop, training=self.training)
        transformed = self.ls2(self.mlp(self.norm2(x)))
        return x + drop_path(transformed, self.drop, training=self.training)


def window_mask(
    grid: tuple[int, int], window: int, *, prefix: int, device: torch.device
) -> Bool[Tensor, "T T"]:
    """Who may look at whom: patches at their own window and at the prefix, the prefix at all.

    >>> window_mask((1, 3), 2, prefix=0, device=torch.device("cpu")).int().tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    rows = torch.arange(grid[0], device=device) // window
    columns = torch.arange(grid[1], device=device) // window
    home = (rows[:, None] * (grid[1] + 1) + columns).flatten()
    same = home[:, None] == home
    return F.pad(same, (prefix, 0, prefix, 0), value=True)


class ViT(HubFiles, nn.Module):
    """Plain ViT: patches, positions, blocks, last norm, pool, head."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        dim, count = config.embed_dim, config.side**2
        self.patch_embed = PatchEmbed(config.patch_size, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if config.class_token else None
        self.reg_token = (
            nn.Parameter(torch.zeros(1, config.registers, dim)) if config.registers else None
        )
        self.pos_embed = nn.Parameter(torch.randn(1, config.class_token + count, dim) * 0.02)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, config.num_classes) if config.num_classes else nn.Identity()
        self.pool = build_pool(
            config.pool,
            dim=dim,
            heads=config.num_heads,
            keep=config.keep,
            reading=config.reading,
            kernel=config.kernel,
            shuffle=config.shuffle,
        )
        self.reset_parameters()

    @property
    def num_prefix_tokens(self) -> int:
        """CLS and registers."""
        return self.config.class_token + self.config.registers

    def reset_parameters(self) -> None:
        """As timm does: truncated normal 0.02 for positions and matrices, zero biases."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=1e-6)
        if self.reg_token is not None:
            nn.init.normal_(self.reg_token, std=1e-6)
        for module in (*self.blocks.modules(), self.head):
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def positions(self, grid: tuple[int, int]) -> Float[Tensor, "1 T D"]:
        """Position embeddings of CLS and patches for a grid; resized by bicubic with antialias."""
        side, start = self.config.side, int(self.config.class_token)
        if grid == (side, side):
            return self.pos_embed
        square = self.pos_embed[:, start:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
        resized = F.interpolate(square.float(), size=grid, mode="bicubic", antialias=True)
        flat = resized.flatten(2).transpose(1, 2).to(self.pos_embed.dtype)
        return torch.cat([self.pos_embed[:, :start], flat], dim=1)

    def forward_features(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B T D"]:
        """All tokens after the last norm: CLS, registers, patches."""
        patch, start = self.config.patch_size, int(self.config.class_token)
        grid = images.shape[-2] // patch, images.shape[-1] // patch
        patches, positions = self.patch_embed(images), self.positions(grid)
        parts = [patches + positions[:, start:]]
        if self.reg_token is not None:
            parts.insert(0, self.reg_token.expand(patches.shape[0], -1, -1))
        if self.cls_token is not None:
            cls = self.cls_token + positions[:, :start]
            parts.insert(0, cls.expand(patches.shape[0], -1, -1))
        x = torch.cat(parts, dim=1)
        mask = self.window_mask(grid) if self.config.windows else None
        for layer in self.blocks:
            x = layer(x, mask)
        return self.norm(x)

    def window_mask(self, grid: tuple[int, int]) -> Bool[Tensor, "T T"]:
        """Who may look at whom in the windowed blocks, for images of ``grid`` patches."""
        prefix, device = self.num_prefix_tokens, self.pos_embed.device
        return window_mask(grid, self.config.window, prefix=prefix, device=device)

    def pooled(self, tokens: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
        """The image vector."""
        return tokens[:, 0] if self.pool is None else self.pool(tokens[:, self.num_prefix_tokens :])

    def forward(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B classes"]:
        """Logits, or the image vector of a model without classes."""
        return self.head(self.pooled(self.forward_features(images)))
