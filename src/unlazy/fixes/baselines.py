"""Cheap baselines that change the patches which leave the last block, before the last norm.

So ``block(-1)``, ``FINAL``, ``SHARED`` and a pooled image vector all see the change; CLS and
registers do not, nor does an image vector taken from CLS.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from unlazy.backbones.base import Backbone
from unlazy.backbones.plain import PlainViT
from unlazy.fixes.base import Fix, Fixed, Look, plain
from unlazy.fixes.outliers import Outliers, PatchNorms, outliers
from unlazy.ledger import Batch, Observation, Seen, Sum
from unlazy.tokens import Site, Trace, block

Change = Callable[[Tensor, tuple[int, int]], Tensor]  # patches (B, N, D), grid -> patches


def clip_norms(patches: Float[Tensor, "B N D"], cutoff: float) -> Float[Tensor, "B N D"]:
    """Scale patches whose L2 norm is above ``cutoff`` down to it; their direction stays.

    >>> clip_norms(torch.tensor([[[3.0, 4.0], [0.5, 0.0]]]), 2.5).tolist()
    [[[1.5, 2.0], [0.5, 0.0]]]
    """
    norms = torch.linalg.vector_norm(patches, dim=-1, keepdim=True, dtype=torch.float32)
    return torch.where(norms > cutoff, patches * (cutoff / norms).to(patches.dtype), patches)


def neighbour_median(
    patches: Float[Tensor, "B N D"], grid: tuple[int, int], cutoff: float
) -> Float[Tensor, "B N D"]:
    """Replace patches whose L2 norm is above ``cutoff`` by the median of their neighbours.

    Channel by channel, over those of the eight neighbours that are below the cut-off (of an even
    number the lower middle one). Where there is none, over all patches of the image that are
    below; an image that has none is left as it is.

    >>> row = torch.tensor([[[1.0], [9.0], [3.0], [2.0]]])
    >>> neighbour_median(row, (2, 2), 5.0).flatten().tolist()
    [1.0, 2.0, 3.0, 2.0]
    """
    high = torch.linalg.vector_norm(patches, dim=-1, dtype=torch.float32) > cutoff  # (B, N)
    image, place = high.nonzero(as_tuple=True)
    if not len(image):
        return patches
    nothing = torch.full_like(patches, float("nan"))
    sound = torch.where(high[..., None], nothing, patches)
    padded = F.pad(sound.unflatten(1, grid), (0, 0, 1, 1, 1, 1), value=float("nan"))
    row, column = place // grid[1], place % grid[1]
    around = [padded[image, row + i, column + j] for i in range(3) for j in range(3)]
    median = torch.stack(around).nanmedian(0).values  # (K, D); the middle one is itself: NaN
    whole = sound.nanmedian(1).values[image]
    found = torch.where(median.isnan(), whole, median)
    changed = patches.clone()
    changed[image, place] = torch.where(found.isnan(), patches[image, place], found)
    return changed


@dataclass(frozen=True)
class _OfOutliers(ABC):
    """A fix that changes the patches whose norm is above a cut-off."""

    name: ClassVar[str]

    cutoff: float | None = None
    outliers: Outliers | None = None

    def calibrate(self, backbone: Backbone, look: Look) -> Self:
        """Choose the cut-off.

        Raises:
            NothingToFix: the images have no outlier patches.
            ValueError: not a plain ViT.
        """
        norms = PatchNorms(plain(backbone, self.name).facts.depth)
        found = outliers(look([norms])[norms.name], given=self.cutoff)
        return dataclasses.replace(self, cutoff=found.cutoff, outliers=found)

    def summary(self) -> tuple[str, ...]:
        """The outliers."""
        return () if self.outliers is None else (self.outliers.sentence(),)

    def apply(self, backbone: Backbone) -> Fixed:
        """The fixed backbone.

        Raises:
            ValueError: not a plain ViT, or not calibrated.
        """
        limit = self.cutoff
        if limit is None:
            raise ValueError(f"{self.name} has no cut-off: calibrate it, or give one (cutoff=NORM)")
        return _changed(backbone, self, lambda patches, grid: self.change(patches, grid, limit))

    @abstractmethod
    def change(self, patches: Tensor, grid: tuple[int, int], cutoff: float) -> Tensor:
        """Patches (B, N, D) without those above the cut-off."""


@dataclass(frozen=True)
class NormClipping(_OfOutliers):
    """Scale outlier patches down to the cut-off.

    A layer norm does not see the scale of a token, so ``FINAL`` and ``SHARED`` stay nearly the
    same: this helps what reads ``block(-1)`` and models that pool before they normalise.

    Attributes:
        cutoff: norm of an outlier at the last block; None chooses it from the calibration images.
        outliers: what the choice rests on; of calibration.
    """

    name: ClassVar[str] = "norm-clipping"

    def change(self, patches: Tensor, grid: tuple[int, int], cutoff: float) -> Tensor:
        """By ``clip_norms``."""
        return clip_norms(patches, cutoff)


@dataclass(frozen=True)
class NeighbourMedian(_OfOutliers):
    """Replace outlier patches by the median of their neighbours.

    Attributes:
        cutoff: norm of an outlier at the last block; None chooses it from the calibration images.
        outliers: what the choice rests on; of calibration.
    """

    name: ClassVar[str] = "neighbour-median"

    def change(self, patches: Tensor, grid: tuple[int, int], cutoff: float) -> Tensor:
        """By ``neighbour_median``."""
        return neighbour_median(patches, grid, cutoff)


@dataclass(frozen=True)
class PositionSums:
    """Sum of the patches that leave the last block, at each place of one grid."""

    name: str = "position_sums"
    resamples: ClassVar[int] = 0

    @property
    def reads(self) -> frozenset[Site]:
        """The last block."""
        return frozenset({block(-1)})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Sums (H, W, D) by grid."""
        last = trace[block(-1)]
        total = last.map().sum(0, dtype=torch.float64)
        height, width = last.grid
        images = torch.tensor(last.patches.shape[0])
        return {f"{height}x{width}": Sum(total), "images": Sum(images)}

    def conclude(self, seen: Seen) -> dict[str, float]:
        """How many images took part."""
        return {"images": float(seen.sums["images"])}


