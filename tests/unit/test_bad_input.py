"""Bad annotations and pictures: every reader names them, every benchmark goes on without them."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from unlazy.backbones.trained import TrainedViT
from unlazy.backbones.vit import ViT, ViTConfig
from unlazy.benchmarks.card_boxes import SmallBoxes
from unlazy.catalog import find, table
from unlazy.data.box_folder import BoxFolder
from unlazy.data.class_folders import ClassFolders
from unlazy.data.coco import COCO
from unlazy.data.coco128 import COCO128
from unlazy.data.imagenet import ImageNet
from unlazy.data.pascal_xml import BrokenAnnotation
from unlazy.data.sample import Sample, Unreadable
from unlazy.data.spread import Chosen
from unlazy.data.synthetic import Scenes
from unlazy.data.tiny_imagenet import TinyImageNet
from unlazy.data.voc import voc12
from unlazy.geometry import View
from unlazy.measure import measure
from unlazy.report.bench import run_benchmark
from unlazy.report.lacking import check_pictures

WIDTH, HEIGHT = 64, 48
GOOD, SECOND = (8, 8, 24, 24), (30, 10, 50, 40)
FLAT, OUTSIDE, BEYOND = (8, 8, 8, 24), (70, 8, 90, 24), (40, 30, 100, 90)
BOXES = {  # picture -> boxes, xyxy half-open
    "one": [GOOD],
    "several": [GOOD, SECOND],
    "none": [],
    "flat": [GOOD, FLAT],
    "outside": [OUTSIDE],
    "beyond": [BEYOND],
    "strange": [GOOD],  # of a class that nobody knows
    "lonely": [GOOD],  # no picture
}
SAID = {
    "none": "no box",
    "flat": "no area",
    "outside": "lies outside",
    "beyond": "is cut",
    "strange": "unheard",
    "lonely": "no picture",
    "bare": "",  # a picture without annotation
}
CONFIG = ViTConfig(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=8)


def backbone(**changes):
    torch.manual_seed(0)
    model = ViT(dataclasses.replace(CONFIG, **changes))
    return TrainedViT(model, name="tiny", weights="random")


def picture(path, seed=0, size=(WIDTH, HEIGHT)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def pictures(folder, suffix):
    for seed, name in enumerate([*BOXES, "bare"]):
        if name != "lonely":
            picture(folder / f"{name}.{suffix}", seed)


def xml(path, boxes, name, *, shift=(0, 0)):
    """``shift``: what the format adds to half-open corners, at the start and at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = ("xmin", "ymin", "xmax", "ymax")
    steps = (shift[0], shift[0], shift[1], shift[1])
    objects = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(
            f"<{key}>{at + step}</{key}>" for key, at, step in zip(keys, box, steps, strict=True)
        )
        + "</bndbox></object>"
        for box in boxes
    )
    path.write_text(f"<annotation>\n{objects}</annotation>")


def as_voc(root):
    folder = root / "VOC2012"
    pictures(folder / "JPEGImages", "jpg")
    for name, boxes in BOXES.items():
        kind = "unheard" if name == "strange" else "cat"
        xml(folder / "Annotations" / f"{name}.xml", boxes, kind, shift=(1, 0))
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    names = "\n".join([*BOXES, "bare"])
    (folder / "ImageSets" / "Main" / "trainval.txt").write_text(names)
    return voc12(root)


def as_imagenet(root):
    pictures(root / "val" / "n00000001", "png")
    for name, boxes in BOXES.items():
        kind = "unheard" if name == "strange" else "n00000001"
        xml(root / "bbox" / "val" / f"{name}.xml", boxes, kind, shift=(0, -1))
    return ImageNet(root)


def as_class_folders(root):
    pictures(root / "val" / "cat", "png")
    for name, boxes in BOXES.items():
        kind = "unheard" if name == "strange" else "cat"
        xml(root / "boxes" / "val" / f"{name}.xml", boxes, kind, shift=(0, -1))
    return ClassFolders(root)


def instances(place="images/val2017/"):
    names = list(BOXES)
    annotations = [
        {
            "id": number,
            "image_id": names.index(name),
            "category_id": 9 if name == "strange" else 1,
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
        }
        for number, (name, box) in enumerate((n, box) for n, all_ in BOXES.items() for box in all_)
    ]
    return {
        "images": [{"id": at, "file_name": f"{name}.png"} for at, name in enumerate(names)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}],
    }


def as_coco(root):
    pictures(root / "val2017", "png")
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(instances()))
    return COCO(root)


def as_json(root):
    pictures(root, "png")
    (root / "boxes.json").write_text(json.dumps(instances()))
    return BoxFolder(root)


