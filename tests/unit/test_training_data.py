"""What a run reads: class folders, caption shards, bad files; the same batches on any rank."""

import dataclasses
import io
import itertools
import json
import shutil
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from unlazy import distributed
from unlazy.data.captions import CaptionShards
from unlazy.data.class_folders import ClassFolders
from unlazy.data.sample import Unreadable
from unlazy.report.card import Splits, write_card
from unlazy.training import feeds
from unlazy.training.distill import Distill
from unlazy.training.reading import transform_of
from unlazy.training.recipes import DistillRecipe, LabelRecipe, TextRecipe, ViTConfig
from unlazy.training.run import describe, run
from unlazy.training.sources import hold, open_source
from unlazy.training.views import MEAN, STD, Colour

MODEL = ViTConfig(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=2)
READING = {"hold": False, "crop": "resized", "batch": 4, "epochs": 2, "workers": 0, "log_every": 1}
READ = LabelRecipe(
    *("read", MODEL, "imagenet"), **READING, evaluate_every=2, rand_augment="rand-m5", erasing=0.5
)
TEXT = TextRecipe("text", dataclasses.replace(MODEL, num_classes=12), "captions", **READING)


def picture(seed: int, size=(40, 50)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer := io.BytesIO(), format="PNG")
    return buffer.getvalue()


@pytest.fixture
def folders(tmp_path):
    root = tmp_path / "imagenet"
    for split, count in (("train", 6), ("val", 3)):
        for place, name in enumerate(("n01_cat", "n02_dog")):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                path = root / split / name / f"{split}{place}_{index}.png"
                path.write_bytes(picture(100 * place + index))
    (root / "boxes" / "val").mkdir(parents=True)
    box = "<object><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>19</ymax></bndbox>"
    (root / "boxes" / "val" / "val0_1.xml").write_text(f"<annotation>{box}</object></annotation>")
    return root


def add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path):
    root = tmp_path / "captions"
    root.mkdir()
    for place in range(2):
        with tarfile.open(root / f"{place:05d}.tar", "w") as shard:
            for index in range(4):
                add(shard, f"{index:06d}.png", picture(index + 10 * place))
                text = f"picture {index} of shard {place}"
                if index % 2:
                    add(shard, f"{index:06d}.txt", text.encode())
                else:
                    add(shard, f"{index:06d}.json", json.dumps({"caption": text}).encode())
    return root


def test_class_folders_have_labels_names_and_boxes(folders):
    found = ClassFolders(folders, "val")
    assert found.classes == ["n01 cat", "n02 dog"]
    assert [found[index].label for index in (0, 5)] == [0, 1]
    assert found[1].boxes.tolist() == [[1, 2, 10, 20]]
    assert found[0].boxes is None
    (folders / "words.txt").write_text("n01_cat\ttabby, tabby cat\nn02_dog\tpug\n")
    (folders / "train" / ".ipynb_checkpoints").mkdir()
    (folders / "train" / "n01_cat" / "._0.png").write_bytes(b"what macOS leaves")
    count = len(ClassFolders(folders, "train"))
    assert ClassFolders(folders, "train").classes == ["tabby", "pug"]
    assert not any("._" in ClassFolders(folders, "train").name_of(place) for place in range(count))


def test_a_folder_of_another_layout_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder train; it must hold train/<class>/"):
        open_source(READ, tmp_path)


def test_training_takes_other_names_of_the_validation_folder(folders):
    (folders / "val").rename(folders / "validation")
    assert len(open_source(READ, folders).validation) == len(ClassFolders(folders, "val"))


def test_another_number_of_classes_says_which_to_set(folders):
    wrong = dataclasses.replace(READ, model=dataclasses.replace(MODEL, num_classes=1000))
    with pytest.raises(ValueError, match=r"has 2 classes, .* 1000; use model.num_classes=2"):
        open_source(wrong, folders)


def test_shards_give_pictures_with_their_captions(shards):
    found = CaptionShards(shards)
    assert len(found) == 8
    assert found[5].caption == "picture 1 of shard 1"
    assert found[4].caption == "picture 0 of shard 1"
    expected = np.asarray(Image.open(io.BytesIO(picture(11))))
    assert np.array_equal(np.asarray(found[5].image), expected)
    assert found.skipped == {}