@dataclass(frozen=True)
class PositionMean:
    """Subtract what all images have in common at a place: its mean minus the mean of all places.

    What all places share stays, so that the last norm sees features of the usual kind.

    Source: the cheap baseline for Yang et al. 2024, *Denoising Vision Transformers*.

    Attributes:
        pattern: (H, W, D), what is subtracted; of calibration.
    """

    name: ClassVar[str] = "position-mean"

    pattern: Tensor | None = None

    def calibrate(self, backbone: Backbone, look: Look) -> PositionMean:
        """Average the images at each place.

        Raises:
            ValueError: not a plain ViT, or images of several sizes.
        """
        plain(backbone, self.name)
        sums = PositionSums()
        found = dict(look([sums])[sums.name].sums)
        images = int(found.pop("images"))
        if len(found) != 1:
            raise ValueError(f"{self.name} needs images of one size; patch grids were {[*found]}")
        mean = torch.from_numpy(next(iter(found.values()))) / images
        return dataclasses.replace(self, pattern=(mean - mean.mean((0, 1))).float())

    def summary(self) -> tuple[str, ...]:
        """The size of the pattern."""
        if self.pattern is None:
            return ()
        norms = self.pattern.norm(dim=-1)
        return (
            f"The pattern that all places do not share has a norm of {norms.mean():.3g} on average,"
            f" {norms.max():.3g} at most, on {norms.shape[0]}x{norms.shape[1]} patches.",
        )

    def apply(self, backbone: Backbone) -> Fixed:
        """The fixed backbone, for images of the calibrated grid alone.

        Raises:
            ValueError: not a plain ViT, or not calibrated.
        """
        if self.pattern is None:
            raise ValueError(f"{self.name} is not calibrated: it has no pattern to subtract")
        pattern = self.pattern

        def subtract(patches: Tensor, grid: tuple[int, int]) -> Tensor:
            if grid != pattern.shape[:2]:
                raise ValueError(
                    f"{self.name} was calibrated on {pattern.shape[0]}x{pattern.shape[1]} patches,"
                    f" these images have {grid[0]}x{grid[1]}; calibrate again at that size"
                )
            return patches - pattern.flatten(0, 1).to(patches)

        return _changed(backbone, self, subtract)


def _changed(backbone: Backbone, fix: Fix, change: Change) -> Fixed:
    """A backbone whose last block's patches are changed before anything else reads them."""

    def install(original: PlainViT, grid: tuple[int, int]) -> Iterator[RemovableHandle]:
        first = original.facts.has_cls + original.facts.num_registers

        def hook(module: Any, args: Any, output: Tensor) -> Tensor:
            return torch.cat([output[:, :first], change(output[:, first:], grid)], dim=1)

        yield original.locate(block(-1)).register_forward_hook(hook, prepend=True)

    return Fixed(plain(backbone, fix.name), fix, install)
