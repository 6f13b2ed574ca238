"""COCO's JSON: boxes, crowds, outlines; the 20k list; COCO128 where it is at hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unlazy.data.coco import COCO, LIST, COCO20k
from unlazy.data.coco128 import COCO128
from unlazy.data.coco_json import rasterise
from unlazy.data.pascal_xml import BrokenAnnotation

SIZE = (40, 30)  # width, height
SQUARE = [[2, 3, 12, 3, 12, 13, 2, 13]]
RUNS = {"size": [30, 40], "counts": [0, 60, 1140]}  # column by column: the first two


def pictures(folder, names):
    folder.mkdir(parents=True)
    for name in names:
        Image.new("RGB", SIZE, "grey").save(folder / name)


def content(names, *annotations):
    keys = ("image_id", "category_id", "bbox", "segmentation", "iscrowd")
    return {
        "images": [
            {"id": int(name[-6:-4]), "file_name": name, "width": SIZE[0], "height": SIZE[1]}
            for name in names
        ],
        "annotations": [
            {"id": 100 + place, **dict(zip(keys, each, strict=True))}
            for place, each in enumerate(annotations)
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
    }


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1))


@pytest.fixture
def root(tmp_path):
    names = ["000000000009.jpg", "000000000004.jpg", "000000000007.jpg"]
    pictures(tmp_path / "val2017", names)
    found = content(
        names,
        (4, 18, [2, 3, 10, 10], SQUARE, 0),
        (4, 3, [0, 0, 2.5, 30], RUNS, 0),
        (4, 18, [0, 0, 40, 30], {"size": [30, 40], "counts": [1170, 30]}, 1),
        (9, 3, [30, 20, 30, 5], SQUARE, 0),
    )
    write(tmp_path / "annotations" / "instances_val2017.json", found)
    return tmp_path


def test_boxes_labels_and_order(root):
    data = COCO(root)
    assert data.classes == ["car", "dog"]  # by id: the ids have gaps
    assert [data.name_of(i) for i in range(3)] == [f"val2017/00000000000{i}.jpg" for i in (4, 7, 9)]
    assert data[0].boxes.tolist() == [[2, 3, 12, 13], [0, 0, 2.5, 30]]
    assert data[0].box_labels.tolist() == [1, 0]
    assert data[0].instances is None
    assert data[1].boxes.shape == (0, 4)
    assert data[2].boxes.tolist() == [[30, 20, 40, 25]]
    assert data.problems == {
        "val2017/000000000007.jpg": "it has no box",
        "val2017/000000000009.jpg": "box 1 (30, 20, 60, 25) reaches beyond 40 x 30 pixels and"
        " is cut",
    }
    assert data.crowds == data.counts["crowds left out"] == 1


def test_masks_of_polygons_runs_and_crowds(root):
    pytest.importorskip("pycocotools", reason="it is not installed: make install")
    sample = COCO(root, masks=True)[0]
    expected = np.zeros((2, 30, 40), dtype=bool)
    expected[0, 3:13, 2:12], expected[1, :, :2] = True, True
    assert (sample.instances == expected).all()
    assert (sample.mask == expected[0] * 2 + expected[1]).all()  # dog is 1, car 0; plus one
    assert sample.void.sum() == 30
    assert sample.void[:, 39].all()


def test_pictures_may_lie_below_images(root, tmp_path):
    (root / "images").mkdir()
    (root / "val2017").rename(root / "images" / "val2017")
    assert len(COCO(root)) == 3
    root.rename(moved := tmp_path.parent / f"{tmp_path.name} moved")
    (tmp_path / "x").mkdir(parents=True)
    moved.rename(tmp_path / "x" / "coco")
    assert COCO(tmp_path / "x").name_of(0) == "images/val2017/000000000004.jpg"


def test_bad_annotations_are_named(root):
    path = root / "annotations" / "instances_val2017.json"
    found = json.loads(path.read_text())
    found["annotations"] += [
        {"id": 1, "image_id": 55, "category_id": 3, "bbox": [1, 1, 2, 2]},
        {"id": 2, "image_id": 7, "category_id": 99, "bbox": [1, 1, 2, 2]},
        {"id": 3, "image_id": 7, "category_id": 3, "bbox": [1, 1, 2]},
        {"id": 4, "image_id": 7, "category_id": 3, "bbox": [1, 1, 0, 2]},
        7,
    ]
    found["images"] += [{"id": 60, "file_name": "gone.jpg"}, {"id": 61}]
    found["images"][2]["width"] = 41
    write(path, found)
    problems = COCO(root).problems
    file = "instances_val2017.json"
    assert "no picture" in problems[f"{file}: annotation 1"]
    assert "category 99" in problems[f"{file}: annotation 2"]
    assert "not four numbers" in problems[f"{file}: annotation 3"]
    assert "no picture" in problems[f"{file}: annotation at place 9"]
    assert "no picture" in problems["val2017/gone.jpg"]
    assert "no id" in problems[f"{file}: picture 5"]
    assert "for 41 x 30" in problems["val2017/000000000007.jpg"]


def test_broken_json_is_told_with_its_line(root):
    path = root / "annotations" / "instances_val2017.json"
    path.write_text('{"images": [\n{"id": 1,}\n]}')
    with pytest.raises(BrokenAnnotation, match=r"instances_val2017\.json, line 2: broken JSON"):
        COCO(root)
    path.write_text("[]")
    with pytest.raises(BrokenAnnotation, match="not in COCO's form"):
        COCO(root)


def test_what_is_missing_is_said(root):
    with pytest.raises(FileNotFoundError, match=r"annotations/instances_train2017\.json"):
        COCO(root, "train2017")
    (root / "val2017").rename(root / "elsewhere")
    with pytest.raises(FileNotFoundError, match="no pictures: neither"):
        COCO(root)


@pytest.mark.parametrize(
    ("outline", "reason"),
    [
        ([[1, 2, 3, 4]], "neither"),
        ([[1e12] * 6], "far outside"),
        ([[float("nan")] * 6], "far outside"),
        ({"size": [4, 5], "counts": [20]}, r"for \[4, 5\]"),
        ({"size": [30, 40]}, "neither"),
        ({"size": [30, 40], "counts": 7}, "neither"),
        ({"size": [30, 40], "counts": "??"}, "cover"),
        ({"size": [30, 40], "counts": "PPP"}, "index"),
        ({"size": [30, 40], "counts": [600, 10]}, "cover 610 pixels of 1200"),
        ({"size": [30, 40], "counts": [-5, 1205]}, "cover"),
        ({"size": [30, 40], "counts": [10**30]}, "neither"),
        (None, "neither"),
        ([3], "neither"),
        ([["a"] * 6], "neither"),
        ({"size": [30, 40], "counts": [0, 5000]}, "cover"),
    ],
)
def test_an_outline_that_is_none(outline, reason):
    pytest.importorskip("pycocotools", reason="it is not installed: make install")
    with pytest.raises(ValueError, match=reason):
        rasterise(outline, (30, 40))


def test_a_polygon_without_three_corners_adds_nothing():
    pytest.importorskip("pycocotools", reason="it is not installed: make install")
    assert (rasterise([[1, 2, 3, 4], *SQUARE], (30, 40)) == rasterise(SQUARE, (30, 40))).all()


def test_run_lengths_are_read_as_pycocotools_writes_them():
    library = pytest.importorskip("pycocotools.mask", reason="it is not installed: make install")
    random = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 1.0):
        drawn = np.asfortranarray(random.random((70, 53)) < share)
        packed = library.encode(drawn.astype(np.uint8))
        runs = {"size": [70, 53], "counts": packed["counts"].decode()}
        assert (rasterise(runs, (70, 53)) == drawn).all()


@pytest.mark.parametrize("bad", [None, [], [[1, 2, 3, 4]], {"size": [4, 5], "counts": [20]}])
def test_an_object_with_a_bad_outline_loses_its_mask_alone(root, bad):
    pytest.importorskip("pycocotools", reason="it is not installed: make install")
    path = root / "annotations" / "instances_val2017.json"
    found = json.loads(path.read_text())
    found["annotations"][1]["segmentation"] = bad
    found["annotations"][3]["segmentation"] = bad
    write(path, found)
    data = COCO(root, masks=True)
    sample, other = data[0], data[2]
    assert len(sample.boxes) == len(sample.instances) == 2
    assert sample.instances[0].sum() == (sample.mask == 2).sum() == 100
    assert not sample.instances[1].any()
    assert sample.void[:, :2].all()  # the box of the object: nobody knows what in it is object
    assert not sample.void[:, 3:39].any()
    named = data.problems["val2017/000000000004.jpg"]
    assert named.startswith("the object in box (0, 0, 2.5, 30) has no mask: it ")
    assert (other.mask, other.instances, len(other.boxes)) == (None, None, 1)
    assert "none of its outlines can be drawn" in data.problems["val2017/000000000009.jpg"]


def test_a_crowd_with_a_bad_outline_is_left_out(root):
    pytest.importorskip("pycocotools", reason="it is not installed: make install")
    path = root / "annotations" / "instances_val2017.json"
    found = json.loads(path.read_text())
    found["annotations"][2]["segmentation"] = None
    write(path, found)
    data = COCO(root, masks=True)
    assert not data[0].void.any()
    assert data[0].instances.any(axis=(1, 2)).all()
    assert "crowd 1 is left out" in data.problems["val2017/000000000004.jpg"]


@pytest.fixture
def twenty(tmp_path):
    names = [f"COCO_train2014_0000000000{i:02d}.jpg" for i in (3, 12, 25)]
    pictures(tmp_path / "images" / "train2014", names)
    found = content(
        names,
        (3, 3, [1.4, 2.5, 10.2, 9.6], SQUARE, 0),
        (12, 3, [0, 0, 40, 30], RUNS, 1),
        (25, 3, [0, 0, 40, 30], RUNS, 1),
    )
    write(tmp_path / "annotations" / "instances_train2014.json", found)
    return tmp_path


def test_the_list_chooses_the_pictures_and_boxes_are_rounded(twenty):
    (twenty / LIST).write_text("COCO_train2014_000000000012.jpg\ntrain2014/x_000003.jpg\n\n77\n")
    data = COCO20k(twenty)
    assert [data.name_of(i)[-7:] for i in range(len(data))] == ["003.jpg", "012.jpg"]
    assert data[0].boxes.tolist() == [[1, 2, 12, 12]]
    assert data[1].boxes.shape == (0, 4)
    assert data.crowds == 1
    assert "not in instances" in data.problems[f"{LIST}: 77"]


def test_without_the_list_it_says_where_it_is_had(twenty):
    with pytest.raises(FileNotFoundError, match=r"valeoai/LOST, datasets/coco_20k_filenames"):
        COCO20k(twenty)
    (twenty / LIST).write_text("12\nno picture\n")
    with pytest.raises(ValueError, match="line 2: 'no picture'"):
        COCO20k(twenty)


@pytest.fixture
def small128(tmp_path):
    names = ["000000000009.jpg", "000000000025.jpg"]
    pictures(tmp_path / "images" / "train2017", names)
    for part, label, text in (
        ("object_detection", "0: person\n  1: dog", "1 0.5 0.5 0.5 0.2\n"),
        ("instance_segmentation", "18: dog\n  1: person", "18 0 0 0.5 0 0.5 1 0 1\n"),
    ):
        (tmp_path / part / "labels" / "train2017").mkdir(parents=True)
        (tmp_path / part / "config.yaml").write_text(f"names:\n  {label}\n")
        (tmp_path / part / "labels" / "train2017" / "000000000009.txt").write_text(text)
    return tmp_path


def test_yolo_labels_are_shares_of_the_picture(small128):
    data = COCO128(small128)
    assert data[0].boxes.tolist() == [[10, 12, 30, 18]]
    assert [data.classes[label] for label in data[0].box_labels] == ["dog"]
    assert data[1].boxes is None
    assert "000000000025.txt is missing" in data.problems["images/train2017/000000000025.jpg"]


def test_polygons_are_matched_by_the_name_of_their_class(small128):
    pytest.importorskip("pycocotools", reason="it is not installed: make install")
    data = COCO128(small128, masks=True)
    assert len(data) == 1
    sample = data[0]
    assert [data.classes[label] for label in sample.box_labels] == ["dog"]
    assert sample.boxes.tolist() == [[0, 0, 20, 30]]
    assert sample.instances[0, :, :20].all()
    assert not sample.instances[0, :, 20:].any()


def test_broken_lines_of_yolo_are_named(small128):
    file = small128 / "object_detection" / "labels" / "train2017" / "000000000009.txt"
    file.write_text("1 0.5 0.5 0.5 0.2\n1 0.5 0.5\nx 1 1 1 1\n7 0.5 0.5 0.1 0.1\n1 .5 .5 -.1 .1\n")
    data = COCO128(small128)
    assert data[0].box_labels.tolist() == [1, -1]
    assert {name for name in data.problems if "line" in name} == {
        f"000000000009.txt, line {place}" for place in (2, 3, 4, 5)
    }


def test_coco128_agrees_with_its_own_semantic_masks():
    root = Path(__file__).parents[3] / "data" / "coco128"
    if not root.is_dir():
        pytest.skip(f"COCO128 is not unpacked in {root}")
    pytest.importorskip("pycocotools", reason="it is not installed: make install")
    assert (len(COCO128(root)), len(COCO128(root).classes)) == (128, 80)
    data = COCO128(root, masks=True)
    assert len(data) == 100
    overlaps = []
    for index in range(0, 100, 5):
        sample = data[index]
        name = f"{Path(sample.name).stem}.png"
        folder = root / "semantic_segmentation" / "masks" / "train2017"
        things = np.array(Image.open(folder / name))
        things = (things > 0) & (things <= 90)  # COCO's ids of things end at 90; crowds are in it
        drawn = sample.mask > 0
        overlaps.append((things & drawn).sum() / (things | drawn).sum())
    assert np.median(overlaps) > 0.9
