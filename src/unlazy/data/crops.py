"""Random crops of the pictures of a data set, another one in each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ImageOps

from unlazy.data.sample import Sample

AREA, ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)
"""Of a crop: the share of the picture's area, and width by height."""


@dataclass(frozen=True)
class Crops:
    """A random part of each picture, mirrored half of the time; labels stay, boxes and masks go.

    Any process draws the same crop of a picture in an epoch.

    Source: torchvision's RandomResizedCrop and RandomHorizontalFlip, with their defaults, which
    DINO and DINOv2 train linear classifiers on.
    """

    dataset: Any
    seed: int
    epoch: int

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        import torch
        from torchvision.transforms import RandomResizedCrop

        sample = self.dataset[index]
        drawn = np.random.SeedSequence([self.seed, self.epoch, index]).generate_state(1)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(drawn[0]))  # no GPU's
            image: Any = sample.image
            top, left, height, width = RandomResizedCrop.get_params(image, [*AREA], [*ASPECT])
            mirrored = bool(torch.rand(()) < 0.5)
        part = sample.image.crop((left, top, left + width, top + height))
        return Sample(ImageOps.mirror(part) if mirrored else part, sample.name, label=sample.label)

    def name_of(self, index: int) -> str:
        """The name of a picture, readable or not."""
        return self.dataset.name_of(index)
