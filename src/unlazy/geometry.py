"""From picture to model input: views of pixels, boxes and masks; boxes and masks on the grid.

Boxes are xyxy, half-open, in float pixels; sizes and grids are (H, W). Shape legend: k boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True)
class Viewed:
    """What a model is shown, with boxes and mask moved along.

    Attributes:
        pixels: RGB.
        boxes: in viewed pixels, clipped to the view; one per box given.
        kept: which boxes still have an area; the others lie outside of the view.
        mask: nonzero on the object.
        instances: the pixels of each box's object.
        void: pixels that no evaluation counts.
        shares: of the whole picture's area, how much each box covers before it is clipped.
        shown: (H, W) that the picture fills, from the top left; beyond it there are black pixels
            and empty masks. None: all.
        picture: (H, W) of the picture itself, in whose pixels boxes were given. None: as shown.
    """

    pixels: UInt8[Tensor, "3 H W"]
    boxes: Float[Tensor, "k 4"] | None = None
    kept: Bool[Tensor, " k"] | None = None
    mask: UInt8[Tensor, "H W"] | None = None
    instances: Bool[Tensor, "k H W"] | None = None
    void: Bool[Tensor, "H W"] | None = None
    shares: Float[Tensor, " k"] | None = None
    shown: tuple[int, int] | None = None
    picture: tuple[int, int] | None = None


@dataclass(frozen=True)
class Window:
    """The region of the picture, xyxy in its pixels, that fills ``size`` (H, W) of a view."""

    region: tuple[float, float, float, float]
    size: tuple[int, int]


@dataclass(frozen=True)
class View:
    """How a picture becomes a model input; pixels, boxes and mask go through the same window.

    - ``crop``: scale, keeping the aspect, until the picture just covers ``size`` times
      ``resize / min(size)``; cut out the centre. For a square ``size`` the short side becomes
      ``resize`` pixels: ``View((224, 224), resize=256)`` is the usual ImageNet evaluation.
    - ``squash``: scale to exactly ``size``; with ``resize`` to that short side, showing the middle.
    - ``native``: keep aspect and resolution up to rounding each side to the nearest multiple;
      ``size`` is not used. A multiple that ``longest`` forbids is rounded down.
    - ``pad``: keep aspect and resolution, and pad right and bottom up to the nearest multiple;
      ``size`` is not used. The model sees zeros there (after normalisation, see ``blank_padding``).

    Scaling is antialiased and reads only what is shown, so that very wide pictures cost no memory;
    the result is that of scaling first and cropping then. Masks take the nearest pixel.

    Attributes:
        size: (H, W) of the view.
        fit: one of the four above.
        interpolation: filter for pixels.
        multiple: (H, W) that each side must be a multiple of; the patch size of the model.
        resize: ``crop`` and ``squash``: the short side before the crop; by default ``min(size)``.
            ``pad``: the short side before padding; by default the picture's own.
        longest: ``native`` and ``pad``: the most pixels that a side may have, before padding.
    """

    size: tuple[int, int]
    fit: Literal["crop", "squash", "native", "pad"] = "crop"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    multiple: tuple[int, int] = (1, 1)
    resize: int | None = None
    longest: int | None = None

    def __post_init__(self) -> None:
        if self.fit not in ("crop", "squash", "native", "pad"):
            raise ValueError(f"fit={self.fit!r}; use crop, squash, native or pad")
        if self.interpolation not in FILTERS:
            raise ValueError(f"interpolation={self.interpolation!r}; use bicubic or bilinear")
        if min(*self.size, *self.multiple) < 1:
            raise ValueError(f"size {self.size} and multiple {self.multiple} must be positive")
        if not self.varies and any(s % m for s, m in zip(self.size, self.multiple, strict=True)):
            raise ValueError(f"size {self.size} is no multiple of {self.multiple}; change either")
        least = {"crop": min(self.size), "squash": min(self.size), "pad": 1}.get(self.fit)
        if self.resize is not None and (least is None or self.resize < least):
            given = f"resize={self.resize} with fit={self.fit!r} and size {self.size}"
            raise ValueError(
                f"{given}; resize is for crop and squash, at least {min(self.size)} there, and pad"
            )
        if self.longest is not None and (not self.varies or self.longest < max(self.multiple)):
            raise ValueError(
                f"longest={self.longest} with fit={self.fit!r} and multiple {self.multiple}; "
                f"longest is for native and pad, and at least {max(self.multiple)}"
            )

    @property
    def varies(self) -> bool:
        """Whether pictures of different sizes come out in different sizes."""
        return self.fit in ("native", "pad")

    def window(self, size: tuple[int, int]) -> Window:
        """The region of a picture of ``size`` (H, W) that is shown, and the view's size.

        >>> View((10, 10)).window((20, 40))
        Window(region=(10.0, 0.0, 30.0, 20.0), size=(10, 10))
        """
        height, width = size
        if self.fit == "crop":
            return self._centre(height, width)
        whole = (0.0, 0.0, float(width), float(height))
        if self.fit == "squash":
            beside = (1 - min(self.size) / (self.resize or min(self.size))) / 2
            x, y = width * beside, height * beside
            return Window((x, y, width - x, height - y), self.size)
        if self.fit == "pad":
            return Window(whole, self._scaled(height, width))
        scale = min(1.0, self.longest / max(size)) if self.longest else 1.0
        most = self.longest or max(size) + max(self.multiple)
        rows, columns = (
            min(max(1, int(side * scale / multiple + 0.5)), most // multiple) * multiple
            for side, multiple in zip(size, self.multiple, strict=True)
        )
        return Window(whole, (rows, columns))

    def _scaled(self, height: int, width: int) -> tuple[int, int]:
        scale = self.resize / min(height, width) if self.resize else 1.0
        if self.longest:
            scale = min(scale, self.longest / max(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _centre(self, height: int, width: int) -> Window:
        """Whole-pixel offsets in the scaled picture, as torchvision has them."""
        rows, columns = self.size
        short = self.resize or min(self.size)
        cover = (rows * short / min(self.size), columns * short / min(self.size))
        if cover[0] / height >= cover[1] / width:
            scaled = (round(cover[0]), max(int(cover[0] * width / height), columns))
        else:
            scaled = (max(int(cover[1] * height / width), rows), round(cover[1]))
        top, left = round((scaled[0] - rows) / 2), round((scaled[1] - columns) / 2)
        y, x = height / scaled[0], width / scaled[1]  # picture pixels per scaled pixel
        return Window((left * x, top * y, (left + columns) * x, (top + rows) * y), self.size)

    def __call__(
        self,
        image: Image.Image,
        boxes: np.ndarray | Float[Tensor, "k 4"] | None = None,
        mask: np.ndarray | UInt8[Tensor, "h w"] | None = None,
        *,
        instances: np.ndarray | Bool[Tensor, "k h w"] | None = None,
        void: np.ndarray | Bool[Tensor, "h w"] | None = None,
    ) -> Viewed:
        """See a picture, with boxes and masks in its pixels."""
        if image.mode != "RGB":
            raise ValueError(f"a picture of mode {image.mode}; use read_image, or convert('RGB')")
        size = image.height, image.width
        window = self.window(size)
        pixels = np.array(_show(image, window, FILTERS[self.interpolation]))  # (H, W, 3)
        moved, kept = (None, None) if boxes is None else _move(boxes, window)
        masks = [
            None if each is None else self._pad(_show_mask(np.asarray(each), window, size))
            for each in (mask, instances, void)
        ]
        return Viewed(
            self._pad(torch.from_numpy(pixels).permute(2, 0, 1)).contiguous(),
            moved,
            kept,
            masks[0],
            *(None if each is None else each.bool() for each in masks[1:]),
            shares=None if boxes is None else _shares(boxes, size),
            shown=window.size,
            picture=size,
        )

    def _pad(self, shown: UInt8[Tensor, "*k h w"]) -> UInt8[Tensor, "*k H W"]:
        """With zeros on the right and below, for ``pad``."""
        if self.fit != "pad":
            return shown
        (height, width), (rows, columns) = shown.shape[-2:], self.multiple
        return F.pad(shown, (0, -width % columns, 0, -height % rows))


def _show_mask(mask: np.ndarray, window: Window, size: tuple[int, int]) -> UInt8[Tensor, "*k H W"]:
    """One mask or several; each pixel of the view takes the nearest of the picture."""
    if mask.shape[-2:] != size:
        raise ValueError(f"mask {tuple(mask.shape)} for a picture {size}; (H, W)")
    shown = np.empty((*mask.shape[:-2], *window.size), dtype=np.uint8)
    for place in np.ndindex(*mask.shape[:-2]):
        picture = Image.fromarray(mask[place].astype(np.uint8))
        shown[place] = np.array(_show(picture, window, Image.Resampling.NEAREST))
    return torch.from_numpy(shown)


def _show(image: Image.Image, window: Window, resample: Image.Resampling) -> Image.Image:
    left, top, right, bottom = window.region
    region = (left, top, min(right, image.width), min(bottom, image.height))  # rounding errors
    return image.resize((window.size[1], window.size[0]), resample, box=region)


def _move(
    boxes: np.ndarray | Float[Tensor, "k 4"], window: Window
) -> tuple[Float[Tensor, "k 4"], Bool[Tensor, " k"]]:
    old = torch.as_tensor(boxes, dtype=torch.float64)
    if old.ndim != 2 or old.shape[1] != 4:
        raise ValueError(f"boxes of shape {tuple(old.shape)}; use (k, 4), xyxy")
    left, top, right, bottom = window.region
    height, width = window.size
    x = ((old[:, 0::2] - left) * (width / (right - left))).clamp(0, width)  # (k, 2)
    y = ((old[:, 1::2] - top) * (height / (bottom - top))).clamp(0, height)
    moved = torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=1).float()
    return moved, (moved[:, 2] > moved[:, 0]) & (moved[:, 3] > moved[:, 1])


def _shares(boxes: np.ndarray | Float[Tensor, "k 4"], size: tuple[int, int]) -> Float[Tensor, " k"]:
    each = torch.as_tensor(boxes, dtype=torch.float64)
    return (each[:, 2] - each[:, 0]) * (each[:, 3] - each[:, 1]) / (size[0] * size[1])


Rule = Literal["overlap", "center", "released"]
"""Which patches a box hits, see ``box_to_grid``."""


def box_to_grid(
    boxes: Float[Tensor, "k 4"],
    grid: tuple[int, int],
    *,
    size: tuple[int, int],
    rule: Rule,
) -> Bool[Tensor, "k H W"]:
    """The patches that each box hits, on a grid over a view of ``size`` (H, W) pixels.

    ``overlap``: patch and box share an area; ``center``: the patch's centre lies in the box. Both
    are half-open: a box that ends where a patch begins does not hit it. An empty box hits none.
    ``released``: as the first paper's public evaluator, all patches from the one that the box
    begins in to the one that it ends in; a box that ends where a patch begins hits that too.

    >>> box_to_grid(torch.tensor([[4.0, 0.0, 9.0, 4.0]]), (1, 3), size=(4, 12), rule="overlap")
    tensor([[[False,  True,  True]]])
    >>> box_to_grid(torch.tensor([[4.0, 0.0, 9.0, 4.0]]), (1, 3), size=(4, 12), rule="center")
    tensor([[[False,  True, False]]])
    """
    if rule not in get_args(Rule):
        raise ValueError(f"rule={rule!r}; use overlap, center or released")
    hits = []
    for axis in (0, 1):  # rows take y, columns take x
        patch = size[axis] / grid[axis]
        start = torch.arange(grid[axis], device=boxes.device, dtype=torch.float64) * patch
        low, high = boxes[:, 1 - axis, None].double(), boxes[:, 3 - axis, None].double()  # (k, 1)
        if rule == "overlap":
            hit = (start < high) & (start + patch > low) & (low < high)
        elif rule == "released":
            hit = (start <= high) & (start + patch > low)
        else:
            hit = (start + patch / 2 >= low) & (start + patch / 2 < high)
        hits.append(hit)
    return hits[0][:, :, None] & hits[1][:, None, :]


def mask_to_grid(
    mask: UInt8[Tensor, "h w"], grid: tuple[int, int], *, share: float = 0.5
) -> Bool[Tensor, "H W"]:
    """The patches of which more than ``share`` of the pixels are nonzero in the mask.

    >>> mask_to_grid(torch.tensor([[0, 1, 1, 1], [1, 0, 1, 0]], dtype=torch.uint8), (1, 2))
    tensor([[False,  True]])
    """
    height, width = mask.shape
    if height % grid[0] or width % grid[1]:
        sizes = f"a mask of {height} x {width} pixels does not divide into {grid[0]} x {grid[1]}"
        raise ValueError(f"{sizes} patches; view it with multiple=patch first")
    cells = (mask != 0).view(grid[0], height // grid[0], grid[1], width // grid[1])
    return cells.double().mean(dim=(1, 3)) > share
