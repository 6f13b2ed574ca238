"""ImageNet's layout: a folder a class, below ``train`` and ``val``; boxes where there are any.

``ROOT/train/<class>/*``, ``ROOT/val/<class>/*``. Class names are the folders', or, where
``ROOT/words.txt`` has lines ``<folder><tab><name>, ...``, the first name there. Boxes are read from
``ROOT/boxes/<split>/<picture's stem>.xml`` (ILSVRC's and VOC's format, inclusive pixels), which
become half-open xyxy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from unlazy.data.folder import SUFFIXES, read_image
from unlazy.data.pascal_xml import BrokenAnnotation, read_annotation
from unlazy.data.sample import Sample, Unreadable


class ClassFolders:
    """Pictures and labels of one split, in sorted order.

    Attributes:
        classes: names, in the order of the labels.
        labels: class index of each picture.

    Raises:
        FileNotFoundError: no such split, or no picture in it; the message says what is missing.
    """

    def __init__(self, root: str | Path, split: Literal["train", "val"] = "val") -> None:
        self.root, self.split = Path(root), split
        folder = self.root / split
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{self.root} has no folder {split}; it must hold train/<class>/ and val/<class>/"
            )
        folders = sorted(path for path in folder.iterdir() if path.is_dir())
        names = read_words(self.root / "words.txt")
        self.classes = [names.get(each.name, each.name.replace("_", " ")) for each in folders]
        found = [
            (path, label)
            for label, each in enumerate(folders)
            for path in sorted(each.iterdir())
            if path.suffix.lower() in SUFFIXES
        ]
        if not found:
            raise FileNotFoundError(f"no picture in {folder}/<class>/")
        self.paths = [path for path, _ in found]
        self.labels = [label for _, label in found]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        path = self.paths[index]
        return Sample(
            image=read_image(path),
            name=self.name_of(index),
            label=self.labels[index],
            boxes=_boxes(self.root / "boxes" / self.split / f"{path.stem}.xml"),
        )

    def name_of(self, index: int) -> str:
        """The name of a picture, readable or not."""
        return self.paths[index].relative_to(self.root).as_posix()


def read_words(path: Path) -> dict[str, str]:
    """Folder -> first name, from lines ``<folder><tab><name>, ...``; none if there is no file."""
    if not path.is_file():
        return {}
    lines = (line.split("\t", 1) for line in path.read_text().splitlines() if "\t" in line)
    return {folder: name.split(",")[0] for folder, name in lines}


def _boxes(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        annotation = read_annotation(path)
    except BrokenAnnotation as error:
        raise Unreadable(f"its boxes cannot be read: {error}") from error
    if annotation.broken:
        raise Unreadable(f"its boxes cannot be read: {annotation.broken[0]}")
    found = [each.box for each in annotation.things if each is not None]
    return np.array(found, dtype=np.float32).reshape(-1, 4) + np.array(
        [0, 0, 1, 1], dtype=np.float32
    )
