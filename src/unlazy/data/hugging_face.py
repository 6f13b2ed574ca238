"""Data sets of Hugging Face ``datasets``, by name or from a folder (``save_to_disk``).

Columns: ``image``; ``label`` where there is one; ``objects`` with ``bbox`` and ``category`` (or
``categories``, ``label``) where there are boxes, as a list of each or as a list of objects. A bbox
is corner and size in pixels (``xywh``, as in COCO), or two corners (``xyxy``) where the name ends
so. The library keeps what it fetches in its own cache,
and reads from there when it is offline. Needs the extra ``hf-data``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from unlazy.data.annotated import SLACK, Objects, Problems, fit, objects_of
from unlazy.data.folder import decode_image, image_size, read_image
from unlazy.data.sample import Sample, Unreadable

Form = Literal["xywh", "xyxy"]
"""How a bbox is written: corner and size, or two corners."""

CATEGORIES = ("category", "categories", "label")
"""What the class of an object may be called; the first that is there counts."""

DOUBT = 0.1
"""Share of boxes that do not lie in their pictures, from which on the other form is tried."""

CERTAIN = 0.01
"""Share of boxes that may not lie there in the other form, if that is to be proposed."""


class HuggingFace:
    """One split of a data set of the Hugging Face hub.

    Args:
        name: of a data set, or a folder; NAME@SPLIT, NAME:xyxy and NAME@SPLIT:xyxy say more of it.
        split: needed where there are several.
        boxes: how a bbox is written; by default as the name says, else ``xywh``.

    Attributes:
        split: that was opened; "" where the data do not say.
        classes: names in the order of the labels, of the boxes' where pictures have none.
        problems: name -> reasons, for boxes; the first says if they seem to be of the other form.

    Raises:
        ImportError: the library is not installed.
        ValueError: there are several splits, or not this one, no column ``image``, no such form.
        FileNotFoundError: there is no such data set.
    """

    def __init__(self, name: str, split: str | None = None, *, boxes: Form | None = None) -> None:
        self.name, given, form = read_name(name)
        self.boxes: Form = boxes or form or "xywh"
        self.problems = Problems()
        self._rows, self.split = _open(self.name, split or given or None)
        features = self._rows.features
        if "image" not in features:
            raise ValueError(f"{self.name} has no column 'image', only {', '.join(features)}")
        self._has_label = "label" in features
        fields = _fields(features.get("objects"))
        self._category = next((each for each in CATEGORIES if each in fields), CATEGORIES[0])
        self._has_boxes = "bbox" in fields
        self.classes = _class_names(features.get("label")) or _class_names(
            fields.get(self._category)
        )
        self._boxes, self._outside = 0, dict.fromkeys(get_args(Form), 0)
        self._objects = list(self._read_objects()) if self._has_boxes else []
        said = {self.name: doubt} if (doubt := self._doubt()) else {}
        self.problems = Problems(said | self.problems)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        row = self._rows[index]
        source = _source(row)
        image = decode_image(source) if isinstance(source, bytes) else read_image(source)
        label = row["label"] if self._has_label else None
        sample = Sample(image=image, name=self.name_of(index), label=label)
        objects = self._objects[index] if self._has_boxes else None
        if objects is None:
            return sample
        return replace(sample, boxes=objects.boxes.astype(np.float32), box_labels=objects.labels)

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of pictures, of labels that are not hidden, and of boxes."""
        boxes = sum(len(each) for each in self._objects if each is not None)
        labels = self._rows["label"] if self._has_label else []
        known = sum(isinstance(each, int) and each >= 0 for each in labels)
        return {"pictures": len(self), "labels": known, "boxes": boxes}

    def name_of(self, index: int) -> str:
        """Data set and row, readable or not."""
        return f"{self.name} row {index}"

    def fingerprint(self) -> str:
        """The library's own, over all that is in the split."""
        return self._rows._fingerprint

    def _read_objects(self) -> Iterator[Objects | None]:
        for index, row in enumerate(self._rows):
            name = self.name_of(index)
            try:
                size = image_size(_source(row))
                given, labels = _listed(row["objects"], self._category)
                corners = {form: [_corners(box, form) for box in given] for form in self._outside}
                objects = objects_of(list(zip(corners[self.boxes], labels, strict=True)))
            except Unreadable:  # said when the picture is read
                yield None
                continue
            except (TypeError, ValueError) as error:
                self.problems.add(name, f"its boxes are not used: {error}")
                yield None
                continue
            self._boxes += len(given)
            for form, rows in corners.items():
                self._outside[form] += _outside(rows, size)
            objects, reasons = fit(objects, size)
            for reason in reasons:
                self.problems.add(name, reason)
            yield objects

    def _doubt(self) -> str:
        """Why the boxes seem to be of the other form; "" where they do not."""
        (other,) = self._outside.keys() - {self.boxes}
        here, there = self._outside[self.boxes], self._outside[other]
        if not self._boxes or here < DOUBT * self._boxes or there > CERTAIN * self._boxes:
            return ""
        split = f"@{self.split}" if self.split else ""
        return (
            f"{here:,} of {self._boxes:,} boxes do not lie in their pictures when read as"
            f" {self.boxes}, {there:,} when read as {other}; if they are written so, name the data"
            f" hf:{self.name}{split}:{other}"
        )


