"""Pictures with the objects annotated in them; what is wrong is named and counted, not fatal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unlazy.data.folder import image_size, read_image
from unlazy.data.from_files import FromFiles, sizes_of
from unlazy.data.sample import Sample, Unreadable

NO_BOX = "it has no box"
SLACK = 0.01
"""Pixels by which a box may reach beyond its picture unnamed: what decimals in files round off."""


class Problems(dict[str, str]):
    """Name of a picture or of an annotation -> what was wrong with it."""

    def add(self, name: str, reason: str) -> None:
        """Note a reason; a name may have several."""
        self[name] = f"{self[name]}; {reason}" if name in self else reason


def examples(problems: Mapping[str, str], count: int = 3) -> str:
    """The first few problems, in one line.

    >>> examples({"a.png": "it has no box", "b.png": "it has no box"}, 1)
    'a.png: it has no box'
    """
    return "; ".join(f"{name}: {problems[name]}" for name in [*problems][:count])


@dataclass(frozen=True)
class Objects:
    """The objects of one picture, k of them.

    Attributes:
        boxes: (k, 4) float64, xyxy, half-open, pixels.
        labels: (k,) int64, class indices, -1 where unknown.
        difficult: (k,) bool, None where the format does not say.
        truncated: (k,) bool, likewise.
        segments: one per object, in a form of the data set's own; none without masks.
        void: regions that are not to be counted, in that form.
    """

    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray | None = None
    truncated: np.ndarray | None = None
    segments: tuple[Any, ...] = ()
    void: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.boxes)

    def keep(self, rows: np.ndarray) -> Objects:
        """The objects of the rows (k,) bool."""
        return Objects(
            self.boxes[rows],
            self.labels[rows],
            None if self.difficult is None else self.difficult[rows],
            None if self.truncated is None else self.truncated[rows],
            self._segments_of(rows),
            self.void,
        )

    def content(self) -> bytes:
        """Other bytes wherever a box, label, flag or outline is another."""
        flags = [
            None if each is None else each.tolist() for each in (self.difficult, self.truncated)
        ]
        said = ascii([len(self), flags, self.segments, self.void]).encode()
        return self.boxes.tobytes() + self.labels.tobytes() + said

    def _segments_of(self, rows: np.ndarray) -> tuple[Any, ...]:
        """Those of the rows (k,) bool; none where there are no masks."""
        if not self.segments:
            return ()
        return tuple(each for each, kept in zip(self.segments, rows, strict=True) if kept)


def objects_of(
    rows: Sequence[tuple[Sequence[float], int]],
    *,
    difficult: Sequence[bool] | None = None,
    truncated: Sequence[bool] | None = None,
    segments: Iterable[Any] = (),
    void: Iterable[Any] = (),
) -> Objects:
    """Objects from a box and a class index each."""
    return Objects(
        np.array([box for box, _ in rows], dtype=np.float64).reshape(-1, 4),
        np.array([label for _, label in rows], dtype=np.int64),
        None if difficult is None else np.array(difficult, dtype=bool),
        None if truncated is None else np.array(truncated, dtype=bool),
        tuple(segments),
        tuple(void),
    )


@dataclass(frozen=True)
class Entry:
    """One picture of a data set: its file, label and objects.

    Attributes:
        path: the picture.
        label: class index.
        objects: None where they are not known.
        size: (height, width) that the annotation was made for, where it says so.
        number: the picture's id in a JSON of COCO's form.
    """

    path: Path
    label: int | None = None
    objects: Objects | None = None
    size: tuple[int, int] | None = None
    number: int | None = None


class Annotated(FromFiles):
    """A data set of entries whose boxes were checked against the pictures.

    A picture that is not there is left out. A box without an area inside of its picture is left
    out, one that reaches beyond is cut. Where the annotation is of another size than the picture,
    its objects are not used. All that is in ``problems``. Headers of pictures with objects are
    read for this, no pixels.

    Attributes:
        root: folder that names are relative to.
        classes: names in the order of the labels.
        entries: one per picture.
        problems: name -> reasons.

    Raises:
        FileNotFoundError: none of the pictures is there.
    """

    def __init__(
        self,
        root: Path,
        classes: Sequence[str],
        entries: Iterable[Entry],
        problems: Problems,
    ) -> None:
        self.root, self.classes, self.problems = root, list(classes), problems
        given = list(entries)
        self.entries = [found for entry in self._once(given) if (found := self._checked(entry))]
        if not self.entries:
            first = f", for example {given[0].path}" if given else ""
            raise FileNotFoundError(f"none of {len(given)} pictures is in {root}{first}")

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def labels(self) -> list[int | None]:
        """Class index of each picture."""
        return [entry.label for entry in self.entries]

    def __getitem__(self, index: int) -> Sample:
        entry = self.entries[index]
        sample = Sample(image=read_image(entry.path), name=self.name_of(index), label=entry.label)
        if entry.objects is not None:
            sample = replace(
                sample,
                boxes=entry.objects.boxes.astype(np.float32),
                box_labels=entry.objects.labels,
                difficult=entry.objects.difficult,
                truncated=entry.objects.truncated,
            )
        return self._masked(sample, entry)

    def name_of(self, index: int) -> str:
        """The name of a picture, readable or not."""
        return self._name(self.entries[index].path)

    def image_id(self, index: int) -> int | None:
        """The id of a picture in the data's own JSON; None where there is none."""
        return self.entries[index].number

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of pictures, of labels, of boxes, of pictures with none, one or several boxes."""
        boxes = [len(each.objects) for each in self.entries if each.objects is not None]
        return {
            "pictures": len(self.entries),
            "labels": sum(entry.label is not None for entry in self.entries),
            "boxes": sum(boxes),
            "pictures without annotation": len(self.entries) - len(boxes),
            "pictures without a box": boxes.count(0),
            "pictures with one box": boxes.count(1),
            "pictures with several boxes": sum(count > 1 for count in boxes),
        }

    def name_lonely(self, files: Mapping[str, Path]) -> None:
        """Name the files of boxes, by the stem of their picture, that have no picture."""
        there = {entry.path.stem for entry in self.entries}
        for stem in sorted(set(files) - there):
            self.problems.add(self._name(files[stem]), "there are boxes, but no picture")

    def _told_by(self) -> Iterator[bytes]:
        yield ascii(self.classes).encode()
        for entry in self.entries:
            yield f"{self._name(entry.path)!a} {entry.label} {entry.number}\n".encode()
            if entry.objects is not None:
                yield entry.objects.content()
        yield sizes_of(path for entry in self.entries for path in self._files(entry))

    def _files(self, entry: Entry) -> Sequence[Path]:
        """What a sample is read from."""
        return [entry.path]

    def _masked(self, sample: Sample, entry: Entry) -> Sample:
        """The sample with its masks, for data sets that have some."""
        return sample

    def _name(self, path: Path) -> str:
        inside = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        return inside.as_posix()

    def _once(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Names are unique: a picture that is listed again is left out."""
        seen: set[Path] = set()
        for entry in entries:
            if entry.path in seen:
                self.problems.add(
                    self._name(entry.path), "it is listed again; the first one counts"
                )
            else:
                seen.add(entry.path)
                yield entry

    def _checked(self, entry: Entry) -> Entry | None:
        name = self._name(entry.path)
        if not entry.path.is_file():
            self.problems.add(name, "there is an entry, but no picture")
            return None
        if entry.objects is None:
            return entry
        try:
            size = image_size(entry.path)
        except Unreadable:  # said when the picture is read
            return entry
        if entry.size is not None and entry.size != size:
            turned = entry.size == (size[1], size[0])
            self.problems.add(
                name,
                f"the annotation is for {spell_size(entry.size)} pixels, the picture has"
                f" {spell_size(size)}{' (width and height are exchanged)' if turned else ''};"
                " its boxes are not used",
            )
            return replace(entry, objects=None)
        objects, reasons = self._fit(entry.objects, size)
        for reason in reasons:
            self.problems.add(name, reason)
        return replace(entry, objects=objects)

    def _fit(self, objects: Objects, size: tuple[int, int]) -> tuple[Objects, list[str]]:
        """As ``fit``; data sets may check more."""
        return fit(objects, size)


