"""Pure metrics of scores against boxes and masks on the patch grid."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, Int64

SMALL_BOX = 0.25
"""Share of the picture's area: Point-in-Box's public evaluator keeps only smaller boxes."""


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


def box_iou(
    box: Float[np.ndarray, "4"], truth: Float[np.ndarray, "k 4"]
) -> Float[np.ndarray, " k"]:
    """Intersection over union of a box with each of ``truth``; xyxy, half-open.

    A box without area overlaps nothing.

    >>> box_iou(np.array([0.0, 0.0, 2.0, 2.0]), np.array([[1.0, 0.0, 3.0, 2.0]])).round(4).tolist()
    [0.3333]
    """
    low, high = np.maximum(box[:2], truth[:, :2]), np.minimum(box[2:], truth[:, 2:])  # (k, 2)
    both = np.maximum(high - low, 0).prod(axis=1)
    areas = [np.maximum(each[:, 2:] - each[:, :2], 0).prod(axis=1) for each in (box[None], truth)]
    either = areas[0] + areas[1] - both
    return both / np.where(either > 0, either, 1)


def corloc(
    box: Float[np.ndarray, "4"], truth: Float[np.ndarray, "k 4"], *, threshold: float = 0.5
) -> float:
    """1 if a box overlaps any true one by an IoU of ``threshold`` or more, else 0.

    NaN where there is no true box.

    Source: the CorLoc of Deselaers et al.; LOST's public code takes all true boxes, also those
    marked difficult.

    >>> corloc(np.array([0.0, 0.0, 2.0, 2.0]), np.array([[9.0, 9.0, 10.0, 10.0], [1, 0, 2, 2]]))
    1.0
    """
    if len(truth) == 0:
        return float("nan")
    return float(box_iou(box, truth).max() >= threshold)


def mask_iou(
    found: Bool[np.ndarray, "*any"],
    truth: Bool[np.ndarray, "*any"],
    *,
    void: Bool[np.ndarray, "*any"] | None = None,
) -> float:
    """Intersection over union of two masks (Jaccard); void pixels count nowhere.

    NaN where neither has a pixel.

    >>> mask_iou(np.array([True, True, False]), np.array([False, True, False]))
    0.5
    >>> mask_iou(np.array([True, True]), np.array([False, True]), void=np.array([True, False]))
    1.0
    """
    counted = np.ones_like(truth) if void is None else ~void
    either = int(((found | truth) & counted).sum())
    return int((found & truth & counted).sum()) / either if either else float("nan")


def class_iou(
    masks: Bool[np.ndarray, "A H W"],
    classes: Int[np.ndarray, "H W"],
    *,
    background: int = 0,
    void: int = 255,
) -> dict[int, float]:
    """For each class of a picture the overlap of that mask (of A heads) which suits it best.

    CRATE takes the mean over a picture's classes, then over pictures, on the grid of patches.
    DINO's protocol is that of a single class: everything but the background.

    Source: *White-Box Transformers via Sparse Rate Reduction*, appendix B.3.

    >>> class_iou(np.array([[[True, True]], [[False, True]]]), np.array([[3, 3]]))
    {3: 1.0}
    """
    unknown = classes == void
    present = sorted(set(np.unique(classes).tolist()) - {background, void})
    return {
        each: max(mask_iou(mask, classes == each, void=unknown) for mask in masks)
        for each in present
    }


def guesses(labels: Int64[np.ndarray, " n"], classes: Int64[np.ndarray, " n"]) -> dict[str, float]:
    """Top-1 without a model: of a random class, ``chance``, and of always the most frequent one.

    Args:
        labels: of the pictures.
        classes: how many there are, for each picture.

    >>> guesses(np.array([0, 1, 1]), np.array([4, 4, 4]))
    {'chance': 0.25, 'majority': 0.6666666666666666}
    """
    _, counts = np.unique(labels, return_counts=True)
    return {
        "chance": float((1 / classes).mean()),
        "majority": float(counts.max() / counts.sum()),
    }
