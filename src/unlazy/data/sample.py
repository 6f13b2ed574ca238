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
        boxes: ``(k, 4)`` float32, xyxy, half-open, pixels of ``image``.
        mask: ``(height, width)`` uint8, nonzero on the object.
    """

    image: Image.Image
    name: str
    label: int | None = None
    boxes: np.ndarray | None = None
    mask: np.ndarray | None = None
