"""Labels of ImageNet's flat validation folder, and the names of its classes.

``ILSVRC2012_validation_ground_truth.txt`` has one number a picture, in the order of file names.
These are ILSVRC's own ids, NOT places among the sorted wnids; ``meta.mat`` of the same development
kit says which wnid each is, and is needed. Other files have a name and a label a line, separated by
blanks, a tab or a comma: a wnid (as in Kaggle's ``LOC_val_solution.csv``), or a number that counts
from 0 among the sorted wnids (as in Caffe's ``val.txt``).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from unlazy.data.annotated import Problems

KITS = ("", "data", "ILSVRC2012_devkit_t12/data", "devkit/data")
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
LABELS = (
    *("LOC_val_solution.csv", "val.csv", "val_labels.csv", "labels.csv"),
    *("val.txt", "val_labels.txt", "val_map.txt", "labels.txt"),
)
SYNSETS = ("LOC_synset_mapping.txt", "synset_words.txt", "synsets.txt")
WNID = re.compile(r"n\d{8}")


def are_wnids(names: Iterable[str]) -> bool:
    """Whether all are WordNet ids.

    >>> are_wnids(["n01440764"]), are_wnids(["tench"])
    (True, False)
    """
    return all(WNID.fullmatch(each) for each in names)


def read_labels(
    root: Path, folder: Path, paths: Sequence[Path], problems: Problems
) -> list[tuple[Path, str]]:
    """Each picture with its wnid, "" where that is not known.

    Args:
        root: where files of labels are looked for, besides ``folder``.
        folder: of the pictures.
        paths: the pictures, sorted.
        problems: gets pictures without a label, and labels without a picture.

    Raises:
        FileNotFoundError: there is no file of labels, or meta.mat is missing.
        ValueError: the file does not fit the pictures; file and line are named.
    """
    for part in KITS:
        if (root / part / GROUND_TRUTH).is_file():
            return _ground_truth(root / part / GROUND_TRUTH, paths)
    for file in (base / name for base in (root, folder) for name in LABELS):
        if file.is_file():
            return _listed(file, read_synsets(root), paths, problems)
    raise FileNotFoundError(
        f"{folder} has no folder a class, so a file of labels is needed: put {GROUND_TRUTH} with"
        f" meta.mat (of ILSVRC2012_devkit_t12), or {' or '.join(LABELS[:5])}, into {root}"
    )


def read_synsets(root: Path) -> dict[str, str]:
    """Name of each wnid, from the first file there is; without names it gives the wnids."""
    for name in SYNSETS:
        if (root / name).is_file():
            rows = (line.split(maxsplit=1) for line in (root / name).read_text().splitlines())
            return {
                row[0]: row[1].split(",")[0].strip() if len(row) > 1 else row[0]
                for row in rows
                if row and WNID.fullmatch(row[0])
            }
    return {}


def _ground_truth(file: Path, paths: Sequence[Path]) -> list[tuple[Path, str]]:
    meta = file.parent / "meta.mat"
    if not meta.is_file():
        raise FileNotFoundError(
            f"{meta} is missing: the numbers in {file.name} are ILSVRC's ids, not places among the"
            " sorted wnids, and only meta.mat of the development kit says which is which"
        )
    wnids = _ids(meta)
    lines = file.read_text().split()
    numbered = {int(m[1]): path for path in paths if (m := re.search(r"(\d+)$", path.stem))}
    if len(numbered) != len(paths) or max(numbered, default=0) > len(lines):
        raise ValueError(
            f"{file} has {len(lines)} labels by the numbers of the pictures, ILSVRC2012_val_"
            f"00000001.JPEG and so on; the {len(paths)} pictures do not have these numbers"
        )
    labelled = []
    for number, path in sorted(numbered.items()):
        if lines[number - 1] not in wnids:
            raise ValueError(f"{file}, line {number}: {lines[number - 1]!r} is not in {meta}")
        labelled.append((path, wnids[lines[number - 1]]))
    return labelled


def _ids(meta: Path) -> dict[str, str]:
    """ILSVRC's id, as text -> wnid."""
    from scipy.io.matlab import MatReadError, loadmat

    # Cut off, altered, of version 7.3, or no such table: SciPy trusts what it reads, so that an
    # altered length or type shows as any of these, down to a variable that it never set.
    unusable = (MatReadError, zlib.error, OSError, MemoryError, ArithmeticError, AttributeError)
    unusable = (*unusable, LookupError, NameError, RuntimeError, TypeError, ValueError)
    try:
        synsets = np.atleast_1d(loadmat(meta, squeeze_me=True)["synsets"])
        ids, wnids = synsets["ILSVRC2012_ID"].tolist(), synsets["WNID"].tolist()
        return {str(int(number)): str(wnid) for number, wnid in zip(ids, wnids, strict=True)}
    except unusable as error:
        raise ValueError(f"{meta} is not ILSVRC's table of classes: {error}") from error


def _listed(
    file: Path, names: dict[str, str], paths: Sequence[Path], problems: Problems
) -> list[tuple[Path, str]]:
    wnids = sorted(names)
    by_stem = {path.stem: path for path in paths}
    found: dict[str, str] = {}
    for place, line in enumerate(file.read_text().splitlines(), 1):
        fields = re.split(r"[,\s]+", line.strip())
        if len(fields) < 2:
            if line.strip():
                raise ValueError(f"{file}, line {place}: a name and a label are needed: {line!r}")
            continue
        stem, label = Path(fields[0]).stem, fields[1]
        if WNID.fullmatch(label):
            found[stem] = label
        elif label.isdecimal() and not wnids:
            raise FileNotFoundError(
                f"{file} has numbers, so the list of classes is needed: put {' or '.join(SYNSETS)}"
                f" into {file.parent}"
            )
        elif label.isdecimal() and int(label) < len(wnids):
            found[stem] = wnids[int(label)]
        elif place > 1:  # the first line may be a heading
            raise ValueError(f"{file}, line {place}: {label!r} is no class; use a wnid or number")
    for stem in sorted(set(found) - set(by_stem)):
        problems.add(f"{file.name}: {stem}", "there is a label, but no picture")
    for stem in sorted(set(by_stem) - set(found)):
        problems.add(by_stem[stem].name, f"it has no label in {file.name}")
    return [(path, found.get(path.stem, "")) for path in paths]
