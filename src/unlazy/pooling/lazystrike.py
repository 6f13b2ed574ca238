"""LazyStrike, the pool of *Vision Transformers Need More Than Registers* (LaSt-ViT).

S is the score, x a patch token, x_low the token low-passed over its channels. Each channel picks
its own patches, the ``keep`` highest S, and averages their values in that channel. The sources
disagree on S, so each reading has a name:

========== ============================== =====================================================
reading    S                              source
========== ============================== =====================================================
released   x / |x_low - x|                public code
paper      x_low / (|x_low - x| + eps)    equations 4 to 7 of the revised paper
alg1       |x - x_low| / |x|              Algorithm 1 of the preprint, with the filter applied
token      mean of released over channels whole patches, as the preprint's text has it
========== ============================== =====================================================

With eps = 0, released = paper + sign(x - x_low). The choice of patches is not differentiated;
gradients flow through the chosen values alone.

The first commits of the public code computed the scores and then took the mean of all low-passed
patches; later ones, and ``released`` here, average the chosen values. Which of them the released
weights were trained with is not said there.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Reading = Literal["released", "paper", "alg1", "token"]
Kernel = Literal["released", "centred"]
EPS = 1e-6
LARGEST = 1e30  # of a value while it is scored: its sums and quotients stay finite


def _gain(like: Float[Tensor, "... D"], kernel: Kernel) -> Float[Tensor, " frequencies"]:
    """Real gain of each of the ``D // 2 + 1`` frequencies.

    The released kernel sits at ``-D//2 + 1 .. D//2``: for even D one bin off the zero frequency.
    The real part of a signal filtered with it equals a filter with the mean of the kernel and
    its mirror image.
    """
    dim = like.shape[-1]
    shift = 1 - dim % 2 if kernel == "released" else 0
    bins = torch.arange(dim // 2 + 1, device=like.device)
    right = torch.where(bins + shift > dim // 2, dim - bins - shift, bins + shift)
    places = torch.stack([right, bins - shift]).to(like.dtype)
    return torch.exp(-0.5 * (places / dim**0.5) ** 2).mean(dim=0)


def _circulant(like: Float[Tensor, "... D"], kernel: Kernel) -> Float[Tensor, "D D"]:
    """The filter as a symmetric real matrix, made without a Fourier transform."""
    dim = like.shape[-1]
    gain = _gain(like, kernel)
    bins, lags = (torch.arange(n, device=like.device) for n in (len(gain), dim))
    twice = torch.where((bins == 0) | (2 * bins == dim), 1, 2)  # bins with a mirror image
    angles = (bins[:, None] * lags % dim).to(like.dtype) * (2 * torch.pi / dim)
    response = (gain * twice) @ torch.cos(angles) / dim  # (D,), to an impulse
    return response[(lags[:, None] - lags) % dim]


def low_pass(
    tokens: Float[Tensor, "B N D"], *, kernel: Kernel = "released"
) -> Float[Tensor, "B N D"]:
    """Gaussian low-pass over the channels, sigma ``sqrt(D)`` bins, in float32 or float64.

    ``centred`` peaks at the zero frequency; ``released`` is, for even D, one bin off, as in the
    public code. While a graph is exported the filter is a matrix product, so that no complex
    number enters the graph.
    """
    x = _widened(tokens)
    if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export():
        return x @ _circulant(x, kernel)
    spectrum = torch.fft.rfft(x, dim=-1).mul_(_gain(x, kernel))
    return torch.fft.irfft(spectrum, n=x.shape[-1], dim=-1)


@torch.no_grad()
def lazy_strike_scores(
    patches: Float[Tensor, "B N D"],
    *,
    reading: Reading = "released",
    kernel: Kernel = "released",
    order: Int[Tensor, " D"] | None = None,
) -> Float[Tensor, "B N D"]:
    """The score S of each patch in each channel, in float32 or float64, without gradient.

    Finite for finite patches: a denominator is at least ``EPS``, a value is cut at ``LARGEST``.

    Args:
        patches: patch tokens, prefix tokens excluded.
        reading: which definition; ``token`` repeats one score over the channels.
        kernel: of the low-pass.
        order: a permutation of the channels under which the filter sees them; a control, since
            the order of channels means nothing in a transformer.

    Raises:
        ValueError: unknown reading.
    """
    if reading not in get_args(Reading):
        raise ValueError(f"no reading {reading!r}; there are {', '.join(get_args(Reading))}")
    x = _widened(patches).clamp(-LARGEST, LARGEST)  # a copy: changed in place below
    if order is None:
        low = low_pass(x, kernel=kernel)
    else:
        low = low_pass(x[..., order], kernel=kernel)[..., torch.argsort(order)]
    if reading == "paper":
        return low.div_((low - x).abs_().add_(EPS))
    residual = low.sub_(x).abs_()
    if reading == "alg1":
        return residual.div_(x.abs_().clamp_(min=EPS))
    scores = x.div_(residual.clamp_(min=EPS))
    return scores if reading == "released" else scores.mean(-1, keepdim=True).expand_as(x)


def kept(keep: int | float, patches: int) -> int:
    """How many patches ``keep`` means: an int is a count, a float a share of all.

    >>> kept(0.5, 196), kept(7, 196), kept(0.001, 196)
    (98, 7, 1)

    Raises:
        ValueError: no number, a count outside 1..N, or a share outside (0, 1].
    """
    if isinstance(keep, bool) or not isinstance(keep, int | float):
        raise ValueError(f"keep is a count (an int) or a share (a float), not {keep!r}")
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
    keep: int | float = 0.5,
    reading: Reading = "released",
    kernel: Kernel = "released",
    order: Int[Tensor, " D"] | None = None,
) -> Float[Tensor, "B D"]:
    """LazyStrike pooling: per channel, the mean of the ``keep`` patches of highest score.

    Of equal scores the patch that comes first wins. ``keep`` of all patches is the mean. NaN stays
    NaN; of several patches an infinite value counts as the largest finite one.
    Arguments as in ``lazy_strike_scores`` and ``kept``.

    >>> lazy_strike(torch.tensor([[[1.0, 5.0], [3.0, 1.0]]]), keep=2).tolist()
    [[2.0, 3.0]]
    """
    count = kept(keep, int(patches.shape[1]))
    if count == patches.shape[1]:
        return patches.mean(dim=1)
    scores = lazy_strike_scores(patches, reading=reading, kernel=kernel, order=order)
    if count == 1:
        return patches.gather(1, scores.max(dim=1, keepdim=True).indices)[:, 0]
    chosen = _highest(scores, count)
    x = _widened(patches)
    if not (_may_branch(x) and x.detach().sum().isfinite()):
        most = torch.finfo(x.dtype).max  # 0 x inf of a value that is not chosen would be NaN
        x = x.clamp(-most, most)
    return ((x * chosen).sum(dim=1) / count).to(patches.dtype)


def votes(patches: Float[Tensor, "B N D"], *, keep: int | float) -> Int[Tensor, "B N"]:
    """In how many channels each patch is among the ``keep`` highest scores; sums to keep * D.

    >>> counts = votes(torch.randn(2, 9, 16), keep=3)
    >>> counts.sum(1).tolist()
    [48, 48]
    """
    scores, count = lazy_strike_scores(patches), kept(keep, patches.shape[1])
    if count > 1:
        return _highest(scores, count).sum(dim=2).int()
    chosen = scores.max(dim=1).indices  # (B, D), of equal ones the first
    counts = torch.zeros(patches.shape[:2], dtype=torch.int32, device=patches.device)
    return counts.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=torch.int32))


@torch.no_grad()
def _highest(scores: Float[Tensor, "B N D"], count: int) -> Float[Tensor, "B N D"]:
    """One at the ``count`` highest scores of each channel, of equal ones at the first; else 0."""
    rows = scores.transpose(1, 2).contiguous()  # (B, D, N)
    last = _nth_highest(rows, count)
    if _may_branch(scores):
        chosen = torch.ge(scores, last.transpose(1, 2), out=torch.empty_like(scores))
        if (chosen.sum(dim=1) == count).all():  # nothing else equals the last of them
            return chosen
    above, level = rows > last, rows == last
    room = count - above.sum(dim=2, keepdim=True, dtype=torch.int32)
    first = above | (level & (level.cumsum(dim=2, dtype=torch.int32) <= room))
    return first.transpose(1, 2).to(scores.dtype).contiguous()


def _nth_highest(rows: Float[Tensor, "B D N"], count: int) -> Float[Tensor, "B D 1"]:
    """The ``count``-th highest value of each row."""
    if not _may_branch(rows):
        return rows.topk(count, dim=2, sorted=False).values.amin(dim=2, keepdim=True)
    place = rows.shape[2] - count  # NumPy selects with vector instructions, torch does not
    return torch.from_numpy(np.partition(rows.numpy(), place, axis=2)[..., place, None])


def _may_branch(values: Tensor) -> bool:
    """Whether a look at the values is cheap and allowed: on a CPU, outside of a traced graph."""
    traced = torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()
    return values.device.type == "cpu" and not traced


def _widened(tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
    """In float32, or as it is in float64."""
    return tokens if tokens.dtype == torch.float64 else tokens.float()


class LazyStrike(nn.Module):
    """``lazy_strike`` as a module without parameters.

    Args:
        keep, reading, kernel, order: as there.
        redraw: in training, draw another order in each pass if one is given. A model that is
            trained from scratch under one fixed order is the same as under its own: nothing tells
            the channels of fresh weights apart.
    """

    reading: Reading
    kernel: Kernel
    order: Tensor | None

    def __init__(
        self,
        *,
        keep: int | float = 0.5,
        reading: Reading = "released",
        kernel: Kernel = "released",
        order: Int[Tensor, " D"] | None = None,
        redraw: bool = False,
    ) -> None:
        super().__init__()
        self.keep, self.reading, self.kernel, self.redraw = keep, reading, kernel, redraw
        self.register_buffer("order", order, persistent=False)

    def forward(self, patches: Float[Tensor, "B N D"]) -> Float[Tensor, "B D"]:
        """Pool the patches."""
        order = self.order
        if order is not None and self.redraw and self.training:
            order = torch.randperm(len(order), device=order.device)
        return lazy_strike(
            patches, keep=self.keep, reading=self.reading, kernel=self.kernel, order=order
        )

    def extra_repr(self) -> str:
        """The settings."""
        shuffled = ", shuffled" if self.order is not None else ""
        return f"keep={self.keep}, reading={self.reading}, kernel={self.kernel}{shuffled}"
