"""Pure scores of patch tokens: norms, cut-offs, patch score, neighbour similarity, overlap."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Score = Literal["cosine", "dot", "centred_cosine"]
Cutoff = Literal["p98", "3median", "absolute"]


def patch_score(
    patches: Float[Tensor, "B N E"], image: Float[Tensor, "B E"], *, score: Score = "cosine"
) -> Float[Tensor, "B N"]:
    """How much each patch resembles the image vector; higher is more alike.

    ``cosine`` lies in [-1, 1]. ``dot`` confounds likeness with norm. ``centred_cosine`` first
    subtracts the image's mean patch from both, which removes an offset that all patches share.

    Source: *Vision Transformers Need More Than Registers*, Eq. 3 (preprint: dot product;
    revision and public code: cosine). ``centred_cosine`` is ours.

    >>> patches = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    >>> patch_score(patches, torch.tensor([[0.0, 1.0]])).tolist()
    [[0.0, 1.0]]
    >>> patch_score(patches, torch.tensor([[0.0, 1.0]]), score="dot").tolist()
    [[0.0, 2.0]]
    """
    if score == "dot":
        return torch.einsum("bne,be->bn", patches, image)
    if score == "centred_cosine":
        mean = patches.mean(dim=1)
        patches, image = patches - mean[:, None], image - mean
    elif score != "cosine":
        raise ValueError(f"unknown score {score!r}; use cosine, dot or centred_cosine")
    product = torch.linalg.vecdot(patches, image[:, None])  # as cosine_similarity, in less memory
    norm = torch.linalg.vector_norm
    lengths = norm(patches, dim=-1) * norm(image, dim=-1, keepdim=True)
    return product / lengths.clamp(min=torch.finfo(lengths.dtype).tiny)


def neighbour_similarity(grid: Float[Tensor, "B H W D"]) -> Float[Tensor, "B H W"]:
    """Mean cosine to the four neighbours; at borders, to those that exist; 0 where none does.

    High values mark redundant areas.

    Source: *Do All Vision Transformers Need Registers?*, section on patch redundancy
    (after Darcet et al., section 2.2).

    >>> neighbour_similarity(torch.ones(1, 2, 2, 4)).flatten().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    unit = F.normalize(grid.float(), dim=-1)
    total = torch.zeros(grid.shape[:3], device=grid.device)
    count = torch.zeros_like(total)
    for axis in (1, 2):
        length = grid.shape[axis]
        if length < 2:
            continue
        first, second = unit.narrow(axis, 0, length - 1), unit.narrow(axis, 1, length - 1)
        alike = (first * second).sum(-1)
        for start in (0, 1):
            total.narrow(axis, start, length - 1).add_(alike)
            count.narrow(axis, start, length - 1).add_(1)
    return total / count.clamp(min=1)


def cutoff(norms: np.ndarray, rule: Cutoff, *, absolute: float = 150.0) -> float:
    """The norm above which a patch counts as high-norm.

    ``p98``: 98th percentile over all tokens given (*Do All ViTs Need Registers?*, 3.2); it
    labels 2 % of the tokens of ANY model. ``3median``: three times the median (Darcet et al.'s
    reproductions). ``absolute``: a fixed value (Darcet et al. use 150 for DINOv2-g).

    >>> cutoff(np.arange(1.0, 102.0), "p98"), cutoff(np.arange(1.0, 102.0), "3median")
    (99.0, 153.0)
    """
    if rule == "p98":
        return quantile(norms, 0.98)
    if rule == "3median":
        return 3 * median(norms)
    if rule == "absolute":
        return absolute
    raise ValueError(f"unknown cut-off {rule!r}; use p98, 3median or absolute")