def as_csv(root):
    pictures(root, "png")
    rows = [
        f"{name}.png,{','.join(map(str, box))},{'unheard' if name == 'strange' else 'cat'}"
        for name, boxes in BOXES.items()
        for box in boxes
    ]
    (root / "boxes.csv").write_text("\n".join(rows))
    return BoxFolder(root)


def yolo(folder):
    folder.mkdir(parents=True)
    for name, boxes in BOXES.items():
        lines = [
            f"{7 if name == 'strange' else 0} {(box[0] + box[2]) / 2 / WIDTH}"
            f" {(box[1] + box[3]) / 2 / HEIGHT} {(box[2] - box[0]) / WIDTH}"
            f" {(box[3] - box[1]) / HEIGHT}"
            for box in boxes
        ]
        (folder / f"{name}.txt").write_text("\n".join(lines))


def as_yolo(root):
    pictures(root / "images", "png")
    yolo(root / "labels")
    (root / "data.yaml").write_text("names: [cat]")
    return BoxFolder(root)


def as_coco128(root):
    pictures(root / "images" / "train2017", "png")
    yolo(root / "labels" / "train2017")
    (root / "data.yaml").write_text("names: [cat]")
    return COCO128(root)


READERS = {
    "voc": as_voc,
    "imagenet": as_imagenet,
    "class folders": as_class_folders,
    "coco": as_coco,
    "box folder, json": as_json,
    "box folder, csv": as_csv,
    "box folder, yolo": as_yolo,
    "coco128": as_coco128,
}
WORDS = {  # how a reader says what it knows by another name, or "" where it cannot know
    ("voc", "lonely"): "there is an entry, but no picture",
    ("coco", "strange"): "category 9 is not in the file",
    ("box folder, json", "strange"): "category 9 is not in the file",
    ("box folder, json", "lonely"): "no such picture",
    ("box folder, csv", "lonely"): "there is no picture",
    ("box folder, csv", "none"): "it has no box",
    ("box folder, yolo", "strange"): "class 7 has no name",
    ("coco128", "strange"): "class 7 has no name",
    ("box folder, csv", "strange"): "",  # any word is a class there
}


@pytest.mark.parametrize("reader", READERS)
def test_every_flaw_is_named_and_the_rest_is_read(reader, tmp_path):
    data = READERS[reader](tmp_path)
    said = "\n".join(f"{name}: {reason}" for name, reason in data.problems.items())
    for flaw, words in SAID.items():
        words = WORDS.get((reader, flaw), words)
        assert words in said, f"{flaw}\n{said}"
    assert not {"one", "several"} & {stem(name) for name in data.problems}
    boxes = {stem(sample.name): sample.boxes for sample in all_of(data)}
    assert len(data) == len(boxes) >= 7
    for name, count in {"one": 1, "several": 2, "flat": 1, "outside": 0, "beyond": 1}.items():
        assert len(boxes[name]) == count, name
    assert boxes["beyond"].tolist() == [[40, 30, WIDTH, HEIGHT]]
    assert boxes["several"].tolist() == [list(GOOD), list(SECOND)]


def stem(name):
    return name.rpartition("/")[2].partition(".")[0]


def all_of(data):
    return [data[index] for index in range(len(data))]


@pytest.mark.parametrize("reader", READERS)
def test_benchmarks_of_boxes_count_what_the_readers_leave(reader, tmp_path):
    data = READERS[reader](tmp_path)
    for name in ("point-in-box", "discovery"):
        record = run_benchmark(find("benchmarks", name)(), backbone(), data, source=reader).record
        assert record.data["n"] == len(data)
        assert record.data["problems"] == dict(data.problems)
        (values,) = record.values.values()
        if name == "discovery":
            assert values["pictures"].value + values["pictures_without_box"].value == len(data)
        else:
            assert values["single/pictures"].value < values["all/pictures"].value < len(data)


