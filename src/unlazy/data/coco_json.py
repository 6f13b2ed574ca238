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
        elif not _is_box(box):
            problems.add(name, f"its bbox is {box!r}, not four numbers; it is left out")
        else:
            label = index.get(_number(each, "category_id"), -1)
            if label < 0:
                problems.add(name, f"category {each.get('category_id')!r} is not in the file")
            row = (box[0], box[1], box[0] + box[2], box[1] + box[3])
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
                [(np.rint(box) if rounded else box, label) for box, label, _ in rows],
                segments=[outline for *_, outline in rows] if masks else (),
                void=found.crowds.get(number, ()) if masks else (),
            ),
            size=found.sizes[number],
        )


def rasterise(outline: Any, size: tuple[int, int]) -> np.ndarray:
    """The pixels (height, width) bool of an outline, by COCO's own rule.

    Raises:
        ValueError: it is no outline, or of another size.
    """
    from pycocotools import mask

    height, width = size
    try:
        if isinstance(outline, dict):
            if tuple(outline["size"]) != size:
                raise ValueError(f"its run lengths are for {outline['size']}, not {list(size)}")
            runs = outline
            if isinstance(outline["counts"], list):
                runs = mask.frPyObjects(outline, height, width)
            return mask.decode(runs).astype(bool)
        polygons = [each for each in outline if len(each) >= 6]
        if not polygons:
            raise ValueError("no polygon has three corners")
        return mask.decode(mask.merge(mask.frPyObjects(polygons, height, width))).astype(bool)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"it is neither polygons nor run lengths ({error})") from error


def _dicts(content: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects of a list; anything else in it becomes an empty one, which is then refused."""
    rows = content.get(key)
    return [each if isinstance(each, dict) else {} for each in rows or []]


def _number(item: dict[str, Any], key: str) -> int | None:
    value = item.get(key)
    return value if isinstance(value, int) else None


def _is_box(box: Any) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(side, int | float) and math.isfinite(side) for side in box)
    )