def fit(objects: Objects, size: tuple[int, int]) -> tuple[Objects, list[str]]:
    """The objects inside of a picture of ``size`` (H, W), and what had to be cut or left out."""
    height, width = size
    reasons = [] if len(objects) else [NO_BOX]
    kept = np.ones(len(objects), dtype=bool)
    inside = objects.boxes.clip(0, [width, height, width, height])
    for row, (box, cut) in enumerate(zip(objects.boxes, inside, strict=True)):
        spelt = f"box {row + 1} ({', '.join(f'{value:g}' for value in box)})"
        if not (box[2] > box[0] and box[3] > box[1]):  # NaN is no area either
            reasons.append(f"{spelt} has no area and is left out")
            kept[row] = False
        elif not (cut[2] > cut[0] and cut[3] > cut[1]):
            reasons.append(f"{spelt} lies outside of {spell_size(size)} pixels and is left out")
            kept[row] = False
        elif np.abs(box - cut).max() > SLACK:
            reasons.append(f"{spelt} reaches beyond {spell_size(size)} pixels and is cut")
    return replace(objects, boxes=inside).keep(kept), reasons


def spell_size(size: tuple[int, ...]) -> str:
    """Width x height, as users read it, of (height, width)."""
    return f"{size[1]} x {size[0]}"
