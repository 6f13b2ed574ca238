"""Pictures of coarse segmentation for its page: thresholded maps of the worst and the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from unlazy.benchmarks.base import Inputs
from unlazy.benchmarks.coarse_overlap import Overlap
from unlazy.benchmarks.sheet import SHOWN, Group, Panel, Sheet
from unlazy.benchmarks.whole_picture import patch_size, shown_size
from unlazy.data.spread import Chosen
from unlazy.geometry import View
from unlazy.ledger import Batch, Observation, Seen
from unlazy.tokens import Site, Trace


@dataclass(frozen=True)
class BestMasks:
    """Rows ``mask`` (H, W), of the head that fits best, and ``patch``, its size in pixels.

    Of the few pictures that a page shows.
    """

    overlap: Overlap
    name: str = "best_masks"
    resamples: ClassVar[int] = 0

    @property
    def reads(self) -> frozenset[Site]:
        """As ``Overlap``."""
        return self.overlap.reads

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """One row a picture; all of them have a mask."""
        masks = self.overlap.masks(trace, batch)  # (B, A, H, W)
        patch = patch_size(batch, (masks.shape[-2], masks.shape[-1]))
        found = []
        for each, viewed in zip(masks, batch.views, strict=True):
            guesses, classes = self.overlap.compared(each, viewed, patch)
            fits = [self.overlap.overlap(guess[None], classes) for guess in guesses]
            found.append(each[int(np.argmax(fits))])
        patches = torch.tensor(patch).expand(len(found), 2)
        return {"mask": torch.from_numpy(np.stack(found)), "patch": patches}

    def conclude(self, seen: Seen) -> dict[str, float]:
        """Nothing."""
        return {}


def contact_sheet(inputs: Inputs, seen: Seen, view: View, overlap: Overlap) -> Sheet:
    """Pictures of the lowest and of the highest Jaccard index, no picture in both.

    Args:
        inputs: to look at them again.
        seen: what ``Overlap`` observed.
        view: under which it did.
        overlap: with its parameters.
    """
    if "jaccard" not in seen:
        return Sheet()
    found = {index: float(row) for index, row in seen.kept["jaccard"].items()}
    ranked = sorted(found, key=lambda index: (found[index], index))
    half = len(ranked) // 2
    groups = []
    for title, part in (("Lowest", ranked[:half]), ("Highest", ranked[half:][::-1])):
        chosen = part[:SHOWN]
        if chosen:
            panels = _panels(inputs, chosen, view, BestMasks(overlap), found)
            meaning = f"{len(chosen)} of {len(ranked)}, the {title.lower()} first."
            groups.append(Group(f"{title} Jaccard index", meaning, panels))
    heads = ", of the head that fits the objects best" if overlap.map == "attention" else ""
    return Sheet(
        tuple(groups),
        map_title="Thresholded map",
        map_meaning=f"1: taken as object by {overlap.rule}{heads}.",
    )


def _panels(
    inputs: Inputs,
    chosen: Sequence[int],
    view: View,
    masks: BestMasks,
    jaccard: dict[int, float],
) -> tuple[Panel, ...]:
    """The pictures as the model sees them, with their masks: a small second pass."""
    part, panels = Chosen(inputs.evaluated, chosen), []
    kept = inputs.look(part, [masks], view).seen[masks.name].kept
    for place, index in enumerate(chosen):
        sample = part[place]
        viewed = view(sample.image)
        sides = zip(shown_size(viewed), kept["patch"][place].tolist(), strict=True)
        (rows, height), (columns, width) = (
            (math.ceil(side / patch), math.ceil(side / patch) * patch) for side, patch in sides
        )
        panels.append(
            Panel(
                sample.name,
                viewed.pixels[:, :height, :width],
                f"Jaccard index {jaccard[index]:.2f}",
                map=kept["mask"][place][:rows, :columns].astype(np.float32),
            )
        )
    return tuple(panels)
