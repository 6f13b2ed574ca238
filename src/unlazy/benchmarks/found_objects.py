"""One object in each picture, against all boxes and masks. Shape legend: k objects of a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unlazy.benchmarks.discovery_methods import Methods
from unlazy.benchmarks.whole_picture import patch_size, shown_size
from unlazy.discovery import Objects, boxes_in_pixels, masks_in_pixels
from unlazy.geometry import Viewed
from unlazy.ledger import Batch, Observation, Seen, Some
from unlazy.metrics import corloc, mask_iou
from unlazy.tokens import Site, Trace

BASELINES = {"whole_picture": (0.0, 0.0, 1.0, 1.0), "centre_half": (0.25, 0.25, 0.75, 0.75)}
"""Boxes that need no model, in shares of width and height."""


@dataclass(frozen=True)
class FoundObjects:
    """What methods of discovery find, and how well it fits.

    Rows of every picture: ``box/<method>`` (4,), xyxy in the picture's own pixels, all zero where
    nothing was found. Rows of pictures with a box: ``corloc/<name>``; by method ``no_object``, 1
    where nothing was found, and ``all_of_it``, 1 where the box is the whole picture. Rows of
    pictures with masks: ``mask_iou/<name>``, of the object that fits best. Names are those of the
    methods, and of ``BASELINES``.

    A mask without instances is that of the object where the picture has a single box.
    """

    by: Methods
    name: str = "discovery"

    @property
    def reads(self) -> frozenset[Site]:
        """The features that the methods need."""
        return frozenset(self.by.site(method) for method in self.by.methods)

    @property
    def extremes(self) -> frozenset[str]:
        """Counts have no interval."""
        counts = ("pictures", "pictures_without_box", "pictures_with_masks")
        return frozenset({*counts, *(f"no_object/{method}" for method in self.by.methods)})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Rows as above."""
        known = [_Known.of(viewed) for viewed in batch.views]
        rows: dict[str, Tensor | Some] = {}
        for method in self.by.methods:
            patch = patch_size(batch, trace[self.by.site(method)].grid)
            rows |= _of_method(method, self.by.find(method, trace, batch), patch, known)
        for name, shares in BASELINES.items():
            boxes = np.stack([np.array(shares) * (each.size[::-1] * 2) for each in known])
            masks = map(_filled, boxes, (each.size for each in known))
            rows |= _fits(name, boxes, masks, known)
        return rows

    def conclude(self, seen: Seen) -> dict[str, float]:
        """Means of ``corloc`` and ``mask_iou`` over the pictures that have boxes or masks; counts.

        ``no_object/<method>`` counts pictures with a box in which a method found nothing: misses.
        ``all_of_it/<method>`` is the share of those in which it took the whole picture: where that
        is high, its CorLoc says no more than ``corloc/whole_picture``.
        """
        found = {
            f"{kind}/{name}": seen.mean(f"{kind}/{name}")
            for kind in ("corloc", "mask_iou")
            for name in (*self.by.methods, *BASELINES)
            if f"{kind}/{name}" in seen
        }
        boxed, masked = (
            len(seen.rows(f"{kind}/whole_picture")) if f"{kind}/whole_picture" in seen else 0
            for kind in ("corloc", "mask_iou")
        )
        if boxed:
            for method in self.by.methods:
                found[f"no_object/{method}"] = float(seen.stack(f"no_object/{method}").sum())
                found[f"all_of_it/{method}"] = seen.mean(f"all_of_it/{method}")
        if masked:
            found["pictures_with_masks"] = float(masked)
        return found | {
            "pictures": float(boxed),
            "pictures_without_box": float(len(seen.order) - boxed),
        }

    def proportions(self, seen: Seen) -> dict[str, int]:
        """CorLoc, and ``all_of_it``, are shares of the pictures that have boxes."""
        kinds = ("corloc/", "all_of_it/")
        return {key: len(seen.rows(key)) for key in seen.kept if key.startswith(kinds)}


