"""Your own pictures: read one upright in RGB, or index folders, files and globs."""

from __future__ import annotations

import glob
import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from unlazy.data.from_files import FromFiles, sizes_of
from unlazy.data.sample import Sample, Unreadable

MAX_PIXELS = 400_000_000
"""Larger pictures are refused before they are decoded (decoded they take 4 bytes per pixel)."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
"""What is decoded, found from a file's content; a short list, since some formats run programs."""

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2"),
)
"""What counts as a picture in folders and globs, in upper or lower case."""

_opening = threading.Lock()
Result = TypeVar("Result")


def read_image(path: str | Path) -> Image.Image:
    """A picture as it is meant to be seen: upright, RGB, 8 bits, first frame.

    EXIF orientation is applied (EXIF that cannot be parsed counts as none); transparency is laid
    on white; 16-bit grey is scaled from 0..65535, never clipped; colour profiles are not applied.
    JPEGs are decoded at full size, since boxes are given in pixels of the full picture.

    Raises:
        Unreadable: with the reason; the path is a note of the exception.
    """
    try:
        return _decode(Path(path), _pixels)
    except Unreadable as error:
        error.add_note(f"while reading {path}")
        raise


def image_size(source: str | Path | bytes) -> tuple[int, int]:
    """(height, width) that the picture of a file, or of a file's content, has once upright.

    Only the header is read, so a picture with damaged pixels has a size too.

    Raises:
        Unreadable: with the reason.
    """
    return _decode(io.BytesIO(source) if isinstance(source, bytes) else Path(source), _size)


def decode_image(content: bytes) -> Image.Image:
    """The same from the content of a file.

    Raises:
        Unreadable: with the reason.
    """
    if not content:
        raise Unreadable("the file is empty (0 bytes)")
    return _decode(io.BytesIO(content), _pixels)


def _decode(source: Path | io.BytesIO, read: Callable[[Image.Image], Result]) -> Result:
    try:
        if isinstance(source, Path) and source.stat().st_size == 0:
            raise Unreadable("the file is empty (0 bytes)")
        if isinstance(source, Path) and not source.is_file():
            raise Unreadable("this is a folder or a device, not a picture file")
        with _open(source) as image:
            return read(image)
    except FileNotFoundError as error:
        raise Unreadable("there is no such file") from error
    except PermissionError as error:
        raise Unreadable("there is no permission to read the file") from error
    except UnidentifiedImageError as error:
        raise Unreadable(
            f"the content is none of {', '.join(FORMATS)}, whatever the name says"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise Unreadable(f"the file is damaged or incomplete: {error}") from error
    except Image.DecompressionBombError as error:
        raise Unreadable(f"the picture is too large: {error}") from error


def _pixels(image: Image.Image) -> Image.Image:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Unreadable(
            f"{width} x {height} pixels are more than the limit of "
            f"{MAX_PIXELS // 1_000_000} million; make the picture smaller"
        )
    image.load()
    return _rgb(_upright(image))


def _size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    try:
        quarter_turn = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    except (SyntaxError, struct.error, KeyError, TypeError):  # as in _upright
        quarter_turn = False
    return (width, height) if quarter_turn else (height, width)


def _open(source: Path | io.BytesIO) -> Image.Image:
    """Read the header only; Pillow's own limit is global, and too low for very wide pictures."""
    with _opening, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused by the caller
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
        try:
            return Image.open(source, formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, struct.error, KeyError, TypeError):  # broken EXIF in a sound picture
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise Unreadable("floating-point pixels have no agreed white; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        image = _grey_from_16_bits(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _grey_from_16_bits(image: Image.Image) -> Image.Image:
    values = np.array(image, dtype=np.int64)  # (height, width)
    if values.min() < 0 or values.max() > 65535:
        raise Unreadable(
            f"grey values lie in {values.min()}..{values.max()}, beyond 16 bits; "
            "save it with 8 or 16 bits"
        )
    if "transparency" in image.info:
        values[values == image.info["transparency"]] = 65535
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


class ImageFiles(FromFiles):
    """Pictures in folders of any nesting, single files and globs, in a fixed order.

    Folders are walked in sorted order, links included; hidden names, and names without one of
    ``SUFFIXES``, are left out. A file that is given by name is taken whatever its suffix. A file
    that is reached twice, be it through a link, counts once. Reading happens on indexing, which
    raises ``Unreadable`` for a bad picture.

    Attributes:
        root: the folder that names are relative to.
        paths: one per picture.

    Raises:
        FileNotFoundError: something given does not exist, or holds no picture.
        ValueError: nothing was given.
    """

    def __init__(self, images: Sequence[str | Path] | str | Path) -> None:
        given = [images] if isinstance(images, str | Path) else list(images)
        if not given:
            raise ValueError("no images were given; give folders, files or globs")
        found: dict[str, Path] = {}
        roots: list[Path] = []
        for item in given:
            root, paths = _find(item)
            roots.extend(root)
            for path in paths:
                found.setdefault(os.path.realpath(path), path)
        self.root = Path(os.path.commonpath(roots))
        self.paths = list(found.values())

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        path = self.paths[index]
        return Sample(image=read_image(path), name=self.name_of(index))

    def name_of(self, index: int) -> str:
        """The name of a picture, readable or not."""
        name = self.paths[index].relative_to(self.root).as_posix()
        return os.fsencode(name).decode("utf-8", "backslashreplace")

    def _told_by(self) -> Iterator[bytes]:
        yield sizes_of(self.paths)


def _find(item: str | Path) -> tuple[list[Path], list[Path]]:
    """Folders that names may be relative to, and picture files, both absolute."""
    path = Path(os.path.abspath(Path(item).expanduser()))
    if path.is_dir():
        paths = list(_walk(path, set()))
        if not paths:
            raise FileNotFoundError(
                f"no picture in the folder {path} or below it; "
                f"looked for files that end in {', '.join(SUFFIXES)}"
            )
        return [path], paths
    if path.exists():
        return [path.parent], [path]
    if not glob.has_magic(str(item)):
        raise FileNotFoundError(f"no such file or folder: {path}")
    matches = (Path(match) for match in sorted(glob.glob(str(path), recursive=True)))
    paths = [match for match in matches if _is_picture(match)]
    if not paths:
        raise FileNotFoundError(
            f"no picture matches {path}; looked for files that end in {', '.join(SUFFIXES)}"
        )
    return [path.parent for path in paths], paths


def _walk(folder: Path, visited: set[str]) -> Iterator[Path]:
    """Picture files below a folder; each real folder is entered once, so link loops end."""
    real = os.path.realpath(folder)
    if real in visited:
        return
    visited.add(real)
    if (folder / "record.json").is_file() and (folder / "index.html").is_file():
        return  # the output of an earlier report: its maps are no photographs
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path, visited)
        elif _is_picture(path):
            yield path


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.is_dir()
