"""Pascal VOC in its own layout: XML, palette PNGs, lists."""

import numpy as np
import pytest
from PIL import Image

from unlazy.data.sample import Unreadable
from unlazy.data.voc import CLASSES, VOC, voc07

SIZE = (40, 30)  # width, height


def thing(name, box, **flags):
    corners = "".join(
        f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    flags = "".join(f"<{key}>{value}</{key}>" for key, value in flags.items())
    return f"<object>\n<name>{name}</name>{flags}\n<bndbox>{corners}</bndbox>\n</object>\n"


def annotate(folder, name, *things, size=SIZE):
    text = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>\n"
    path = folder / "Annotations" / f"{name}.xml"
    path.write_text(f"<annotation>\n{text}{''.join(things)}</annotation>\n")


def paint(folder, name, values):
    image = Image.fromarray(values)
    image.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    image.save(folder / f"{name}.png")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "VOCdevkit" / "VOC2007"
    for name in (
        *("JPEGImages", "Annotations", "ImageSets/Main", "ImageSets/Segmentation"),
        *("SegmentationClass", "SegmentationObject"),
    ):
        (folder / name).mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", SIZE, (50 * number,) * 3).save(folder / f"JPEGImages/00000{number}.jpg")
    head = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    dog = thing("dog", (1, 1, 20, 30), truncated=1, difficult=0)
    person = thing("person", (11, 6, 40, 30), truncated=0, difficult=1)
    annotate(folder, "000000", dog, person.replace("</object>", f"{head}</object>"))
    annotate(folder, "000001", thing("cat", (5.5, 5, 10, 9.25)))
    annotate(folder, "000002")
    annotate(folder, "000003", thing("cat", (2, 2, 9, 9)))
    (folder / "ImageSets/Main/trainval.txt").write_text("000000\n000001\n000002\n")
    (folder / "ImageSets/Main/dog_trainval.txt").write_text("000000  1\n000001 -1\n")
    (folder / "ImageSets/Segmentation/val.txt").write_text("000000\n000003\n")
    classes = np.zeros(SIZE[::-1], dtype=np.uint8)
    classes[:, :10], classes[:, 10:12], classes[5:, 12:] = 12, 255, 15  # dog, void, person
    objects = np.select([classes == 12, classes == 15, classes == 255], [1, 2, 255]).astype("u1")
    paint(folder / "SegmentationClass", "000000", classes)
    paint(folder / "SegmentationObject", "000000", objects)
    return folder


@pytest.mark.parametrize("up", [0, 1, 2])
def test_the_root_is_the_year_the_devkit_or_what_holds_it(folder, up):
    root = [folder, folder.parent, folder.parent.parent][up]
    assert [voc07(root).name_of(i) for i in range(3)] == [
        f"JPEGImages/00000{i}.jpg" for i in range(3)
    ]


def test_boxes_count_from_one_with_the_last_pixel(folder):
    sample = voc07(folder)[0]
    assert sample.boxes.dtype == np.float32
    assert sample.boxes.tolist() == [[0, 0, 20, 30], [10, 5, 40, 30]]
    assert [CLASSES[label] for label in sample.box_labels] == ["dog", "person"]
    assert sample.difficult.tolist() == [False, True]
    assert sample.truncated.tolist() == [True, False]
    assert voc07(folder)[1].boxes.tolist() == [[4.5, 4, 10, 9.25]]  # VOC 2012 has fractions
    assert voc07(folder)[1].difficult.tolist() == [False]  # 2012 leaves some flags out


def test_a_picture_without_object_has_no_row_and_is_named(folder):
    data = voc07(folder)
    assert data[2].boxes.shape == (0, 4)
    assert data.problems == {"JPEGImages/000002.jpg": "it has no box"}
    assert data.counts == {
        "pictures": 3,
        "labels": 0,
        "boxes": 3,
        "pictures without annotation": 0,
        "pictures without a box": 1,
        "pictures with one box": 1,
        "pictures with several boxes": 1,
        "masks": 0,
    }


def test_a_picture_that_is_listed_twice_counts_once(folder):
    (folder / "ImageSets/Main/trainval.txt").write_text("000001\n000000\n000001\n")
    data = voc07(folder)
    assert [data.name_of(i)[-5:] for i in range(len(data))] == ["1.jpg", "0.jpg"]
    assert "listed again" in data.problems["JPEGImages/000001.jpg"]


def test_masks_of_classes_objects_and_void(folder):
    data = VOC(folder, 2007, "val", masks=True)
    assert len(data) == 1
    assert "no mask" in data.problems["JPEGImages/000003.jpg"]
    sample = data[0]
    assert sample.mask[0, 0] == CLASSES.index("dog") + 1
    assert sample.mask[29, 39] == CLASSES.index("person") + 1
    assert sample.mask[0, 39] == 0
    assert sample.mask[0, 10] == 0
    assert sample.void.sum() == 2 * 30
    assert sample.void[:, 10:12].all()
    assert sample.instances.shape == (2, 30, 40)
    assert (sample.instances[0] == (sample.mask == 12)).all()
    assert (sample.instances[1] == (sample.mask == 15)).all()


def test_instances_stay_with_their_boxes_when_one_is_left_out(folder):
    first = thing("dog", (20, 5, 10, 30))  # without an area
    annotate(folder, "000000", first, thing("person", (11, 6, 40, 30)))
    sample = VOC(folder, 2007, "val", masks=True)[0]
    assert len(sample.boxes) == len(sample.instances) == 1
    assert (sample.instances[0] == (sample.mask == 15)).all()


def test_masks_in_colour_or_of_another_size_are_unreadable(folder):
    data = VOC(folder, 2007, "val", masks=True)
    path = folder / "SegmentationClass" / "000000.png"
    Image.new("RGB", SIZE).save(path)
    with pytest.raises(Unreadable, match="mode RGB"):
        data[0]
    Image.new("L", (5, 4)).save(path)
    with pytest.raises(Unreadable, match="5 x 4 pixels, the picture 40 x 30"):
        data[0]
    Image.new("L", SIZE, 33).save(path)
    with pytest.raises(Unreadable, match=r"values \[33\]"):
        data[0]


def test_bad_annotations_are_named_with_file_and_line_and_the_rest_goes_on(folder):
    (folder / "Annotations" / "000000.xml").write_text("<annotation>\n<object>\n</annotation>")
    annotate(folder, "000001", thing("cat", (1, 1, "x", 9)), thing("yeti", (1, 1, 9, 9)))
    annotate(folder, "000003", size=(30, 40))
    (folder / "Annotations" / "000002.xml").unlink()
    (folder / "ImageSets/Main/trainval.txt").write_text("000000\n000001\n000002\n000003\n9\n")
    data = voc07(folder)
    problems = {name.removeprefix("JPEGImages/"): text for name, text in data.problems.items()}
    assert len(data) == 4
    assert "000000.xml, line 3: broken XML" in problems["000000.jpg"]
    assert "000001.xml, line 3: an object was left out: its xmax is 'x'" in problems["000001.jpg"]
    assert "'yeti'" in problems["000001.jpg"]
    assert "cannot be read" in problems["000002.jpg"]
    assert "for 30 x 40 pixels, the picture has 40 x 30" in problems["000003.jpg"]
    assert "exchanged" in problems["000003.jpg"]
    assert "no picture" in problems["9.jpg"]
    assert [data[i].boxes is None for i in range(4)] == [True, False, True, True]
    assert data[1].box_labels.tolist() == [-1]


def test_boxes_beyond_the_picture(folder):
    outside, partly = thing("cat", (41, 1, 60, 9)), thing("cat", (31, 1, 60, 9))
    annotate(folder, "000000", outside, partly, thing("cat", (9, 9, 8, 9)))
    data = voc07(folder)
    assert data[0].boxes.tolist() == [[30, 0, 40, 9]]
    reasons = data.problems["JPEGImages/000000.jpg"].split("; ")
    assert [reason[:5] for reason in reasons] == ["box 1", "box 2", "box 3"]
    for reason, word in zip(reasons, ("outside", "cut", "no area"), strict=True):
        assert word in reason


def test_what_is_missing_is_said(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="Pascal VOC 2012"):
        VOC(tmp_path / "VOCdevkit")
    with pytest.raises(FileNotFoundError, match=r"no split 'test'.*trainval in"):
        voc07(folder, "test")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        voc07(tmp_path / "nowhere")
