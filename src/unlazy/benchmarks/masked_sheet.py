"""Pictures and curves of masked classification for its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from unlazy.backbones.base import Backbone
from unlazy.benchmarks.answers_sheet import spelled
from unlazy.benchmarks.base import Inputs
from unlazy.benchmarks.masked_accuracy import SHARES, MaskedAccuracy, area, mean_curves
from unlazy.benchmarks.sheet import Curve, Panel, Sheet, misses_and_hits
from unlazy.data.spread import Chosen
from unlazy.geometry import View
from unlazy.ledger import Batch, Observation, Seen
from unlazy.tokens import SHARED, Site, Trace

HIDDEN = SHARES.index(5 / 7)
"""Place of the headline's share."""


@dataclass(frozen=True)
class MaskedPictures:
    """Rows ``masked`` (3, height, width), RGB without the highest patches, and ``map`` (H, W).

    Of the few pictures that a page shows.
    """

    accuracy: MaskedAccuracy
    name: str = "masked_pictures"
    resamples: ClassVar[int] = 0

    @property
    def reads(self) -> frozenset[Site]:
        """As ``MaskedAccuracy``."""
        return self.accuracy.reads

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """One row a picture."""
        scores, grid = self.accuracy.scores(trace), trace[SHARED].grid
        count = round(SHARES[HIDDEN] * scores.shape[1])
        highest = scores.argsort(dim=1, descending=True, stable=True)[:, :count]
        images = self.accuracy.backbone.normalise(batch.pixels)
        masked = self.accuracy.hide(images, batch, highest, grid)
        return {
            "masked": as_rgb(self.accuracy.backbone, masked),
            "map": scores.unflatten(1, grid),
        }

    def conclude(self, seen: Seen) -> dict[str, float]:
        """Nothing."""
        return {}


def as_rgb(
    backbone: Backbone, images: Float[Tensor, "B 3 height width"]
) -> UInt8[Tensor, "B 3 height width"]:
    """What ``Backbone.normalise`` made these from; colours between two go to the nearest."""
    mean, std = (images.new_tensor(each) for each in (backbone.facts.mean, backbone.facts.std))
    scaled = images * std[:, None, None] + mean[:, None, None]
    return (255 * scaled).round().clamp(0, 255).to(torch.uint8)


def masked_sheet(inputs: Inputs, seen: Seen, view: View, accuracy: MaskedAccuracy) -> Sheet:
    """Pictures whose class is lost or kept without the highest patches; top-1 over their share.

    Args:
        inputs: to look at the pictures again.
        seen: what ``MaskedAccuracy`` observed.
        view: under which it did.
        accuracy: with its score and what hides a patch.
    """
    found = seen.kept["highest"]
    known = {index: row[HIDDEN] for index, row in found.items() if row[0]}
    percent = f"{100 * SHARES[HIDDEN]:.0f} %"
    groups = misses_and_hits(
        known,
        seen.order,
        lambda chosen: _panels(inputs, chosen, seen, view, MaskedPictures(accuracy)),
        titles=("Class lost", "Class kept"),
        by=f"with the highest {percent} of the patches hidden",
        note=f"Both groups are of the {len(known)} whose class is told with nothing hidden. Under"
        " each: predicted with patches hidden / true.",
    )
    return Sheet(
        groups,
        map_title="Patch score",
        map_meaning=f"Likeness of each patch to the whole picture ({accuracy.score}), before any"
        " is hidden; the square is the highest patch.",
        curves=(_curve(seen),),
    )


def _curve(seen: Seen) -> Curve:
    """Top-1 over the share of masked patches, and the area under each line."""
    lines = []
    for order, curve in mean_curves(seen).items():
        points = tuple(zip((100 * each for each in SHARES), (100 * curve).tolist(), strict=True))
        lines.append((f"{order} ({100 * area(curve):.1f})", points))
    title = "Top-1 as patches are masked, by their score; in brackets the area under the curve"
    return Curve(title, "patches masked (%)", "top-1 (%)", tuple(lines))


def _panels(
    inputs: Inputs, chosen: Sequence[int], seen: Seen, view: View, pictures: MaskedPictures
) -> tuple[Panel, ...]:
    """The pictures as the model saw them, with their maps: a small second pass."""
    if not chosen:
        return ()
    part, panels = Chosen(inputs.evaluated, chosen), []
    kept = inputs.look(part, [pictures], view).seen[pictures.name].kept
    for place, index in enumerate(chosen):
        score = kept["map"][place]
        row, column = divmod(int(score.argmax()), score.shape[1])
        told, true = int(seen.kept["told"][index][HIDDEN]), int(seen.kept["label"][index])
        panels.append(
            Panel(
                part.name_of(place),
                torch.from_numpy(kept["masked"][place]),
                spelled(inputs.evaluated, told, true),
                map=score,
                best=(row, column),
            )
        )
    return tuple(panels)
