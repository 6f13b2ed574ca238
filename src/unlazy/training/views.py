"""Augmentation of pictures that are held in memory, as whole batches on any device.

Every view ``draw``s its randomness for the whole global batch on the CPU, and ``apply``s a part
of it: so any number of ranks shows a model the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Draws = dict[str, Tensor]
"""Name -> (count, ...) random numbers, one row a picture."""


class Views(Protocol):
    """One or several random views of each picture."""

    def draw(self, count: int, generator: Generator) -> Draws:
        """The randomness of ``count`` pictures."""
        ...

    def apply(self, pixels: Tensor, draws: Draws) -> list[Tensor]:
        """Views of uint8 ``pixels`` (B, 3, H, W), each a normalised float (B, 3, h, w)."""
        ...


def normalise(pixels: Tensor) -> Tensor:
    """Scale uint8 ``(B, 3, H, W)`` to [0, 1], subtract ``MEAN`` and divide by ``STD``."""
    scale = 255 * torch.tensor(STD, device=pixels.device)[:, None, None]
    shift = 255 * torch.tensor(MEAN, device=pixels.device)[:, None, None]
    return (pixels.float() - shift) / scale


@dataclass(frozen=True)
class Shift:
    """Crops of the same size out of a picture with ``padding`` reflected pixels; flips."""

    padding: int
    flip: float = 0.5

    def draw(self, count: int, generator: Generator) -> Draws:
        """``top`` and ``left`` in pixels, ``flip`` as bool."""
        places = 2 * self.padding + 1
        return {
            "top": torch.randint(0, places, (count,), generator=generator),
            "left": torch.randint(0, places, (count,), generator=generator),
            "flip": torch.rand(count, generator=generator) < self.flip,
        }

    def apply(self, pixels: Tensor, draws: Draws) -> list[Tensor]:
        """One view, of the pictures' size."""
        return [normalise(self.move(pixels, draws))]

    def move(self, pixels: Tensor, draws: Draws) -> Tensor:
        """The same in uint8: one gather with reflected indices."""
        height, width = pixels.shape[-2:]
        rows = self._places(height, draws["top"])  # (B, H)
        columns = self._places(width, draws["left"])  # (B, W)
        columns = torch.where(draws["flip"][:, None], columns.flip(1), columns)
        flat = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)  # (B, H * W)
        taken = pixels.flatten(2).gather(2, flat[:, None].expand(-1, 3, -1))
        return taken.unflatten(2, (height, width))

    def _places(self, side: int, start: Tensor) -> Tensor:
        line = torch.arange(side, dtype=torch.float32, device=start.device)[None, None]
        padded = F.pad(line, (self.padding, self.padding), mode="reflect")[0, 0].long()
        return padded[start[:, None] + torch.arange(side, device=start.device)]


@dataclass(frozen=True)
class Resized:
    """A region of random area and aspect, resized bilinearly to ``size`` pixels; flips.

    Pictures are square. A region too long for the picture is cut to it (torchvision draws again).

    Attributes:
        scale: least and greatest share of the area.
        aspect: least and greatest width over height.
    """

    size: int
    scale: tuple[float, float]
    flip: float = 0.5
    aspect: tuple[float, float] = (3 / 4, 4 / 3)

    def draw(self, count: int, generator: Generator) -> Draws:
        """``region`` (count, 4): centre x, y, width, height as shares of the side; ``flip``."""
        area, aspect, x, y, coin = torch.rand(5, count, generator=generator)
        area = self.scale[0] + area * (self.scale[1] - self.scale[0])
        low, high = torch.tensor(self.aspect).log()
        aspect = (low + aspect * (high - low)).exp()
        width = (area * aspect).sqrt().clamp(max=1)
        height = (area / aspect).sqrt().clamp(max=1)
        left, top = x * (1 - width), y * (1 - height)
        region = torch.stack([left + width / 2, top + height / 2, width, height], dim=1)
        return {"region": region, "flip": coin < self.flip}

    def apply(self, pixels: Tensor, draws: Draws) -> list[Tensor]:
        """One view."""
        return [normalise(self.cut(pixels, draws))]

    def cut(self, pixels: Tensor, draws: Draws) -> Tensor:
        """The same in [0, 255]."""
        x, y, width, height = draws["region"].unbind(1)
        width = torch.where(draws["flip"], -width, width)
        zero = torch.zeros_like(x)
        rows = [torch.stack([width, zero, 2 * x - 1], 1), torch.stack([zero, height, 2 * y - 1], 1)]
        shape = [len(pixels), 3, self.size, self.size]
        grid = F.affine_grid(torch.stack(rows, 1), shape, align_corners=False)
        return F.grid_sample(pixels.float(), grid, padding_mode="border", align_corners=False)


