"""Sample: what every data set returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image


class Unreadable(Exception):
    """An image that cannot be used; the message is the reason, fit for a user's eyes."""


@dataclass(frozen=True)
class Sample:
    """One image with what is known of it.

    Attributes:
        image: upright RGB picture.
        name: shown in reports; unique within its data set.
        label: class index, if there is one.
        boxes: ``(k, 4)`` float32, xyxy, half-open, pixels of ``image``; None: not known, while no
            row says that there is no object.
        box_labels: ``(k,)`` int64, class index of each box, -1 where it is unknown.
        difficult: ``(k,)`` bool, objects that VOC's evaluation leaves out.
        truncated: ``(k,)`` bool, objects that reach beyond the picture or their box.
        mask: ``(height, width)`` uint8, nonzero on the object; of data with classes by pixel,
            class index + 1 (1 where there are more than 254 classes).
        instances: ``(k, height, width)`` bool, the pixels of each box's object; none of an object
            whose outline is not known.
        void: ``(height, width)`` bool, pixels that no evaluation counts.
    """

    image: Image.Image
    name: str
    label: int | None = None
    boxes: np.ndarray | None = None
    box_labels: np.ndarray | None = None
    difficult: np.ndarray | None = None
    truncated: np.ndarray | None = None
    mask: np.ndarray | None = None
    instances: np.ndarray | None = None
    void: np.ndarray | None = None
