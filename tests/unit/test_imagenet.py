"""ImageNet in the layouts that people have."""

import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from unlazy.bench_inputs import benchmark_data
from unlazy.catalog import find
from unlazy.data.imagenet import ImageNet

WNIDS = ("n01440764", "n02119789", "n02123045")  # tench, kit fox, tabby: sorted
NAMES = "n01440764 tench, Tinca tinca\nn02119789 kit fox\nn02123045 tabby, tabby cat\n"
SIZE = (40, 30)


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE, "grey").save(path, "JPEG")


def annotation(path, *things, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin>"
        f"<xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for name, a, b, c, d in things
    )
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    path.write_text(f"<annotation>{sides}{objects}</annotation>")


def val(number):
    return f"ILSVRC2012_val_{number:08d}"


@pytest.fixture
def flat(tmp_path):
    """Three pictures without class folders: tabby, tench, kit fox."""
    for number in (1, 2, 3):
        picture(tmp_path / "val" / f"{val(number)}.JPEG")
    return tmp_path


def labels(data):
    return [data[i].label for i in range(len(data))]


def development_kit(folder, *, rows=((1, 1), (2, 2), (3, 0), (4, None))):
    """ILSVRC's ids in another order than the wnids, and one inner node."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object)]
    table = np.zeros((len(rows), 1), dtype=kind)
    for place, (number, wnid) in enumerate(rows):
        name = "n00001740" if wnid is None else WNIDS[wnid]
        table[place, 0] = (np.array([[number]]), name, "words")
    savemat(folder / "meta.mat", {"synsets": table})


@pytest.mark.parametrize("place", ["", "data", "ILSVRC2012_devkit_t12/data"])
def test_the_ground_truth_goes_by_ilsvrcs_own_ids(flat, place):
    development_kit(flat / place)
    (flat / place / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n3\n1\n")
    data = ImageNet(flat)
    assert data.wnids == list(WNIDS)
    assert labels(data) == [2, 0, 1]


def test_the_ground_truth_alone_is_refused(flat):
    (flat / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n3\n1\n")
    with pytest.raises(FileNotFoundError, match=r"meta\.mat is missing.*not places among"):
        ImageNet(flat)
    (flat / "meta.mat").write_bytes(b"no matlab file")
    with pytest.raises(ValueError, match=r"meta\.mat is not"):
        ImageNet(flat)


def test_a_table_of_classes_cut_off_or_altered_anywhere_is_named(flat):
    development_kit(flat)
    (flat / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n3\n1\n")
    whole = (flat / "meta.mat").read_bytes()
    for length in (0, 10, 100, 128, 140, 200, len(whole) // 2):
        (flat / "meta.mat").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"meta\.mat is not ILSVRC's table of classes"):
            ImageNet(flat)
    altered = bytearray(whole)
    altered[144] = 18  # SciPy: UnboundLocalError
    (flat / "meta.mat").write_bytes(altered)
    with pytest.raises(ValueError, match=r"meta\.mat is not ILSVRC's table of classes"):
        ImageNet(flat)
    savemat(flat / "meta.mat", {"synsets": np.arange(4.0)})
    with pytest.raises(ValueError, match=r"meta\.mat is not ILSVRC's table of classes"):
        ImageNet(flat)


def test_a_part_of_the_pictures_keeps_its_labels(flat):
    development_kit(flat)
    (flat / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n3\n1\n")
    (flat / "LOC_synset_mapping.txt").write_text(NAMES)
    (flat / "val" / f"{val(1)}.JPEG").unlink()
    assert labels(ImageNet(flat)) == [0, 1]
    picture(flat / "val" / f"{val(9)}.JPEG")
    with pytest.raises(ValueError, match="has 3 labels"):
        ImageNet(flat)
    (flat / "val" / f"{val(9)}.JPEG").unlink()
    (flat / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n77\n1\n")
    with pytest.raises(ValueError, match="line 2: '77' is not in"):
        ImageNet(flat)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("val.txt", "{1}.JPEG 2\n{2}.JPEG 0\n{3}.JPEG 1\n"),
        ("val_labels.csv", "name,label\n{1}.JPEG,n02123045\n{2},n01440764\n{3},n02119789\n"),
        (
            "LOC_val_solution.csv",
            "ImageId,PredictionString\n{1},n02123045 1 2 3 4 n02123045 5 6 7 8 \n"
            "{2},n01440764 1 2 3 4 \n{3},n02119789 1 2 3 4 \n",
        ),
    ],
)
def test_lists_of_names_and_labels(flat, file, text):
    names = dict(zip("123", map(val, (1, 2, 3)), strict=True))
    for key, name in names.items():
        text = text.replace(f"{{{key}}}", name)
    (flat / file).write_text(text)
    (flat / "LOC_synset_mapping.txt").write_text(NAMES)
    data = ImageNet(flat)
    assert labels(data) == [2, 0, 1]
    assert data.classes == ["tench", "kit fox", "tabby"]


def test_lists_that_do_not_fit(flat):
    (flat / "val.txt").write_text(f"{val(1)}.JPEG 2\n{val(7)}.JPEG 0\n{val(2)}.JPEG x\n")
    with pytest.raises(FileNotFoundError, match="the list of classes is needed"):
        ImageNet(flat)
    (flat / "synsets.txt").write_text("".join(f"{wnid}\n" for wnid in WNIDS))
    with pytest.raises(ValueError, match=r"val\.txt, line 3: 'x' is no class"):
        ImageNet(flat)
    (flat / "val.txt").write_text(f"{val(1)}.JPEG 2\n{val(7)}.JPEG 0\n")
    data = ImageNet(flat)
    assert labels(data) == [2, None, None]
    assert "no picture" in data.problems[f"val.txt: {val(7)}"]
    assert "no label" in data.problems[f"{val(2)}.JPEG"]


@pytest.fixture
def folders(tmp_path):
    for place, wnid in enumerate(WNIDS[:2]):
        for number in (1, 2):
            picture(tmp_path / "val" / wnid / f"{val(10 * place + number)}.JPEG")
    return tmp_path


def test_class_folders(folders):
    data = ImageNet(folders)
    assert labels(data) == [0, 0, 1, 1]
    assert data[0].boxes is None
    assert data.name_of(0) == f"val/n01440764/{val(1)}.JPEG"
    assert "2 of 1000 are here" in data.problems["classes"]
    (folders / "words.txt").write_text("n01440764\ttench, Tinca tinca\n")
    assert ImageNet(folders).classes == ["tench", "n02119789"]


def test_a_list_of_all_classes_gives_the_index(folders):
    (folders / "synset_words.txt").write_text("n00007846 person\n" + NAMES)
    assert labels(ImageNet(folders)) == [1, 1, 2, 2]
    (folders / "synset_words.txt").write_text("n02119789 kit fox\n")
    data = ImageNet(folders)
    assert labels(data) == [None, None, 0, 0]
    assert "not in the list" in data.problems["n01440764"]


@pytest.mark.parametrize(
    "place", ["val", "bbox/val", "boxes/val", "ILSVRC2012_bbox_val_v3/val", "Annotations/val"]
)
def test_boxes_are_inclusive_from_zero(folders, place):
    annotation(folders / place / f"{val(1)}.xml", ("n01440764", 0, 5, 39, 29))
    data = ImageNet(folders)
    assert data[0].boxes.tolist() == [[0, 5, 40, 30]]
    assert data[0].box_labels.tolist() == [0]
    assert data[1].boxes is None
    assert data.counts["pictures without annotation"] == 3
    assert set(data.problems) == {"classes"}  # a box up to the last pixel is no problem


def test_bad_boxes_are_named(folders):
    boxes = folders / "bbox" / "val"
    annotation(boxes / f"{val(1)}.xml", ("n09999999", 0, 5, 41, 29))
    annotation(boxes / f"{val(2)}.xml", ("n01440764", 0, 5, 9, 9), size=(500, 375))
    (boxes / f"{val(11)}.xml").write_text("<annotation>\n</bad>")
    annotation(boxes / f"{val(99)}.xml", ("n01440764", 0, 5, 9, 9))
    data = ImageNet(folders)
    assert "n09999999" in data.problems[f"{val(1)}.JPEG"]
    assert "is cut" in data.problems[f"val/n01440764/{val(1)}.JPEG"]
    assert "for 500 x 375 pixels" in data.problems[f"val/n01440764/{val(2)}.JPEG"]
    assert f"{val(11)}.xml, line 2: broken XML" in data.problems[f"{val(11)}.JPEG"]
    assert "no picture" in data.problems[f"bbox/val/{val(99)}.xml"]
    assert [data[i].boxes is None for i in range(4)] == [False, True, True, True]
    assert data[0].box_labels.tolist() == [-1]


def test_kaggles_layout_and_training_pictures(tmp_path):
    base = tmp_path / "ILSVRC"
    for wnid in WNIDS:
        picture(base / "Data" / "CLS-LOC" / "train" / wnid / f"{wnid}_1.JPEG")
    box = base / "Annotations" / "CLS-LOC" / "train" / WNIDS[1] / f"{WNIDS[1]}_1.xml"
    annotation(box, (WNIDS[1], 1, 1, 9, 9))
    (tmp_path / "LOC_synset_mapping.txt").write_text(NAMES)
    data = ImageNet(tmp_path, "train")
    assert labels(data) == [0, 1, 2]
    assert [each.objects is None for each in data.entries] == [True, False, True]


def test_boxes_are_read_where_a_benchmark_needs_them_and_never_to_learn(folders, monkeypatch):
    shutil.copytree(folders / "val", folders / "train")
    read = []
    monkeypatch.setattr("unlazy.data.imagenet._boxes", lambda root, split: read.append(split) or {})
    knn, inside = (find("benchmarks", name)() for name in ("knn", "point-in-box"))
    benchmark_data([knn], "imagenet", folders)
    assert read == []
    benchmark_data([knn, inside], "imagenet", folders)
    assert read == ["val"]


def test_what_is_missing_is_said(tmp_path, flat):
    with pytest.raises(FileNotFoundError, match="a file of labels is needed"):
        ImageNet(flat)
    with pytest.raises(FileNotFoundError, match="no train pictures of ImageNet"):
        ImageNet(flat, "train")
    picture(tmp_path / "other" / "val" / "images" / "val_0.JPEG")  # as in Tiny ImageNet
    with pytest.raises(FileNotFoundError, match="neither pictures nor a folder <wnid>"):
        ImageNet(tmp_path / "other")