def read_name(name: str) -> tuple[str, str, Form | None]:
    """Name or folder, split and form of boxes, of NAME[@SPLIT][:FORM].

    >>> read_name("org/cats@train:xyxy"), read_name("org/cats")
    (('org/cats', 'train', 'xyxy'), ('org/cats', '', None))

    Raises:
        ValueError: there is no such form.
    """
    bare, at, split = name.partition("@")
    if at:
        split, colon, form = split.partition(":")
    elif Path(name).expanduser().exists():
        return name, "", None
    else:
        bare, colon, form = name.partition(":")
    if not colon:
        return bare, split, None
    for known in get_args(Form):
        if form == known:
            return bare, split, known
    raise ValueError(f"{name}: boxes are {' or '.join(get_args(Form))}, not {form!r}")


def _corners(box: Sequence[float], form: Form) -> tuple[float, float, float, float]:
    left, top, third, fourth = box
    if form == "xyxy":
        return left, top, third, fourth
    return left, top, left + third, top + fourth


def _outside(corners: Sequence[Sequence[float]], size: tuple[int, int]) -> int:
    """How many boxes have no area, or reach beyond a picture of ``size`` (H, W)."""
    height, width = size
    boxes = np.array(corners, dtype=np.float64).reshape(-1, 4)
    beyond = np.abs(boxes - boxes.clip(0, [width, height, width, height])).max(axis=1) > SLACK
    return int((beyond | (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)).sum())


def _open(name: str, split: str | None) -> tuple[Any, str]:
    """Rows of the split, with pictures as they are stored, and which split it is."""
    try:
        import datasets
    except ImportError as error:
        raise ImportError(
            "data sets of Hugging Face need the library datasets: pip install 'unlazy[hf-data]'"
        ) from error
    folder = Path(name).expanduser()
    saved = (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()
    found: Any = datasets.load_from_disk(folder) if saved else datasets.load_dataset(name)
    if isinstance(found, dict):
        if split is None and len(found) > 1:
            raise ValueError(f"{name} has the splits {', '.join(found)}; write {name}@SPLIT")
        split = split or next(iter(found))
        if split not in found:
            raise ValueError(f"{name} has no split {split!r}, only {', '.join(found)}")
        found = found[split]
    elif split not in (None, str(found.split)):
        raise ValueError(f"{name} has no split {split!r}, it is {found.split or 'not split'}")
    if "image" in found.features:
        found = found.cast_column("image", datasets.Image(decode=False))
    return found, split or str(found.split or "")


def _source(row: dict[str, Any]) -> bytes | str:
    """Content of the picture's file, or its path."""
    stored = row["image"] or {}
    if stored.get("bytes") is not None:
        return stored["bytes"]
    if stored.get("path"):
        return stored["path"]
    raise Unreadable("the row has no picture")


def _fields(feature: Any) -> dict[str, Any]:
    """The fields of a list of objects, however the library's version spells it."""
    inner = getattr(feature, "feature", feature)
    return inner if isinstance(inner, dict) else {}


def _listed(objects: Any, category: str) -> tuple[list[Any], list[Any]]:
    """The boxes and classes of a row's objects: a dict of lists, or a list of dicts."""
    if isinstance(objects, list):
        objects = {key: [each.get(key) for each in objects] for key in set().union(*objects)}
    boxes = (objects or {}).get("bbox") or []
    labels = (objects or {}).get(category) or [None] * len(boxes)
    return boxes, [-1 if each is None else each for each in labels]


def _class_names(feature: Any) -> list[str]:
    inner = getattr(feature, "feature", feature)
    return list(getattr(inner, "names", None) or [])
