"""A backbone whose tokens are any function of the picture, and pictures with labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from unlazy.backbones.base import Backbone, Call
from unlazy.data.sample import Sample
from unlazy.tokens import FINAL, Facts, Site, Tokens

Design = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Patches (B, N, P) of normalised pixels -> tokens [CLS, registers, patches] (B, T, D), and their
norms (B, N) before the last normalisation."""


class _Body(nn.Module):
    """A block that makes tokens, and a last normalisation that changes nothing but the norms."""

    def __init__(self, design: Design, patch: int) -> None:
        super().__init__()
        self.design, self.patch = design, patch
        self.block, self.norm = nn.Identity(), nn.Identity()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        rows = images.unflatten(2, (-1, self.patch)).unflatten(4, (-1, self.patch))
        patches = rows.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        tokens, norms = self.design(patches)
        prefix = tokens.shape[1] - patches.shape[1]
        before = torch.zeros_like(tokens)
        before[:, prefix:, 0] = norms
        self.block(before)
        return self.norm(tokens)[:, 0] * self.scale


class Planted(Backbone):
    """Its tokens at ``FINAL`` and norms at ``block(-1)`` are those of a design."""

    def __init__(
        self, design: Design, *, dim: int, side: int = 16, patch: int = 4, registers: int = 0
    ) -> None:
        facts = Facts(
            name="planted",
            family="planted",
            dim=dim,
            depth=1,
            heads=1,
            patch=(patch, patch),
            multiple=(patch, patch),
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
            size=(side, side),
            supervision="none",
            has_cls=True,
            num_registers=registers,
            weights="random",
            position="none",
            activation="none",
            streams=frozenset({"block", "final"}),
        )
        super().__init__(_Body(design, patch), facts)

    def locate(self, site: Site) -> nn.Module:
        body: Any = self.model
        return body.norm if site == FINAL else body.block

    def read(self, site: Site, call: Call) -> Tokens:
        grid = tuple(side // self.facts.patch[0] for side in call.size)
        return Tokens.split(
            call.output, grid, num_prefix=1 + self.facts.num_registers, has_cls=True
        )

    def encode(self, images: Tensor) -> Tensor:
        return self.model(images)


class Drawn:
    """Noise; ``classes`` many labels, told by how often red is above a half in the first patch.

    The first patch's red is 40 + 30 * label everywhere; the patch at ``bright(index)`` is white.
    """

    def __init__(
        self,
        count: int,
        *,
        seed: int = 0,
        side: int = 16,
        patch: int = 4,
        classes: int = 4,
        bright: Callable[[int], int] | None = lambda index: 1 + index % 15,
    ) -> None:
        self.count, self.seed, self.side, self.patch = count, seed, side, patch
        self.classes, self.bright = [f"class {label}" for label in range(classes)], bright

    def __len__(self) -> int:
        return self.count

    def name_of(self, index: int) -> str:
        return f"{self.seed}/{index}"

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.seed, index])
        pixels = rng.integers(0, 200, (self.side, self.side, 3), dtype=np.uint8)
        label = int(rng.integers(len(self.classes)))
        pixels[: self.patch, : self.patch, 0] = 40 + 30 * label
        if self.bright is not None:
            row, column = divmod(self.bright(index), self.side // self.patch)
            top, left = row * self.patch, column * self.patch
            pixels[top : top + self.patch, left : left + self.patch] = 255
        return Sample(Image.fromarray(pixels), self.name_of(index), label=label)


def labels_of(patches: Tensor, classes: int = 4) -> Tensor:
    """What ``Drawn`` wrote into the first patch, one-hot (B, classes)."""
    red = (patches[:, 0, 0] * 0.25 + 0.5) * 255
    return nn.functional.one_hot(
        ((red - 40) / 30).round().long().clamp(0, classes - 1), classes
    ).float()


def bright_of(patches: Tensor) -> Tensor:
    """Which patches are white, (B, N) bool."""
    return patches.amin(-1) > 1.9


def noise_of(patches: Tensor, dim: int) -> Tensor:
    """Numbers (B, N, dim) of mean 0 that depend on each patch's pixels in no simple way."""
    generator = torch.Generator().manual_seed(5)
    mix = torch.randn(patches.shape[-1], dim, generator=generator) * 40
    return torch.sin(patches @ mix + torch.arange(dim))
