"""COCO's JSON of instances: read, checked; polygons and run lengths to pixels."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unlazy.data.annotated import Entry, Problems, objects_of
from unlazy.data.pascal_xml import BrokenAnnotation


@dataclass(frozen=True)
class Instances:
    """What a file holds.

    Attributes:
        classes: names, in the order of the category ids.
        files: file name of each picture by id.
        sizes: (height, width) of each picture by id, where given.
        annotations: box (xyxy), class index and outline of each object, by picture's id; crowds
            are not among them.
        crowds: the outlines of each picture's crowds.
    """

    classes: tuple[str, ...]
    files: dict[int, str]
    sizes: dict[int, tuple[int, int] | None]
    annotations: dict[int, list[tuple[tuple[float, ...], int, Any]]]
    crowds: dict[int, list[Any]]


def load_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file that describes pictures.

    Raises:
        BrokenAnnotation: it is no JSON (file and line are named), or not of COCO's form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise BrokenAnnotation(f"{path}, line {error.lineno}: broken JSON ({error.msg})") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BrokenAnnotation(f"{path} cannot be read: {error}") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise BrokenAnnotation(f"{path} is not in COCO's form: it has no list {key!r}")
    return content


def read_instances(path: Path, problems: Problems, *, masks: bool) -> Instances:
    """Read a file; what is wrong in it goes to ``problems``, under the annotation's id.

    Raises:
        BrokenAnnotation: see ``load_json``.
    """
    content = load_json(path)
    categories = [each for each in _dicts(content, "categories") if _number(each, "id") is not None]
    categories.sort(key=lambda each: each["id"])
    index = {each["id"]: place for place, each in enumerate(categories)}
    found = Instances(
        tuple(str(each.get("name", each["id"])) for each in categories),
        *({}, {}, defaultdict(list), defaultdict(list)),
    )
    for place, each in enumerate(_dicts(content, "images")):
        number = _number(each, "id")
        if number is None or not isinstance(each.get("file_name"), str):
            problems.add(f"{path.name}: picture {place + 1}", "it has no id and file_name")
            continue
        found.files[number] = each["file_name"]
        height, width = _number(each, "height"), _number(each, "width")
        found.sizes[number] = (height, width) if height and width else None
    for place, each in enumerate(_dicts(content, "annotations")):
        name = f"{path.name}: annotation {each.get('id', f'at place {place + 1}')}"
        picture, box = _number(each, "image_id"), each.get("bbox")
        outline = each.get("segmentation") if masks else None
        if picture not in found.files:
            problems.add(name, "no picture in the file has its image_id; it is left out")
        elif each.get("iscrowd"):
            found.crowds[picture].append(outline)
        elif (row := _corners(box)) is None:
            problems.add(name, f"its bbox is {box!r}, not four numbers; it is left out")
        else:
            label = index.get(_number(each, "category_id"), -1)
            if label < 0:
                problems.add(name, f"category {each.get('category_id')!r} is not in the file")
            found.annotations[picture].append((row, label, outline))
    return found


def entries_of(
    found: Instances, folder: Path, *, masks: bool, rounded: bool = False
) -> Iterator[Entry]:
    """An entry per picture of the file, in the order of ids."""
    for number in sorted(found.files):
        rows = found.annotations.get(number, [])
        yield Entry(
            folder / found.files[number],
            objects=objects_of(
                [(np.rint(box).tolist() if rounded else box, label) for box, label, _ in rows],
                segments=[outline for *_, outline in rows] if masks else (),
                void=found.crowds.get(number, ()) if masks else (),
            ),
            size=found.sizes[number],
            number=number,
        )


def rasterise(outline: Any, size: tuple[int, int]) -> np.ndarray:
    """The pixels (height, width) bool of an outline, by COCO's own rule.

    Raises:
        ValueError: as ``checked_outline``.
    """
    found = checked_outline(outline, size)
    return _fill(found, size) if isinstance(found, np.ndarray) else _draw_polygons(found, size)


def checked_outline(outline: Any, size: tuple[int, int]) -> list[list[float]] | np.ndarray:
    """Polygons that hold pixels, or run lengths (n,) int64; nothing is drawn.

    Raises:
        ValueError: it is no outline, or one of another size.
    """
    try:
        return _runs(outline, size) if isinstance(outline, dict) else _polygons(outline, size)
    except (KeyError, TypeError, IndexError, ValueError, OverflowError) as error:
        raise ValueError(f"it is neither polygons nor run lengths ({error})") from error


def _polygons(polygons: list[list[float]], size: tuple[int, int]) -> list[list[float]]:
    far = 4 * max(size)  # coordinates far outside would take the library long
    polygons = [each for each in polygons if len(each) >= 6]  # fewer corners hold no pixel
    if not polygons:
        raise ValueError("no polygon has three corners")
    if not all(-far < value < far for each in polygons for value in each):
        raise ValueError("a corner lies far outside of the picture")
    return polygons


def _draw_polygons(polygons: list[list[float]], size: tuple[int, int]) -> np.ndarray:
    from pycocotools import mask

    outline: Any = polygons  # its stub knows of run lengths only
    return mask.decode(mask.merge(mask.frPyObjects(outline, *size))).astype(bool)


def _runs(outline: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    if list(outline["size"]) != list(size):
        raise ValueError(f"they are for {outline['size']}, not {list(size)}")
    counts = outline["counts"]
    lengths = np.array(_unpack(counts) if isinstance(counts, str) else counts, dtype=np.int64)
    height, width = size
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != height * width:
        raise ValueError(f"they cover {lengths.sum()} pixels of {height * width}")
    return lengths


def _fill(lengths: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Runs go down the columns and begin with background.

    Not by pycocotools: where runs end early, it returns whatever the memory held.
    """
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(size[::-1]).T


def _unpack(text: str) -> list[int]:
    """Run lengths from COCO's packed form.

    Each is written in groups of 5 bits from the lowest, a 6th bit says that more follow; the last
    group's highest bit is the sign. From the fourth on it is the difference to the one two before.
    """
    lengths: list[int] = []
    place = 0
    while place < len(text):
        value, shift, group = 0, 0, 32
        while group & 32:
            group = ord(text[place]) - 48
            value |= (group & 31) << shift
            place, shift = place + 1, shift + 5
        if group & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
    return lengths


def _dicts(content: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects of a list; anything else in it becomes an empty one, which is then refused."""
    rows = content.get(key)
    return [each if isinstance(each, dict) else {} for each in rows or []]


def _number(item: dict[str, Any], key: str) -> int | None:
    value = item.get(key)
    return value if isinstance(value, int) else None


def _corners(box: Any) -> tuple[float, float, float, float] | None:
    """The corners xyxy of x, y, width and height; None if it is not these four numbers."""
    if not isinstance(box, list) or len(box) != 4:
        return None
    if not all(isinstance(side, int | float) and math.isfinite(side) for side in box):
        return None
    return box[0], box[1], box[0] + box[2], box[1] + box[3]
