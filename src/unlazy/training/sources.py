"""The data of a recipe: training pictures, validation pictures, classes; pixels held in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unlazy.data.captions import CaptionShards
from unlazy.data.class_folders import ClassFolders
from unlazy.data.sample import Unreadable
from unlazy.data.tiny_imagenet import TinyImageNet
from unlazy.geometry import View
from unlazy.training.recipe import LabelRecipe, Recipe


@dataclass(frozen=True)
class Source:
    """What a run reads.

    Attributes:
        training: a data set of samples.
        validation: the same with labels, or None.
        classes: names in the order of the labels; empty where there are captions instead.
    """

    training: Any
    validation: Any
    classes: Sequence[str]


def open_source(recipe: Recipe, root: Path) -> Source:
    """The recipe's data below a folder; the layouts are those of ``unlazy.data``.

    Captions are ``ROOT/**/*.tar``; where ``ROOT/val/<class>/`` is there as well, its pictures are
    what a run is evaluated on.

    Raises:
        FileNotFoundError: the folder is not such data.
        ValueError: the model has not as many classes as the data.
    """
    if recipe.data == "captions":
        validation = ClassFolders(root, "val") if (root / "val").is_dir() else None
        return Source(CaptionShards(root), validation, validation.classes if validation else ())
    kind = TinyImageNet if recipe.data == "tiny-imagenet" else ClassFolders
    training, validation = kind(root, "train"), kind(root, "val")
    if list(training.classes) != list(validation.classes):
        raise ValueError(
            f"train has {len(training.classes)} classes and val {len(validation.classes)}, or"
            f" other ones, below {root}; both need the same folders"
        )
    count = len(training.classes)
    if isinstance(recipe, LabelRecipe) and recipe.model.num_classes != count:
        raise ValueError(
            f"{root} has {count} classes, the recipe's model {recipe.model.num_classes};"
            f" use model.num_classes={count}"
        )
    return Source(training, validation, training.classes)


@dataclass(frozen=True)
class Pixels:
    """All pictures of a data set in memory.

    Attributes:
        pixels: (n, 3, side, side) uint8.
        labels: (n,) int64.
        indices: (n,) positions in the data set.
        skipped: name -> reason of what could not be read.
    """

    pixels: Tensor
    labels: Tensor
    indices: Tensor
    skipped: dict[str, str]


class _Viewing(torch.utils.data.Dataset):
    def __init__(self, dataset: Any, side: int) -> None:
        self.dataset, self.view = dataset, View((side, side))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, int] | str:
        try:
            sample = self.dataset[index]
        except Unreadable as problem:
            return str(problem)
        return self.view(sample.image).pixels, sample.label


def hold(dataset: Any, side: int, *, workers: int = 0) -> Pixels:
    """Decode a data set once; pictures of another size are scaled and cropped to the square.

    Raises:
        Unreadable: no picture could be read.
    """
    loader = torch.utils.data.DataLoader(
        _Viewing(dataset, side), batch_size=256, num_workers=workers, collate_fn=list
    )
    pixels = torch.empty(len(dataset), 3, side, side, dtype=torch.uint8)
    kept: list[tuple[int, int]] = []
    skipped: dict[str, str] = {}
    for index, item in enumerate(_items(loader)):
        if isinstance(item, str):
            skipped[dataset.name_of(index)] = item
            continue
        pixels[len(kept)] = item[0]
        kept.append((index, item[1]))
    if not kept:
        raise Unreadable(f"none of {len(dataset)} pictures can be read: {next(iter(skipped))}")
    table = torch.tensor(kept)
    return Pixels(pixels[: len(kept)], table[:, 1].clone(), table[:, 0].clone(), skipped)


def _items(loader: Any) -> Iterator[Any]:
    for batch in loader:
        yield from batch
