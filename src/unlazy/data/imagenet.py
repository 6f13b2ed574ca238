"""ImageNet (ILSVRC 2012): a folder a class, or a flat validation folder with a file of labels.

Pictures are in ``<split>/<wnid>/`` or flat in ``<split>/``; Kaggle's ``ILSVRC/Data/CLS-LOC`` is
found too. The class index is the place of the wnid (WordNet id) among the sorted ones: of
``LOC_synset_mapping.txt``, ``synset_words.txt`` or ``synsets.txt`` where there is one, else of the
folders or labels found; ``words.txt`` may name them. For the labels of a flat folder see
``unlazy.data.imagenet_labels``.

Boxes are one XML a picture, in one of ``BOXES``; see ``unlazy.data.class_folders``.

Source: Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from unlazy.data.annotated import Annotated, Problems
from unlazy.data.class_folders import entry_of, pictures_in, read_words
from unlazy.data.imagenet_labels import WNID, read_labels, read_synsets
from unlazy.data.pascal_xml import index_of

PICTURES = ("{split}", "ILSVRC/Data/CLS-LOC/{split}", "Data/CLS-LOC/{split}", "images/{split}")
BOXES = (
    *("bbox/{split}", "boxes/{split}", "ILSVRC2012_bbox_{split}_v3/{split}"),
    *("ILSVRC2012_bbox_{split}_v3", "ILSVRC/Annotations/CLS-LOC/{split}"),
    *("Annotations/CLS-LOC/{split}", "Annotations/{split}", "{split}"),
)
NUM_CLASSES = 1000


class ImageNet(Annotated):
    """One split of ImageNet-1k, in any of its layouts.

    Args:
        root: see the module; or what holds a folder ``imagenet`` or ``ILSVRC2012``.
        split: train or val.
        boxes: whether to look for them; of the training split that reads half a million files.

    Raises:
        FileNotFoundError: no pictures, or no labels for a flat folder; the message says which.
        ValueError: a file of labels cannot be read.
    """

    def __init__(
        self, root: str | Path, split: Literal["train", "val"] = "val", *, boxes: bool = True
    ) -> None:
        root, pictures = _pictures(Path(root), split)
        problems = Problems()
        folders = sorted(each for each in pictures.glob("n*") if WNID.fullmatch(each.name))
        if any(pictures_in(each) for each in folders):
            labelled = [(path, folder.name) for folder in folders for path in pictures_in(folder)]
        else:
            labelled = read_labels(root, pictures, _flat(pictures), problems)
        listed = read_synsets(root)
        found = {wnid for _, wnid in labelled if wnid}
        names = read_words(root / "words.txt") | listed
        self.wnids = sorted(listed or found)
        for wnid in sorted(found - set(self.wnids)):
            problems.add(wnid, "this class is not in the list of classes; no label is given")
        if len(self.wnids) != NUM_CLASSES:
            problems.add(
                "classes",
                f"{len(self.wnids)} of {NUM_CLASSES} are here, and labels count these alone; for"
                f" labels as in all {NUM_CLASSES} put LOC_synset_mapping.txt into {root}",
            )
        self.split, self.boxes = split, _boxes(root, split) if boxes else {}
        index = index_of(self.wnids)
        entries = [
            entry_of(path, index.get(wnid), self.boxes.get(path.stem), index, problems)
            for path, wnid in labelled
        ]
        super().__init__(root, [names.get(wnid, wnid) for wnid in self.wnids], entries, problems)
        self.name_lonely(self.boxes)


def _pictures(root: Path, split: str) -> tuple[Path, Path]:
    """The root that has the pictures, and their folder."""
    for base in (root, root / "imagenet", root / "ILSVRC2012"):
        for part in PICTURES:
            if (base / part.format(split=split)).is_dir():
                return base, base / part.format(split=split)
        if split == "val" and (base / "ILSVRC2012_val_00000001.JPEG").is_file():
            return base, base
    flat = (
        ", or val/*.JPEG with labels (ILSVRC2012_validation_ground_truth.txt and meta.mat, or"
        " val.txt)"
    )
    raise FileNotFoundError(
        f"no {split} pictures of ImageNet in {root}: {split}/<wnid>/*.JPEG must lie there"
        f"{flat if split == 'val' else ''}"
    )


def _flat(folder: Path) -> list[Path]:
    paths = pictures_in(folder)
    if not paths:
        raise FileNotFoundError(
            f"{folder} has neither pictures nor a folder <wnid>, such as n01440764, with pictures"
        )
    return paths


def _boxes(root: Path, split: str) -> dict[str, Path]:
    """Stem of a picture -> its XML; train has a folder a class, val usually not."""
    for part in BOXES:
        folder = root / part.format(split=split)
        files = [*folder.glob("*.xml"), *(folder.glob("n*/*.xml") if part != "{split}" else ())]
        if files:
            return {path.stem: path for path in sorted(files)}
    return {}
