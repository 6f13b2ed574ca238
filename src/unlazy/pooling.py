"""LazyStrike's token votes, as a diagnostic of which patches a channel-wise pool would pick."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def low_pass(tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
    """Gaussian low-pass over the channels, as the public LAST-ViT code defines it.

    The kernel sits at positions ``-D//2 + 1 .. D//2`` with sigma ``sqrt(D)``: for even D one bin
    off the zero frequency. The real part of the filtered signal equals a filter with the
    mirrored mean of that kernel, so a real FFT suffices.
    """
    dim = tokens.shape[-1]
    places = torch.arange(-dim // 2 + 1, dim // 2 + 1, device=tokens.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (places / dim**0.5) ** 2)
    kernel = torch.fft.ifftshift(kernel / kernel.max())
    mirrored = torch.roll(kernel.flip(0), 1, dims=0)
    gain = (0.5 * (kernel + mirrored))[: dim // 2 + 1]
    spectrum = torch.fft.rfft(tokens.float(), dim=-1)
    return torch.fft.irfft(spectrum * gain, n=dim, dim=-1)


def lazy_strike_scores(
    patches: Float[Tensor, "B N D"], *, eps: float = 1e-6
) -> Float[Tensor, "B N D"]:
    """Per-channel stability score ``x / |x_low - x|``, signed; reading ``released``.

    Source: public code of *Vision Transformers Need More Than Registers* (no epsilon there:
    0/0 is clamped here by ``eps``).
    """
    patches = patches.float()
    residual = (low_pass(patches) - patches).abs()
    return patches / residual.clamp(min=eps)


def votes(patches: Float[Tensor, "B N D"], *, keep: int) -> Int[Tensor, "B N"]:
    """In how many channels each patch is among the ``keep`` highest scores; sums to keep * D.

    >>> counts = votes(torch.randn(2, 9, 16), keep=3)
    >>> counts.sum(1).tolist()
    [48, 48]

    Raises:
        ValueError: ``keep`` is not in 1..N.
    """
    if not 1 <= keep <= patches.shape[1]:
        raise ValueError(
            f"keep must be in 1..{patches.shape[1]} (the number of patches), not {keep}"
        )
    chosen = lazy_strike_scores(patches).topk(keep, dim=1).indices.flatten(1)  # (B, keep * D)
    counts = torch.zeros(patches.shape[:2], dtype=torch.int64, device=patches.device)
    return counts.scatter_add_(1, chosen, torch.ones_like(chosen))
