"""Folders of pictures with boxes in a CSV, a JSON or text files."""

import json

import pytest
from PIL import Image

from unlazy.bench_inputs import recognised
from unlazy.data.box_folder import BoxFolder
from unlazy.inputs import Mistake

SIZE = (40, 30)


def pictures(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, "grey").save(folder / name)


@pytest.fixture
def root(tmp_path):
    pictures(tmp_path, "cat/a.png", "cat/b.png", "dog/a.png", "dog/c.png")
    return tmp_path


def test_a_csv_with_and_without_heading(root):
    rows = "cat/a.png,1,2,11,12,cat\nc.png,0,0,40.5,30,dog\ncat/a.png,5,5,6,6,dog\n"
    for heading in ("", "name,xmin,ymin,xmax,ymax,label\n"):
        (root / "boxes.csv").write_text(heading + rows)
        data = BoxFolder(root)
        assert data.classes == ["cat", "dog"]
        assert [data[i].label for i in range(4)] == [0, 0, 1, 1]
        assert data[0].boxes.tolist() == [[1, 2, 11, 12], [5, 5, 6, 6]]
        assert data[0].box_labels.tolist() == [0, 1]
        assert data[1].boxes is None
        assert data[3].boxes.tolist() == [[0, 0, 40, 30]]
        assert set(data.problems) == {"cat/b.png", "dog/a.png", "dog/c.png"}


def test_columns_go_by_their_names(root):
    (root / "mine.csv").write_text("label,ymax,xmax,ymin,xmin,name\ncat,4,3,2,1,b.png\n")
    assert BoxFolder(root)[1].boxes.tolist() == [[1, 2, 3, 4]]


def test_bad_lines_are_named_and_the_rest_goes_on(root):
    lines = ["a.png,1,2,3,4", "b.png,1,2,3", "b.png,1,x,3,4", "none.png,1,2,3,4", ""]
    lines += ["c.png,1,2,3,4,yeti", "c.png,1,2,3,4,cat", "c.png,1,2,3,4,cat,5"]
    (root / "boxes.csv").write_text("\n".join(lines))
    data = BoxFolder(root)
    assert "or several" in data.problems["boxes.csv, line 1"]  # two folders have an a.png
    assert "left out" in data.problems["boxes.csv, line 2"]
    assert "left out" in data.problems["boxes.csv, line 3"]
    assert "no picture 'none.png'" in data.problems["boxes.csv, line 4"]
    assert data.problems["boxes.csv, line 6"] == "class 'yeti' is none of cat, dog"
    assert "left out" in data.problems["boxes.csv, line 8"]
    assert data[3].boxes.tolist() == [[1, 2, 3, 4]] * 2
    assert data[3].box_labels.tolist() == [-1, 0]


def test_a_plain_folder_takes_the_classes_of_its_boxes(tmp_path):
    pictures(tmp_path, "x.png", "y.png")
    (tmp_path / "boxes.csv").write_text("x.png,1,2,3,4,owl\ny.png,1,2,3,4,ant\n")
    data = BoxFolder(tmp_path)
    assert data.classes == ["ant", "owl"]
    assert (data[0].label, data[0].box_labels.tolist()) == (None, [1])


def test_cocos_json(root):
    found = {
        "images": [
            {"id": 4, "file_name": "b.png", "width": 40, "height": 30},
            {"id": 5, "file_name": "gone.png"},
        ],
        "annotations": [
            {"id": 1, "image_id": 4, "category_id": 7, "bbox": [1, 2, 3, 4]},
            {"id": 2, "image_id": 5, "category_id": 7, "bbox": [1, 2, 3, 4]},
        ],
        "categories": [{"id": 7, "name": "ear"}],
    }
    (root / "made.json").write_text(json.dumps(found))
    (root / "settings.json").write_text("{}")
    data = BoxFolder(root)
    assert data.classes == ["cat", "dog"]
    assert data.box_classes == ["ear"]
    assert data[1].boxes.tolist() == [[1, 2, 4, 6]]
    assert data[1].label == 0
    assert data[0].boxes is None
    assert "no such picture" in data.problems["made.json: gone.png"]
    assert "not in made.json" in data.problems["cat/a.png"]


def test_yolo_beside_the_pictures_and_in_labels(tmp_path):
    for place, folder in enumerate(("beside", "apart")):
        root = tmp_path / folder
        pictures(root, *(["x.png", "y.png"], ["images/t/x.png", "images/t/y.png"])[place])
        file = root / ("x.txt", "labels/t/x.txt")[place]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1 0.5 0.5 0.5 1\n")
        (root / "data.yaml").write_text("names: [cat, dog]\n")
        data = BoxFolder(root)
        assert data[0].boxes.tolist() == [[10, 0, 30, 30]]
        assert [data.classes[label] for label in data[0].box_labels] == ["dog"]
        assert data[1].boxes is None
        assert [*data.problems.values()] == ["it has no text file of boxes"]


