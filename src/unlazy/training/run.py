"""Read a recipe's data and train it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from unlazy.training import loop
from unlazy.training.recipes import LabelRecipe


def run(recipe: LabelRecipe, data: Path, out: Path) -> Iterator[dict]:
    """Train ``recipe`` on the data folder and yield rows of the log; resumes where it stopped."""
    import torch

    from unlazy.data.tiny_imagenet import TinyImageNet

    pixels, labels = TinyImageNet(data, "train").pixels()
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    yield from loop.train(recipe, images, torch.from_numpy(labels), out)
