import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unlazy.data.folder import SUFFIXES, ImageFiles
from unlazy.data.sample import Unreadable

NOISE = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)


def tree(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if Path(name).suffix.lower() in SUFFIXES:
            Image.fromarray(NOISE).save(root / name, format="PNG")
        else:
            (root / name).write_text("text")


def names(files):
    return [path.relative_to(files.root).as_posix() for path in files.paths]


def test_folders_of_any_nesting(tmp_path):
    tree(tmp_path, "b/2.PNG", "b/1.jpg", "a/x/y/3.webp", "c.png", "notes.txt")
    tree(tmp_path, ".hidden/4.png", "a/.5.png")
    files = ImageFiles([tmp_path])
    assert names(files) == ["a/x/y/3.webp", "b/1.jpg", "b/2.PNG", "c.png"]
    assert len(files) == 4
    assert [files[i].name for i in range(4)] == names(files)
    assert (np.asarray(files[-1].image) == NOISE).all()
    with pytest.raises(IndexError):
        files[4]


def test_files_folders_and_globs_together_without_duplicates(tmp_path):
    tree(tmp_path, "a/1.png", "a/2.png", "b/1.png", "b/note.txt", "c[1].png")
    files = ImageFiles(
        [str(tmp_path / "b"), tmp_path / "a" / ".." / "a" / "2.png", str(tmp_path / "**" / "*")]
    )
    assert names(files) == ["b/1.png", "a/2.png", "a/1.png", "c[1].png"]
    assert names(ImageFiles(tmp_path / "c[1].png")) == ["c[1].png"]
    assert names(ImageFiles(str(tmp_path / "?" / "1.png"))) == ["a/1.png", "b/1.png"]


def test_relative_paths(tmp_path, monkeypatch):
    tree(tmp_path, "a/1.png", "b/2.png")
    monkeypatch.chdir(tmp_path)
    assert names(ImageFiles(["a", "b/*.png"])) == ["a/1.png", "b/2.png"]
    assert names(ImageFiles(".")) == ["a/1.png", "b/2.png"]


def test_link_loops_end(tmp_path):
    tree(tmp_path, "a/1.png", "elsewhere/2.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "self").symlink_to("self")
    (tmp_path / "a" / "same.png").symlink_to("1.png")
    (tmp_path / "a" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert names(ImageFiles(tmp_path / "a")) == ["1.png", "linked/2.png"]


@pytest.mark.timeout(20)
def test_many_loops_end_soon(tmp_path):
    tree(tmp_path, "1.png")
    for number in range(4):  # 4 ** 40 ways, if each were followed
        (tmp_path / f"loop{number}").symlink_to(tmp_path, target_is_directory=True)
    assert names(ImageFiles(tmp_path)) == ["1.png"]


def test_a_named_file_is_taken_whatever_its_suffix(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, "PNG")
    (tmp_path / "picture").write_bytes(buffer.getvalue())
    assert (np.asarray(ImageFiles(tmp_path / "picture")[0].image) == NOISE).all()


def test_a_bad_picture_is_refused_only_when_it_is_read(tmp_path):
    tree(tmp_path, "1.png")
    (tmp_path / "2.jpg").write_text("text")
    files = ImageFiles([tmp_path])
    assert files[0].name == "1.png"
    with pytest.raises(Unreadable):
        files[1]


def test_nothing_found_says_what_was_looked_for(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(FileNotFoundError, match=r"no picture in the folder .*\.jpg, \.jpeg"):
        ImageFiles([tmp_path])
    with pytest.raises(FileNotFoundError, match=r"no such file or folder: .*missing"):
        ImageFiles([tmp_path / "missing"])
    with pytest.raises(FileNotFoundError, match=r"no picture matches .*\*\.jpg"):
        ImageFiles([str(tmp_path / "*.jpg")])
    with pytest.raises(ValueError, match="no images were given"):
        ImageFiles([])
