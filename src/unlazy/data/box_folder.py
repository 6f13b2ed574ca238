"""Any folder of pictures with a file of boxes: CSV, COCO's JSON, or YOLO's text files.

``boxes.csv`` (or the only CSV): ``name,xmin,ymin,xmax,ymax[,label]``, half-open pixels, with or
without that heading, one box a line; a picture in several lines has several boxes. ``boxes.json``
(or the only JSON with ``images``): COCO's form. Else ``<stem>.txt`` beside each picture, or in
``.../labels/...`` for one in ``.../images/...``. Names are paths below the folder, or bare where
unique.

Where all pictures lie one folder deep, as in ImageFolder, these folders are their classes.
"""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from unlazy.data.annotated import Entry, Problems, examples, objects_of
from unlazy.data.coco import Outlined
from unlazy.data.coco_json import entries_of, read_instances
from unlazy.data.folder import ImageFiles, image_size
from unlazy.data.pascal_xml import index_of
from unlazy.data.sample import Unreadable
from unlazy.data.yolo import name_lonely, read_names, read_objects

COLUMNS = ("name", "xmin", "ymin", "xmax", "ymax", "label")
ALSO = {"filename": "name", "image": "name", "class": "label"}
"""What a heading may call a column instead, as exports of labelling tools do."""


class NoBox(ValueError):
    """There are boxes, but none can be used; the message says why."""


class BoxFolder(Outlined):
    """Pictures with their boxes.

    Args:
        root: the folder.
        masks: draw the outlines of a JSON, or the polygons of text files.

    Attributes:
        box_file: what the boxes were read from; None: text files.
        box_classes: names in the order of the boxes' labels; ``classes`` where folders are none.

    Raises:
        FileNotFoundError: no picture, or no boxes.
        ValueError: several files of boxes, or a broken one.
        NoBox: none of the boxes can be used.
    """

    def __init__(self, root: str | Path, *, masks: bool = False) -> None:
        folder, problems = Path(os.path.abspath(root)), Problems()  # as ImageFiles: without ".."
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {root}")
        paths = ImageFiles(folder).paths
        parts = [path.relative_to(folder).parts for path in paths]
        by_class = all(len(each) == 2 and each[0] != "images" for each in parts)
        self.folders = sorted({each[0] for each in parts}) if by_class else []
        self.box_file = _box_file(folder)
        if self.box_file is None:
            entries, classes = _from_yolo(folder, paths, problems, masks)
        elif self.box_file.suffix == ".csv":
            entries, classes = _from_csv(self.box_file, paths, self.folders, problems)
        else:
            entries, classes = _from_json(self.box_file, paths, problems, masks)
        if by_class:
            index = index_of(self.folders)
            entries = [replace(each, label=index[each.path.parent.name]) for each in entries]
        self.box_classes = classes
        super().__init__(folder, self.folders or classes, entries, problems)
        if not any(each.objects for each in self.entries):
            where = self.box_file.name if self.box_file else "its text files"
            raise NoBox(f"{folder} has no box that can be used in {where}: {examples(problems)}")


def _box_file(folder: Path) -> Path | None:
    for suffix in (".csv", ".json"):
        if (folder / f"boxes{suffix}").is_file():
            return folder / f"boxes{suffix}"
        files = sorted(each for each in folder.glob(f"*{suffix}") if _may_hold_boxes(each))
        if len(files) > 1:
            names = ", ".join(each.name for each in files)
            raise ValueError(f"{folder} has {names}; name the one with the boxes boxes{suffix}")
        if files:
            return files[0]
    return None


def _may_hold_boxes(path: Path) -> bool:
    if path.suffix == ".csv":
        return True
    with path.open(errors="replace") as file:
        return '"images"' in file.read(1 << 20)


def _from_csv(
    file: Path, paths: list[Path], folders: list[str], problems: Problems
) -> tuple[list[Entry], list[str]]:
    rows = defaultdict(list)
    known = _names(file.parent, paths)
    for place, fields in _lines(file):
        name = f"{file.name}, line {place}"
        try:
            if None in fields:
                raise ValueError("more fields than columns")
            box = tuple(float(fields[key] or "") for key in COLUMNS[1:5])
        except (KeyError, TypeError, ValueError):
            problems.add(name, f"it is no {','.join(COLUMNS[:5])}[,label] and left out")
            continue
        path = known.get(str(fields["name"]))
        if path is None:
            problems.add(name, f"there is no picture {fields['name']!r}, or several")
            continue
        rows[path].append((name, box, (fields.get("label") or "").strip()))
    found = {label for each in rows.values() for *_, label in each if label}
    classes = folders if found & set(folders) else sorted(found)
    index = index_of(classes)
    entries = []
    for path in paths:
        if path not in rows:
            problems.add(path.relative_to(file.parent).as_posix(), f"it has no box in {file.name}")
            entries.append(Entry(path))
            continue
        for name, _, label in rows[path]:
            if label and label not in index:
                problems.add(name, f"class {label!r} is none of {', '.join(classes)}")
        objects = objects_of([(box, index.get(label, -1)) for _, box, label in rows[path]])
        entries.append(Entry(path, objects=objects))
    return entries, list(classes)


