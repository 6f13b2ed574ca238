import errno
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from unlazy.data import folder
from unlazy.data.folder import image_size, read_image
from unlazy.data.sample import Unreadable

NOISE = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)


def saved(path, image=None, **options):
    image = Image.fromarray(NOISE) if image is None else image
    image.save(path, **options)
    return path


def pixels(path):
    image = read_image(path)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def refused(path, reason):
    with pytest.raises(Unreadable, match=reason) as caught:
        read_image(path)
    assert any(str(path) in note for note in caught.value.__notes__)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp"])
def test_lossless_formats(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    assert (pixels(saved(tmp_path / f"a.{suffix}", **options)) == NOISE).all()


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "tif", "bmp"])
def test_truncated(tmp_path, suffix):
    path = saved(tmp_path / f"a.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, "damaged or incomplete")


def test_cut_off_in_the_header(tmp_path):
    path = saved(tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(Unreadable):
        read_image(path)


def test_zero_bytes(tmp_path):
    (tmp_path / "a.jpg").touch()
    refused(tmp_path / "a.jpg", "0 bytes")


def test_text_named_jpg(tmp_path):
    (tmp_path / "a.jpg").write_text("Not found\n" * 20)
    refused(tmp_path / "a.jpg", "whatever the name says")


def test_a_format_that_would_run_a_program_is_not_opened(tmp_path):
    saved(tmp_path / "a.eps")
    refused(tmp_path / "a.eps", "content is none of")


def test_missing_file_and_folder(tmp_path):
    refused(tmp_path / "a.jpg", "no such file")
    refused(tmp_path, "folder")


def test_no_permission(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png")

    def deny(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", deny)  # chmod would not stop a root user
    refused(path, "no permission")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_no_permission_for_real(tmp_path):
    path = saved(tmp_path / "a.png")
    path.chmod(0)
    refused(path, "no permission")


def bomb(path, width, height):
    """A PNG of a few bytes that claims a size."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def test_bombs_are_refused_before_decoding(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(bomb(tmp_path / "a.png", 25_000, 20_000), "25000 x 20000 .* 400 million")
        refused(bomb(tmp_path / "b.png", 100_000, 100_000), "too large")
        refused(bomb(tmp_path / "c.png", 20_000, 20_000), "damaged")  # allowed, but has no data
    assert before == Image.MAX_IMAGE_PIXELS


def test_20000_pixels_wide(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = read_image(saved(tmp_path / "a.png", Image.new("RGB", (20_000, 10), "red")))
        assert image.size == (20_000, 10)
        large = saved(tmp_path / "b.png", Image.new("1", (20_000, 5_000)))  # Pillow would warn
        assert read_image(large).size == (20_000, 5_000)


def test_one_pixel(tmp_path):
    assert pixels(saved(tmp_path / "a.png", Image.new("RGB", (1, 1), "red"))).tolist() == [
        [[255, 0, 0]]
    ]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_scaled(tmp_path, suffix):
    values = np.array([[0, 128, 129, 257], [32768, 40000, 65406, 65535]], np.uint16)
    got = pixels(saved(tmp_path / f"a.{suffix}", Image.fromarray(values)))
    assert got[..., 0].tolist() == [[0, 0, 1, 1], [128, 156, 254, 255]]
    assert (got == got[..., :1]).all()


def test_16_bit_big_endian_and_32_bit(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 65535\n" + bytes([0x80, 0x00, 0xFF, 0xFF]))
    assert pixels(tmp_path / "a.pgm")[0, :, 0].tolist() == [128, 255]
    deep = Image.fromarray(np.array([[0, 70_000]], np.int32))
    refused(saved(tmp_path / "b.tif", deep), r"0\.\.70000, beyond 16 bits")
    refused(saved(tmp_path / "c.tif", Image.new("F", (2, 2))), "floating-point")


def test_16_bit_transparent_grey_is_laid_on_white(tmp_path):
    values = Image.fromarray(np.array([[0, 257]], np.uint16))
    path = saved(tmp_path / "a.png", values, transparency=0)
    assert pixels(path)[0, :, 0].tolist() == [255, 1]


def test_grey_and_one_bit(tmp_path):
    grey = Image.fromarray(NOISE[..., 0])
    assert (pixels(saved(tmp_path / "a.png", grey)) == NOISE[..., :1]).all()
    assert (pixels(saved(tmp_path / "b.png", Image.new("1", (3, 2), 1))) == 255).all()


def test_palette(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    expected = [[[10, 20, 30], [200, 100, 50]]]
    assert pixels(saved(tmp_path / "a.png", image)).tolist() == expected
    path = saved(tmp_path / "b.png", image, transparency=0)
    assert pixels(path).tolist() == [[[255, 255, 255], [200, 100, 50]]]


def test_alpha_is_laid_on_white(tmp_path):
    image = Image.new("RGBA", (3, 1))
    for x, pixel in enumerate([(100, 0, 0, 255), (100, 0, 0, 0), (0, 0, 0, 51)]):
        image.putpixel((x, 0), pixel)
    expected = [[[100, 0, 0], [255, 255, 255], [204, 204, 204]]]
    assert pixels(saved(tmp_path / "a.png", image)).tolist() == expected
    assert pixels(saved(tmp_path / "b.png", Image.new("LA", (1, 1), (50, 0)))).min() == 255
    key = saved(tmp_path / "c.png", Image.new("RGB", (1, 1), (1, 2, 3)), transparency=(1, 2, 3))
    assert pixels(key).min() == 255


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk(tmp_path, suffix):
    """JPEG stores ink inverted, as Adobe does; TIFF does not."""
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    path = saved(tmp_path / f"a.{suffix}", image)
    assert (suffix == "tif") or b"Adobe" in path.read_bytes()
    assert np.abs(pixels(path) - [0, 255, 255]).max() <= 3


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_animations_show_their_first_frame(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(
        tmp_path / f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:], **options
    )
    assert (pixels(path) == [255, 0, 0]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", exif=exif)
    turned = {
        1: NOISE,
        2: NOISE[:, ::-1],
        3: NOISE[::-1, ::-1],
        4: NOISE[::-1],
        5: NOISE.transpose(1, 0, 2),
        6: NOISE[::-1].transpose(1, 0, 2),
        7: NOISE[::-1, ::-1].transpose(1, 0, 2),
        8: NOISE[:, ::-1].transpose(1, 0, 2),
    }[orientation]
    assert (pixels(path) == turned).all()


def test_broken_exif_counts_as_none(tmp_path):
    path = saved(tmp_path / "a.jpg", exif=b"Exif\0\0this is no TIFF header")
    assert read_image(path).size == (40, 24)


def test_the_limit_is_what_the_documentation_says():
    assert folder.MAX_PIXELS == 20_000 * 20_000


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_picture_once_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.jpg", exif=exif)
    expected = np.asarray(read_image(path)).shape[:2]
    assert image_size(path) == image_size(path.read_bytes()) == expected


def test_the_size_of_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(Unreadable, match="none of"):
        image_size(tmp_path / "a.jpg")
    with pytest.raises(Unreadable, match="no such file"):
        image_size(tmp_path / "b.jpg")
