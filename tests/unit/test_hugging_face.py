"""Data sets of Hugging Face, built here."""

import shutil
import sys

import pytest
from PIL import Image

from unlazy.bench_inputs import benchmark_data
from unlazy.catalog import find
from unlazy.data.hugging_face import HuggingFace
from unlazy.data.labelled import Labelled
from unlazy.data.sample import Unreadable
from unlazy.inputs import Mistake, dataset_of

datasets = pytest.importorskip("datasets", reason="the extra hf-data is not installed")

PARTS = ["ear", "tail"]
BOXES = [[[1, 2, 10, 5], [30, 0, 20, 30]], []]


def saved(path, *, category="category", apart=False):
    """Two pictures, the first with two boxes; ``apart``: as a list of objects."""
    bbox, classes = datasets.List(datasets.Value("float32")), datasets.ClassLabel(names=PARTS)
    if apart:
        objects = datasets.List({"bbox": bbox, category: classes})
        rows = [
            [{"bbox": box, category: place} for box, place in zip(boxes, [1, None], strict=False)]
            for boxes in BOXES
        ]
    else:
        objects = {"bbox": datasets.List(bbox), category: datasets.List(classes)}
        rows = [{"bbox": boxes, category: [1, None][: len(boxes)]} for boxes in BOXES]
    label = datasets.ClassLabel(names=["cat", "dog"])
    features = {"image": datasets.Image(), "label": label, "objects": objects}
    images = [Image.new("L", (40, 30), 90), Image.new("RGB", (20, 10))]
    datasets.Dataset.from_dict(
        {"image": images, "label": [1, 0], "objects": rows}, features=datasets.Features(features)
    ).save_to_disk(path)
    return path


@pytest.fixture
def folder(tmp_path):
    return saved(tmp_path / "one")


@pytest.mark.parametrize("category", ["category", "categories", "label"])
@pytest.mark.parametrize("apart", [False, True])
def test_pictures_labels_and_boxes(tmp_path, category, apart):
    folder = saved(tmp_path / "one", category=category, apart=apart)
    data = HuggingFace(str(folder))
    assert data.counts == {"pictures": 2, "labels": 2, "boxes": 2}
    assert (len(data), data.classes) == (2, ["cat", "dog"])
    sample = data[0]
    assert (sample.image.mode, sample.image.size, sample.label) == ("RGB", (40, 30), 1)
    assert sample.boxes.tolist() == [[1, 2, 11, 7], [30, 0, 40, 30]]
    assert sample.box_labels.tolist() == [1, -1]
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
    with pytest.raises(ValueError, match="no split 'train', it is not split"):
        HuggingFace(f"{folder}@train")


def test_other_rows_under_the_same_name_are_other_data(tmp_path):
    def fingerprint(colour, label):
        rows = {"image": [Image.new("RGB", (8, 8), colour)], "label": [label]}
        features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
        datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "one")
        found = {HuggingFace(str(tmp_path / "one")).fingerprint() for _ in range(2)}
        shutil.rmtree(tmp_path / "one")
        assert len(found) == 1
        return found.pop()

    assert fingerprint("red", 0) == fingerprint("red", 0)
    assert len({fingerprint(*each) for each in (("red", 0), ("blue", 0), ("red", 1))}) == 3


@pytest.mark.parametrize("form", ["", ":xyxy"])
def test_what_learns_opens_the_train_split_of_the_same_data(folder, tmp_path, form):
    one, knn = datasets.load_from_disk(folder), [find("benchmarks", "knn")()]
    parts = {"train": one.select([0]), "test": one}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "two")
    data = benchmark_data(knn, f"hf:{tmp_path / 'two'}@test{form}", None)
    assert (len(data.opened[False]), len(data.training), data.training.split) == (2, 1, "train")
    assert data.training.boxes == (form[1:] or "xywh")
    with pytest.raises(Mistake, match="would learn from the pictures that are evaluated"):
        benchmark_data(knn, f"hf:{tmp_path / 'two'}@train{form}", None)


def test_without_a_train_split_nothing_is_learned(folder, tmp_path):
    one, knn = datasets.load_from_disk(folder), [find("benchmarks", "knn")()]
    with pytest.raises(Mistake, match=r"has no training split to learn from .*leave out knn"):
        benchmark_data(knn, f"hf:{folder}", None)
    datasets.DatasetDict({"train": one}).save_to_disk(tmp_path / "alone")
    with pytest.raises(Mistake, match="would learn from the pictures that are evaluated"):
        benchmark_data(knn, f"hf:{tmp_path / 'alone'}", None)


def saved_boxes(path, boxes):
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "objects": {"bbox": datasets.Sequence(datasets.Sequence(datasets.Value("float32")))},
        }
    )
    rows = {
        "image": [Image.new("RGB", (40, 30))] * len(boxes),
        "objects": [{"bbox": [box]} for box in boxes],
    }
    one = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"test": one}).save_to_disk(path)
    return path


def test_the_name_says_how_boxes_are_written(tmp_path):
    path = saved_boxes(tmp_path / "d", [[10, 5, 20, 15]])
    for name in (f"{path}@test:xyxy", f"{path}:xyxy"):
        data = dataset_of([f"data:hf:{name}"], None)
        assert data[0].boxes.tolist() == [[10, 5, 20, 15]]
        assert data.split == "test"
    assert HuggingFace(f"{path}@test:xywh")[0].boxes.tolist() == [[10, 5, 30, 20]]
    for name in (f"{path}@test:yxyx", f"{path}:yxyx"):
        with pytest.raises(ValueError, match="boxes are xywh or xyxy, not 'yxyx'"):
            HuggingFace(name)


def test_boxes_that_seem_to_be_of_the_other_form_are_named_first(tmp_path):
    path = saved_boxes(tmp_path / "corners", [[1, 2, 10, 12], [20, 5, 40, 15], [30, 9, 38, 29]])
    data = HuggingFace(str(path))
    name, said = next(iter(data.problems.items()))
    assert name == str(path)
    assert (
        "2 of 3 boxes do not lie in their pictures when read as xywh, 0 when read as xyxy" in said
    )
    assert f"name the data hf:{path}@test:xyxy" in said
    assert HuggingFace(f"{path}:xyxy").problems == {}
    sizes = saved_boxes(tmp_path / "sizes", [[20, 15, 10, 10], [30, 20, 10, 10], [5, 5, 35, 20]])
    assert HuggingFace(str(sizes)).problems == {}
    assert f"hf:{sizes}@test:xywh" in HuggingFace(f"{sizes}:xyxy").problems[str(sizes)]


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
    assert data.counts == {"pictures": 2, "labels": 1, "boxes": 0}
    labelled = Labelled(data)
    with pytest.raises(Unreadable, match="it has no label"):
        labelled[0]
    assert labelled[1].label == 0
