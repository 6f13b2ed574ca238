"""Pure metrics of scores against boxes and masks on the patch grid."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def point_in_box(score: Float[np.ndarray, "H W"], hit: Bool[np.ndarray, "H W"]) -> float:
    """1 if the highest-scoring patch lies in ``hit``, else 0; ties share their part.

    Source: *Vision Transformers Need More Than Registers*, section 3 (Point-in-Box).

    >>> point_in_box(np.array([[0.1, 0.9]]), np.array([[False, True]]))
    1.0
    """
    best = score == score.max()
    return float(hit[best].mean())


def chance(hit: Bool[np.ndarray, "H W"]) -> float:
    """Point-in-Box of a random patch: the share of patches that hit.

    >>> chance(np.array([[False, True]]))
    0.5
    """
    return float(hit.mean())


def centre(hit: Bool[np.ndarray, "H W"]) -> float:
    """Point-in-Box of always pointing at the centre; on even grids the mean of the middle ones.

    >>> centre(np.array([[False, True, False]]))
    1.0
    """
    rows, columns = hit.shape
    middle = hit[(rows - 1) // 2 : rows // 2 + 1, (columns - 1) // 2 : columns // 2 + 1]
    return float(middle.mean())


def ranking_auc(score: Float[np.ndarray, "*any"], positive: Bool[np.ndarray, "*any"]) -> float:
    """Chance that a positive patch outranks another one, in [0, 1]; NaN if either is absent.

    >>> ranking_auc(np.array([[0.1, 0.9, 0.5]]), np.array([[False, True, False]]))
    1.0
    """
    inside, others = score[positive], np.sort(score[~positive])
    if inside.size == 0 or others.size == 0:
        return float("nan")
    below = others.searchsorted(inside, side="left")  # one sort of plain values: no ranking
    at_most = others.searchsorted(inside, side="right")
    return float((below + at_most).mean() / (2 * others.size))