def test_tiny_imagenet_names_bad_lines_boxes_and_foreign_classes(tmp_path):
    (tmp_path / "wnids.txt").write_text("n1\nn2\n")
    (tmp_path / "words.txt").write_text("n1\tcat, house cat\n")
    lines = ["0.png n1 0 0 9 9", "1.png n9 0 0 9 9", "2.png n1 9 9 0 0", "3.png n1 a b c d"]
    lines += ["4.png n1 0 0", "5.png n2 50 50 70 70", "6.png n1 0 0 9 9"]
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "val_annotations.txt").write_text("\n".join(lines))
    for number in range(6):
        picture(tmp_path / "val" / "images" / f"{number}.png", number, (64, 64))
    data = TinyImageNet(tmp_path)
    assert data.classes == ["cat", "n2"]
    said = data.problems
    assert "no area" in said["val/val_annotations.txt, line 3"]
    assert "not four numbers" in said["val/val_annotations.txt, line 4"]
    assert "4 fields, not 6" in said["val/val_annotations.txt, line 5"]
    assert "is cut" in said["val/val_annotations.txt, line 6"]
    assert said["n9"] == "not in wnids.txt: its 1 pictures are left out"
    record = run_benchmark(
        find("benchmarks", "point-in-box")(), backbone(), data, source="t"
    ).record
    assert (record.data["n"], record.data["skipped"]) == (4, 1)
    assert record.values["point_in_box"]["all/pictures"].value == 2


def test_broken_files_are_named_with_their_line(tmp_path):
    as_voc(tmp_path / "voc")
    (tmp_path / "voc" / "VOC2012" / "Annotations" / "one.xml").write_text("<annotation>\n</bad>")
    assert "one.xml, line 2: broken XML" in voc12(tmp_path / "voc").problems["JPEGImages/one.jpg"]
    as_class_folders(tmp_path / "folders")
    (tmp_path / "folders" / "boxes" / "val" / "one.xml").write_text("<annotation>\n</bad>")
    data = ClassFolders(tmp_path / "folders")
    assert "one.xml, line 2: broken XML" in data.problems["one.png"]
    assert len(all_of(data)) == 8  # the picture itself is as good as any
    as_json(tmp_path / "json")
    (tmp_path / "json" / "boxes.json").write_text('{"images": [],\n "annotations": [}')
    with pytest.raises(BrokenAnnotation, match=r"boxes\.json, line 2: broken JSON"):
        BoxFolder(tmp_path / "json")
    as_yolo(tmp_path / "yolo")
    lines = "nan 0.5 0.5 0.2 0.2\n0.5 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2\n"
    (tmp_path / "yolo" / "labels" / "one.txt").write_text(lines)
    found = BoxFolder(tmp_path / "yolo")
    assert "not a whole number" in found.problems["one.txt, line 1"]
    assert "not a whole number" in found.problems["one.txt, line 2"]


