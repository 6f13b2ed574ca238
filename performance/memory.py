"""What a measurement holds as the number of pictures grows."""

from __future__ import annotations

import timm
import torch

from performance import fresh
from performance.figures import Figure
from performance.pictures import Noise
from unlazy.backbones.timm_load import wrap
from unlazy.geometry import View
from unlazy.ledger import Measure
from unlazy.measure import Measured, measure
from unlazy.measures.neighbours import Neighbours
from unlazy.measures.norms import Norms
from unlazy.measures.patch_score import PatchScore
from unlazy.measures.votes import Votes

MODEL = "vit_tiny_patch16_224"
DEPTH = 1  # blocks; what is held does not depend on it
MEASURES: tuple[Measure, ...] = (Norms(), Votes(), Neighbours(), PatchScore())


def figures(quick: bool) -> list[Figure]:
    """Peak memory for few and for many pictures, and the rows' part of the difference."""
    few, many, rounds = (32, 128, 1) if quick else (500, 5000, 3)
    peaks: dict[int, list[float]] = {few: [], many: []}
    rows = 0.0
    for _ in range(rounds):
        for count in peaks:
            found = fresh.call("performance.memory:run", count=count)
            peaks[count].append(found["peak_bytes"])
            rows = found["row_bytes"] / count
    growth = [(b - a) / (many - few) for a, b in zip(peaks[few], peaks[many], strict=True)]
    named = [Figure(f"peak, {count} images", "MB", _mb(row)) for count, row in peaks.items()]
    return [
        *named,
        Figure("rows kept an image", "B", (rows,), note="sum of the arrays' bytes"),
        Figure("growth of the peak an image", "B", tuple(growth), note="rows and their keeping"),
    ]


def run(*, count: int) -> dict[str, int]:
    """Measure ``count`` pictures; meant for a process of its own."""
    torch.manual_seed(0)
    model = timm.create_model(MODEL, depth=DEPTH, num_classes=0)
    backbone = wrap(model, name=MODEL, weights="random")
    size = backbone.facts.size
    measured = measure(backbone, Noise(count, size), MEASURES, view=View(size))
    return {"peak_bytes": fresh.peak_bytes(), "row_bytes": row_bytes(measured)}


def row_bytes(measured: Measured) -> int:
    """Bytes of all rows that are kept, without the objects around them."""
    kept = [rows for seen in measured.seen.values() for rows in seen.kept.values()]
    return sum(row.nbytes for rows in kept for row in rows.values())


def _mb(row: list[float]) -> tuple[float, ...]:
    return tuple(value / 1e6 for value in row)