def test_bad_samples_of_shards_are_skipped_and_named(shards):
    with tarfile.open(shards / "00002.tar", "w") as shard:
        add(shard, "lonely.png", picture(0))
        add(shard, "blind.txt", b"no picture")
        add(shard, "broken.png", b"no png at all")
        add(shard, "broken.txt", b"a caption")
        add(shard, "mute.png", picture(1))
        add(shard, "mute.json", b'{"key": 1}')
        add(shard, "listed.png", picture(2))
        add(shard, "listed.json", b'["a list"]')
        add(shard, "number.png", picture(3))
        add(shard, "number.json", b'{"caption": 5}')
        add(shard, "silent.png", picture(4))
        add(shard, "silent.txt", b"  ")
        add(shard, "curly.png", picture(5))
        add(shard, "curly.txt", b"{curly} cat")
        add(shard, "bytes.png", picture(6))
        add(shard, "bytes.txt", b"caf\xe9")
    (shards / "00003.tar").write_bytes(b"this is no tar file" * 100)
    whole = (shards / "00001.tar").read_bytes()
    (shards / "00004.tar").write_bytes(whole[:6000] + b"damage" * 2000)
    found = CaptionShards(shards)
    assert found.skipped["00002.tar:/lonely"] == "it has no caption"
    assert found.skipped["00002.tar:/blind"] == "it has no picture"
    assert "damaged" in found.skipped["00003.tar"]
    assert "00004.tar" in " ".join(found.skipped)
    with pytest.raises(Unreadable, match="none of JPEG"):
        found[8]
    for place in (9, 10, 11):
        with pytest.raises(Unreadable, match='no object with a text under "caption"'):
            found[place]
    with pytest.raises(Unreadable, match="caption is empty"):
        found[12]
    assert found[13].caption == "{curly} cat"
    with pytest.raises(Unreadable, match="caption is no UTF-8"):
        found[14]


def test_a_shard_that_ends_between_two_files_is_named(shards):
    """Nothing in it is broken, but tar's end mark is missing."""
    with tarfile.open(shards / "00000.tar") as shard:
        last = shard.getmembers()[-2]
    path = shards / "00000.tar"
    path.write_bytes(path.read_bytes()[: last.offset])
    found = CaptionShards(shards)
    assert len(found) == 7
    assert "damaged" in found.skipped["00000.tar"]


@pytest.mark.parametrize("within", [0, 5])
def test_a_shard_that_ends_within_a_caption_loses_that_sample(shards, within):
    """Half a caption is no caption; shards of two folders may have one name."""
    path = shards / "more" / "00000.tar"
    path.parent.mkdir()
    with tarfile.open(shards / "00000.tar") as shard:
        last = shard.getmembers()[-1]
    path.write_bytes((shards / "00000.tar").read_bytes()[: last.offset_data + within])
    (shards / "00000.tar").write_bytes(path.read_bytes())
    found = CaptionShards(shards)
    assert [found[place].caption[8] for place in range(len(found))] == [*"012", *"0123", *"012"]
    for name in ("00000.tar", "more/00000.tar"):
        assert "damaged" in found.skipped[name]
        assert found.skipped[f"{name}:/000003"] == "it has no caption"


def test_no_shard_and_no_caption_say_what_is_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \*.tar shard"):
        CaptionShards(tmp_path)
    with tarfile.open(tmp_path / "0.tar", "w") as shard:
        add(shard, "a.png", picture(0))
    with pytest.raises(FileNotFoundError, match=r"NAME.jpg with NAME.txt"):
        CaptionShards(tmp_path)


def rows(recipe, data, out):
    return list(run(recipe, data, out))


def test_a_run_over_class_folders_trains_evaluates_and_names_bad_pictures(folders, tmp_path):
    (folders / "train" / "n01_cat" / "train0_2.png").write_bytes(b"")
    found = rows(READ, folders, tmp_path / "out")
    assert [row["step"] for row in found] == list(range(1, 7))
    assert found[-1]["skipped"] == 1
    skipped = json.loads((tmp_path / "out" / "skipped.json").read_text())
    assert skipped == {"train/n01_cat/train0_2.png": "the file is empty (0 bytes)"}
    evaluated = [row["evaluation"] for row in found if "evaluation" in row]
    assert len(evaluated) == 3
    assert 0 <= evaluated[-1]["top1"] <= 1
    assert 0 < evaluated[-1]["point_in_box/chance"] <= 1


