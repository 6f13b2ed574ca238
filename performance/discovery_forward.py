"""A whole run of object discovery by patch score against a bare forward over the same pictures."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from performance.figures import Figure, interleaved, ratios
from performance.pictures import write_photos
from unlazy.batches import CPU_PIXELS, batches, blank_padding
from unlazy.benchmarks.discovery import Discovery
from unlazy.catalog import load_backbone
from unlazy.data.box_folder import BoxFolder
from unlazy.inputs import workers_of
from unlazy.report.bench import run_benchmark

MODEL = "timm:vit_small_patch16_224"
SHORT_SIDE = 360  # pixels: 480 x 360, as most pictures of VOC
MOST = 1.15


def figures(quick: bool) -> list[Figure]:
    """Decoding, padding, forward, boxes, CorLoc and its interval, over the forward alone."""
    count, rounds = (4, 1) if quick else (64, 5)
    torch.manual_seed(0)
    backbone = load_backbone(MODEL, weights="random")
    benchmark: Any = Discovery(methods=("patch-score",))
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), count, short_side=SHORT_SIDE)
        names = [path.name for path in sorted(Path(folder).glob("*.jpg"))]
        rows = "\n".join(f"{name},90,90,270,270" for name in names)
        (Path(folder) / "boxes.csv").write_text(f"name,xmin,ymin,xmax,ymax\n{rows}")
        data, view = BoxFolder(folder), benchmark.view(backbone.facts)
        given = {"batch_size": None, "pixels": CPU_PIXELS, "workers": 0, "skip": print}
        inputs = [
            blank_padding(backbone.normalise(batch.pixels), batch.views)
            for batch in batches(data, view, **given)
        ]

        @torch.inference_mode()
        def bare() -> None:
            for images in inputs:
                backbone.encode(images)

        def run() -> None:
            run_benchmark(benchmark, backbone, data, source="performance", workers=workers_of(None))

        bare()
        run()  # imports and caches; not counted
        seconds = interleaved({"bare": bare, "run": run}, rounds=rounds)
    return [
        Figure(
            "discovery by patch score / bare forward",
            "x",
            ratios(seconds["run"], seconds["bare"]),
            MOST,
            note=f"{count} photographs, short side {SHORT_SIDE} pixels, ViT-S/16",
        ),
        Figure("bare forward", "s", seconds["bare"]),
    ]