def quantile(values: Float[np.ndarray, "*any"], share: float) -> float:
    """``np.quantile(values, share)`` to the last bit, in an eighth of its time.

    One place is partitioned and its upper neighbour is the smallest value behind it; NumPy
    partitions at both, which its vectorised selection cannot do. NaN in, NaN out.

    >>> quantile(np.array([3.0, 1.0, 2.0]), 0.75)
    2.5
    """
    flat = values.ravel()
    place = share * (flat.size - 1)
    lower = int(place)
    parted = np.partition(flat, lower)
    low, high = parted[lower], parted[min(lower + 1, flat.size - 1) :].min()
    part = place - lower
    return float(low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part))


def median(values: Float[np.ndarray, "*any"]) -> float:
    """``np.median(values)`` to the last bit, in an eighth of its time; see ``quantile``.

    >>> median(np.array([4.0, 1.0, 2.0, 3.0]))
    2.5
    """
    flat = values.ravel()
    half = flat.size // 2
    parted = np.partition(flat, half)
    upper = parted[half:].min()  # parted[half], or NaN if there is one
    return float(upper if flat.size % 2 else (parted[:half].max() + upper) / 2)


def top_share(values: Float[Tensor, "B N"], share: float = 0.02) -> Bool[Tensor, "B N"]:
    """The highest ``share`` of each row, at least one; ties go to the lower index.

    >>> top_share(torch.tensor([[1.0, 5.0, 3.0, 4.0]]), 0.5).tolist()
    [[False, True, False, True]]
    """
    keep = max(1, round(share * values.shape[1]))
    order = values.argsort(dim=1, descending=True, stable=True)[:, :keep]
    return torch.zeros_like(values, dtype=torch.bool).scatter_(1, order, True)


def overlap(first: Bool[Tensor, "B N"], second: Bool[Tensor, "B N"]) -> Float[Tensor, "B"]:
    """Intersection over union of two selections of patches.

    >>> overlap(torch.tensor([[True, True, False]]), torch.tensor([[False, True, True]])).item()
    0.3333333432674408
    """
    both, either = (first & second).sum(1), (first | second).sum(1)
    return both / either.clamp(min=1)


def chance_overlap(patches: int, chosen: int) -> float:
    """Expected intersection over union of two random selections of ``chosen`` of ``patches``.

    >>> chance_overlap(4, 1), chance_overlap(2, 2)
    (0.25, 1.0)

    Raises:
        ValueError: more are chosen than there are, or none.
    """
    from scipy.stats import hypergeom

    if not 1 <= chosen <= patches:
        raise ValueError(f"{chosen} of {patches} patches cannot be chosen; use 1 to {patches}")
    both = np.arange(chosen + 1)
    weight = hypergeom.pmf(both, patches, chosen, chosen)
    return float((weight * both / (2 * chosen - both)).sum())


def spearman(first: Float[Tensor, "B N"], second: Float[Tensor, "B N"]) -> Float[Tensor, "B"]:
    """Rank correlation within each row, in [-1, 1]; 0 where a row is constant.

    Ties get their mean rank.

    >>> round(spearman(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[2.0, 4.0, 9.0]])).item(), 6)
    1.0
    """
    from scipy.stats import rankdata

    def ranks(values: Tensor) -> Tensor:
        ranked = torch.from_numpy(rankdata(values.double().cpu().numpy(), axis=1))
        return ranked - ranked.mean(1, keepdim=True)

    a, b = ranks(first), ranks(second)
    scale = (a.square().sum(1) * b.square().sum(1)).sqrt()
    product = (a * b).sum(1)
    return torch.where(scale > 0, product / scale.clamp(min=1e-12), torch.zeros_like(product))


def entropy_share(counts: np.ndarray) -> float:
    """Entropy of a histogram over its maximum, in [0, 1]; 0 = all in one place, 1 = uniform.

    >>> entropy_share(np.array([1.0, 1.0])), entropy_share(np.array([5.0, 0.0]))
    (1.0, 0.0)
    """
    flat = np.asarray(counts, dtype=np.float64).ravel()
    if flat.size < 2 or flat.sum() == 0:
        return 0.0
    share = flat[flat > 0] / flat.sum()
    return float(max(0.0, -(share * np.log(share)).sum() / np.log(flat.size)))
