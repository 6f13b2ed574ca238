"""COCO: boxes and masks of instances; its 20k list for object discovery; COCO128.

``annotations/instances_<split>.json`` with pictures in ``<split>/`` or ``images/<split>/``, for the
splits train2014, val2014, train2017, val2017. Classes are in the order of the category ids, so
that there are 80 without gaps. Crowds are left out and counted; with masks their pixels are void.

Source: Lin et al., Microsoft COCO; the 20k list: Vo et al., used by LOST and TokenCut.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unlazy.data.annotated import Annotated, Entry, Objects, Problems, fit
from unlazy.data.coco_json import (
    Instances,
    checked_outline,
    entries_of,
    rasterise,
    read_instances,
)
from unlazy.data.roots import find_folder
from unlazy.data.sample import Sample, Unreadable

LIST = "coco_20k_filenames.txt"
MOST_CLASSES = 254  # that fit with 0 for none into the mask's bytes


class Outlined(Annotated):
    """Pictures whose objects have outlines; instances and mask are drawn when read.

    Where instances overlap, the mask has the class of the later one. An object whose outline cannot
    be drawn has an empty instance, and the rest of its box is void; where none can, the picture has
    no masks. A crowd whose outline cannot be drawn is left out. All are in ``problems``.
    """

    def _fit(self, objects: Objects, size: tuple[int, int]) -> tuple[Objects, list[str]]:
        inside, reasons = fit(objects, size)
        inside, without = _drawable(inside, size)
        return inside, [*reasons, *without]

    @property
    def counts(self) -> dict[str, int]:
        """Also how many pictures have masks of an object."""
        return super().counts | {"masks": sum(map(_has_masks, self.entries))}

    def _masked(self, sample: Sample, entry: Entry) -> Sample:
        objects = entry.objects
        if objects is None or len(objects.segments) != len(objects):
            return sample
        size = (sample.image.height, sample.image.width)
        instances = _draw(objects.segments, size)
        mask = np.zeros(size, dtype=np.uint8)
        for label, pixels in zip(objects.labels, instances, strict=True):
            mask[pixels] = label + 1 if label >= 0 and len(self.classes) <= MOST_CLASSES else 1
        void = np.asarray(_draw(objects.void, size).any(axis=0))
        for box, outline in zip(objects.boxes, objects.segments, strict=True):
            if outline is None:
                void[_rows_and_columns(box)] = True
        void &= mask == 0
        return replace(sample, mask=mask, instances=instances, void=void)


class COCO(Outlined):
    """One split of COCO.

    Args:
        root: holds ``annotations``; or has a folder ``coco``, ``COCO`` or ``coco2017`` that does.
        split: see the module.
        masks: samples have ``mask``, ``instances`` and ``void``; takes more memory.

    Attributes:
        crowds: how many crowds were left out.

    Raises:
        FileNotFoundError: this is no such folder; the message says what is missing.
        BrokenAnnotation: the JSON cannot be read.
    """

    def __init__(self, root: str | Path, split: str = "val2017", *, masks: bool = False) -> None:
        folder, found, problems = _open(root, split, masks)
        self.split, self.crowds = split, sum(map(len, found.crowds.values()))
        entries = entries_of(found, _pictures(folder, split), masks=masks)
        super().__init__(folder, found.classes, entries, problems)

    @property
    def counts(self) -> dict[str, int]:
        return super().counts | {"crowds left out": self.crowds}


class COCO20k(Outlined):
    """The 19,817 pictures of train2014 that object discovery is measured on.

    The list is a text file of picture ids or file names, one a line, that is not part of COCO.
    Boxes are rounded to whole pixels, as in LOST.

    Args:
        root: as for ``COCO``; the list lies there, or in ``annotations``.
        masks: as for ``COCO``.

    Raises:
        FileNotFoundError: COCO 2014 or the list is missing.
        ValueError: a line of the list is no id.
    """

    def __init__(self, root: str | Path, *, masks: bool = False) -> None:
        folder, found, problems = _open(root, "train2014", masks)
        ids = _listed(folder)
        for number in sorted(ids - set(found.files)):
            problems.add(f"{LIST}: {number}", "it is not in instances_train2014.json")
        found = replace(found, files={key: found.files[key] for key in ids & set(found.files)})
        self.crowds = sum(len(found.crowds.get(number, ())) for number in found.files)
        pictures = _pictures(folder, "train2014")
        entries = entries_of(found, pictures, masks=masks, rounded=True)
        super().__init__(folder, found.classes, entries, problems)

    @property
    def counts(self) -> dict[str, int]:
        return super().counts | {"crowds left out": self.crowds}


def _open(root: str | Path, split: str, masks: bool) -> tuple[Path, Instances, Problems]:
    json = f"annotations/instances_{split}.json"
    folder = find_folder(root, ("coco", "COCO", "coco2017", "coco2014"), (json,), f"COCO {split}")
    problems = Problems()
    return folder, read_instances(folder / json, problems, masks=masks), problems


def _pictures(folder: Path, split: str) -> Path:
    for each in (folder / split, folder / "images" / split):
        if each.is_dir():
            return each
    raise FileNotFoundError(f"no pictures: neither {folder / split} nor images/{split} is there")


def _listed(folder: Path) -> set[int]:
    for path in (folder / LIST, folder / "annotations" / LIST):
        if path.is_file():
            break
    else:
        raise FileNotFoundError(
            f"the list of COCO 20k is missing: put {LIST} into {folder}. It is a file of the LOST"
            f" repository (github.com/valeoai/LOST, datasets/{LIST}), 19,817 names of train2014"
        )
    ids = set()
    for place, line in enumerate(path.read_text().splitlines(), 1):
        number = re.search(r"(\d+)(\.\w+)?\s*$", line)
        if number:
            ids.add(int(number[1]))
        elif line.strip():
            raise ValueError(f"{path}, line {place}: {line.strip()!r} is no picture of COCO")
    return ids


def _has_masks(entry: Entry) -> bool:
    return entry.objects is not None and bool(entry.objects.segments)


def _drawable(objects: Objects, size: tuple[int, int]) -> tuple[Objects, list[str]]:
    """Objects with None for each outline that cannot be drawn, and why it cannot."""
    segments, wrong = _checked(objects.segments, size)
    void, wrong_void = _checked(objects.void, size)
    reasons = [
        f"the object in box ({', '.join(f'{value:g}' for value in objects.boxes[row])}) has no"
        f" mask: {reason}"
        for row, reason in wrong.items()
    ]
    if wrong and len(wrong) == len(segments):
        segments = ()
        reasons = [
            f"it has no mask: none of its outlines can be drawn ({next(iter(wrong.values()))})"
        ]
    reasons += [f"crowd {row + 1} is left out: {reason}" for row, reason in wrong_void.items()]
    void = tuple(each for each in void if each is not None)
    return replace(objects, segments=segments, void=void), reasons


def _checked(
    outlines: Sequence[Any], size: tuple[int, int]
) -> tuple[tuple[Any, ...], dict[int, str]]:
    """Outlines, None for each that cannot be drawn; place -> why."""
    wrong = {}
    for place, outline in enumerate(outlines):
        try:
            checked_outline(outline, size)
        except ValueError as error:
            wrong[place] = "it has no outline" if not outline else str(error)
    return tuple(None if at in wrong else each for at, each in enumerate(outlines)), wrong


def _rows_and_columns(box: np.ndarray) -> tuple[slice, slice]:
    """The pixels that a box (4,) xyxy touches."""
    left, top = np.floor(box[:2]).astype(int)
    right, bottom = np.ceil(box[2:]).astype(int)
    return slice(top, bottom), slice(left, right)


def _draw(outlines: Sequence[Any], size: tuple[int, int]) -> np.ndarray:
    """(k, height, width) bool; nothing for None."""
    drawn = np.zeros((len(outlines), *size), dtype=bool)
    for place, outline in enumerate(outlines):
        if outline is None:
            continue
        try:
            drawn[place] = rasterise(outline, size)
        except ValueError as error:  # the file changed since it was checked
            raise Unreadable(f"the outline of object {place + 1}: {error}") from error
    return drawn