class Odd:
    """Pictures of all shapes, flat ones, one without a label, one hidden, one that is broken."""

    classes = Scenes().classes
    problems = {}
    sizes = ((1, 1), (3, 200), (900, 7), (64, 64), (33, 31), (64, 64), (64, 64), (64, 64))

    def __len__(self):
        return len(self.sizes) + 1

    def name_of(self, index):
        return f"odd {index}"

    def __getitem__(self, index):
        if index == len(self.sizes):
            raise Unreadable("the file is empty (0 bytes)")
        size = self.sizes[index]
        if index == 5:  # the same colour all over: all scores are equal
            image = Image.new("RGB", size, (124, 116, 104))
        else:
            pixels = np.random.default_rng(index).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
            image = Image.fromarray(pixels)
        mask = np.zeros(size[::-1], dtype=np.uint8)
        mask[: size[1] // 2 + 1] = 1
        boxes = np.array([[0, 0, size[0], max(1, size[1] // 2)]], dtype=np.float32)
        label = {6: None, 7: -1}.get(index, index % 2)
        return Sample(image, self.name_of(index), label=label, boxes=boxes, mask=mask)


@pytest.mark.parametrize("patch", [8, 32])  # 32: a single patch
@pytest.mark.parametrize("name", sorted({*table("benchmarks")} - {"zero-shot-classification"}))
def test_odd_pictures_stop_no_benchmark_and_none_is_lost(name, patch):
    benchmark = find("benchmarks", name)()
    if name == "linear":
        benchmark = dataclasses.replace(benchmark, epochs=1)
    model, odd = backbone(patch_size=patch), Odd()
    record = run_benchmark(benchmark, model, odd, odd, source="odd").record
    skipped = {each["name"]: each["reason"] for each in record.skipped}
    assert skipped["odd 8"] == "the file is empty (0 bytes)"
    expected = {"odd 8"}
    if "labels" in benchmark.needs:
        expected |= {"odd 6", "odd 7"}
        assert skipped["odd 6"] == skipped["odd 7"] == "it has no label"
    if name == "coarse-segmentation":
        expected |= {"odd 1", "odd 2"}
        assert "enlarged to 480 x 32000 pixels" in skipped["odd 1"]
    assert set(skipped) == expected
    assert record.data["n"] + record.data["skipped"] == len(odd)
    assert record.values
    json.loads(record.to_json())


def test_a_strip_that_would_be_scaled_to_no_end_is_skipped_and_named():
    class Strip(Odd):
        sizes = ((1, 90_000), (64, 64))

    data = Strip()
    view = View((32, 32), "pad", multiple=(8, 8), resize=64)
    seen = measure(backbone(), data, [SmallBoxes()], view=view)
    reasons = {item.name: item.reason for item in seen.skipped}
    assert "enlarged to 64 x 5760000 pixels" in reasons["odd 0"]
    assert list(seen.names.values()) == ["odd 1"]


def test_boxes_that_the_view_cuts_off_are_counted(tmp_path):
    picture(tmp_path / "wide.png", 0, (200, 40))
    picture(tmp_path / "other.png", 1, (40, 40))
    (tmp_path / "boxes.csv").write_text("wide.png,0,0,20,20\nother.png,0,0,20,20\n")
    data = BoxFolder(tmp_path)
    record = run_benchmark(
        find("benchmarks", "point-in-box")(), backbone(), data, source="x"
    ).record
    assert (record.data["boxes"], record.data["boxes_cropped_away"]) == (2, 1)
    assert record.values["point_in_box"]["all/pictures"].value == 1


def test_few_pictures_with_boxes_among_many_without_are_enough(tmp_path):
    for place in range(40):
        picture(tmp_path / f"{place:02}.png", place, (32, 32))
    (tmp_path / "boxes.csv").write_text("01.png,0,0,20,20\n")
    data = BoxFolder(tmp_path)
    record = run_benchmark(
        find("benchmarks", "point-in-box")(), backbone(), data, source="x"
    ).record
    assert record.values["point_in_box"]["all/pictures"].value == 1
    assert record.data["n"] == 40


def test_few_pictures_with_masks_among_many_without_are_enough(tmp_path):
    pytest.importorskip("pycocotools", reason="it is not installed: make install")
    for place in range(300):
        picture(tmp_path / f"{place:03}.png", place, (8, 8))
    square = [[1, 1, 6, 1, 6, 6, 1, 6]]
    names = [f"{place:03}.png" for place in range(300)]
    content = {
        "images": [{"id": place, "file_name": name} for place, name in enumerate(names)],
        "categories": [{"id": 1, "name": "box"}],
        "annotations": [
            {"id": place, "image_id": place, "category_id": 1, "bbox": [1, 1, 5, 5]}
            | ({"segmentation": square} if place == 7 else {})
            for place in range(300)
        ],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    data, benchmark = BoxFolder(tmp_path, masks=True), find("benchmarks", "coarse-segmentation")()
    assert data.counts["masks"] == 1
    check_pictures(benchmark, data, "x")
    content["annotations"][7]["segmentation"] = []
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="needs masks; none of the 300 pictures of x has any"):
        check_pictures(benchmark, BoxFolder(tmp_path, masks=True), "x")


def test_data_without_counts_are_looked_at_further():
    class Few:
        def __len__(self):
            return 256

        def __getitem__(self, index):
            return Sample(Image.new("RGB", (8, 8)), str(index), label=0 if index == 3 else None)

    asks = find("benchmarks", "classification")()
    check_pictures(asks, Few(), "x")
    with pytest.raises(ValueError, match="needs labels; none of 2 pictures of x looked at has any"):
        check_pictures(asks, Chosen(Few(), [0, 1]), "x")


@pytest.mark.parametrize("counts", [True, False])
def test_boxes_that_were_all_left_out_are_no_boxes(counts, tmp_path):
    class Uncounted(Chosen):
        problems = {"scan 7": "box 1 lies outside"}

    picture(tmp_path / "images" / "val2017" / "one.png")
    found = instances() | {"images": [{"id": 1, "file_name": "one.png"}]}
    found["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [500, 0, 9, 9]}]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val2017.json").write_text(json.dumps(found))
    data = COCO(tmp_path) if counts else Uncounted(COCO(tmp_path), [0])
    assert data[0].boxes.shape == (0, 4)
    with pytest.raises(
        ValueError, match=r"point-in-box needs boxes; none .*; for example .*outside"
    ):
        run_benchmark(find("benchmarks", "point-in-box")(), backbone(), data, source="x")


def test_a_picture_with_an_empty_list_of_boxes_passes_a_card():
    class Empty(Odd):
        sizes = ((64, 64),)

        def __getitem__(self, index):
            found = super().__getitem__(index)
            return dataclasses.replace(found, boxes=np.zeros((0, 4), dtype=np.float32))

    seen = measure(backbone(), Empty(), [SmallBoxes()], view=View((32, 32)))
    assert SmallBoxes().conclude(seen.seen["small_boxes"]) == {"n": 0.0}
