"""Point-in-Box beyond the patch score: small objects alone, and maps of other kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from unlazy.ledger import Batch, Observation, Seen, Some
from unlazy.measures.attention import Attention
from unlazy.measures.patch_score import PatchScore, hit_patches
from unlazy.measures.votes import Votes
from unlazy.metrics import SMALL_BOX, point_in_box
from unlazy.tokens import SHARED, Site, Trace


@dataclass(frozen=True)
class SmallBoxes:
    """Point-in-Box over the pictures whose box covers less than a quarter of their area."""

    name: str = "small_boxes"
    extremes: ClassVar[frozenset[str]] = frozenset(
        {"n", "best_position_entropy", "point_in_box/pictures"}
    )

    @property
    def reads(self) -> frozenset[Site]:
        """As ``PatchScore``."""
        return frozenset({SHARED}) | PatchScore().reads

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Rows of ``PatchScore`` and ``area``, the share of the picture inside its box."""
        rows = dict(PatchScore().observe(trace, batch))
        sides = batch.pixels.shape[-2] * batch.pixels.shape[-1]
        given = (view.boxes for view in batch.views)
        boxes = [each[0] if each is not None and len(each) else None for each in given]
        areas = [
            float((box[2] - box[0]) * (box[3] - box[1])) / sides if box is not None else 1.0
            for box in boxes
        ]
        return rows | {"area": torch.tensor(areas)}

    def conclude(self, seen: Seen) -> dict[str, float]:
        """As ``PatchScore``, and how many pictures took part."""
        small = {int(index) for index, area in seen.kept["area"].items() if area < SMALL_BOX}
        order = tuple(index for index in seen.order if index in small)
        if not order:
            return {"n": 0.0}
        some = Seen(seen.kept, seen.sums, order)
        return PatchScore().conclude(some) | {"n": float(len(order))}


@dataclass(frozen=True)
class OtherMaps:
    """Point-in-Box of the last block's attention and of LazyStrike's votes (keep = 1).

    Attention and patch score need not point at the same place.
    """

    name: str = "other_maps"

    @property
    def reads(self) -> frozenset[Site]:
        """Those of ``Attention`` and ``Votes``."""
        return Attention().reads | Votes().reads

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Rows ``attention`` and ``votes``: 1 where the highest patch touches a box."""
        found: dict[str, Some] = {}
        for each in (Attention(), Votes()):
            maps = each.observe(trace, batch)["map"]
            assert isinstance(maps, torch.Tensor)
            which, hits = hit_patches(batch, tuple(maps.shape[1:]))
            values = maps.float().cpu().numpy()
            if hits:
                rows = [point_in_box(values[place], hit) for place, hit in hits.items()]
                found[each.name] = Some(which, torch.tensor(rows))
        return found

    def conclude(self, seen: Seen) -> dict[str, float]:
        """``point_in_box/attention`` and ``point_in_box/votes``, where there are boxes."""
        names = [name for name in ("attention", "votes") if name in seen]
        return {f"point_in_box/{name}": seen.mean(name) for name in names}