def _lines(file: Path) -> Iterator[tuple[int, dict[str | None, str | None]]]:
    """Line number and fields by the names of COLUMNS."""
    with file.open(newline="", encoding="utf-8-sig") as opened:
        try:
            reader = csv.reader(opened)
            columns = COLUMNS
            for fields in reader:
                fields = [each.strip() for each in fields]
                named = [ALSO.get(each, each) for each in fields]
                if reader.line_num == 1 and set(COLUMNS[:5]) <= set(named):
                    columns = tuple(named)
                elif any(fields):
                    # a field that is missing is None, one too many stands under None
                    yield reader.line_num, dict(zip_longest(columns, fields))
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is no CSV: {error}") from error


def _from_json(
    file: Path, paths: list[Path], problems: Problems, masks: bool
) -> tuple[list[Entry], list[str]]:
    found = read_instances(file, problems, masks=masks)
    known = _names(file.parent, paths)
    places = {number: known.get(name) for number, name in found.files.items()}
    for number, name in found.files.items():
        if places[number] is None:
            problems.add(f"{file.name}: {name}", "there is no such picture, or several")
    kept = {number: path.as_posix() for number, path in places.items() if path is not None}
    entries = {
        each.path: each for each in entries_of(replace(found, files=kept), file.parent, masks=masks)
    }
    for path in paths:
        if path not in entries:
            problems.add(path.relative_to(file.parent).as_posix(), f"it is not in {file.name}")
    return [entries.get(path, Entry(path)) for path in paths], list(found.classes)


def _from_yolo(
    folder: Path, paths: list[Path], problems: Problems, masks: bool
) -> tuple[list[Entry], list[str]]:
    files = {path: file for path in paths if (file := _text_of(folder, path)).is_file()}
    if not files:
        raise FileNotFoundError(
            f"{folder} has pictures but no boxes: put boxes.csv ({','.join(COLUMNS[:5])}[,label]),"
            " a JSON in COCO's form, or YOLO's text files beside them"
        )
    names = _yolo_names(folder)
    classes = list(dict.fromkeys(names[number] for number in sorted(names)))
    numbers = {number: index_of(classes)[name] for number, name in names.items()}
    entries = []
    for path in paths:
        if path not in files:
            problems.add(path.relative_to(folder).as_posix(), "it has no text file of boxes")
            entries.append(Entry(path))
            continue
        try:
            size = image_size(path)
        except Unreadable:  # said when the picture is read
            entries.append(Entry(path))
            continue
        objects = read_objects(files[path], size, numbers, problems, outlines=masks)
        entries.append(Entry(path, objects=objects))
    below = defaultdict(list)
    for path in paths:
        below[_images_above(folder, path)].append(path)
    for images, inside in below.items():
        if images is not None:
            name_lonely(images.with_name("labels"), images, inside, problems)
    return entries, classes


def _text_of(folder: Path, path: Path) -> Path:
    images = _images_above(folder, path)
    if images is None:
        return path.with_suffix(".txt")
    return (images.with_name("labels") / path.relative_to(images)).with_suffix(".txt")


def _images_above(folder: Path, path: Path) -> Path | None:
    """The nearest folder ``images`` that a picture lies in, below the data's folder."""
    inside = path.parents[: len(path.relative_to(folder).parts) - 1]
    return next((each for each in inside if each.name == "images"), None)


def _yolo_names(folder: Path) -> Mapping[int, str]:
    """Class number -> name; the folder may be one split, with ``data.yaml`` beside it."""
    own = [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("*.yml")), folder / "classes.txt"]
    for file in (*own, folder.parent / "data.yaml"):
        if file.is_file():
            return read_names(file)
    return {}


def _names(folder: Path, paths: list[Path]) -> dict[str, Path]:
    """Path below the folder, and bare name where it is unique -> picture."""
    bare = defaultdict(list)
    for path in paths:
        bare[path.name].append(path)
    names = {name: found[0] for name, found in bare.items() if len(found) == 1}
    return names | {path.relative_to(folder).as_posix(): path for path in paths}
