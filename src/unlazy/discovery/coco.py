"""Found boxes as COCO writes detections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float


def coco_results(
    image_ids: Sequence[int],
    boxes: Float[np.ndarray, "k 4"],
    scores: Float[np.ndarray, " k"],
    *,
    category: int = 1,
) -> list[dict[str, Any]]:
    """Rows of a COCO results file, ready for ``json.dump``; a box without area leaves none.

    Boxes are xyxy, half-open, in the picture's pixels; COCO's are x, y, width, height.

    Raises:
        ValueError: not one id and one score a box.

    >>> coco_results([7], np.array([[2.0, 1.0, 5.0, 3.0]]), np.array([0.5]))[0]["bbox"]
    [2.0, 1.0, 3.0, 2.0]
    """
    if not len(image_ids) == len(boxes) == len(scores):
        raise ValueError(f"{len(image_ids)} ids, {len(boxes)} boxes, {len(scores)} scores")
    rows = zip(image_ids, boxes.tolist(), scores.tolist(), strict=True)
    return [
        {
            "image_id": int(image),
            "category_id": category,
            "bbox": [left, top, right - left, bottom - top],
            "score": score,
        }
        for image, (left, top, right, bottom), score in rows
        if right > left and bottom > top
    ]
