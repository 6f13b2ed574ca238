"""Which data set a folder is: a known one, own pictures with boxes, or a folder a class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from unlazy.data.box_folder import BoxFolder
from unlazy.data.class_folders import SPLITS, ClassFolders
from unlazy.data.expected import EXPECTED
from unlazy.data.sample import Unreadable

BOX_FOLDER, CLASS_FOLDERS = "box-folder", "class-folders"


def recognise(root: Path) -> list[str]:
    """Names of the known data sets of which a part is in a folder; else of what is own."""
    found, broken = [], False
    for expected in EXPECTED:
        if expected.name in found:
            continue
        try:
            expected.open(root)
        except (OSError, Unreadable):
            continue
        except ValueError:
            broken = True
            continue
        found.append(expected.name)
    if found or broken:
        return found
    if _own_boxes(root) is not None:
        return [BOX_FOLDER]
    return [CLASS_FOLDERS] if _class_folders(root) else []


def unusable(root: Path) -> str:
    """Why data that are laid out as a known set, or as own boxes, cannot be used; "" without any.

    Files are named, with the line where it is known.
    """
    opened = [*(each.open for each in EXPECTED), BoxFolder]
    return "; ".join(dict.fromkeys(reason for each in opened if (reason := _broken(each, root))))


def survey_own(root: Path, pattern: str = "") -> str:
    """What is in a folder that is no known data set, of names that contain ``pattern``."""
    own, lines = _own_boxes(root), []
    if own is not None:
        with_boxes = sum(bool(each.objects) for each in own.entries)
        where = own.box_file.name if own.box_file else "text files"
        lines = [f"{BOX_FOLDER}: {len(own):,} pictures, {with_boxes:,} with boxes, in {where}"]
    else:
        reason = _broken(BoxFolder, root)
        lines = [f"{BOX_FOLDER}: {reason}"] if reason else []
        for each in _class_folders(root):
            name = f"{CLASS_FOLDERS} {each.split}".rstrip()
            lines.append(f"{name}: {len(each):,} pictures of {len(each.classes):,} classes")
    return "\n".join(line for line in lines if pattern in line.partition(":")[0])


def _own_boxes(root: Path) -> BoxFolder | None:
    """Own pictures with boxes; None where no box can be used."""
    try:
        return BoxFolder(root)
    except (OSError, ValueError, Unreadable):
        return None


def _class_folders(root: Path) -> list[ClassFolders]:
    """The splits that have pictures of several classes; a single folder is a class of none."""
    found = []
    for split in (*SPLITS, None):
        try:
            data = ClassFolders(root, split)
        except OSError:
            continue
        if len(set(data.labels)) > 1 and data.split not in {each.split for each in found}:
            found.append(data)
    return found


def _broken(open_: Callable[[Path], Any], root: Path) -> str:
    """What is wrong with annotations; "" where there are none, or they are sound."""
    try:
        open_(root)
    except (OSError, Unreadable):  # it is not laid out so
        return ""
    except ValueError as error:
        return str(error)
    return ""
