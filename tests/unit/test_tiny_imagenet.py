import shutil

import numpy as np
import pytest
from PIL import Image

from unlazy.data.sample import Unreadable
from unlazy.data.tiny_imagenet import SIDE, TinyImageNet

WNIDS = ("n02", "n01")  # the order of wnids.txt is the order of labels


def picture(path, value, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIDE, SIDE), (value,) * 3).convert(mode).save(path, "JPEG")


@pytest.fixture
def root(tmp_path):
    """Two classes with two training images each, and three validation images."""
    (tmp_path / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    (tmp_path / "words.txt").write_text("n01\tcat, house cat\nn02\tdog\nn03\tnot in the set\n")
    for label, wnid in enumerate(WNIDS):
        folder = tmp_path / "train" / wnid
        lines = []
        for number in range(2):
            name = f"{wnid}_{number}.JPEG"
            picture(folder / "images" / name, 100 * label + 10 * number, "L" if number else "RGB")
            lines.append(f"{name}\t{number}\t{label}\t40\t63\n")
        (folder / f"{wnid}_boxes.txt").write_text("".join(lines))
    rows = [("val_0.JPEG", "n01"), ("val_1.JPEG", "n03"), ("val_2.JPEG", "n02")]
    for number, (name, _) in enumerate(rows):
        picture(tmp_path / "val" / "images" / name, 50 * number)
    text = "".join(f"{name}\t{wnid}\t0\t0\t63\t31\n" for name, wnid in rows)
    (tmp_path / "val" / "val_annotations.txt").write_text(text)
    return tmp_path


def test_training_split(root):
    data = TinyImageNet(root, "train")
    samples = [data[i] for i in range(len(data))]
    assert [sample.label for sample in samples] == [0, 0, 1, 1]
    assert samples[3].name == "train/n01/images/n01_1.JPEG"
    assert samples[3].image.mode == "RGB"  # stored in grey
    assert samples[3].image.size == (SIDE, SIDE)
    assert abs(np.asarray(samples[3].image).mean() - 110) < 2


def test_inclusive_boxes_become_half_open(root):
    box = TinyImageNet(root, "train")[3].boxes
    assert box.dtype == np.float32
    assert box.tolist() == [[1, 1, 41, 64]]


def test_labels_and_class_names_follow_wnids(root):
    assert TinyImageNet(root).wnids == ["n02", "n01"]
    assert TinyImageNet(root).classes == ["dog", "cat"]


def test_validation_split_is_the_default_and_leaves_out_foreign_classes(root):
    data = TinyImageNet(str(root))
    assert [data[i].name for i in range(len(data))] == [
        "val/images/val_0.JPEG",
        "val/images/val_2.JPEG",
    ]
    assert [data[i].label for i in range(len(data))] == [1, 0]
    assert data[1].boxes.tolist() == [[0, 0, 64, 32]]


def test_names_are_unique(root):
    names = [
        sample.name
        for split in ("train", "val")
        for data in [TinyImageNet(root, split)]
        for sample in (data[i] for i in range(len(data)))
    ]
    assert len(names) == len(set(names)) == 6


@pytest.mark.parametrize("split", ["train", "val"])
def test_pixels_are_those_of_the_samples(root, split):
    data = TinyImageNet(root, split)
    images, labels = data.pixels()
    assert images.shape == (len(data), SIDE, SIDE, 3)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    for index in range(len(data)):
        assert labels[index] == data[index].label
        assert (images[index] == np.asarray(data[index].image)).all()


def test_another_folder_is_refused_with_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"wnids\.txt must lie there"):
        TinyImageNet(tmp_path)


def test_a_split_that_is_none_is_refused(root):
    with pytest.raises(ValueError, match="no split 'test'; use train or val"):
        TinyImageNet(root, "test")


def test_a_missing_or_broken_picture_is_unreadable_when_it_is_read(root):
    (root / "val" / "images" / "val_0.JPEG").unlink()
    (root / "val" / "images" / "val_2.JPEG").write_bytes(b"")
    data = TinyImageNet(root)
    with pytest.raises(Unreadable, match="no such file"):
        data[0]
    with pytest.raises(Unreadable, match="0 bytes"):
        data[1]


def test_the_folder_around_it_will_do(root, tmp_path_factory):
    """As `list data` says of it."""
    around = tmp_path_factory.mktemp("around")
    shutil.copytree(root, around / "tiny-imagenet-200")
    assert len(TinyImageNet(around)) == len(TinyImageNet(root))
