"""Pascal VOC 2007 and 2012: boxes with their flags, splits, masks.

``VOC2007/JPEGImages/<id>.jpg``, ``Annotations/<id>.xml``, ``ImageSets/Main/<split>.txt``; with
masks ``ImageSets/Segmentation/<split>.txt``, ``SegmentationClass/<id>.png`` and
``SegmentationObject/<id>.png`` (palette PNGs, 0 background, 255 void). The root may be that folder,
the ``VOCdevkit`` around it, or what holds ``VOCdevkit``.

Boxes are written from 1, last pixel included; half-open they are xmin - 1, ymin - 1, xmax, ymax, as
in LOST. Pixel value n of SegmentationObject is the n-th object of the XML.

Source: Everingham et al., The Pascal Visual Object Classes Challenge, development kits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from unlazy.data.annotated import (
    Annotated,
    Entry,
    Objects,
    Problems,
    objects_of,
    spell_size,
)
from unlazy.data.pascal_xml import Annotation, BrokenAnnotation, index_of, read_annotation
from unlazy.data.roots import find_folder
from unlazy.data.sample import Sample, Unreadable

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
VOID = 255


class VOC(Annotated):
    """One split of one year.

    Args:
        root: see the module.
        year: 2007 or 2012.
        split: a list in ``ImageSets``, such as train, val, trainval or test.
        masks: read the split of the segmentation task; samples then have ``mask``, ``instances``
            and ``void``.

    Raises:
        FileNotFoundError: this is no such folder; the message says what is missing.
    """

    def __init__(
        self, root: str | Path, year: int = 2012, split: str = "trainval", *, masks: bool = False
    ) -> None:
        names = (f"VOC{year}", f"VOCdevkit/VOC{year}")
        holds = ("JPEGImages", "Annotations", "ImageSets")
        folder = find_folder(root, names, holds, f"Pascal VOC {year}")
        self.year, self.split, self.masks = year, split, masks
        problems = Problems()
        super().__init__(folder, CLASSES, self._entries(folder, problems), problems)

    def _entries(self, folder: Path, problems: Problems) -> Iterator[Entry]:
        for name in _ids(folder / "ImageSets" / ("Segmentation" if self.masks else "Main"), self):
            path = folder / "JPEGImages" / f"{name}.jpg"
            if self.masks and not (folder / "SegmentationClass" / f"{name}.png").is_file():
                problems.add(f"JPEGImages/{name}.jpg", "it has no mask in SegmentationClass")
                continue
            try:
                annotation = read_annotation(folder / "Annotations" / f"{name}.xml")
            except BrokenAnnotation as error:
                problems.add(f"JPEGImages/{name}.jpg", f"no boxes: {error}")
                yield Entry(path)
                continue
            for reason in annotation.broken:
                problems.add(f"JPEGImages/{name}.jpg", reason)
            objects = _objects(annotation, f"JPEGImages/{name}.jpg", problems)
            yield Entry(path, objects=objects, size=annotation.size)

    def _files(self, entry: Entry) -> Sequence[Path]:
        masks = ("SegmentationClass", "SegmentationObject") if self.masks else ()
        return [entry.path, *(self.root / each / f"{entry.path.stem}.png" for each in masks)]

    @property
    def counts(self) -> dict[str, int]:
        """Also how many pictures have masks."""
        return super().counts | {"masks": len(self) if self.masks else 0}

    def _masked(self, sample: Sample, entry: Entry) -> Sample:
        if not self.masks:
            return sample
        size = (sample.image.height, sample.image.width)
        name = f"{entry.path.stem}.png"
        values = _read_mask(self.root / "SegmentationClass" / name, size)
        void = values == VOID
        if (values[~void] > len(CLASSES)).any():
            strange = sorted(set(values[~void & (values > len(CLASSES))].tolist()))
            raise Unreadable(f"its mask SegmentationClass/{name} has values {strange}, beyond 20")
        sample = replace(sample, mask=np.where(void, 0, values).astype(np.uint8), void=void)
        by_object = self.root / "SegmentationObject" / name
        if entry.objects is None or not by_object.is_file():
            return sample
        places = np.array(entry.objects.segments, dtype=np.int64)
        instances = _read_mask(by_object, size)[None] == places[:, None, None]  # (k, h, w)
        return replace(sample, instances=instances)


def _read_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """The values (height, width) uint8 of a mask file of one channel, palette or grey.

    Raises:
        Unreadable: it is missing, damaged, of another size, or a picture in colour.
    """
    try:
        with Image.open(path, formats=["PNG"]) as mask:
            mode, values = mask.mode, np.array(mask)
    except (OSError, SyntaxError, ValueError) as error:
        raise Unreadable(f"its mask {path} cannot be read: {error}") from error
    if mode not in ("P", "L"):
        raise Unreadable(f"its mask {path} has mode {mode}; masks are PNGs with a palette")
    if values.shape != size:
        raise Unreadable(
            f"its mask {path} has {spell_size(values.shape)} pixels, the picture {spell_size(size)}"
        )
    return values


def _ids(folder: Path, data: VOC) -> list[str]:
    path = folder / f"{data.split}.txt"
    if not path.is_file():
        there = sorted(each.stem for each in folder.glob("*.txt") if "_" not in each.stem)
        raise FileNotFoundError(
            f"there is no split {data.split!r}: {path} is missing;"
            f" {', '.join(there) or 'no split at all'} in {folder}"
        )
    return [line.split()[0] for line in path.read_text().splitlines() if line.strip()]


def _objects(annotation: Annotation, name: str, problems: Problems) -> Objects:
    index = index_of(CLASSES)
    kept = [(place, each) for place, each in enumerate(annotation.things, 1) if each is not None]
    for _, thing in kept:
        if thing.name not in index:
            problems.add(name, f"class {thing.name!r} is none of VOC's 20")
    return objects_of(
        [
            ((each.box[0] - 1, each.box[1] - 1, *each.box[2:]), index.get(each.name, -1))
            for _, each in kept
        ],
        difficult=[each.difficult for _, each in kept],
        truncated=[each.truncated for _, each in kept],
        segments=[place for place, _ in kept],
    )


def voc07(root: str | Path, split: str = "trainval", *, masks: bool = False) -> VOC:
    """Pascal VOC 2007."""
    return VOC(root, 2007, split, masks=masks)


def voc12(root: str | Path, split: str = "trainval", *, masks: bool = False) -> VOC:
    """Pascal VOC 2012."""
    return VOC(root, 2012, split, masks=masks)