def test_polygons_of_yolo_give_the_box_around_them_and_their_outline(tmp_path):
    pictures(tmp_path, "a.png", "b.png", "c.png")
    polygon, box = "0 0.25 0 0.5 0 0.5 0.5 0.25 0.5\n", "0 0.5 0.5 0.5 1\n"
    for name, text in (("a", polygon), ("b", box), ("c", polygon + box)):
        (tmp_path / f"{name}.txt").write_text(text)
    (tmp_path / "classes.txt").write_text("cat\n")
    data = BoxFolder(tmp_path)
    assert data[0].boxes.tolist() == [[10, 0, 20, 15]]
    assert data[2].boxes.tolist() == [[10, 0, 20, 15], [10, 0, 30, 30]]
    assert data[0].mask is None
    assert data.problems == {}
    pytest.importorskip("pycocotools", reason="it is not installed: make install")
    masked = BoxFolder(tmp_path, masks=True)
    assert masked[0].mask.sum() == masked[0].mask[:15, 10:20].sum() == 150
    assert (masked[1].mask, masked[2].mask) == (None, None)
    assert masked.problems == {"c.txt": "not every line is a polygon: its picture has no mask"}


def test_splits_of_yolo_with_their_names_above(tmp_path):
    for split in ("train", "valid"):
        pictures(tmp_path, f"{split}/images/{split}.png")
        (tmp_path / split / "labels").mkdir()
        (tmp_path / split / "labels" / f"{split}.txt").write_text("1 0.5 0.5 0.5 1\n")
    (tmp_path / "valid" / "labels" / "gone.txt").write_text("1 0.5 0.5 0.5 1\n")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]\n")
    for root, count in ((tmp_path, 2), (tmp_path / "valid", 1)):
        data = BoxFolder(root)
        assert [each.boxes.tolist() for each in map(data.__getitem__, range(len(data)))] == [
            [[10, 0, 30, 30]]
        ] * count
        assert [data.classes[label] for label in data[0].box_labels] == ["dog"]
        assert data.problems == {"gone.txt": "there are boxes, but no picture"}


def test_a_csv_of_a_labelling_tool(tmp_path):
    pictures(tmp_path, "x.png")
    for name in ("filename", "image"):
        heading = f"{name},width,height,class,xmin,ymin,xmax,ymax\n"
        (tmp_path / "_annotations.csv").write_text(f"{heading}x.png,40,30,owl,1,2,11,12\n")
        data = BoxFolder(tmp_path)
        assert data[0].boxes.tolist() == [[1, 2, 11, 12]]
        assert (data.classes, data.problems) == (["owl"], {})


def test_the_folder_above_is_named_with_dots(tmp_path, monkeypatch):
    pictures(tmp_path, "x.png")
    (tmp_path / "boxes.csv").write_text("x.png,1,2,3,4\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert BoxFolder("..").name_of(0) == "x.png"


def test_boxes_of_which_none_can_be_used_are_told_with_reasons(tmp_path):
    pictures(tmp_path, "x.png")
    (tmp_path / "boxes.csv").write_text("gone.png,1,2,3,4\nx.png,50,0,60,9\n")
    reasons = r"no box that can be used in boxes\.csv: .*no picture 'gone\.png'.*lies outside"
    with pytest.raises(ValueError, match=reasons):
        BoxFolder(tmp_path)
    with pytest.raises(Mistake, match=reasons):
        recognised(tmp_path)


def test_names_that_are_no_yaml(tmp_path):
    pictures(tmp_path, "x.png")
    (tmp_path / "x.txt").write_text("0 0.5 0.5 0.5 1\n")
    (tmp_path / "data.yaml").write_text("path: .\nnames: [cat,\n")
    with pytest.raises(ValueError, match=r"data\.yaml, line 3: broken YAML"):
        BoxFolder(tmp_path)
    (tmp_path / "data.yaml").write_text("kpt_shape: [17, 2]\nnames: [cat]\n")
    with pytest.raises(ValueError, match="keypoints are not read"):
        BoxFolder(tmp_path)
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_text("cat\n")
    assert BoxFolder(tmp_path).classes == ["cat"]


def test_what_is_missing_or_twofold_is_said(root):
    with pytest.raises(FileNotFoundError, match=r"no boxes: put boxes\.csv"):
        BoxFolder(root)
    for name in ("a.csv", "b.csv"):
        (root / name).write_text("a.png,1,2,3,4\n")
    with pytest.raises(ValueError, match=r"a\.csv, b\.csv; name the one"):
        BoxFolder(root)
    with pytest.raises(FileNotFoundError, match="no folder"):
        BoxFolder(root / "nowhere")
