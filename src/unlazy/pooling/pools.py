"""The other pools, and a pool by name."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unlazy.pooling.lazystrike import Kernel, LazyStrike, Reading

PoolName = Literal["cls", "mean", "max", "attention", "simpool", "lazy_strike"]
EPS = 1e-6


class MeanPool(nn.Module):
    """Mean of the patches (GAP)."""

    def forward(self, patches: Float[Tensor, "B N D"]) -> Float[Tensor, "B D"]:
        """Pool the patches."""
        return patches.mean(dim=1)


class MaxPool(nn.Module):
    """Highest value of each channel."""

    def forward(self, patches: Float[Tensor, "B N D"]) -> Float[Tensor, "B D"]:
        """Pool the patches."""
        return patches.amax(dim=1)


class AttentionPool(nn.Module):
    """Multi-head attention of one learned query over the patches, then a projection."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Parameter(torch.randn(1, 1, dim) * dim**-0.5)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, patches: Float[Tensor, "B N D"]) -> Float[Tensor, "B D"]:
        """Pool the patches."""
        batch, _, dim = patches.shape
        k, v = self.kv(patches).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q = self.query.expand(batch, 1, dim).unflatten(2, (self.heads, -1)).transpose(1, 2)
        pooled = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(pooled.flatten(1))

    def each(self, tokens: Float[Tensor, "B T D"], prefix: int) -> Float[Tensor, "B T D"]:
        """Each token as it would come out if all attention went to it."""
        return self.proj(self.kv(tokens).chunk(2, dim=-1)[1])


class SimPool(nn.Module):
    """One attention step whose query is the mean patch, pooled by a generalised mean.

    Source: *Keep It SimPool* (ICCV 2023), with its gamma for transformers, 1.25. Deviation: the
    smallest value, which is subtracted before the power, is that of the image, not of the batch,
    so that an image's vector does not depend on its neighbours.
    """

    def __init__(self, dim: int, *, gamma: float = 1.25) -> None:
        super().__init__()
        self.gamma = gamma
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.wq = nn.Linear(dim, dim, bias=False)
        self.wk = nn.Linear(dim, dim, bias=False)

    def forward(self, patches: Float[Tensor, "B N D"]) -> Float[Tensor, "B D"]:
        """Pool the patches."""
        query, normed = self.wq(patches.mean(dim=1, keepdim=True)), self.norm(patches)
        weights = (query @ self.wk(normed).mT * patches.shape[-1] ** -0.5).softmax(dim=-1)
        positive = normed - normed.amin(dim=(1, 2), keepdim=True) + EPS
        return (weights @ positive**self.gamma)[:, 0] ** (1 / self.gamma)

    def each(self, tokens: Float[Tensor, "B T D"], prefix: int) -> Float[Tensor, "B T D"]:
        """Each token as it would come out if all attention went to it.

        Args:
            tokens: of whole images.
            prefix: how many of them, from the first, are no patches; the pool does not see them.
        """
        normed = self.norm(tokens)
        return normed - normed[:, prefix:].amin(dim=(1, 2), keepdim=True) + EPS


def build_pool(
    name: PoolName,
    *,
    dim: int,
    heads: int,
    keep: int | float = 0.5,
    reading: Reading = "released",
    kernel: Kernel = "released",
    shuffle: int | None = None,
) -> nn.Module | None:
    """The pool of a model; None for ``cls``, which reads no patch.

    Args:
        name: which pool.
        dim: width of the tokens.
        heads: of ``attention``.
        keep: of ``lazy_strike``: patches a channel, a count (int) or a share (float).
        reading: of ``lazy_strike``.
        kernel: of ``lazy_strike``.
        shuffle: of ``lazy_strike``, a control: seed of a permutation of the channels under which
            its filter sees them; a model in training sees another one in each pass. None: their
            own order.

    Raises:
        ValueError: unknown name.
    """
    if name == "cls":
        return None
    if name == "mean":
        return MeanPool()
    if name == "max":
        return MaxPool()
    if name == "attention":
        return AttentionPool(dim, heads)
    if name == "simpool":
        return SimPool(dim)
    if name == "lazy_strike":
        order = None
        if shuffle is not None:
            order = torch.randperm(dim, generator=torch.Generator().manual_seed(shuffle))
        return LazyStrike(keep=keep, reading=reading, kernel=kernel, order=order, redraw=True)
    raise ValueError(f"no pool {name!r}; there are {', '.join(get_args(PoolName))}")
