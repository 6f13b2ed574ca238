"""One XML a picture: the annotations of Pascal VOC, and of ImageNet, which took the format over."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree


class BrokenAnnotation(ValueError):
    """An annotation file that cannot be read; the message names file and line."""


@dataclass(frozen=True)
class Thing:
    """One ``<object>``: class name, box as written, the two flags."""

    name: str
    box: tuple[float, float, float, float]
    difficult: bool
    truncated: bool


@dataclass(frozen=True)
class Annotation:
    """What an XML says.

    Attributes:
        size: (height, width), where it is given and not 0.
        things: None in the place of an object that could not be read.
        broken: reasons, one for each None, with file and line.
    """

    size: tuple[int, int] | None
    things: tuple[Thing | None, ...]
    broken: tuple[str, ...]


def read_annotation(path: Path) -> Annotation:
    """Size and objects of one file; boxes of the parts of an object (VOC's heads) are not read.

    Raises:
        BrokenAnnotation: the file is missing, or no XML.
    """
    try:
        content = path.read_bytes()
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise BrokenAnnotation(f"{path}, line {error.position[0]}: broken XML ({error})") from error
    except (OSError, ValueError, LookupError) as error:  # an unknown encoding is a LookupError
        raise BrokenAnnotation(f"{path} cannot be read: {error}") from error
    lines = [content.count(b"\n", 0, m.start()) + 1 for m in re.finditer(rb"<object[\s>]", content)]
    things, broken = [], []
    for place, node in enumerate(root.iter("object")):
        try:
            things.append(_thing(node))
        except ValueError as error:
            line = f", line {lines[place]}" if place < len(lines) else ""
            broken.append(f"{path}{line}: an object was left out: {error}")
            things.append(None)
    return Annotation(_size(root), tuple(things), tuple(broken))


def _thing(node: ElementTree.Element) -> Thing:
    keys = ("xmin", "ymin", "xmax", "ymax")
    left, top, right, bottom = (_number(node.findtext(f"bndbox/{key}"), key) for key in keys)
    flags = ((node.findtext(key) or "0").strip() == "1" for key in ("difficult", "truncated"))
    return Thing((node.findtext("name") or "").strip(), (left, top, right, bottom), *flags)


def _number(text: str | None, key: str) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise ValueError(f"its {key} is {text!r}, not a number") from None


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    try:
        height, width = (int(root.findtext(f"size/{key}") or 0) for key in ("height", "width"))
    except ValueError:
        return None
    return (height, width) if height and width else None


def index_of(names: Iterable[str]) -> dict[str, int]:
    """Class name -> class index.

    >>> index_of(["cat", "dog"])
    {'cat': 0, 'dog': 1}
    """
    return {name: index for index, name in enumerate(names)}
