"""Overlap of a thresholded map of patches with the objects' pixels.

Shape legend: B pictures, A heads, H x W patches, h x w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from unlazy.benchmarks.whole_picture import on_picture, patch_size, shown_size
from unlazy.discovery import Rule, coarse_mask, masks_in_pixels
from unlazy.geometry import Viewed
from unlazy.ledger import Batch, Observation, Seen, Some
from unlazy.metrics import class_iou, mask_iou
from unlazy.scores import patch_score
from unlazy.tokens import SHARED, Site, Trace, attention

Map = Literal["patch-score", "attention"]
Threshold = Literal["mass60", "top60", "mean-std", "crate"]
SHARE = 0.6
VOID = 255
RULES: dict[Threshold, Rule] = {
    "mass60": "unit_mass",
    "top60": "entries",
    "mean-std": "mean_std",
    "crate": "entries",
}


@dataclass(frozen=True)
class Overlap:
    """Jaccard of a thresholded map with the objects' pixels; of several heads the best one.

    Rows of the pictures with an object: ``jaccard``; ``every_pixel`` and ``centre_half``, the same
    of masks that need no model. Numbers: their means, ``pictures`` and
    ``pictures_without_object``, which have no mask, or an empty one.

    Attributes:
        map: ``patch-score``, cosine to the image vector; ``attention``, the CLS row of each head.
        rule: see ``CoarseSegmentation``.
    """

    map: Map
    rule: Threshold
    name: str = "coarse_segmentation"
    extremes: ClassVar[frozenset[str]] = frozenset({"pictures", "pictures_without_object"})

    @property
    def site(self) -> Site:
        """Where the map is read."""
        return SHARED if self.map == "patch-score" else attention(-1)

    @property
    def reads(self) -> frozenset[Site]:
        """The map's site alone."""
        return frozenset({self.site})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Rows as above."""
        masks = self.masks(trace, batch)  # (B, A, H, W)
        patch = patch_size(batch, (masks.shape[-2], masks.shape[-1]))
        rows: dict[int, list[float]] = {}
        for place, viewed in enumerate(batch.views):
            if viewed.mask is None:
                continue
            guesses, classes = self.compared(masks[place], viewed, patch)
            if np.isin(classes, (0, VOID)).all():
                continue
            simple = np.ones((1, *classes.shape), dtype=bool), _middle(classes.shape)
            rows[place] = [self.overlap(each, classes) for each in (guesses, *simple)]
        if not rows:
            return {}
        which = torch.tensor([place in rows for place in range(len(batch.views))])
        columns = torch.tensor(list(rows.values()), dtype=torch.float64).T
        keys = ("jaccard", "every_pixel", "centre_half")
        return {key: Some(which, column) for key, column in zip(keys, columns, strict=True)}

    def masks(self, trace: Trace, batch: Batch) -> Bool[np.ndarray, "B A H W"]:
        """The thresholded map of each head."""
        tokens = trace[self.site]
        if self.map == "patch-score":
            maps = patch_score(tokens.patches.float(), trace.image.float())[:, None]
            maps = maps.unflatten(2, tokens.grid)
        else:
            maps = tokens.map().float().movedim(-1, 1)
        valid = on_picture(batch, tokens.grid, maps.device)
        if valid is not None:
            valid = valid[:, None].expand(maps.shape).flatten(0, 1)
        rule = RULES[self.rule]
        if self.map == "attention" and rule == "unit_mass":
            rule = "mass"  # it is a mass as it is
        found = coarse_mask(maps.flatten(0, 1), rule=rule, share=SHARE, valid=valid)
        return found.view(maps.shape).cpu().numpy()

    def compared(
        self, masks: Bool[np.ndarray, "A H W"], viewed: Viewed, patch: tuple[int, int]
    ) -> tuple[Bool[np.ndarray, "A h w"], UInt8[np.ndarray, "h w"]]:
        """A picture's masks and classes at the resolution at which they are compared."""
        classes = _classes(viewed)
        if self.rule == "crate":
            return masks, _at_centres(classes, masks.shape[-2:], patch)
        found = masks_in_pixels(torch.from_numpy(masks), patch, classes.shape)
        return np.asarray(found), classes

    def overlap(
        self, guesses: Bool[np.ndarray, "A h w"], classes: UInt8[np.ndarray, "h w"]
    ) -> float:
        """Of the best head: over the picture's objects at once, or the mean over its classes."""
        if self.rule == "crate":
            return float(
                np.mean(list(class_iou(guesses, classes.astype(np.int64), void=VOID).values()))
            )
        truth = (classes > 0) & (classes != VOID)
        return max(mask_iou(guess, truth, void=classes == VOID) for guess in guesses)

    def conclude(self, seen: Seen) -> dict[str, float]:
        """Means over the pictures with an object, and counts."""
        pictures = len(seen.rows("jaccard")) if "jaccard" in seen else 0
        keys = ("jaccard", "every_pixel", "centre_half") if pictures else ()
        return {key: seen.mean(key) for key in keys} | {
            "pictures": float(pictures),
            "pictures_without_object": float(len(seen.order) - pictures),
        }


def _classes(viewed: Viewed) -> UInt8[np.ndarray, "h w"]:
    """The classes of the picture's pixels without padding: 0 none, 255 void."""
    assert viewed.mask is not None
    height, width = shown_size(viewed)
    classes = viewed.mask[:height, :width].numpy().copy()
    if viewed.void is not None:
        classes[viewed.void[:height, :width].numpy()] = VOID
    return classes


def _at_centres(
    classes: UInt8[np.ndarray, "h w"], grid: tuple[int, ...], patch: tuple[int, int]
) -> UInt8[np.ndarray, "H W"]:
    """The classes at the patches' centres; void where a centre lies on the padding."""
    rows, columns = (np.arange(grid[axis]) * patch[axis] + patch[axis] // 2 for axis in (0, 1))
    found = np.full(grid, VOID, dtype=np.uint8)
    inside = classes[rows[rows < classes.shape[0]]][:, columns[columns < classes.shape[1]]]
    found[: inside.shape[0], : inside.shape[1]] = inside
    return found


def _middle(size: tuple[int, ...]) -> Bool[np.ndarray, "1 h w"]:
    """A centred box of half the sides."""
    mask = np.zeros((1, *size), dtype=bool)
    (top, bottom), (left, right) = ((side // 4, side - side // 4) for side in size)
    mask[:, top:bottom, left:right] = True
    return mask
