"""Test-time registers: a pass against the plain model's, and what calibration holds."""

from __future__ import annotations

from typing import Any

import timm
import torch

from performance import fresh
from performance.figures import Figure, interleaved, ratios
from performance.pictures import Noise
from unlazy.backbones.base import Backbone
from unlazy.backbones.timm_load import wrap
from unlazy.fixes.test_time_registers import Neuron, TestTimeRegisters
from unlazy.geometry import View
from unlazy.report.calibration import calibrate
from unlazy.tokens import block, norm_of

MODELS = {"ViT-S/16": "vit_small_patch16_224", "ViT-B/16": "vit_base_patch16_224"}
CALIBRATED = "ViT-S/16"
MOST_TIME = 1.05
MOST_GROWTH = 1.05  # memory that grew with the pictures would be near 2 at 224 px
CHOSEN = tuple(Neuron(layer, 7 * layer + place) for layer in range(5) for place in (1, 2))
"""Ten neurons in five blocks; for CLIP ViT-B/16 ten were published."""


def figures(quick: bool) -> list[Figure]:
    """Time of a pass with test-time registers over one without; memory of a calibration."""
    batch, rounds = (1, 2) if quick else (2, 41)
    few, many = (8, 16) if quick else (100, 200)
    found = []
    for label in MODELS:
        found += _times(label, batch, rounds)
    peaks = {
        count: fresh.call("performance.fixes:calibration_peak", count=count)
        for count in (few, many)
    }
    return [
        *found,
        *(
            Figure(f"{CALIBRATED}: peak of a calibration, {count} images", "MB", (peak / 1e6,))
            for count, peak in peaks.items()
        ),
        Figure(
            f"{CALIBRATED}: that peak, {many} images / {few}",
            "x",
            (peaks[many] / peaks[few],),
            at_most=MOST_GROWTH,
        ),
    ]


def calibration_peak(*, count: int, model: str = CALIBRATED) -> int:
    """Peak resident bytes of a process that calibrates on ``count`` pictures."""
    backbone = _backbone(model)
    size = backbone.facts.size
    with torch.inference_mode():  # weights are random: half of the patches count as outliers
        norms = backbone.trace(torch.randn(1, 3, *size), [norm_of(block(-1))])
    limit = norms[norm_of(block(-1))].patches.median().item()
    fix = TestTimeRegisters(cutoff=limit)
    calibrate(fix, backbone, Noise(count, size), source="noise", view=View(size))
    return fresh.peak_bytes()


def _times(label: str, batch: int, rounds: int) -> list[Figure]:
    plain = _backbone(label)
    fixed = TestTimeRegisters(chosen=CHOSEN).apply(plain)
    images = torch.randn(batch, 3, *plain.facts.size)
    tasks: dict[str, Any] = {
        "plain": lambda: plain.encode(images),
        "fixed": lambda: fixed.encode(images),
    }
    with torch.inference_mode():
        for task in tasks.values():
            task()
        seconds = interleaved(tasks, rounds=rounds)
    ratio = ratios(seconds["fixed"], seconds["plain"])
    return [
        Figure(f"{label}: time, test-time registers / plain", "x", ratio, MOST_TIME),
        Figure(f"{label}: time, plain, batch of {batch}", "s", seconds["plain"]),
    ]


def _backbone(label: str) -> Backbone:
    torch.manual_seed(0)
    model = timm.create_model(MODELS[label], num_classes=0)
    return wrap(model, name=MODELS[label], weights="random")
