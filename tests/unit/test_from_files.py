"""Data are known by the sizes of their files and by annotations; a copy is the same data."""

import shutil
import tarfile
from functools import partial

import pytest
from PIL import Image

from unlazy.catalog import DATA, find
from unlazy.data import photos
from unlazy.data.box_folder import BoxFolder
from unlazy.data.captions import CaptionShards
from unlazy.data.class_folders import ClassFolders
from unlazy.data.coco import COCO
from unlazy.data.folder import ImageFiles
from unlazy.data.joined import Joined
from unlazy.data.photos import Photos
from unlazy.data.spread import Spread
from unlazy.data.synthetic import Scenes
from unlazy.data.tiny_imagenet import TinyImageNet
from unlazy.data.voc import VOC
from unlazy.identity import data_identity

XML = """<annotation><object><name>dog</name><difficult>0</difficult>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"""
JSON = """{"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "dog"}],
"annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 8, 8],
"segmentation": [[1, 1, 9, 1, 9, 9]]}]}"""
FILES = {
    "classes": {"val/cat/a.png": "", "val/dog/b.png": "", "words.txt": "cat\tcats"},
    "tiny": {
        "wnids.txt": "n01\nn02",
        "words.txt": "n01\tcat\nn02\tdog",
        "val/images/a.JPEG": "",
        "val/val_annotations.txt": "a.JPEG\tn01\t0\t0\t9\t9",
    },
    "voc": {
        "JPEGImages/a.jpg": "",
        "Annotations/a.xml": XML,
        "ImageSets/Segmentation/val.txt": "a",
        "SegmentationClass/a.png": "",
        "SegmentationObject/a.png": "",
    },
    "coco": {"val2017/a.png": "", "annotations/instances_val2017.json": JSON},
    "boxes": {"a.png": "", "boxes.csv": "a.png,1,1,9,9,dog"},
}
OPEN = {
    "classes": ClassFolders,
    "tiny": TinyImageNet,
    "voc": partial(VOC, split="val", masks=True),
    "coco": partial(COCO, masks=True),
    "boxes": BoxFolder,
}
SEGMENTS = "annotations/instances_val2017.json"


@pytest.fixture
def lay(tmp_path):
    """A function that writes one of ``FILES``; what has no text is a picture."""

    def write(kind):
        for name, text in FILES[kind].items():
            (tmp_path / kind / name).parent.mkdir(parents=True, exist_ok=True)
            if text:
                (tmp_path / kind / name).write_text(text)
            else:
                Image.new("RGB", (64, 64)).save(tmp_path / kind / name)
        return tmp_path / kind

    return write


def grow(path):
    """Another content under the same name, which decodes to the same size."""
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, files in FILES.items() for name, text in files.items() if not text],
)
def test_another_file_of_the_same_name_is_other_data_and_a_copy_is_not(lay, tmp_path, kind, name):
    root = lay(kind)
    first = data_identity(OPEN[kind](root))
    shutil.copytree(root, tmp_path / "copy")
    assert data_identity(OPEN[kind](tmp_path / "copy")) == first
    grow(root / name)
    assert data_identity(OPEN[kind](root)) != first


@pytest.mark.parametrize(
    ("kind", "name", "old", "new"),
    [
        ("classes", "words.txt", "cats", "rats"),
        ("tiny", "words.txt", "dog", "hog"),
        ("tiny", "val/val_annotations.txt", "n01", "n02"),
        ("tiny", "val/val_annotations.txt", "9\t9", "9\t8"),
        ("voc", "Annotations/a.xml", "dog", "cat"),
        ("voc", "Annotations/a.xml", "<ymax>9", "<ymax>8"),
        ("voc", "Annotations/a.xml", "<difficult>0", "<difficult>1"),
        ("coco", SEGMENTS, "9, 1, 9, 9", "9, 1, 9, 8"),
        ("coco", SEGMENTS, "dog", "cat"),
        ("boxes", "boxes.csv", "9,9", "9,8"),
    ],
)
def test_corrected_annotations_are_other_data(lay, kind, name, old, new):
    root = lay(kind)
    first = data_identity(OPEN[kind](root))
    text = (root / name).read_text()
    assert text.count(old) == 1
    (root / name).write_text(text.replace(old, new))
    assert data_identity(OPEN[kind](root)) != first


def test_folders_of_pictures_are_known_by_sizes_through_whatever_is_around_them(tmp_path):
    for name in ("0.png", "1.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)

    def found():
        files = ImageFiles(tmp_path)
        return [data_identity(each) for each in (files, Spread(files, 1), Joined([files, files]))]

    first, files = found(), ImageFiles(tmp_path)
    assert first == found()
    assert data_identity(files) == data_identity(files) == first[0]
    grow(tmp_path / "1.png")
    assert not set(first) & set(found())
    missing = ImageFiles(tmp_path)
    (tmp_path / "0.png").unlink()
    assert data_identity(missing) not in (first[0], found()[0])


def test_each_file_is_asked_for_its_size_once(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    files, asked = ImageFiles(tmp_path), []
    monkeypatch.setattr("unlazy.data.from_files._size", lambda path: asked.append(path) or 1)
    assert files.fingerprint() == files.fingerprint()
    assert asked == files.paths


def test_caption_shards_are_known_by_their_files_and_pictures(tmp_path):
    def identity(size):
        for name, content in (("a.png", b"0" * size), ("a.txt", b"a cat")):
            (tmp_path / name).write_bytes(content)
        with tarfile.open(tmp_path / "0.tar", "w") as shard:
            for name in ("a.png", "a.txt"):
                shard.add(tmp_path / name, name)
        return data_identity(CaptionShards(tmp_path))

    assert identity(9) == identity(9) != identity(10)


def test_photographs_of_another_release_are_other_data(monkeypatch, tmp_path):
    first = data_identity(Photos())
    monkeypatch.setattr(photos, "_folder", lambda package: tmp_path)
    assert data_identity(Photos()) != first


def test_drawn_pictures_of_another_size_are_other_data():
    assert data_identity(Scenes(size=(32, 32))) != data_identity(Scenes(size=(64, 64)))


@pytest.mark.parametrize("name", sorted(DATA.keys() - {"scenes", "voc07", "voc12"}))
def test_all_data_of_files_are_told_apart(name):
    assert hasattr(find("data", name), "fingerprint")
