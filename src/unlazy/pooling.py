"""Pooling: from the patch tokens (and CLS) of an image to its vector.

``lazy_strike`` is the pool of *Vision Transformers Need More Than Registers* (LaSt-ViT). Its
sources disagree, so each reading of it has a name; S is the score, x a patch token, x_low the
token low-passed over its channels. Each channel picks its own patches, the ``keep`` highest S,
and averages their values in that channel:

========== ============================== =====================================================
reading    S                              source
========== ============================== =====================================================
released   x / |x_low - x|                public code (the released weights were trained with it)
paper      x_low / (|x_low - x| + eps)    equations 4 to 7 of the revised paper
alg1       |x - x_low| / |x|              Algorithm 1 of the preprint, with the filter applied
token      mean of released over channels whole patches, as the preprint's text has it
========== ============================== =====================================================

The choice of patches is not differentiated; gradients flow through the chosen values alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Reading = Literal["released", "paper", "alg1", "token"]
Kernel = Literal["released", "centred"]
PoolName = Literal["cls", "mean", "max", "attention", "simpool", "lazy_strike"]
EPS = 1e-6


@lru_cache(maxsize=32)
def _gain(dim: int, kernel: Kernel, device: torch.device) -> Tensor:
    """Real gain of each of the ``dim // 2 + 1`` frequencies."""
    first = -dim // 2 + 1 if kernel == "released" else -(dim // 2)
    places = torch.arange(first, first + dim, dtype=torch.float32)
    weights = torch.exp(-0.5 * (places / dim**0.5) ** 2)
    weights = torch.fft.ifftshift(weights / weights.max())
    mirrored = torch.roll(weights.flip(0), 1, dims=0)
    return (0.5 * (weights + mirrored))[: dim // 2 + 1].to(device)


@lru_cache(maxsize=32)
def _circulant(dim: int, kernel: Kernel, device: torch.device) -> Tensor:
    """The same filter as a real (dim, dim) matrix."""
    spectrum = torch.fft.rfft(torch.eye(dim)) * _gain(dim, kernel, torch.device("cpu"))
    return torch.fft.irfft(spectrum, n=dim).to(device)


def low_pass(
    tokens: Float[Tensor, "B N D"], *, kernel: Kernel = "released"
) -> Float[Tensor, "B N D"]:
    """Gaussian low-pass over the channels, sigma ``sqrt(D)`` bins, in float32.

    The released kernel sits at ``-D//2 + 1 .. D//2``: for even D one bin off the zero frequency.
    The real part of a signal filtered with it equals a filter with the mean of the kernel and
    its mirror image, so a real FFT suffices. The centred kernel peaks at the zero frequency.
    While a graph is exported the filter is a matrix product: no complex number enters the graph.
    """
    dim = tokens.shape[-1]
    if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export():
        return tokens.float() @ _circulant(dim, kernel, tokens.device)
    spectrum = torch.fft.rfft(tokens.float(), dim=-1)
    return torch.fft.irfft(spectrum * _gain(dim, kernel, tokens.device), n=dim, dim=-1)


def lazy_strike_scores(
    patches: Float[Tensor, "B N D"],
    *,
    reading: Reading = "released",
    kernel: Kernel = "released",
    order: Int[Tensor, " D"] | None = None,
) -> Float[Tensor, "B N D"]:
    """The score S of each patch in each channel, in float32; finite for finite patches.

    Where a formula divides by zero its denominator is ``EPS``.

    Args:
        patches: patch tokens, prefix tokens excluded.
        reading: which definition; ``token`` repeats one score over the channels.
        kernel: of the low-pass.
        order: a permutation of the channels under which the filter sees them; a control, since
            the order of channels means nothing in a transformer.

    Raises:
        ValueError: unknown reading.
    """
    x = patches.float()
    if order is None:
        low = low_pass(x, kernel=kernel)
    else:
        low = low_pass(x[..., order], kernel=kernel)[..., torch.argsort(order)]
    residual = (low - x).abs()
    if reading == "paper":
        return low / (residual + EPS)
    if reading == "alg1":
        return residual / x.abs().clamp(min=EPS)
    scores = x / residual.clamp(min=EPS)
    if reading == "released":
        return scores
    if reading == "token":
        return scores.mean(dim=-1, keepdim=True).expand_as(scores)
    raise ValueError(f"no reading {reading!r}; there are {', '.join(get_args(Reading))}")


def kept(keep: float, patches: int) -> int:
    """How many patches ``keep`` means: an int is a count, a float a share of all.

    >>> kept(0.5, 196), kept(7, 196), kept(0.001, 196)
    (98, 7, 1)

    Raises:
        ValueError: a count outside 1..N, or a share outside (0, 1].
    """
    if isinstance(keep, float):
        if not 0 < keep <= 1:
            raise ValueError(
                f"keep is a share of {keep}; a share lies in (0, 1], a count is an int"
            )
        return max(1, round(keep * patches))
    if not 1 <= keep <= patches:
        raise ValueError(f"keep must be in 1..{patches} (the number of patches), not {keep}")
    return keep


def lazy_strike(
    patches: Float[Tensor, "B N D"],
    *,
    keep: float = 0.5,
    reading: Reading = "released",
    kernel: Kernel = "released",
    order: Int[Tensor, " D"] | None = None,
) -> Float[Tensor, "B D"]:
    """LazyStrike pooling: per channel, the mean of the ``keep`` patches of highest score.

    ``keep`` of all patches is the mean. Arguments as in ``lazy_strike_scores`` and ``kept``.

    >>> lazy_strike(torch.tensor([[[1.0, 5.0], [3.0, 1.0]]]), keep=2).tolist()
    [[2.0, 3.0]]
    """
    count = kept(keep, patches.shape[1])
    if count == patches.shape[1]:
        return patches.mean(dim=1)
    with torch.no_grad():
        scores = lazy_strike_scores(patches, reading=reading, kernel=kernel, order=order)
        chosen = _highest(scores, count)
    return patches.gather(1, chosen).float().mean(dim=1).to(patches.dtype)


def _highest(scores: Float[Tensor, "B N D"], count: int) -> Int[Tensor, "B count D"]:
    """Indices of the ``count`` highest scores of each channel."""
    if count == 1:
        return scores.argmax(dim=1, keepdim=True)
    return scores.topk(count, dim=1, sorted=False).indices


def votes(patches: Float[Tensor, "B N D"], *, keep: float) -> Int[Tensor, "B N"]:
    """In how many channels each patch is among the ``keep`` highest scores; sums to keep * D.

    >>> counts = votes(torch.randn(2, 9, 16), keep=3)
    >>> counts.sum(1).tolist()
    [48, 48]
    """
    chosen = _highest(lazy_strike_scores(patches), kept(keep, patches.shape[1])).flatten(1)
    counts = torch.zeros(patches.shape[:2], dtype=torch.int64, device=patches.device)
    return counts.scatter_add_(1, chosen, torch.ones_like(chosen))


class LazyStrike(nn.Module):
    """``lazy_strike`` as a module without parameters.

    Attributes:
        shuffle: seed of a fixed permutation of the channels (a control), or None.
    """

    def __init__(
        self,
        *,
        keep: float = 0.5,
        reading: Reading = "released",
        kernel: Kernel = "released",
        shuffle: int | None = None,
    ) -> None:
        super().__init__()
        self.keep, self.reading, self.kernel, self.shuffle = keep, reading, kernel, shuffle

    def forward(self, patches: Float[Tensor, "B N D"]) -> Float[Tensor, "B D"]:
        """Pool the patches."""
        order = None
        if self.shuffle is not None:
            generator = torch.Generator().manual_seed(self.shuffle)
            order = torch.randperm(patches.shape[-1], generator=generator).to(patches.device)
        return lazy_strike(
            patches, keep=self.keep, reading=self.reading, kernel=self.kernel, order=order
        )

    def extra_repr(self) -> str:
        """The settings."""
        return f"keep={self.keep}, reading={self.reading}, kernel={self.kernel}"


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


class SimPool(nn.Module):
    """One attention step whose query is the mean patch, pooled by a generalised mean.

    Source: *Keep It SimPool* (ICCV 2023), with its gamma for transformers, 1.25.
    """

    def __init__(self, dim: int, *, gamma: float = 1.25) -> None:
        super().__init__()
        self.gamma = gamma
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.wq = nn.Linear(dim, dim, bias=False)
        self.wk = nn.Linear(dim, dim, bias=False)

    def forward(self, patches: Float[Tensor, "B N D"]) -> Float[Tensor, "B D"]:
        """Pool the patches."""
        query = self.wq(self.norm(patches.mean(dim=1, keepdim=True)))
        normed = self.norm(patches)
        weights = (query @ self.wk(normed).mT * patches.shape[-1] ** -0.5).softmax(dim=-1)
        positive = normed - normed.amin(dim=(1, 2), keepdim=True) + EPS
        return (weights @ positive**self.gamma)[:, 0] ** (1 / self.gamma)


def build_pool(
    name: PoolName,
    *,
    dim: int,
    heads: int,
    keep: float = 0.5,
    reading: Reading = "released",
    kernel: Kernel = "released",
    shuffle: int | None = None,
) -> nn.Module | None:
    """The pool of a model; None for ``cls``, which reads no patch.

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
        return LazyStrike(keep=keep, reading=reading, kernel=kernel, shuffle=shuffle)
    raise ValueError(f"no pool {name!r}; there are {', '.join(get_args(PoolName))}")
