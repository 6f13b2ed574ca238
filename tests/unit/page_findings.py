"""Findings of tiny random models, for the tests of the page."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image

from unlazy.backbones.timm import TimmViT
from unlazy.data.sample import Sample, Unreadable
from unlazy.geometry import View
from unlazy.report.findings import Findings
from unlazy.report.run import investigate

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>.jpg'


class Photos(list):
    """Four random pictures, two with boxes, one with a hostile name; the last cannot be read."""

    def __getitem__(self, index):
        if index == len(self) - 1:
            raise Unreadable("the file is <b>empty</b>")
        return super().__getitem__(index)

    def name_of(self, index):
        return f"broken {HOSTILE}"


def photos() -> Photos:
    rng = np.random.default_rng(0)
    names = ["beach.jpg", HOSTILE, "forest/path.jpg", "town.jpg"]
    box = np.array([[8, 8, 40, 56]], np.float32)
    samples = [
        Sample(
            Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)),
            name,
            boxes=box if turn % 2 else None,
        )
        for turn, name in enumerate(names)
    ]
    return Photos([*samples, None])


def model(name: str, seed: int) -> TimmViT:
    torch.manual_seed(seed)
    vit = timm.create_model(
        "vit_tiny_patch16_224",
        depth=2,
        embed_dim=48,
        num_heads=3,
        img_size=64,
        dynamic_img_size=True,
    )
    return TimmViT(vit.eval(), name=name, weights="random")


@lru_cache
def findings(name: str = "timm:tiny", seed: int = 0, shown: int = 5) -> Findings:
    view = View((64, 64))
    return investigate(
        model(name, seed), photos(), source="test <photos>", view=view, workers=0, shown=shown
    )


@lru_cache
def mixed() -> Findings:
    """Pictures of two sizes, so of two grids."""
    several = photos()[:3]
    several[1] = Sample(several[1].image.resize((96, 64)), "wide.jpg")
    view = View((64, 64), fit="native", multiple=(16, 16))
    return investigate(model("timm:tiny", 0), several, source="two sizes", view=view, workers=0)


def without(found: Findings, *measures: str) -> Findings:
    """The same as if these measures had not run and the model had no attention."""
    import dataclasses

    def left(mapping):
        return {key: item for key, item in mapping.items() if key not in measures}

    streams = found.facts.streams - {"attention", "query", "key", "value"}
    return dataclasses.replace(
        found,
        facts=dataclasses.replace(found.facts, streams=streams),
        record=dataclasses.replace(found.record, values=left(found.record.values)),
        measures=left(found.measures),
        measured=dataclasses.replace(found.measured, seen=left(found.measured.seen)),
    )


def written(several: list[Findings], folder: Path) -> str:
    from unlazy.report.page import write_page

    return write_page(several, folder).read_text()
