"""What the runs of a table would take: memory, hours and energy, estimated from a throughput."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch

from unlazy.backbones.vit import ViT, ViTConfig
from unlazy.report.energy import Energy
from unlazy.report.reproduce import Planned

YARDSTICK = ViTConfig(
    img_size=224, patch_size=16, embed_dim=768, depth=12, num_heads=12, num_classes=1000
)
"""ViT-B/16 at 224 px, in whose pictures a second a throughput is said."""
OPERATIONS = 35.1  # billions for one picture of it
ACTIVATIONS = 8  # float32 numbers a token and channel at a block's widest: q, k, v, MLP, residual
TIMED = 2.0  # seconds, at least two passes


@dataclass(frozen=True)
class Cost:
    """Of one run.

    Attributes:
        pictures: forward passes, at most.
        hours: of these alone; None where the model's operations are not known.
        weights, picture: bytes of the weights, and of what a picture of a batch adds; float32.
        kept: bytes, at most, of what stays in memory until all pictures have passed.
    """

    pictures: int
    hours: float
    weights: float
    picture: float
    kept: float = 0.0

    def said(self, energy: Energy) -> str:
        """One line.

        >>> Cost(1000, 2.0, 4.5e9, 6.7e7).said(Energy())
        '1,000 forward passes at most; 4.5 GB of weights and 67 MB a picture of a batch; 2.0 h'
        """
        memory = f"{self.weights / 1e9:.2g} GB of weights and {self.picture / 1e6:.2g} MB a picture"
        kept = f", and {self.kept / 1e9:.2g} GB of kept tokens at most" if self.kept else ""
        return (
            f"{self.pictures:,} forward passes at most; {memory} of a batch{kept};"
            f" {energy.said(self.hours)}"
        )


def cost(planned: Planned, throughput: float) -> Cost | None:
    """What a run takes where ViT-B/16 has this throughput; None where its row does not say.

    A larger picture or model is taken to be slower by its operations; decoding, and what a probe
    computes besides, is left out.
    """
    row = planned.row
    if row.size is None or not row.pictures:
        return None
    tokens, dim = row.size.widest or (row.size.tokens, row.size.dim)
    seconds = row.pictures / throughput * row.size.operations / OPERATIONS
    return Cost(
        row.pictures,
        seconds / 3600,
        4e6 * row.size.parameters,
        4.0 * ACTIVATIONS * tokens * dim,
        4.0 * row.kept,
    )


def costs(planned: Sequence[Planned], throughput: float) -> list[tuple[Planned, Cost]]:
    """One of each run, whether it can be done here or not, in the table's order."""
    runs = {each.folder: each for each in planned}.values()
    found = ((each, cost(each, throughput)) for each in runs)
    return [(each, one) for each, one in found if one is not None]


@cache
@torch.inference_mode()
def measured_throughput(device: str) -> float:
    """Pictures a second of ViT-B/16 at 224 px with random weights here, in float32."""
    model = ViT(YARDSTICK).eval().to(device)
    images = torch.zeros(1 if device == "cpu" else 64, 3, 224, 224, device=device)
    model(images)  # the first pass is slower
    passes, started = 0, time.perf_counter()
    while passes < 2 or time.perf_counter() - started < TIMED:
        model(images)
        if device != "cpu":
            torch.cuda.synchronize(device)
        passes += 1
    return passes * len(images) / (time.perf_counter() - started)