def test_reading_again_gives_the_same_losses_with_any_number_of_workers(folders, tmp_path):
    first = rows(READ, folders, tmp_path / "first")
    again = rows(dataclasses.replace(READ, workers=2), folders, tmp_path / "again")
    assert [row["loss"] for row in first] == [row["loss"] for row in again]


def test_what_was_skipped_before_a_stop_stays_named(folders, tmp_path):
    (folders / "train" / "n01_cat" / "train0_2.png").write_bytes(b"")
    recipe = dataclasses.replace(READ, epochs=1, save_every=1, evaluate_every=0)
    first = list(itertools.islice(run(recipe, folders, tmp_path / "out"), 2))
    assert first[-1]["skipped"] == 1
    (folders / "train" / "n01_cat" / "train0_2.png").write_bytes(picture(2))
    assert rows(recipe, folders, tmp_path / "out")[-1]["skipped"] == 1


def test_a_card_names_validation_pictures_that_cannot_be_read(folders, tmp_path):
    (folders / "val" / "n02_dog" / "val1_2.png").write_bytes(b"")
    rows(READ, folders, tmp_path / "out")
    training, validation = (ClassFolders(folders, split) for split in ("train", "val"))
    card = write_card(tmp_path / "out", Splits("folders", training, validation), command="train")
    assert card["n"] == 5
    assert card["skipped"] == {"val/n02_dog/val1_2.png": "the file is empty (0 bytes)"}


def test_imagenet_trains_in_the_layouts_that_it_has(folders, tmp_path):
    for split in ("train", "val"):
        for old, new in (("n01_cat", "n02123045"), ("n02_dog", "n02110958")):
            (folders / split / old).rename(folders / split / new)
    (folders / "boxes").rename(folders / "bbox")
    text = dataclasses.replace(TEXT, data="imagenet")
    with pytest.raises(ValueError, match=r"2 classes are WordNet ids \(n02110958, ...\).*mapping"):
        open_source(text, folders)
    mapping = "n02123045 tabby, tabby cat\nn02110958 pug, pug-dog\n"
    (folders / "LOC_synset_mapping.txt").write_text(mapping)
    source = open_source(text, folders)
    assert list(source.classes) == ["pug", "tabby"]
    assert [source.training[index].label for index in range(12)] == [0] * 6 + [1] * 6
    assert all(source.training[index].boxes is None for index in range(12)), "boxes were read"
    assert sum(source.validation[index].boxes is not None for index in range(6)) == 1


def test_many_bad_pictures_in_a_row_are_an_error_that_names_them(folders):
    for path in (folders / "train").rglob("*.png"):
        path.write_bytes(b"")
    for workers in (0, 1):
        recipe = dataclasses.replace(READ, evaluate_every=0, workers=workers)
        with pytest.raises(Unreadable, match=r"10 pictures in a row .*train0_1.png") as found:
            rows(recipe, folders, folders / "out")
        assert "Traceback" not in str(found.value)


def test_captions_train_and_class_folders_beside_them_evaluate(shards, folders, tmp_path):
    (folders / "val").rename(shards / "val")
    found = rows(TEXT, shards, tmp_path / "out")
    assert len(found) == 4
    assert 0 <= found[-1]["evaluation"]["top1"] <= 1
    assert "steps: 4 (2 epochs of 2, from 8 pictures" in describe(TEXT, shards)


def test_dino_on_captions_is_evaluated_without_neighbours(shards, folders, tmp_path):
    (folders / "val").rename(shards / "val")
    model = dataclasses.replace(MODEL, num_classes=0)
    recipe = DistillRecipe(
        "self",
        model=model,
        data="captions",
        hold=False,
        local_size=16,
        batch=4,
        epochs=1,
        workers=0,
        evaluate_every=1,
    )
    found = rows(recipe, shards, tmp_path / "out")
    assert "evaluation" not in found[-1], "neither classes nor boxes are known"


