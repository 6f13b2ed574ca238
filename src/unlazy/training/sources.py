"""The data of a recipe: training pictures, validation pictures, classes; pixels held in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from unlazy.data.annotated import Annotated
from unlazy.data.captions import CaptionShards
from unlazy.data.class_folders import ClassFolders
from unlazy.data.imagenet import ImageNet
from unlazy.data.imagenet_labels import WNID
from unlazy.data.labelled import Labelled
from unlazy.data.sample import Sample, Unreadable
from unlazy.data.synthetic import Scenes
from unlazy.data.tiny_imagenet import TinyImageNet
from unlazy.geometry import View
from unlazy.training.kinds import DistillRecipe, LabelRecipe, SceneRecipe, TextRecipe
from unlazy.training.recipe import Recipe


@dataclass(frozen=True)
class Source:
    """What a run reads.

    Attributes:
        training: a data set of samples; where classes are learned, all with a label.
        labelled: its pictures that have a label, or None where there are captions instead.
        validation: pictures with labels, or None.
        classes: names in the order of the labels; empty where there are captions instead.
    """

    training: Any
    labelled: Any
    validation: Any
    classes: Sequence[str]

    def label_names(self) -> list[str]:
        """What the labels mean: WordNet ids where the data have them, else ``classes``."""
        inside = self.labelled
        while hasattr(inside, "dataset"):
            inside = inside.dataset
        wnids = getattr(inside, "wnids", None) or self.classes
        return list(wnids[: len(self.classes)])


class OfClasses:
    """The pictures with a label of the first ``count`` classes of a data set with ``labels``.

    Attributes:
        skipped: name -> reason of those without a label.

    Raises:
        ValueError: there are not so many classes.
    """

    def __init__(self, dataset: Any, count: int) -> None:
        if not 0 < count <= len(dataset.classes):
            raise ValueError(f"classes={count}; the data has {len(dataset.classes)}")
        self.dataset, self.classes = dataset, dataset.classes[:count]
        self._indices = [
            index
            for index, label in enumerate(dataset.labels)
            if label is not None and label < count
        ]
        self.skipped = {
            dataset.name_of(index): "it has no label"
            for index, label in enumerate(dataset.labels)
            if label is None
        }

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, place: int) -> Sample:
        return self.dataset[self._indices[place]]

    def name_of(self, place: int) -> str:
        """The name of a picture, readable or not."""
        return self.dataset.name_of(self._indices[place])


class Drawn:
    """Scenes that are drawn once and then kept in memory."""

    def __init__(self, scenes: Scenes) -> None:
        self.scenes, self.classes, self.period = scenes, scenes.classes, scenes.period
        self._drawn: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:
        if index not in self._drawn:
            self._drawn[index] = self.scenes[index]
        return self._drawn[index]

    def name_of(self, index: int) -> str:
        """The name of a picture."""
        return self.scenes.name_of(index)


drawn = lru_cache(maxsize=2)(Drawn)
"""The same scenes for several runs of one process."""


def open_source(recipe: Recipe, root: Path | None) -> Source:
    """The recipe's data below a folder; the layouts are those of ``unlazy.data``.

    Captions are ``ROOT/**/*.tar``; where ``ROOT/val/<class>/`` is there as well, its pictures are
    what a run is evaluated on.

    Raises:
        FileNotFoundError: the folder is not such data.
        ValueError: the model has not as many classes as the data, or there is no folder.
    """
    if isinstance(recipe, SceneRecipe):
        scenes = recipe.scenes
        held_out = replace(scenes, count=recipe.validation, seed=scenes.seed + 1)
        _check_classes(recipe, len(scenes.classes), "this kind of scenes")
        return Source(drawn(scenes), drawn(scenes), drawn(held_out), scenes.classes)
    if root is None:
        raise ValueError(f"{recipe.data} is read from a folder")
    if recipe.data == "captions":
        validation = Labelled(_folders(root, "val")) if (root / "val").is_dir() else None
        classes = validation.classes if validation else ()
        _check_captions(classes, root)
        return Source(CaptionShards(root), None, validation, classes)
    kind = TinyImageNet if recipe.data == "tiny-imagenet" else _folders
    training, validation = kind(root, "train"), kind(root, "val")
    if isinstance(recipe, TextRecipe):
        _check_captions(training.classes, root)
    if list(training.classes) != list(validation.classes):
        raise ValueError(
            f"train has {len(training.classes)} classes and val {len(validation.classes)}, or"
            f" other ones, below {root}; both need the same folders"
        )
    labelled = OfClasses(training, recipe.classes or len(training.classes))
    if recipe.classes is not None:
        training, validation = labelled, OfClasses(validation, recipe.classes)
    _check_classes(recipe, len(labelled.classes), str(root))
    learned_from = training if isinstance(recipe, DistillRecipe) else labelled
    return Source(learned_from, labelled, Labelled(validation), labelled.classes)


def _folders(root: Path, split: Literal["train", "val"]) -> Annotated:
    """ImageNet in any of its layouts, else any folder a class."""
    try:
        return ImageNet(root, split, boxes=split == "val")
    except FileNotFoundError as imagenet:
        try:
            return ClassFolders(root, split)
        except FileNotFoundError as folders:
            raise FileNotFoundError(f"{folders}; {imagenet}") from folders


def _check_captions(classes: Sequence[str], root: Path) -> None:
    nameless = [name for name in classes if WNID.fullmatch(name)]
    if nameless:
        raise ValueError(
            f"the names of {len(nameless)} classes are WordNet ids ({nameless[0]}, ...), which say"
            f" nothing as captions; put LOC_synset_mapping.txt or words.txt into {root}"
        )


def _check_classes(recipe: Recipe, count: int, where: str) -> None:
    if isinstance(recipe, LabelRecipe) and recipe.model.num_classes != count:
        raise ValueError(
            f"{where} has {count} classes, the recipe's model {recipe.model.num_classes};"
            f" use model.num_classes={count}"
        )


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
    """Decodes in the loader's workers; a bad picture becomes its reason."""

    def __init__(self, dataset: Any, side: int) -> None:
        self.dataset, self.view = dataset, View((side, side))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[int, Tensor | None, int, str]:
        try:
            sample = self.dataset[index]
        except Unreadable as problem:
            return index, None, -1, str(problem)
        return index, self.view(sample.image).pixels, sample.label, ""


