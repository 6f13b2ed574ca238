"""What the known data sets should hold, and what of it is in a folder.

Counts marked "recalled" are widely quoted, but nobody here had the data to count. Nothing is
fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlazy.data.coco import COCO, LIST, COCO20k
from unlazy.data.coco128 import COCO128
from unlazy.data.imagenet import ImageNet
from unlazy.data.sample import Unreadable
from unlazy.data.tiny_imagenet import NUM_TRAIN, NUM_VAL, TinyImageNet
from unlazy.data.voc import voc07, voc12

PICTURES, WITH_BOXES = "pictures", "pictures with boxes"
SHOWN = 3  # problems that are printed


@dataclass(frozen=True)
class Expected:
    """One part of a known data set.

    Attributes:
        name: in the catalog.
        part: split, and "masks" where these are meant.
        counts: what -> how many there should be, ``PICTURES`` and ``WITH_BOXES``.
        open: the data set from a folder.
        where: where it is had.
        source: of the counts; "recalled" where there is none to cite.
    """

    name: str
    part: str
    counts: Mapping[str, int]
    open: Callable[[Path], Any]
    where: str
    source: str = "recalled"


IMAGENET = (
    "image-net.org, with an account: ILSVRC2012_img_val.tar, ILSVRC2012_img_train.tar,"
    " ILSVRC2012_devkit_t12.tar.gz, boxes ILSVRC2012_bbox_val_v3.tgz"
)
VOC07 = "host.robots.ox.ac.uk/pascal/VOC/voc2007: VOCtrainval_06-Nov-2007.tar"
VOC07_TEST = "host.robots.ox.ac.uk/pascal/VOC/voc2007: VOCtest_06-Nov-2007.tar"
VOC12 = "host.robots.ox.ac.uk/pascal/VOC/voc2012: VOCtrainval_11-May-2012.tar"
TINY = "cs231n.stanford.edu/tiny-imagenet-200.zip"
ULTRALYTICS = "Ultralytics' COCO128; the masks are not part of every copy"


def _coco(split: str) -> str:
    return f"cocodataset.org: {split}.zip and annotations_trainval{split[-4:]}.zip"


def _both(count: int) -> dict[str, int]:
    return {PICTURES: count, WITH_BOXES: count}


EXPECTED = (
    Expected(
        "tiny-imagenet", "val", _both(NUM_VAL), lambda r: TinyImageNet(r, "val"), TINY, "CS231N"
    ),
    Expected(
        "tiny-imagenet",
        "train",
        _both(NUM_TRAIN),
        lambda r: TinyImageNet(r, "train"),
        TINY,
        "CS231N",
    ),
    Expected("imagenet", "val", _both(50_000), lambda r: ImageNet(r, "val"), IMAGENET),
    Expected(
        *(
            "imagenet",
            "train",
            {PICTURES: 1_281_167},
            lambda r: ImageNet(r, "train", boxes=False),
            IMAGENET,
        ),
        source="LAST-ViT's configuration",
    ),
    Expected("voc07", "trainval", _both(5_011), lambda r: voc07(r), VOC07),
    Expected("voc07", "test", _both(4_952), lambda r: voc07(r, "test"), VOC07_TEST),
    Expected("voc12", "trainval", _both(11_540), lambda r: voc12(r), VOC12),
    Expected(
        "voc12", "val masks", _both(1_449), lambda r: voc12(r, "val", masks=True), VOC12, "DINO"
    ),
    Expected("coco", "val2017", _both(5_000), lambda r: COCO(r), _coco("val2017")),
    Expected(
        "coco", "train2017", _both(118_287), lambda r: COCO(r, "train2017"), _coco("train2017")
    ),
    Expected(
        *("coco20k", "train2014", _both(19_817), lambda r: COCO20k(r)),
        f"{_coco('train2014')}; the list: github.com/valeoai/LOST, datasets/{LIST}",
        source="LOST",
    ),
    Expected(
        "coco128", "train2017", {PICTURES: 128}, lambda r: COCO128(r), ULTRALYTICS, "its name"
    ),
)


@dataclass(frozen=True)
class Found:
    """What of an expected part is in a folder.

    Attributes:
        expected: the part.
        counts: what -> how many were found.
        missing: why nothing could be opened; "" where it could.
        problems: name -> reasons, of annotations.
    """

    expected: Expected
    counts: Mapping[str, int]
    missing: str
    problems: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Whether all that is expected was found."""
        return all(
            self.counts.get(what, 0) >= count for what, count in self.expected.counts.items()
        )

    def __str__(self) -> str:
        wanted = self.expected
        counts = ", ".join(
            f"{self.counts.get(what, 0):,} of {count:,} {what}"
            for what, count in wanted.counts.items()
        )
        state = "complete" if self.complete else "missing" if self.missing else "in part"
        lines = [f"{wanted.name} {wanted.part}: {counts} ({wanted.source}): {state}"]
        if self.missing:
            lines.append(f"  {self.missing}")
        if not self.complete:
            lines.append(f"  had from: {wanted.where}")
        if self.problems:
            lines.append(f"  {len(self.problems):,} notes, for example:")
            lines += [f"  - {name}: {self.problems[name]}" for name in [*self.problems][:SHOWN]]
        return "\n".join(lines)


def survey(root: Path, pattern: str = "") -> Iterator[Found]:
    """What of each known data set, whose name contains ``pattern``, is in a folder."""
    for expected in EXPECTED:
        if pattern not in expected.name:
            continue
        yield look(expected, root)


def look(expected: Expected, root: Path) -> Found:
    """What of one part is in a folder."""
    try:
        data = expected.open(root)
    except (OSError, ValueError, Unreadable) as error:
        return Found(expected, {}, str(error), {})
    return Found(expected, _counted(data), "", getattr(data, "problems", {}))


def _counted(data: Any) -> dict[str, int]:
    if isinstance(data, TinyImageNet):
        there = sum(row.path.is_file() for row in data.rows)
        return {PICTURES: there, WITH_BOXES: there}
    counts = data.counts
    without = counts["pictures without annotation"]
    return {PICTURES: len(data), WITH_BOXES: len(data) - without}
