"""YOLO's text files: one a picture, one object a line, in shares of width and height.

``<class> <x centre> <y centre> <width> <height>``, or ``<class> <x> <y> <x> <y> ...`` (the corners
of a polygon, or of a turned box). Class names are in ``names:`` of a YAML file, or one a line in
``classes.txt``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from unlazy.data.annotated import Objects, Problems, objects_of
from unlazy.data.pascal_xml import BrokenAnnotation


def read_objects(
    path: Path,
    size: tuple[int, int],
    names: Mapping[int, int],
    problems: Problems,
    *,
    polygons: bool = False,
    outlines: bool = False,
) -> Objects:
    """The objects of one file.

    Args:
        path: the file; an empty one means that there is no object.
        size: (height, width) of the picture.
        names: class number in the file -> class index.
        problems: gets lines that are no object, and unknown classes, by file and line.
        polygons: all lines are; else those of three pairs or more. A box is drawn around each.
        outlines: keep polygons as segments, where every line is one; with ``polygons`` they are.
    """
    rows, drawn = [], []
    for place, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        name = f"{path.name}, line {place}"
        try:
            number, *values = (float(each) for each in line.split())
            if not number.is_integer():
                raise ValueError(f"its class is {number:g}, not a whole number")
            corners = polygons or len(values) >= 6
            points = _polygon(values, size) if corners else _box(values, size)
        except ValueError as error:
            problems.add(name, f"it is no object and left out: {error}")
            continue
        if number not in names:
            problems.add(name, f"class {number:g} has no name")
        xs, ys = points[0::2], points[1::2]
        rows.append(((min(xs), min(ys), max(xs), max(ys)), names.get(int(number), -1)))
        drawn.append([points] if corners else None)
    if not (polygons or outlines) or all(each is None for each in drawn):
        return objects_of(rows)
    if None in drawn:
        problems.add(path.name, "not every line is a polygon: its picture has no mask")
        return objects_of(rows)
    return objects_of(rows, segments=drawn)


def name_lonely(labels: Path, pictures: Path, paths: Iterable[Path], problems: Problems) -> None:
    """Name the text files below ``labels`` to which no picture below ``pictures`` belongs."""
    there = {path.relative_to(pictures).with_suffix("") for path in paths}
    for file in sorted(labels.rglob("*.txt")):
        if file.relative_to(labels).with_suffix("") not in there and file.stem != "classes":
            problems.add(file.relative_to(labels).as_posix(), "there are boxes, but no picture")


def _box(values: list[float], size: tuple[int, int]) -> list[float]:
    if len(values) != 4 or not all(map(math.isfinite, values)):
        raise ValueError(f"{len(values) + 1} numbers; a box is a class and four")
    (x, y, width, height), (rows, columns) = values, size
    if width < 0 or height < 0:
        raise ValueError(f"width {width:g} and height {height:g} of a box are not negative")
    left, right = (x - width / 2) * columns, (x + width / 2) * columns
    top, bottom = (y - height / 2) * rows, (y + height / 2) * rows
    return [left, top, right, bottom]


def _polygon(values: list[float], size: tuple[int, int]) -> list[float]:
    if len(values) < 6 or len(values) % 2 or not all(map(math.isfinite, values)):
        raise ValueError(f"{len(values) + 1} numbers; a polygon is a class and three pairs or more")
    rows, columns = size
    return [value * (rows if place % 2 else columns) for place, value in enumerate(values)]


def read_names(path: Path) -> dict[int, str]:
    """Class number -> name, from a YAML file or a text file.

    Raises:
        BrokenAnnotation: it is no YAML with ``names``, or of labels with keypoints; file and line
            are named.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".txt":
            return dict(enumerate(line.strip() for line in text.splitlines() if line.strip()))
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise BrokenAnnotation(f"{path}, line {line}: broken YAML ({error.problem})") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BrokenAnnotation(f"{path} cannot be read: {error}") from error
    if isinstance(content, dict) and "kpt_shape" in content:  # a line of it looks like a polygon
        raise BrokenAnnotation(f"{path}: labels with keypoints are not read; write boxes alone")
    names: Any = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(each, int) for each in names):
        raise BrokenAnnotation(f"{path} has no 'names:' with a name for each class number")
    return {number: str(name) for number, name in names.items()}