def _joined(items: list[tuple[int, Tensor | None, int, str]]) -> tuple[Any, ...]:
    """One tensor of the good pictures, since each tensor is a file to hand over."""
    good = [item for item in items if item[1] is not None]
    bad = {item[0]: item[3] for item in items if item[1] is None}
    shown = [pixels for _, pixels, *_ in items if pixels is not None]
    labels, indices = (torch.tensor([item[at] for item in good]) for at in (2, 0))
    return torch.stack(shown) if shown else None, labels, indices, bad


def hold(dataset: Any, side: int, *, workers: int = 0) -> Pixels:
    """Decode a data set once; pictures of another size are scaled and cropped to the square.

    Raises:
        Unreadable: no picture could be read.
    """
    loader = torch.utils.data.DataLoader(
        _Viewing(dataset, side), batch_size=256, num_workers=workers, collate_fn=_joined
    )
    pixels = torch.empty(len(dataset), 3, side, side, dtype=torch.uint8)
    labels, indices = [], []
    skipped: dict[str, str] = {}
    count = 0
    for part, their_labels, their_indices, bad in loader:
        skipped |= {dataset.name_of(index): reason for index, reason in bad.items()}
        if part is None:
            continue
        pixels[count : count + len(part)] = part
        count += len(part)
        labels.append(their_labels)
        indices.append(their_indices)
    if not count:
        raise Unreadable(f"none of {len(dataset)} pictures can be read: {next(iter(skipped))}, ...")
    return Pixels(pixels[:count], torch.cat(labels), torch.cat(indices), skipped)
