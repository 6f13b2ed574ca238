"""Outcomes of benchmarks of a tiny random model, for the tests of their page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image

from unit.page_findings import HOSTILE, model
from unlazy.benchmarks.base import Headline, Published
from unlazy.benchmarks.point_in_box import BoxHits, PointInBox
from unlazy.benchmarks.sheet import Box, Curve, Group, Panel, Sheet
from unlazy.data.sample import Sample, Unreadable
from unlazy.report.bench import Outcome, run_benchmark


class Boxed:
    """Forty pictures with one box, a third of them with two; the last cannot be read."""

    problems = {HOSTILE: "box 2 has <b>no area</b>"}

    def __len__(self):
        return 41

    def name_of(self, index):
        return HOSTILE if index in (0, 40) else f"a long folder/{index:05}.jpg"

    def __getitem__(self, index):
        if index == 40:
            raise Unreadable("the file is <b>empty</b>")
        rng = np.random.default_rng(index)
        image = Image.fromarray(rng.integers(0, 255, (64, 80, 3), np.uint8))
        left, top = rng.integers(8, 40, 2).tolist()
        boxes = np.array([[left, top, left + 24, top + 24], [0, 0, 40, 40]], np.float32)
        return Sample(image, self.name_of(index), boxes=boxes[: 1 + (index % 3 == 0)])


@dataclass(frozen=True)
class Drawn(PointInBox):
    """A benchmark from outside with boxes of several kinds and a curve."""

    name = "drawn"
    headline = Headline("point_in_box", "single/auc", scale=1.0)
    published = (Published("Model <b>", 0.5, "a paper", "with a note"),)

    def measures(self, inputs):
        return [BoxHits()]

    def sheet(self, inputs, measured):
        kinds = ("object", "LOST", "TokenCut")
        boxes = tuple(Box(kind, (8.0 * i, 4.0, 30.0 + i, 60.0)) for i, kind in enumerate(kinds))
        pixels = torch.zeros(3, 300, 400, dtype=torch.uint8)
        panel = Panel("large", pixels, "three boxes", boxes)
        curve = Curve("Masked", "share masked", "top-1", (("highest", ((0, 1), (1, 0))),))
        return Sheet((Group("All", "Every one.", (panel,)),), curves=(curve,))


@dataclass(frozen=True)
class Plain(Drawn):
    """One that draws nothing."""

    name = "plain"
    sheet = None


@lru_cache
def outcome(benchmark=PointInBox) -> Outcome:
    return run_benchmark(benchmark(), model("timm:tiny", 0), Boxed(), source="boxes <b>")
