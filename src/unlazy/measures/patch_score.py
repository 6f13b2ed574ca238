"""Patch score: how much each patch resembles the whole image; Point-in-Box where boxes exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from unlazy.geometry import box_to_grid
from unlazy.ledger import Batch, Observation, Seen, Some
from unlazy.metrics import centre, chance, point_in_box, ranking_auc
from unlazy.scores import Score, entropy_share, patch_score, spearman
from unlazy.tokens import SHARED, Site, Trace, block, norm_of

SCORES: tuple[Score, ...] = ("cosine", "dot", "centred_cosine")
POOLED = 0.01
"""Below this distance from the mean patch, over its own length, the image vector is the mean patch:
bfloat16 rounds to 0.004. Then nothing is left to centre; chosen by us."""


@dataclass(frozen=True)
class PatchScore:
    """Score of each patch against the image vector, in the space that supervision sees.

    Rows: ``cosine``, ``dot``, ``centred_cosine`` (H, W); ``norm_correlation`` (rank correlation of
    the cosine with the norm before the last normalisation); for pictures with boxes ``hit/*``,
    ``auc/*``, ``chance`` and ``centre``. A patch is in a box if they overlap at all. Where the
    image vector is the mean patch, the centred cosine is not held against boxes.

    Source: *Vision Transformers Need More Than Registers*, Eq. 3 and Point-in-Box (Table 1).
    """

    name: str = "patch_score"
    extremes: ClassVar[frozenset[str]] = frozenset(
        {"best_position_entropy", "point_in_box/pictures"}
    )

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({SHARED, norm_of(block(-1))})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        shared = trace[SHARED]
        maps = {
            score: patch_score(shared.patches.float(), trace.image.float(), score=score)
            for score in SCORES
        }
        norm = trace[norm_of(block(-1))]
        found: dict = {score: flat.unflatten(1, shared.grid) for score, flat in maps.items()}
        if norm.grid == shared.grid:
            found["norm_correlation"] = spearman(maps["cosine"], norm.patches[..., 0])
        distance = (trace.image.float() - shared.patches.float().mean(1)).norm(dim=1)
        pooled = distance < POOLED * trace.image.float().norm(dim=1)
        boxed = _against_boxes(maps=found, batch=batch, pooled=pooled.tolist())
        cosine = maps["cosine"]
        found |= {"mean": cosine.mean(1), "spread": cosine.std(1, correction=0)}
        return found | boxed | {"best": cosine.argmax(1), "max": cosine.amax(1)}

    def conclude(self, seen: Seen) -> dict[str, float]:
        found = {
            "mean_cosine": seen.mean("mean"),
            "spread_cosine": seen.mean("spread"),
            "max_cosine": seen.mean("max"),
        }
        if "norm_correlation" in seen:
            found["norm_correlation"] = seen.mean("norm_correlation")
        if seen.one_grid("cosine"):
            patches = seen.rows("cosine")[0].size
            best = np.bincount(seen.stack("best"), minlength=patches)
            found["best_position_entropy"] = entropy_share(best)
        if "chance" not in seen:
            return found
        for score in SCORES:
            if not np.isnan(seen.stack(f"hit/{score}")).all():
                found[f"point_in_box/{score}"] = seen.mean(f"hit/{score}")
                found[f"auc/{score}"] = seen.mean(f"auc/{score}")
        gain = seen.stack("hit/centred_cosine") - seen.stack("hit/cosine")  # (pictures with boxes,)
        if not np.isnan(gain).all():
            found["point_in_box/centred_cosine_gain"] = float(np.nanmean(gain))
        found["point_in_box/pictures"] = float(len(seen.stack("chance")))
        found["point_in_box/chance"] = seen.mean("chance")
        found["point_in_box/centre"] = seen.mean("centre")
        return found


def _against_boxes(maps: dict, batch: Batch, pooled: list[bool]) -> dict:
    """Rows for the pictures of the batch that have a box inside the view."""
    which, hits = hit_patches(batch, tuple(maps["cosine"].shape[1:]))
    rows: dict[str, list[float]] = {}
    for index, hit in hits.items():
        for score in SCORES:
            values = maps[score][index].float().cpu().numpy()
            pair = point_in_box(values, hit), ranking_auc(values, hit)
            if pooled[index] and score == "centred_cosine":
                pair = float("nan"), float("nan")
            rows.setdefault(f"hit/{score}", []).append(pair[0])
            rows.setdefault(f"auc/{score}", []).append(pair[1])
        rows.setdefault("chance", []).append(chance(hit))
        rows.setdefault("centre", []).append(centre(hit))
    return {key: Some(which, torch.tensor(column)) for key, column in rows.items()}


def hit_patches(batch: Batch, grid: tuple[int, ...]) -> tuple[Tensor, dict[int, np.ndarray]]:
    """Which pictures (B,) have a box inside the view; place in the batch -> patches hit (H, W)."""
    size = (batch.pixels.shape[-2], batch.pixels.shape[-1])
    hits = {}
    for place, view in enumerate(batch.views):
        if view.boxes is None or view.kept is None or not view.kept.any():
            continue
        rows, columns = grid
        inside = box_to_grid(view.boxes[view.kept], (rows, columns), size=size, rule="overlap")
        hits[place] = inside.any(dim=0).numpy()
    return torch.tensor([place in hits for place in range(len(batch.views))]), hits
