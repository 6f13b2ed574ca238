"""TokenCut: the normalised cut of a graph of patches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from unlazy.discovery.batch import flat_keys
from unlazy.discovery.eigenvector import Graph, second_eigenvector
from unlazy.discovery.objects import Objects, component_at

_ENTRIES = {"cpu": 2**20, "cuda": 2**28}  # of affinities held at once; a CPU's fit its cache
_ROWS = 128  # of the affinity made at once
_TIE = 1e-6  # of the largest entry: what eigensolvers agree on


def tokencut(
    keys: Float[Tensor, "B H W D"],
    *,
    tau: float = 0.2,
    eps: float = 1e-5,
    valid: Bool[Tensor, "B H W"] | None = None,
) -> Objects:
    """The connected patches on the seed's side of the normalised cut.

    Patches are joined by 1 where the cosine of their keys exceeds ``tau``, else by ``eps``. Of
    (D - A) y = mu D y the vector with the second smallest mu is split at its mean; the seed is
    the patch of largest |y|, and its side is the foreground.

    Ties, to 1e-6 of the largest |y|: of equal |y| the first patch in reading order is the seed; a
    patch at the mean is background. Where mu is not simple the vector is not defined, and SciPy's
    ``eigh`` decides, as in the public code. Where all patches are alike, or none is like another,
    no cut is better than another, and the mask is empty.

    Source: Wang et al., *Self-Supervised Transformers for Unsupervised Object Discovery using
    Normalized Cut*, section 3; ``tau`` and ``eps`` are the public code's.

    Raises:
        ValueError: NaN or infinite keys, a picture without a valid patch, ``eps`` not in (0, 1).

    >>> keys = torch.tensor([[[[1.0, 0.0], [0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]]]])
    >>> tokencut(keys).box.tolist()
    [[1, 0, 3, 1]]
    """
    if not 0 < eps < 1:
        raise ValueError(f"eps={eps}; use a number between 0 and 1, the public code has 1e-5")
    flat, on = flat_keys(keys, valid)
    unit = F.normalize(flat, dim=-1)
    at_once = max(1, _ENTRIES.get(flat.device.type, 2**27) // flat.shape[1] ** 2)
    parts = [
        _cut(Graph(affinity(part, tau), part_on, eps))
        for part, part_on in zip(unit.split(at_once), on.split(at_once), strict=True)
    ]
    foreground, seed = (torch.cat(each) for each in zip(*parts, strict=True))
    return component_at(foreground.view(keys.shape[:3]), seed)


def affinity(unit: Float[Tensor, "B N D"], tau: float) -> Float[Tensor, "B N N"]:
    """1 where two patches' cosine exceeds ``tau``, else 0; half of it is computed.

    >>> affinity(torch.tensor([[[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]]), 0.5).int().tolist()
    [[[1, 1, 0], [1, 1, 1], [0, 1, 1]]]
    """
    batch, count, _ = unit.shape
    found = unit.new_empty(batch, count, count, dtype=torch.float32)
    for start in range(0, count, _ROWS):
        end = start + _ROWS
        alike = (unit[:, start:end] @ unit[:, start:].mT).gt_(tau)  # (B, rows, N - start)
        found[:, start:end, start:] = alike
        found[:, end:, start:end] = alike[:, :, _ROWS:].mT
    return found


def _cut(graph: Graph) -> tuple[Bool[Tensor, "B N"], Tensor]:
    """Foreground and seed of each graph."""
    vector = second_eigenvector(graph)
    size = vector.abs()
    largest = size.amax(1, keepdim=True)
    seed = (graph.valid & (size >= (1 - _TIE) * largest)).int().argmax(1)
    mean = vector.sum(1, keepdim=True) / graph.valid.sum(1, keepdim=True)
    away = torch.where(graph.valid, vector - mean, 0)
    away = away * away.gather(1, seed[:, None]).sign()
    return away > _TIE * largest, seed
