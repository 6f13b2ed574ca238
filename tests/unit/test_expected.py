"""`unlazy list data --data ROOT`, and data: names on the command line."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from unlazy.bench_inputs import recognised
from unlazy.cli import main
from unlazy.data.expected import EXPECTED, survey
from unlazy.data.recognise import recognise
from unlazy.data.voc import VOC
from unlazy.inputs import Mistake, dataset_of


@pytest.fixture
def root(tmp_path):
    """Pascal VOC 2007, two pictures of it, one with a broken annotation."""
    folder = tmp_path / "VOCdevkit" / "VOC2007"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    for name in ("000005", "000007"):
        Image.new("RGB", (20, 10)).save(folder / "JPEGImages" / f"{name}.jpg")
    box = "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
    thing = f"<object><name>cat</name><bndbox>{box}</bndbox></object>"
    (folder / "Annotations" / "000005.xml").write_text(f"<annotation>{thing}</annotation>")
    (folder / "Annotations" / "000007.xml").write_text("<annotation>")
    for split, names in (("trainval", "000005\n000007\n"), ("test", "000005\n")):
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text(names)
    return tmp_path


def run(capsys, *arguments) -> tuple[str, str]:
    with suppress(SystemExit):
        main([str(each) for each in arguments])
    return capsys.readouterr()


def test_found_against_expected(root):
    found = {f"{each.expected.name} {each.expected.part}": each for each in survey(root)}
    assert len(found) == len(EXPECTED)
    here = found["voc07 trainval"]
    assert here.counts == {"pictures": 2, "pictures with boxes": 1}
    assert (here.missing, here.complete) == ("", False)
    assert "broken XML" in here.problems["JPEGImages/000007.jpg"]
    absent = found["coco20k train2014"]
    assert absent.counts == {}
    assert "annotations/instances_train2014.json" in absent.missing


def test_the_command_prints_counts_what_is_missing_and_where_it_is_had(capsys, root):
    out, _ = run(capsys, "list", "data", "voc", "--data", root)
    assert "voc07 trainval: 2 of 5,011 pictures, 1 of 5,011 pictures with boxes (recalled)" in out
    assert "1 notes, for example:\n  - JPEGImages/000007.jpg: no boxes:" in out
    assert "VOCtrainval_06-Nov-2007.tar" in out
    assert "voc12 val masks: 0 of 1,449 pictures" in out
    assert "no Pascal VOC 2012 in" in out
    assert "coco" not in out


@pytest.mark.parametrize("kind", ["csv", "json", "yolo"])
def test_own_pictures_with_boxes_are_recognised_last(capsys, tmp_path, root, kind):
    own = tmp_path / "own"
    own.mkdir()
    Image.new("RGB", (20, 10)).save(own / "a.png")
    with pytest.raises(Mistake, match=r"boxes\.csv, a COCO JSON .* \(--on box-folder\)"):
        recognised(own)
    if kind == "csv":
        (own / "boxes.csv").write_text("a.png,1,1,9,9\n")
    elif kind == "yolo":
        (own / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    else:
        annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 8, 8]}
        image = {"id": 1, "file_name": "a.png", "width": 20, "height": 10}
        categories = [{"id": 1, "name": "cat"}]
        found = {"images": [image], "annotations": [annotation], "categories": categories}
        (own / "boxes.json").write_text(json.dumps(found))
    assert recognised(own) == "box-folder"
    out, _ = run(capsys, "list", "data", "box", "--data", own)
    assert "box-folder: 1 pictures, 1 with boxes" in out
    assert "box-folder" not in recognise(root)


def test_a_table_without_a_box_is_no_folder_of_boxes(tmp_path):
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    (tmp_path / "prices.csv").write_text("name,price\na.png,3\n")
    assert recognise(tmp_path) == []


IMAGE = '{"images": [{"id": 1, "file_name": "a.png"}],\n"annotations": [,]}'


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"boxes.json": IMAGE}, "boxes.json, line 2: broken JSON"),
        ({"mine.json": IMAGE}, "mine.json, line 2: broken JSON"),
        ({"a.txt": "0 .5 .5 .2 .2", "data.yaml": "names: [cat,"}, "data.yaml, line 1: broken YAML"),
        ({"a.csv": "a.png,1,1,9,9", "b.csv": ""}, "has a.csv, b.csv; name the one with the boxes"),
        (
            {"val2017/b.jpg": "", "annotations/instances_val2017.json": IMAGE},
            "instances_val2017.json, line 2: broken JSON",
        ),
    ],
)
def test_broken_annotations_are_told_where_no_set_is_named(capsys, tmp_path, files, reason):
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    _, err = run(capsys, "bench", "bundled:tiny-label", "point-in-box", "--data", tmp_path)
    assert reason in " ".join(err.split())
    assert "no data set known here" not in err
    out, _ = run(capsys, "list", "data", "--data", tmp_path)
    assert reason in out


def class_folders(root, *splits):
    for split in splits:
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            Image.new("RGB", (20, 10)).save(root / split / name / "a.png")
    return root


@pytest.mark.parametrize(
    ("splits", "split", "listed"),
    [
        (("train", "val"), "val", ("class-folders train", "class-folders val")),
        (("train", "validation", "test"), "val", ("class-folders val", "class-folders test")),
        (("valid",), "val", ("class-folders val",)),
        (("train", "test"), "test", ("class-folders train", "class-folders test")),
        (("",), "", ("class-folders",)),
    ],
)
def test_a_folder_a_class_is_recognised_with_its_splits(capsys, tmp_path, splits, split, listed):
    root = class_folders(tmp_path, *splits)
    assert recognised(root) == "class-folders"
    data = dataset_of(["data:class-folders"], root)
    assert (data.split, data.classes, data.labels) == (split, ["cat", "dog"], [0, 1])
    out, _ = run(capsys, "list", "data", "class", "--data", root)
    assert all(f"{name}: 2 pictures of 2 classes\n" in out for name in listed)
    if split != "":
        assert dataset_of([f"data:class-folders:{splits[-1]}"], root).split in (split, "test")


def test_a_split_of_class_folders_that_is_not_there_is_said(tmp_path):
    root = class_folders(tmp_path, "train")
    with pytest.raises(FileNotFoundError, match="has no folder val or validation or valid or test"):
        dataset_of([f"data:{recognised(root)}"], root)
    assert dataset_of(["data:class-folders:train"], root).split == "train"
    with pytest.raises(ValueError, match="no split 'dev'; use train, val, test"):
        dataset_of(["data:class-folders:dev"], root)


@pytest.mark.parametrize("names", [("images", "masks"), ("train2017", "val2017"), ("album",)])
def test_folders_of_other_layouts_are_no_classes(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
        Image.new("RGB", (20, 10)).save(tmp_path / name / "a.png")
    assert recognise(tmp_path) == []


def test_boxes_that_cannot_be_used_are_told_though_there_are_classes(capsys, tmp_path):
    root = class_folders(tmp_path, "")
    (root / "boxes.json").write_text(IMAGE)
    _, err = run(capsys, "bench", "bundled:tiny-label", "point-in-box", "--data", root)
    assert "boxes.json, line 2: broken JSON" in " ".join(err.split())
    assert "without them: --on class-folders" in " ".join(err.split())
    assert recognised(root) == "class-folders"


def test_a_folder_that_is_none_is_a_mistake(capsys, root):
    (root / "file").touch()
    for kind, given, reason in (
        ("data", "x", "x does not exist; give the folder"),
        ("data", "file", "file is a file; give the folder"),
        ("models", "", "--data goes with `unlazy list data`, not with `unlazy list models`"),
    ):
        _, err = run(capsys, "list", kind, "--data", root / given)
        assert reason in " ".join(err.split())


def test_names_with_a_split(root):
    data = dataset_of(["data:voc07:test"], root)
    assert isinstance(data, VOC)
    assert (data.split, len(data)) == ("test", 1)
    assert dataset_of(["data:voc07"], root).split == "trainval"
    picture = root / "VOCdevkit/VOC2007/JPEGImages/000005.jpg"
    both = dataset_of(["data:voc07:test", str(picture)], root)
    assert [both.name_of(i) for i in range(2)] == ["000005.jpg", "JPEGImages/000005.jpg"]


@pytest.mark.parametrize(
    ("name", "root", "reason"),
    [
        ("voc07", None, "data:voc07 needs --data FOLDER"),
        ("tiny-imagenet", None, "data:tiny-imagenet needs --data FOLDER"),
        ("coco128:val", Path(), "has no splits; leave out :val"),
        ("photos:cat", None, "leave out :cat"),
        ("hf", None, "write data:hf:NAME"),
        ("images", None, "write data:images:IMAGES"),
    ],
)
def test_names_that_lack_something(name, root, reason):
    with pytest.raises(Mistake, match=reason):
        dataset_of([f"data:{name}"], root)


def test_what_is_no_such_data_is_one_line(capsys, root):
    _, err = run(capsys, "report", "bundled:tiny-label", "data:voc12", "--data", root)
    assert "no Pascal VOC 2012 in" in err
    assert "Traceback" not in err