def test_pictures_without_a_label_are_not_learned_from_nor_asked_about(folders, tmp_path):
    for split in ("train", "val"):
        for old, new in (("n01_cat", "n02123045"), ("n02_dog", "n02110958")):
            (folders / split / old).rename(folders / split / new)
        for place in range(2 if split == "train" else 1):  # more in a row than may be unreadable
            shutil.copytree(folders / split / "n02123045", folders / split / f"n0999999{place}")
    mapping = "n02123045 tabby, tabby cat\nn02110958 pug, pug-dog\n"
    (folders / "LOC_synset_mapping.txt").write_text(mapping)
    found = rows(READ, folders, tmp_path / "out")
    assert 0 <= found[-1]["evaluation"]["top1"] <= 1
    assert found[-1]["skipped"] == 12
    assert found[-1]["steps"] == 2 * 12 // READ.batch
    source = open_source(READ, folders)
    card = write_card(
        tmp_path / "out", Splits("folders", source.labelled, source.validation), command="train"
    )
    assert card["n"] == 6
    assert set(card["skipped"].values()) == {"it has no label"}
    few = open_source(dataclasses.replace(READ, classes=2), folders)
    assert (len(few.training), len(few.validation)) == (12, 6)


def test_dino_over_class_folders_is_evaluated_by_neighbours(folders, tmp_path):
    recipe = DistillRecipe(
        "self",
        model=dataclasses.replace(MODEL, num_classes=0),
        data="imagenet",
        hold=False,
        batch=4,
        epochs=1,
        local_size=16,
        local_crops=2,
        prototypes=16,
        hidden=8,
        bottleneck=4,
        workers=0,
    )
    found = rows(recipe, folders, tmp_path / "out")
    assert 0 <= found[-1]["evaluation"]["knn"] <= 1


def test_dinos_crops_and_colours_are_the_recipes(folders):
    grey = DistillRecipe(
        "self",
        model=dataclasses.replace(MODEL, num_classes=0),
        global_size=24,
        local_size=16,
        local_crops=1,
        colour=Colour(jitter=0.0, grey=1.0),
    )
    pixels = hold(ClassFolders(folders, "train"), 32).pixels
    views = Distill(grey).views()
    held = views.apply(pixels, views.draw(len(pixels), torch.Generator().manual_seed(0)))
    read = [view[None] for view in transform_of(grey)(ClassFolders(folders, "train")[0].image)]
    for shown in (held, read):
        assert [view.shape[-1] for view in shown] == [24, 24, 16]
        for view in shown:
            colours = view * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
            torch.testing.assert_close(colours[:, 0], colours[:, 2], rtol=0, atol=0.01)
    with pytest.raises(ValueError, match="global_size 20 is no multiple of patch_size 8"):
        dataclasses.replace(grey, global_size=20)


def test_held_pixels_leave_out_what_cannot_be_read(folders):
    (folders / "train" / "n02_dog" / "train1_0.png").write_bytes(b"no png")
    found = hold(ClassFolders(folders, "train"), 32)
    assert found.pixels.shape == (11, 3, 32, 32)
    assert found.labels.tolist() == [0] * 6 + [1] * 5
    assert found.indices.tolist() == [*range(6), *range(7, 12)]
    assert list(found.skipped) == ["train/n02_dog/train1_0.png"]


def test_ranks_share_each_batch_without_overlap(monkeypatch):
    recipe = LabelRecipe("order", batch=8)
    whole = feeds.chosen(recipe, 50, 9)
    monkeypatch.setattr(distributed, "world", lambda: 4)
    parts = []
    for rank in range(4):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(whole[feeds.mine(8)])
    assert torch.equal(torch.cat(parts), whole)
    epochs = [
        torch.cat([feeds.chosen(recipe, 48, 6 * epoch + k) for k in range(6)]) for epoch in range(2)
    ]
    assert all(sorted(each.tolist()) == list(range(48)) for each in epochs)
    assert not torch.equal(*epochs)


def test_the_first_classes_of_a_data_set_alone(folders):
    recipe = LabelRecipe(
        "some",
        model=ViTConfig(num_classes=1),
        data="imagenet",
        hold=False,
        crop="resized",
        classes=1,
    )
    source = open_source(recipe, folders)
    assert (len(source.training), len(source.validation)) == (6, 3)
    assert list(source.classes) == ["n01 cat"]
    assert {source.validation[place].label for place in range(3)} == {0}
    with pytest.raises(ValueError, match="the data has 2"):
        open_source(dataclasses.replace(recipe, classes=3, model=ViTConfig(num_classes=3)), folders)
    with pytest.raises(ValueError, match="cannot be chosen by class"):
        dataclasses.replace(recipe, data="captions")
