"""Maps as small pictures: one stated colour scale, one crisp square a patch."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

WIDTH = 224
"""Least width of a map in pixels; each patch is a square of a whole number of pixels."""
LEVELS = 256
CAP = 0.995  # of all patches of the shown pictures, where a few values would darken the rest
PHOTO_SIDE, PHOTO_QUALITY = 512, 85


@dataclass(frozen=True)
class Scale:
    """A colour scale: its name in matplotlib, and the values of its two ends.

    ``capped``: larger values than ``high`` exist and take its colour.
    """

    low: float
    high: float
    colours: str = "viridis"
    capped: bool = False

    @classmethod
    def over(cls, maps: Iterable[np.ndarray], *, colours: str, zero: bool = False) -> Scale:
        """From the least to the largest value of all maps.

        With ``zero``, for maps of few large values: from 0 to the 99.5th percentile.

        >>> Scale.over([np.array([[1.0, 2.0]]), np.array([[5.0]])], colours="magma").high
        5.0

        Raises:
            ValueError: there is no map.
        """
        maps = list(maps)
        if not maps:
            raise ValueError("a colour scale needs at least one map")
        top = max(float(one.max()) for one in maps)
        if not zero:
            return cls(min(float(one.min()) for one in maps), top, colours)
        cap = float(np.quantile(np.concatenate([one.ravel() for one in maps]), CAP))
        return cls(0.0, cap, colours, capped=True) if 0 < cap < top else cls(0.0, top, colours)

    def levels(self, values: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
        """Index of each value's colour; values beyond the ends take the colours of the ends.

        >>> Scale(0.0, 1.0).levels(np.array([[0.0, 0.5, 1.0]])).tolist()
        [[0, 128, 255]]
        """
        spread = self.high - self.low
        share = (values - self.low) / spread if spread > 0 else np.zeros_like(values, dtype=float)
        return np.round(np.clip(share, 0, 1) * (LEVELS - 1)).astype(np.uint8)

    def palette(self) -> bytes:
        """256 colours, three bytes each."""
        from matplotlib import colormaps

        colours = colormaps[self.colours](np.linspace(0, 1, LEVELS))[:, :3]
        return np.round(255 * colours).astype(np.uint8).tobytes()


def paint(values: Float[np.ndarray, "H W"], scale: Scale, *, width: int = WIDTH) -> bytes:
    """A map as PNG, at least ``width`` pixels wide."""
    picture = Image.fromarray(_squares(scale.levels(np.asarray(values, dtype=np.float64)), width))
    picture.putpalette(scale.palette())
    return _png(picture)


def paint_colours(colours: Float[np.ndarray, "H W 3"], *, width: int = WIDTH) -> bytes:
    """Colours in [0, 1] as PNG, at least ``width`` pixels wide."""
    pixels = np.round(255 * np.clip(colours, 0, 1)).astype(np.uint8)
    return _png(Image.fromarray(_squares(pixels, width)))


def bar(scale: Scale) -> bytes:
    """The colours of a scale from low to high, as PNG of 256 by 1 pixels."""
    picture = Image.fromarray(np.arange(LEVELS, dtype=np.uint8)[None])
    picture.putpalette(scale.palette())
    return _png(picture)


def photo(pixels: UInt8[np.ndarray, "3 height width"], *, longest: int = PHOTO_SIDE) -> bytes:
    """A photograph as JPEG, its longer side at most ``longest`` pixels."""
    picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)))
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=PHOTO_QUALITY, optimize=True)
    return content.getvalue()


def data_uri(content: bytes) -> str:
    r"""A picture as an address that holds it.

    >>> data_uri(b"\x89PNG")
    'data:image/png;base64,iVBORw=='
    """
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _squares(values: np.ndarray, width: int) -> np.ndarray:
    side = max(1, math.ceil(width / values.shape[1]))
    return values.repeat(side, axis=0).repeat(side, axis=1)


def _png(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return content.getvalue()
