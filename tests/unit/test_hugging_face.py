"""Data sets of Hugging Face, built here."""

import sys

import pytest
from PIL import Image

from unlazy.data.hugging_face import HuggingFace
from unlazy.data.labelled import Labelled
from unlazy.data.sample import Unreadable

datasets = pytest.importorskip("datasets", reason="the extra hf-data is not installed")

BOXES = [[[1, 2, 10, 5], [30, 0, 20, 30]], []]


@pytest.fixture
def folder(tmp_path):
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "objects": {
                "bbox": datasets.Sequence(datasets.Sequence(datasets.Value("float32"))),
                "category": datasets.Sequence(datasets.ClassLabel(names=["ear", "tail"])),
            },
        }
    )
    rows = {
        "image": [Image.new("L", (40, 30), 90), Image.new("RGB", (20, 10))],
        "label": [1, 0],
        "objects": [{"bbox": boxes, "category": [1, 0][: len(boxes)]} for boxes in BOXES],
    }
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "one")
    return tmp_path / "one"


def test_pictures_labels_and_boxes(folder):
    data = HuggingFace(str(folder))
    assert (len(data), data.classes) == (2, ["cat", "dog"])
    sample = data[0]
    assert (sample.image.mode, sample.image.size, sample.label) == ("RGB", (40, 30), 1)
    assert sample.boxes.tolist() == [[1, 2, 11, 7], [30, 0, 40, 30]]
    assert sample.box_labels.tolist() == [1, 0]
    assert data[1].boxes.shape == (0, 4)
    assert "is cut" in data.problems[data.name_of(0)]
    assert data.problems[data.name_of(1)] == "it has no box"
    assert HuggingFace(str(folder), boxes="xyxy")[0].boxes[0].tolist() == [1, 2, 10, 5]


def test_a_split_is_asked_for_where_there_are_several(folder, tmp_path):
    one = datasets.load_from_disk(folder)
    datasets.DatasetDict({"train": one, "test": one}).save_to_disk(tmp_path / "two")
    with pytest.raises(ValueError, match=r"splits train, test; write .*@SPLIT"):
        HuggingFace(str(tmp_path / "two"))
    assert len(HuggingFace(f"{tmp_path / 'two'}@test")) == 2
    with pytest.raises(ValueError, match="no split 'val', only train, test"):
        HuggingFace(f"{tmp_path / 'two'}@val")


def test_a_row_without_a_picture_is_unreadable(tmp_path):
    features = datasets.Features({"image": datasets.Image()})
    rows = {"image": [None, {"bytes": b"no picture", "path": None}]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "d")
    data = HuggingFace(str(tmp_path / "d"))
    with pytest.raises(Unreadable, match="no picture"):
        data[0]
    with pytest.raises(Unreadable, match="none of"):
        data[1]


def test_columns_are_named(tmp_path):
    datasets.Dataset.from_dict({"pixels": [1]}).save_to_disk(tmp_path / "d")
    with pytest.raises(ValueError, match="no column 'image', only pixels"):
        HuggingFace(str(tmp_path / "d"))


def test_without_the_library_the_extra_is_named(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"unlazy\[hf-data\]"):
        HuggingFace(str(folder))


def test_boxes_of_classes_in_words_and_hidden_labels_stop_nothing(tmp_path):
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.Value("int64"),
            "objects": {
                "bbox": datasets.Sequence(datasets.Sequence(datasets.Value("float32"))),
                "category": datasets.Sequence(datasets.Value("string")),
            },
        }
    )
    rows = {
        "image": [Image.new("RGB", (20, 10))] * 2,
        "label": [-1, 0],
        "objects": [{"bbox": [[1, 2, 5, 5]], "category": ["cat"]}, {"bbox": [], "category": []}],
    }
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "words")
    data = HuggingFace(str(tmp_path / "words"))
    assert data[0].boxes is None
    assert "its boxes are not used" in data.problems[data.name_of(0)]
    labelled = Labelled(data)
    with pytest.raises(Unreadable, match="it has no label"):
        labelled[0]
    assert labelled[1].label == 0
