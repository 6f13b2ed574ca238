"""COCO128: the first 128 pictures of COCO train2017, with YOLO's labels.

``images/train2017/*.jpg`` with boxes in ``object_detection/labels/train2017/<stem>.txt`` or
``labels/train2017/<stem>.txt``, and polygons in ``instance_segmentation/labels/train2017``; names
in the ``config.yaml`` of each. A picture may lack polygons: with masks it is left out, and named.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from unlazy.data.annotated import Entry, Problems
from unlazy.data.class_folders import pictures_in
from unlazy.data.coco import Outlined
from unlazy.data.folder import image_size
from unlazy.data.pascal_xml import index_of
from unlazy.data.roots import find_folder
from unlazy.data.sample import Unreadable
from unlazy.data.yolo import name_lonely, read_names, read_objects

SPLIT = "train2017"


class COCO128(Outlined):
    """Pictures with boxes, or with masks and the boxes around them.

    Classes are COCO's 80 in both cases: the polygons' other numbers are matched by name.

    Raises:
        FileNotFoundError: this is no such folder; the message says what is missing.
        BrokenAnnotation: the names of the classes cannot be read.
    """

    def __init__(self, root: str | Path, *, masks: bool = False) -> None:
        folder = find_folder(root, ("coco128",), (f"images/{SPLIT}",), "COCO128")
        boxes = _labels(folder, ("object_detection", "."))
        classes = _names(boxes)
        shown = _labels(folder, ("instance_segmentation",)) if masks else boxes
        index = index_of(classes.values())
        numbers = {key: index[name] for key, name in _names(shown).items() if name in index}
        self.masks, problems = masks, Problems()
        entries = self._entries(folder, shown, numbers, problems)
        super().__init__(folder, list(classes.values()), entries, problems)

    def _entries(
        self, folder: Path, labels: Path, numbers: dict[int, int], problems: Problems
    ) -> Iterator[Entry]:
        paths = pictures_in(folder / "images" / SPLIT)
        name_lonely(labels, folder / "images" / SPLIT, paths, problems)
        for path in paths:
            file, name = labels / f"{path.stem}.txt", path.relative_to(folder).as_posix()
            if not file.is_file():
                problems.add(name, f"{file.relative_to(folder).as_posix()} is missing")
                if not self.masks:
                    yield Entry(path)
                continue
            try:
                size = image_size(path)
            except Unreadable:  # said when the picture is read
                yield Entry(path)
                continue
            yield Entry(
                path, objects=read_objects(file, size, numbers, problems, polygons=self.masks)
            )


def _labels(folder: Path, parts: tuple[str, ...]) -> Path:
    for part in parts:
        if (folder / part / "labels" / SPLIT).is_dir():
            return folder / part / "labels" / SPLIT
    raise FileNotFoundError(f"{folder} has no {parts[0]}/labels/{SPLIT}")


def _names(labels: Path) -> dict[int, str]:
    folder = labels.parent.parent
    for path in (folder / "config.yaml", folder / "coco128.yaml", folder / "data.yaml"):
        if path.is_file():
            return read_names(path)
    raise FileNotFoundError(f"{folder} has no config.yaml with the names of the classes")
