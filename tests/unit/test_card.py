"""A run from the command line to its card and to a report on it."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from unlazy.backbones.vit_files import LABELS
from unlazy.catalog import load_backbone
from unlazy.cli import main
from unlazy.data.tiny_imagenet import TinyImageNet
from unlazy.report.card import Splits, bundle
from unlazy.training import recipes

WNIDS = ("n00000001", "n00000002")


@pytest.fixture
def data(tmp_path):
    root, rng = tmp_path / "tiny", np.random.default_rng(0)
    (root / "val" / "images").mkdir(parents=True)
    (root / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    (root / "words.txt").write_text("".join(f"{wnid}\tname of {wnid}\n" for wnid in WNIDS))

    def draw(path):
        pixels = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)

    for wnid in WNIDS:
        folder = root / "train" / wnid / "images"
        folder.mkdir(parents=True)
        rows = []
        for index in range(8):
            draw(folder / f"{wnid}_{index}.JPEG")
            rows.append(f"{wnid}_{index}.JPEG\t3\t4\t20\t30\n")
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("".join(rows))
    rows = []
    for index in range(6):
        draw(root / "val" / "images" / f"val_{index}.JPEG")
        box = "0\t0\t63\t63" if index % 2 else "3\t4\t20\t30"
        rows.append(f"val_{index}.JPEG\t{WNIDS[index % 2]}\t{box}\n")
    (root / "val" / "val_annotations.txt").write_text("".join(rows))
    return root


def command(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert not stop.value.code


def refused(capsys, *words) -> str:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert stop.value.code == 1
    return " ".join(capsys.readouterr().err.split())


def test_train_card_bundle_and_report(data, tmp_path, monkeypatch, capsys):
    small = recipes.LabelRecipe(
        "small", model=recipes.ViTConfig(embed_dim=16, depth=1, num_classes=2)
    )
    small = dataclasses.replace(small, epochs=2, batch=8, keep_every=2)
    monkeypatch.setattr(recipes, "tiny_label", lambda: small)
    run, shipped = tmp_path / "run", tmp_path / "shipped"
    shipped.mkdir()
    command("train", "tiny_label", "--data", data, "-o", run)
    card = json.loads((run / "card.json").read_text())
    assert card["n"] == 6
    assert card["steps"] == 4
    assert 0 <= card["values"]["accuracy"]["top1"]["value"] <= 1
    assert card["values"]["small_boxes"]["n"]["value"] == 3
    whole_box_half_of_the_time = card["values"]["patch_score"]["point_in_box/chance"]["value"]
    assert whole_box_half_of_the_time > 0.5
    assert "top1" in capsys.readouterr().out
    splits = Splits("tiny-imagenet", TinyImageNet(data, "train"), TinyImageNet(data, "val"))
    bundle(run, splits, shipped, "small")
    assert json.loads((shipped / "small.json").read_text())["n"] == 6
    for path in (run, run / "steps" / "00000002", run / "shipped"):
        assert load_backbone(f"file:{path}").label_names == list(WNIDS)
    assert json.loads((shipped / "small.json").read_text())["label_names"] == list(WNIDS)
    weights = load_file(shipped / "small.safetensors")
    assert {str(tensor.dtype) for tensor in weights.values()} == {"torch.float16"}
    out = tmp_path / "out"
    command(
        *("report", f"file:{run}", "data:tiny-imagenet"), "--data", data, "-o", out, "--workers", 0
    )
    record = json.loads((out / "record.json").read_text())
    assert record["data"]["boxes"] == 6
    assert record["model"]["name"] == "file:run"
    bench = ["bench", f"file:{run}", "classification", "--workers", 0, "--data"]
    command(*bench, data, "-o", out)
    turned = tmp_path / "turned"
    shutil.copytree(data, turned)
    (turned / "wnids.txt").write_text("\n".join(WNIDS[::-1]))
    for words in ((), ("--fix", "position-mean")):
        said = refused(capsys, *bench, turned, *words, "-o", tmp_path / f"turned{len(words)}")
        assert f"label 0 is '{WNIDS[0]}' there and '{WNIDS[1]}' here" in said
    said = refused(capsys, "train", "tiny_label", "--data", turned, "-o", run)
    assert "learned other classes" in said
    assert load_backbone(f"file:{run}").label_names == list(WNIDS)
    early = tmp_path / "early"  # mistaken data, and no step: the corrected command is no other run
    early.mkdir()
    for name in ("recipe.json", LABELS):
        shutil.copy(run / name, early)
    command("train", "tiny_label", "--data", turned, "-o", early)
    assert load_backbone(f"file:{early}").label_names == list(WNIDS[::-1])


def test_shipped_models_are_small_and_load():
    from importlib import resources

    from unlazy.backbones import bundled

    folder = resources.files("unlazy") / "bundled"
    names = [name for group in bundled.names().values() for name in group]
    assert "tiny-label" in names
    for name in names:
        assert len((folder / f"{name}.safetensors").read_bytes()) < 6e6
        card = bundled.card(name)
        assert {"data", "recipe", "date", "command", "values", "n"} <= card.keys()
        backbone = load_backbone(f"bundled:{name}")
        assert backbone.facts.supervision == card["recipe"].get("supervision", "label")
