"""Data sets of Hugging Face ``datasets``, by name or from a folder (``save_to_disk``).

Columns: ``image``; ``label`` where there is one; ``objects`` with lists ``bbox`` and ``category``
(or ``label``) where there are boxes. The library keeps what it fetches in its own cache, and reads
from there when it is offline. Needs the extra ``hf-data``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unlazy.data.annotated import Objects, Problems, fit, objects_of
from unlazy.data.folder import decode_image, image_size, read_image
from unlazy.data.sample import Sample, Unreadable


class HuggingFace:
    """One split.

    Args:
        name: of a data set, or a folder; ``NAME@SPLIT`` names the split too.
        split: needed where there are several.
        boxes: how a bbox is written: corner and size in pixels as in COCO, or two corners.

    Attributes:
        classes: names in the order of the labels, of the boxes' where pictures have none.
        problems: name -> reasons, for boxes.

    Raises:
        ImportError: the library is not installed.
        ValueError: there are several splits, or no column ``image``.
        FileNotFoundError: there is no such data set.
    """

    def __init__(
        self, name: str, split: str | None = None, *, boxes: Literal["xywh", "xyxy"] = "xywh"
    ) -> None:
        name, _, given = name.partition("@")
        self.name, self.boxes, self.problems = name, boxes, Problems()
        self._rows = _open(name, split or given or None)
        features = self._rows.features
        if "image" not in features:
            raise ValueError(f"{name} has no column 'image', only {', '.join(features)}")
        self._has_label = "label" in features
        fields = _fields(features.get("objects"))
        self._category = "category" if "category" in fields else "label"
        self._has_boxes = "bbox" in fields
        self.classes = _class_names(features.get("label")) or _class_names(
            fields.get(self._category)
        )
        self._objects = list(self._read_objects()) if self._has_boxes else []

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

    def name_of(self, index: int) -> str:
        """Data set and row, readable or not."""
        return f"{self.name} row {index}"

    def _read_objects(self) -> Iterator[Objects | None]:
        for index, row in enumerate(self._rows):
            found, name = row["objects"] or {}, self.name_of(index)
            given = found.get("bbox") or []
            labels = found.get(self._category) or [-1] * len(given)
            try:
                size = image_size(_source(row))
                objects = objects_of(
                    [(self._corners(box), label) for box, label in zip(given, labels, strict=True)]
                )
            except Unreadable:  # said when the picture is read
                yield None
                continue
            except (TypeError, ValueError) as error:
                self.problems.add(name, f"its boxes are not used: {error}")
                yield None
                continue
            objects, reasons = fit(objects, size)
            for reason in reasons:
                self.problems.add(name, reason)
            yield objects

    def _corners(self, box: list[float]) -> tuple[float, float, float, float]:
        left, top, third, fourth = box
        if self.boxes == "xyxy":
            return left, top, third, fourth
        return left, top, left + third, top + fourth


def _open(name: str, split: str | None) -> Any:
    """Rows of the split, with pictures as they are stored."""
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
    if "image" not in found.features:
        return found
    return found.cast_column("image", datasets.Image(decode=False))


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


def _class_names(feature: Any) -> list[str]:
    inner = getattr(feature, "feature", feature)
    return list(getattr(inner, "names", None) or [])
