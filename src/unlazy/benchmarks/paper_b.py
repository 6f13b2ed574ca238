"""What *Do All Vision Transformers Need Registers?*, paper B, reports of its models, by name.

Each figure stands here alone: benchmarks, tables and claims read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Position(NamedTuple):
    """A row of Table 1: top-1 (%) of a token's place, and mean distance to it (patches).

    Attributes:
        distance_centre: of saying the centre of the grid, always.
    """

    top1_normal: float
    top1_outlier: float
    distance_normal: float
    distance_outlier: float
    distance_centre: float


class Pixels(NamedTuple):
    """A row of Table 2: squared error of a patch, of normalised pixels."""

    normal: float
    outlier: float


class TokenClass(NamedTuple):
    """A row of Table 3: top-1 (%) of the picture's class, from one token."""

    cls: float
    normal: float
    outlier: float


class PretrainedHeads(NamedTuple):
    """A column of Table 4: ImageNet top-1 (%) of DINOv2's own heads."""

    without_registers: float
    with_registers: float


class RegisterHeads(NamedTuple):
    """A column of Table 5: ImageNet top-1 (%) of heads on DINOv2 with registers.

    Its row of pretrained heads is Table 4's.
    """

    cls_mean: float
    cls_mean_registers: float
    mean_registers: float


TABLE_1: Mapping[str, Position] = {
    "DINOv2-S": Position(28.05, 19.18, 1.07, 1.27, 14.15),
    "DeiT3-M": Position(7.53, 7.05, 4.29, 3.88, 5.35),
    "OpenCLIP-B": Position(6.76, 8.19, 3.87, 6.38, 5.35),
    "DINOv2-G": Position(45.48, 7.60, 0.67, 7.41, 14.15),
    "Swin-S": Position(19.44, 13.38, 2.67, 2.59, 3.04),
    "PVT-b2": Position(37.84, 100.0, 1.21, 0.0, 2.65),
}
TABLE_2: Mapping[str, Pixels] = {
    "DINOv2-S": Pixels(383.13, 521.56),
    "DeiT3-M": Pixels(801.07, 1505.68),
    "OpenCLIP-B": Pixels(572.54, 983.69),
    "DINOv2-G": Pixels(337.20, 926.34),
    "Swin-S": Pixels(3945.0, 3687.0),
    "PVT-b2": Pixels(3826.0, 5132.0),
}
TABLE_3: Mapping[str, TokenClass] = {
    "DINOv2-S": TokenClass(74.81, 55.61, 57.00),
    "DeiT3-M": TokenClass(81.08, 69.18, 78.96),
    "OpenCLIP-B": TokenClass(75.77, 59.22, 69.48),
    "DINOv2-G": TokenClass(81.56, 50.04, 68.33),
    "PVT-b2": TokenClass(80.89, 69.29, 63.54),
    "Swin-S": TokenClass(82.01, 74.12, 76.16),
}
TABLE_4: Mapping[str, PretrainedHeads] = {
    "DINOv2-S": PretrainedHeads(81.15, 81.65),
    "DINOv2-B": PretrainedHeads(84.33, 84.71),
    "DINOv2-L": PretrainedHeads(86.12, 86.80),
    "DINOv2-G": PretrainedHeads(86.90, 87.29),
}
TABLE_5: Mapping[str, RegisterHeads] = {
    "DINOv2-S": RegisterHeads(82.28, 82.12, 81.60),
    "DINOv2-B": RegisterHeads(85.07, 84.92, 83.44),
    "DINOv2-L": RegisterHeads(86.62, 86.74, 86.58),
}
LIKELIER_IN_REDUNDANT: Mapping[str, float] = {"DINOv2-G": 2.5}
"""Claim 3, "about": times as many outliers in uniform areas; which these are is not stated."""