@dataclass(frozen=True)
class Colour:
    """Brightness, contrast, saturation and hue, in this order; grey; solarised.

    Hue is a rotation of the chrominance plane (YIQ), which needs no trip through HSV.

    Attributes:
        jitter: probability of the first four, which change by up to 0.4, 0.4, 0.2 and 0.1.
        grey, solarise: probabilities; solarising inverts what is brighter than a half.
    """

    jitter: float = 0.8
    grey: float = 0.2
    solarise: float = 0.0

    def draw(self, count: int, generator: Generator) -> Draws:
        """``factors`` (count, 4), and three coins as bool."""
        amounts = torch.tensor([0.4, 0.4, 0.2, 0.1])
        factors = (2 * torch.rand(count, 4, generator=generator) - 1) * amounts
        coins = torch.rand(count, 3, generator=generator)
        factors = torch.where(coins[:, :1] < self.jitter, factors, 0.0)
        return {
            "factors": factors,
            "grey": coins[:, 1] < self.grey,
            "solarise": coins[:, 2] < self.solarise,
        }

    def paint(self, images: Tensor, draws: Draws) -> Tensor:
        """Change images (B, 3, h, w) in [0, 1]."""
        brightness, contrast, saturation, hue = draws["factors"].T[:, :, None, None, None]
        images = (images * (1 + brightness)).clamp(0, 1)
        mean = _grey(images).mean(dim=(2, 3), keepdim=True)
        images = (mean + (images - mean) * (1 + contrast)).clamp(0, 1)
        grey = _grey(images)
        images = (grey + (images - grey) * (1 + saturation)).clamp(0, 1)
        images = _turn(images, hue).clamp(0, 1)
        images = torch.where(draws["grey"][:, None, None, None], _grey(images), images)
        inverted = torch.where(images >= 0.5, 1 - images, images)
        return torch.where(draws["solarise"][:, None, None, None], inverted, images)


def _grey(images: Tensor) -> Tensor:
    weights = torch.tensor((0.299, 0.587, 0.114), device=images.device)[:, None, None]
    return (images * weights).sum(dim=1, keepdim=True)


def _turn(images: Tensor, hue: Tensor) -> Tensor:
    """Rotate the hue of each image by its share of a full turn."""
    to_yiq = torch.tensor(
        [[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]],
        device=images.device,
    )
    angle = 2 * torch.pi * hue[:, 0, 0, 0]
    turn = torch.eye(3, device=images.device).repeat(len(images), 1, 1)
    turn[:, 1, 1] = turn[:, 2, 2] = angle.cos()
    turn[:, 2, 1] = angle.sin()
    turn[:, 1, 2] = -angle.sin()
    whole = torch.linalg.inv(to_yiq) @ turn @ to_yiq  # (B, 3, 3)
    return torch.einsum("bij,bjhw->bihw", whole, images)


@dataclass(frozen=True)
class MultiCrop:
    """DINO's views: two global crops and several small ones, each painted anew.

    The second global crop alone is solarised. There is no blur: at 64 px the original's standard
    deviations (0.1 to 2 px at 224) are below half a pixel.
    """

    whole: Resized
    local: Resized
    local_crops: int
    colour: Colour

    @property
    def _views(self) -> list[tuple[Resized, Colour]]:
        plain = replace(self.colour, solarise=0.0)
        global_ones = [(self.whole, plain), (self.whole, self.colour)]
        return global_ones + [(self.local, plain)] * self.local_crops

    def draw(self, count: int, generator: Generator) -> Draws:
        """Draws of each view, its number before the name."""
        return {
            f"{place}.{key}": value
            for place, parts in enumerate(self._views)
            for part in parts
            for key, value in part.draw(count, generator).items()
        }

    def apply(self, pixels: Tensor, draws: Draws) -> list[Tensor]:
        """The two global views, then the local ones."""
        found = []
        for place, (crop, colour) in enumerate(self._views):
            prefix = f"{place}."
            own = {k.removeprefix(prefix): v for k, v in draws.items() if k.startswith(prefix)}
            painted = colour.paint(crop.cut(pixels, own) / 255, own)
            found.append(normalise(255 * painted))
        return found
