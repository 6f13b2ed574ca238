"""A folder a class, below ``train`` and ``val``; boxes where there are any.

``ROOT/train/<class>/*``, ``ROOT/val/<class>/*``. Class names are the folders', or, where
``ROOT/words.txt`` has lines ``<folder><tab><name>, ...``, the first name there. Boxes are one XML a
picture, ``ROOT/boxes/<split>/<picture's stem>.xml``; see ``entry_of``.

``unlazy.data.imagenet`` reads the layouts in which ImageNet itself is had.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from unlazy.data.annotated import Annotated, Entry, Objects, Problems, objects_of
from unlazy.data.folder import SUFFIXES
from unlazy.data.pascal_xml import Annotation, BrokenAnnotation, index_of, read_annotation


class ClassFolders(Annotated):
    """Pictures and labels of one split, in sorted order.

    Raises:
        FileNotFoundError: no such split, or no picture in it; the message says what is missing.
    """

    def __init__(self, root: str | Path, split: Literal["train", "val"] = "val") -> None:
        root, self.split = Path(root), split
        folder = root / split
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{root} has no folder {split}; it must hold train/<class>/ and val/<class>/"
            )
        folders = sorted(path for path in folder.iterdir() if path.is_dir())
        index, problems = index_of(each.name for each in folders), Problems()
        files = {path.stem: path for path in sorted((root / "boxes" / split).glob("*.xml"))}
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


def pictures_in(folder: Path) -> list[Path]:
    """The pictures that lie in a folder itself, sorted."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


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
