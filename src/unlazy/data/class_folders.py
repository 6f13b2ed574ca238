"""A folder a class, below ``train`` and ``val``, or without splits; boxes where there are any.

``ROOT/train/<class>/*``, ``ROOT/val/<class>/*``; the latter may also be called ``validation`` or
``valid``, and ``test`` may stand beside or for it. Or ``ROOT/<class>/*``, one split without a name.
Class names are the folders', or, where ``ROOT/words.txt`` has lines ``<folder><tab><name>, ...``,
the first name there. Boxes are one XML a picture,
``ROOT/boxes/<split>/<picture's stem>.xml``; see ``entry_of``.

``unlazy.data.imagenet`` reads the layouts in which ImageNet itself is had.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from unlazy.data.annotated import Annotated, Entry, Objects, Problems, objects_of
from unlazy.data.folder import SUFFIXES
from unlazy.data.pascal_xml import Annotation, BrokenAnnotation, index_of, read_annotation

SPLITS = {"train": ("train",), "val": ("val", "validation", "valid"), "test": ("test",)}
"""Split -> what its folder may be called."""
NO_CLASS = re.compile(r"(images|jpegimages|masks|labels|(train|val|test)\d*)", re.IGNORECASE)
"""Folders of pictures that are parts of other layouts, not classes."""


class ClassFolders(Annotated):
    """Pictures and labels of one split, in sorted order.

    Args:
        root: see the module.
        split: of ``SPLITS``, or as its folder is called; by default val, else test, else the folder
            without splits.

    Attributes:
        split: of ``SPLITS``; "" where there are none.

    Raises:
        FileNotFoundError: no such split, or no picture in it; the message says what is missing.
        ValueError: there cannot be such a split.
    """

    def __init__(self, root: str | Path, split: str | None = None) -> None:
        root = Path(root)
        self.split, folder = _folder(root, split)
        folders = sorted(path for path in folder.iterdir() if path.is_dir() and _seen(path))
        if not self.split:
            folders = [each for each in folders if pictures_in(each)]
        index, problems = index_of(each.name for each in folders), Problems()
        boxes = root / "boxes" / (folder.name if self.split else "")
        files = {path.stem: path for path in sorted(boxes.glob("*.xml"))}
        entries = [
            entry_of(path, index[each.name], files.get(path.stem), index, problems)
            for each in folders
            for path in pictures_in(each)
        ]
        if not entries:
            raise FileNotFoundError(f"no picture in {folder}/<class>/")
        names = read_words(root / "words.txt")
        classes = [names.get(name, name.replace("_", " ")) for name in index]
        super().__init__(root, classes, entries, problems)
        self.name_lonely(files)


def _folder(root: Path, split: str | None) -> tuple[str, Path]:
    """The split and its folder; "" and the root where there are no splits."""
    known = {name: split for split, names in SPLITS.items() for name in names}
    if split is not None and split not in known:
        raise ValueError(f"class folders have no split {split!r}; use {', '.join(SPLITS)}")
    wanted = (*SPLITS["val"], *SPLITS["test"]) if split is None else SPLITS[known[split]]
    if split is not None:
        wanted = tuple(dict.fromkeys((split, *wanted)))  # as it was written, where it is there
    for name in wanted:
        if (root / name).is_dir():
            return known[name], root / name
    if split is None and not (root / "train").is_dir() and _has_classes(root):
        return "", root
    raise FileNotFoundError(
        f"{root} has no folder {' or '.join(wanted)}; it must hold train/<class>/ and val/<class>/"
    )


def _has_classes(root: Path) -> bool:
    """Whether the folders of pictures in a folder may be classes."""
    folders = [path for path in root.glob("*/") if _seen(path) and pictures_in(path)]
    return bool(folders) and not any(NO_CLASS.fullmatch(each.name) for each in folders)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures that lie in a folder itself, sorted; hidden files are left out."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return sorted(filter(_seen, found))


def _seen(path: Path) -> bool:
    """Whether a file or folder is not hidden."""
    return not path.name.startswith(".")


def read_words(path: Path) -> dict[str, str]:
    """Folder -> first name, from lines ``<folder><tab><name>, ...``; none if there is no file."""
    if not path.is_file():
        return {}
    lines = (line.split("\t", 1) for line in path.read_text().splitlines() if "\t" in line)
    return {folder: name.split(",")[0] for folder, name in lines}


def entry_of(
    path: Path, label: int | None, file: Path | None, index: Mapping[str, int], problems: Problems
) -> Entry:
    """A picture with its label and the boxes of an XML, in ILSVRC's form.

    Pixels count from 0, last one included (Kaggle's examples run from 0 to 499), so half-open boxes
    end at xmax + 1 and ymax + 1.

    Args:
        path: the picture.
        label: its class index.
        file: the XML; None: there is none.
        index: class name in the XML -> class index.
        problems: gets what is wrong, under the picture's name.
    """
    if file is None:
        return Entry(path, label)
    try:
        annotation = read_annotation(file)
    except BrokenAnnotation as error:
        problems.add(path.name, f"no boxes: {error}")
        return Entry(path, label)
    objects = _objects(annotation, index, path.name, problems)
    return Entry(path, label, objects, annotation.size)


def _objects(
    annotation: Annotation, index: Mapping[str, int], name: str, problems: Problems
) -> Objects:
    for reason in annotation.broken:
        problems.add(name, reason)
    things = [each for each in annotation.things if each is not None]
    for thing in things:
        if thing.name not in index:
            problems.add(name, f"class {thing.name!r} of a box is none of the {len(index)}")
    return objects_of(
        [
            ((*each.box[:2], each.box[2] + 1, each.box[3] + 1), index.get(each.name, -1))
            for each in things
        ],
        difficult=[each.difficult for each in things],
        truncated=[each.truncated for each in things],
    )
