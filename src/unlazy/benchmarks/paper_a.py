"""What *Vision Transformers Need More Than Registers*, paper A, reports, by its names of the rows.

Each figure stands here alone: benchmarks and tables read it. All are percentages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class CorLoc(NamedTuple):
    """A row of Table 7: CorLoc."""

    voc07: float
    voc12: float
    coco: float


class TextPool(NamedTuple):
    """A row of Table 9: ImageNet top-1 and mIoU under text supervision."""

    imagenet: float
    voc: float
    coco: float


class LabelPool(NamedTuple):
    """A row of Table 10: ImageNet top-1 and CorLoc under label supervision."""

    imagenet: float
    voc07: float
    voc12: float


TABLE_1: Mapping[str, float] = {  # Point-in-Box
    "ResNet": 68.4,
    "ViT": 42.7,
    "ViT +Register": 41.5,
    "DINO-ResNet": 71.1,
    "DINO-ViT": 45.3,
    "OpenCLIP-ResNet": 53.9,
    "OpenCLIP-ViT": 39.8,
    "OpenCLIP-ViT +Register": 37.6,
}
TABLE_3: Mapping[str, float] = {  # Point-in-Box
    "ResNet": 68.4,
    "ViT": 42.7,
    "ViT (+LazyStrike)": 55.1,
    "DINO-ResNet": 71.1,
    "DINO-v1": 44.5,
    "DINO-v1 (+LazyStrike)": 69.7,
    "CLIP-ResNet": 53.9,
    "CLIP": 39.8,
    "CLIP (+LazyStrike)": 50.1,
}
FIGURE_2: Mapping[str, float] = {  # top-1 with patches masked; read off, 70 % in an inferred order
    "nothing masked": 81.1,
    "highest 70 % masked": 81.1,
    "random 70 % masked": 70.3,
    "lowest 70 % masked": 22.3,
}
FIGURE_3: Mapping[str, float | None] = {  # Point-in-Box; None where there is but a curve
    "ViT at 10 % top-1": 42.0,
    "ViT at 60 % top-1": 44.0,
    "ResNet over training": None,
}
TABLE_6: Mapping[str, float] = {  # mIoU of coarse segmentation
    "ViT-B/16, label": 22.3,
    "ViT-B/16 (+LazyStrike), label": 32.8,
    "ViT-S/16, label": 29.5,
    "ViT-S/16 (+LazyStrike), label": 41.9,
    "ViT-S/16, DINO": 47.7,
    "ViT-S/16 (+LazyStrike), DINO": 55.1,
}
TABLE_7: Mapping[str, CorLoc] = {
    "SS": CorLoc(18.8, 20.9, 16.0),
    "EdgeBoxes": CorLoc(31.1, 31.6, 28.8),
    "DINO-seg": CorLoc(45.8, 46.2, 42.1),
    "LOST": CorLoc(61.9, 64.0, 50.7),
    "DINO (+LazyStrike)": CorLoc(64.4, 67.6, 51.6),
}
TOKENCUT = CorLoc(68.8, 72.1, 58.8)
"""As TokenCut reports it; Table 7 leaves it out."""
TABLE_9: Mapping[str, TextPool] = {
    "Attention-Pool": TextPool(55.8, 10.7, 3.3),
    "Max-Pool": TextPool(53.1, 71.9, 12.2),
    "M = 1": TextPool(53.5, 72.7, 13.5),
    "M = 49": TextPool(55.8, 75.8, 18.5),
    "M = 98": TextPool(56.2, 75.9, 18.0),
    "M = 196 (Full)": TextPool(55.3, 13.5, 4.8),
}
TABLE_10: Mapping[str, LabelPool] = {
    "Attention-Pool": LabelPool(59.1, 14.1, 28.7),
    "Mean-Pool": LabelPool(64.3, 15.3, 29.6),
    "M = 1": LabelPool(64.6, 30.4, 35.6),
    "M = 7": LabelPool(64.8, 32.1, 37.6),
    "M = 49 (Full)": LabelPool(64.9, 15.8, 30.3),
}