@dataclass(frozen=True)
class _Known:
    """What is annotated in a picture, in shown pixels.

    Attributes:
        size: (H, W) shown.
        scale: pixels of the picture per shown pixel, for x, y, x, y.
        boxes: those inside of the view.
        instances: the objects' pixels; none where they are not known.
        void: pixels that do not count.
    """

    size: tuple[int, int]
    scale: Float[np.ndarray, "4"]
    boxes: Float[np.ndarray, "k 4"]
    instances: Bool[np.ndarray, "k height width"]
    void: Bool[np.ndarray, "height width"] | None

    @classmethod
    def of(cls, viewed: Viewed) -> _Known:
        height, width = shown_size(viewed)
        rows, columns = viewed.picture or (height, width)
        boxes = np.zeros((0, 4))
        if viewed.boxes is not None and viewed.kept is not None:
            boxes = viewed.boxes[viewed.kept].double().numpy()
        instances = np.zeros((0, height, width), dtype=bool)
        if viewed.instances is not None:
            instances = viewed.instances[:, :height, :width].numpy()
        elif viewed.mask is not None and len(boxes) == 1:
            instances = viewed.mask[None, :height, :width].numpy() > 0
        return cls(
            (height, width),
            np.array([columns / width, rows / height] * 2),
            boxes,
            instances[instances.any(axis=(1, 2))],
            None if viewed.void is None else viewed.void[:height, :width].numpy(),
        )


def _of_method(
    method: str, found: Objects, patch: tuple[int, int], known: Sequence[_Known]
) -> dict[str, Tensor | Some]:
    """Rows of one method."""
    sizes, mask = torch.tensor([each.size for each in known]), found.mask.cpu()
    shown = boxes_in_pixels(found.box.cpu(), patch, sizes).double()  # (B, 4)
    scales = torch.from_numpy(np.stack([each.scale for each in known]))
    rows: dict[str, Tensor | Some] = {f"box/{method}": shown * scales}
    boxed = torch.tensor([len(each.boxes) > 0 for each in known])
    if boxed.any():
        whole = (shown == torch.nn.functional.pad(sizes.flip(1), (2, 0))).all(1)
        rows[f"no_object/{method}"] = Some(boxed, ~mask.flatten(1).any(1)[boxed])
        rows[f"all_of_it/{method}"] = Some(boxed, whole[boxed])
    masks = (
        masks_in_pixels(each, patch, one.size).numpy()
        for each, one in zip(mask, known, strict=True)
    )
    return rows | _fits(method, shown.numpy(), masks, known)


def _fits(
    name: str,
    boxes: Float[np.ndarray, "B 4"],
    masks: Iterable[Bool[np.ndarray, "height width"]],
    known: Sequence[_Known],
) -> dict[str, Tensor | Some]:
    """Rows ``corloc`` and ``mask_iou`` of one box and mask a picture."""
    rows: dict[str, Tensor | Some] = {}
    boxed = [len(each.boxes) > 0 for each in known]
    if any(boxed):
        hits = [corloc(box, each.boxes) for box, each in zip(boxes, known, strict=True)]
        hits = torch.tensor(hits, dtype=torch.float64)
        rows[f"corloc/{name}"] = Some(torch.tensor(boxed), hits[boxed])
    masked = [len(each.instances) > 0 for each in known]
    if any(masked):
        pairs = [(mask, each) for mask, each in zip(masks, known, strict=True)]
        best = [_best_iou(mask, each) for mask, each in pairs if len(each.instances)]
        best = torch.tensor(best, dtype=torch.float64)
        rows[f"mask_iou/{name}"] = Some(torch.tensor(masked), best)
    return rows


def _best_iou(found: Bool[np.ndarray, "height width"], known: _Known) -> float:
    return max(mask_iou(found, each, void=known.void) for each in known.instances)


def _filled(box: Float[np.ndarray, "4"], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    left, top, right, bottom = box.round().astype(int)
    mask = np.zeros(size, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask
