"""Point-in-Box of a bundled model on as many pictures as Tiny ImageNet has to evaluate."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from performance.figures import Figure
from performance.pictures import write_photos
from unlazy.benchmarks.point_in_box import PointInBox
from unlazy.catalog import load_backbone
from unlazy.data.box_folder import BoxFolder
from unlazy.inputs import workers_of
from unlazy.report.bench import run_benchmark

MODEL = "bundled:tiny-label"
SHORT_SIDE = 64  # pixels, as Tiny ImageNet's
LEAST = 0.70


def figures(quick: bool) -> list[Figure]:
    """Images a second of the whole run, and the share of its time inside the model."""
    count, rounds = (64, 1) if quick else (5000, 3)
    backbone = load_backbone(MODEL)
    benchmark: Any = PointInBox()
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), count, short_side=SHORT_SIDE)
        names = [path.name for path in sorted(Path(folder).glob("*.jpg"))]
        rows = "\n".join(f"{name},16,16,48,48" for name in names)
        (Path(folder) / "boxes.csv").write_text(f"name,xmin,ymin,xmax,ymax\n{rows}")
        data = BoxFolder(folder)
        found = [
            run_benchmark(
                benchmark, backbone, data, source="performance", workers=workers_of(None)
            ).record.timing
            for _ in range(rounds)
        ]
    note = f"{count} JPEG files, short side {SHORT_SIDE} pixels, {MODEL}"
    speeds = tuple(timing["images_per_second"] for timing in found)
    shares = tuple(timing["forward_share"] for timing in found)
    return [
        Figure("Point-in-Box, decoding to interval", "images/s", speeds, note=note),
        Figure("share of its time in the forward", "share", shares, at_least=LEAST, note=note),
    ]
