"""The picture of docs/evidence/localisation.md, on drawn scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import pyplot
from matplotlib.patches import Rectangle

import unlazy
from unlazy.benchmarks.discovery import Discovery
from unlazy.benchmarks.discovery_methods import SPELLED
from unlazy.data.synthetic import Scenes
from unlazy.report.bench import run_benchmark
from unlazy.scores import patch_score

MODELS = ("tiny-label", "tiny-label-lazystrike")
COLOURS = {
    "patch-score": "#e69f00",
    "dino-seg": "#56b4e9",
    "lost": "#d55e00",
    "tokencut": "#cc79a7",
}


def draw(path: Path, count: int = 5) -> None:
    """A row a scene: found boxes of each model's four methods, and its patch score."""
    scenes = Scenes(count)
    size = 2 * len(MODELS)
    figure, axes = pyplot.subplots(count, size, figsize=(1.7 * size, 1.75 * count))
    for place, name in enumerate(MODELS):
        backbone = unlazy.load_backbone(f"bundled:{name}")
        benchmark: Any = Discovery()
        seen = run_benchmark(benchmark, backbone, scenes, source="scenes").measured.seen
        for row in range(count):
            sample = scenes[row]
            found, scored = axes[row, 2 * place], axes[row, 2 * place + 1]
            _show(found, np.asarray(sample.image), sample)
            for method, colour in COLOURS.items():
                box = seen["discovery"].kept[f"box/{method}"][row]
                found.add_patch(_outline(box, colour, "-"))
            _show(scored, np.asarray(sample.image), sample)
            _score(scored, backbone, sample)
        axes[0, 2 * place].set_title(name, fontsize=9, loc="left")
        axes[0, 2 * place + 1].set_title("patch score, its highest", fontsize=8)
    lines = [Rectangle((0, 0), 1, 1, fill=False, edgecolor=each) for each in COLOURS.values()]
    lines.append(Rectangle((0, 0), 1, 1, fill=False, edgecolor="white", linestyle="--"))
    named = [*(SPELLED[each].removeprefix("by ") for each in COLOURS), "the object"]
    figure.legend(lines, named, loc="lower center", ncols=5, facecolor="#888888", fontsize=8)
    figure.subplots_adjust(0.01, 0.06, 0.99, 0.96, 0.03, 0.03)
    figure.savefig(path, dpi=90, metadata={"Software": None})
    pyplot.close(figure)


def _show(axis: Any, pixels: np.ndarray, sample: Any) -> None:
    axis.imshow(pixels)
    axis.set_axis_off()
    axis.add_patch(_outline(sample.boxes[0], "white", "--"))


def _outline(box: np.ndarray, colour: str, style: str) -> Rectangle:
    left, top, right, bottom = box
    corner = (left - 0.5, top - 0.5)
    return Rectangle(
        corner, right - left, bottom - top, fill=False, edgecolor=colour, linestyle=style, lw=1.6
    )


def _score(axis: Any, backbone: Any, sample: Any) -> None:
    view = unlazy.View(backbone.facts.size)
    with torch.inference_mode():
        pixels = view(sample.image).pixels[None]
        trace = backbone.trace(backbone.normalise(pixels), [unlazy.SHARED])
        tokens = trace[unlazy.SHARED]
        scores = patch_score(tokens.patches, trace.image)[0].unflatten(0, tokens.grid).numpy()
    height, width = sample.image.height, sample.image.width
    axis.imshow(scores, extent=(-0.5, width - 0.5, height - 0.5, -0.5), alpha=0.75)
    row, column = np.unravel_index(scores.argmax(), scores.shape)
    high, wide = height / scores.shape[0], width / scores.shape[1]
    axis.add_patch(
        _outline(
            np.array([column * wide, row * high, (column + 1) * wide, (row + 1) * high]), "red", "-"
        )
    )
