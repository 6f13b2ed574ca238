"""Coarse segmentation: a map of patches, thresholded, against the objects' pixels.

Source: DINO's evaluation of attention maps (Jaccard on VOC12 val); the variant of CRATE, appendix
B.3; Table 6 of *Vision Transformers Need More Than Registers*, whose threshold is not published.
Shape legend: B pictures, A heads, H x W patches, h x w pixels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.paper_a import TABLE_6
from unlazy.benchmarks.whole_picture import (
    on_picture,
    patch_size,
    shown_size,
    squashed,
    whole_view,
)
from unlazy.discovery import Rule, coarse_mask, masks_in_pixels
from unlazy.geometry import View, Viewed
from unlazy.ledger import Batch, Measure, Observation, Seen, Some
from unlazy.metrics import class_iou, mask_iou
from unlazy.scores import patch_score
from unlazy.tokens import SHARED, Facts, Site, Trace, attention

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
_DINO, _CRATE = "DINO, attention's best head, VOC12 val", "CRATE, attention's best head by class"
_A, _OPEN = "A, Table 6, patch score, VOC12", "threshold not published"


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
            classes = _classes(viewed)
            if self.rule == "crate":
                classes, guesses = _at_centres(classes, masks.shape[-2:], patch), masks[place]
            else:
                guesses = masks_in_pixels(torch.from_numpy(masks[place]), patch, classes.shape)
            if np.isin(classes, (0, VOID)).all():
                continue
            simple = np.ones((1, *classes.shape), dtype=bool), _middle(classes.shape)
            rows[place] = [self.overlap(np.asarray(each), classes) for each in (guesses, *simple)]
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


@dataclass(frozen=True)
class CoarseSegmentation:
    """Mean Jaccard index of thresholded maps with the objects' pixels; void pixels do not count.

    - ``mass60``: the highest values that hold 60 % of the sum, as DINO has it for attention;
      scores, which may be negative, are first scaled to [0, 1] in each picture.
    - ``top60``: the highest 60 % of the patches.
    - ``mean-std``: more than one standard deviation above the mean.
    - ``crate``: as ``top60``, but for each class the best head, at the resolution of patches; mean
      over a picture's classes.

    The best of several heads gains from their number alone: compare maps of as many heads.

    Attributes:
        map: ``patch-score``, or ``attention``, of which the best head counts, picture by picture.
        short_side: pixels to which pictures are scaled; None: their own. Papers do not say it.
        longest: pixels of the longer side above which they are made smaller still.
    """

    rule: Threshold = "mass60"
    map: Map = "patch-score"
    short_side: int | None = 480
    longest: int | None = None
    name: ClassVar[str] = "coarse-segmentation"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[Need]] = frozenset({"masks"})
    headline: ClassVar[Headline] = Headline(
        "coarse_segmentation",
        "jaccard",
        count="pictures",
        baselines=(
            ("every pixel", "every_pixel"),
            ("a centred box of half the sides", "centre_half"),
        ),
    )

    @property
    def published(self) -> tuple[Published, ...]:
        """CRATE's for its variant; else DINO's and A's, which are on one scale."""
        if self.rule == "crate":
            return tuple(
                Published(model, value, _CRATE, data="voc12:val")
                for model, value in (
                    ("ViT-S/8, label", 14.1),
                    ("ViT-B/8, label", 19.2),
                    ("ViT-S/8, DINO", 27.0),
                    ("ViT-B/8, DINO", 27.3),
                    ("CRATE-S/8, label", 23.9),
                )
            )
        rows = (
            Published("ViT-S/16, random weights", 22.0, _DINO),
            Published("ViT-S/16, label", 27.3, _DINO),
            Published("ViT-S/16, DINO", 45.9, _DINO),
            Published("ViT-S/8, random weights", 21.8, _DINO),
            Published("ViT-S/8, label", 23.7, _DINO),
            Published("ViT-S/8, DINO", 44.7, _DINO),
            *(
                Published(model.replace("(+LazyStrike)", "+ LazyStrike"), value, _A, _OPEN)
                for model, value in TABLE_6.items()
            ),
        )
        return tuple(dataclasses.replace(row, data="voc12:val") for row in rows)

    def view(self, facts: Facts) -> View:
        """The whole picture, padded."""
        return whole_view(facts, resize=self.short_side, longest=self.longest)

    def measures(self, inputs: Inputs) -> Sequence[Measure]:
        """One pass.

        Raises:
            ValueError: attention of a model without any.
        """
        facts = inputs.backbone.facts
        if self.map == "attention" and "attention" not in facts.streams:
            raise ValueError(f"{facts.name} has no attention; use map=patch-score")
        return [Overlap(self.map, self.rule)]

    def notes(self, facts: Facts) -> tuple[str, ...]:
        """What is not as in the papers."""
        return squashed(facts)
