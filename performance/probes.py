"""The pixels probe in closed form against the same loss by AdamW, as the paper learns it."""

from __future__ import annotations

from typing import Any

import timm
import torch

from performance.figures import Figure
from performance.pictures import Noise
from unlazy.backbones.base import Backbone
from unlazy.backbones.timm_load import wrap
from unlazy.benchmarks.probe_pixels import PixelProbe
from unlazy.report.probe import run_probes

LEAST_PICTURES = 10.0
MOST_ERROR = 1.005
GROUPS = ("normal", "outlier")


def figures(quick: bool) -> list[Figure]:
    """Pictures that pass through the model, and the error on pictures not learned from."""
    learned, asked = (40, 20) if quick else (600, 100)
    found: dict[str, tuple[float, dict[str, float]]] = {}
    for method in ("closed_form", "adamw"):
        probe: Any = PixelProbe(method=method)
        backbone, size = _small()
        passed = _counted(backbone)
        evaluated, training = Noise(asked, size, first=learned), Noise(learned, size)
        (outcome,) = run_probes([probe], backbone, evaluated, training, source="noise")
        values = outcome.record.values["pixels"]
        errors = {group: values[f"error_{group}"].value for group in GROUPS}
        found[method] = float(passed[0]), errors
    (few, exact), (many, descended) = found["closed_form"], found["adamw"]
    note = f"{learned} drawn pictures to learn from, {asked} to evaluate; defaults of the probe"
    return [
        Figure(
            "pictures through the model, AdamW / closed form",
            "x",
            (many / few,),
            at_least=LEAST_PICTURES,
            note=note,
        ),
        *(
            Figure(
                f"error of {group} patches, closed form / AdamW",
                "x",
                (exact[group] / descended[group],),
                MOST_ERROR,
            )
            for group in GROUPS
        ),
    ]


def _small() -> tuple[Backbone, tuple[int, int]]:
    torch.manual_seed(0)
    name = "vit_tiny_patch16_224"
    options: dict[str, Any] = {
        "depth": 2,
        "embed_dim": 96,
        "num_heads": 3,
        "img_size": 64,
        "patch_size": 8,
    }
    model = timm.create_model(name, num_classes=0, **options)
    backbone = wrap(model, name=name, weights="random")
    return backbone, backbone.facts.size


def _counted(backbone: Backbone) -> list[int]:
    """How many pictures passed, in a list of one."""
    passed = [0]

    def count(module: Any, given: Any, output: Any) -> None:
        passed[0] += len(output)

    model: Any = backbone.model
    model.blocks[0].register_forward_hook(count)
    return passed
