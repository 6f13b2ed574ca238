"""Benchmarks over the models that a run kept while it trained."""

import dataclasses
import json

import pytest

from unlazy import parts
from unlazy.backbones.trained import TrainedViT
from unlazy.backbones.vit import ViTConfig
from unlazy.bench_inputs import KEPT
from unlazy.cli import main
from unlazy.data.synthetic import Scenes
from unlazy.training import recipes

SMALL = dataclasses.replace(
    recipes.scene_recipe("small"),
    model=ViTConfig(img_size=32, embed_dim=16, depth=1, num_heads=2, num_classes=8),
    scenes=Scenes(count=32, size=(32, 32), seed=1),
    validation=8,
    epochs=2,
    batch=8,
    padding=2,
    keep_every=4,
    evaluate_every=0,
)


def command(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code or 0


def test_a_run_from_its_training_to_its_dynamics(tmp_path, few, monkeypatch, capsys):
    monkeypatch.setattr(recipes, "tiny_scenes", lambda: (SMALL,))
    assert command("train", "tiny_scenes", "-o", tmp_path / "run") == 0
    words = (
        *("dynamics", tmp_path / "run" / "small", "point-in-box", "classification"),
        *("--on", few, "-o", tmp_path / "out", "--workers", 0),
    )
    assert command(*words) == 0
    found = sorted(path.name for path in (tmp_path / "out").glob("[!.]*"))
    assert found == [
        *("classification-00000004.json", "classification-00000008.json", "dynamics.svg"),
        *("point-in-box-00000004.json", "point-in-box-00000008.json"),
    ]
    plot = (tmp_path / "out" / "dynamics.svg").read_text()
    assert "point-in-box" in plot
    kept = tmp_path / "out" / "point-in-box-00000004.json"
    before = kept.stat().st_mtime_ns
    record = json.loads(kept.read_text())
    assert record["model"]["name"] == "file:00000004"
    (tmp_path / "out" / "classification-00000008.json").unlink()
    assert command(*words) == 0
    assert (tmp_path / "out" / "classification-00000008.json").is_file()
    assert kept.stat().st_mtime_ns == before  # what is there is not measured again
    assert command(*words, "--set", "rul=center") == 1  # none has it
    other = ("dynamics", tmp_path / "run" / "small", "point-in-box", "--set", "rule=center")
    assert command(*other, "--on", few, "-o", tmp_path / "out", "--workers", 0) == 0
    assert kept.stat().st_mtime_ns != before  # other settings are measured anew
    capsys.readouterr()


def test_a_stopped_run_goes_on_within_a_benchmark(tmp_path, few, monkeypatch):
    monkeypatch.setattr(recipes, "tiny_scenes", lambda: (SMALL,))
    assert command("train", "tiny_scenes", "-o", tmp_path / "run") == 0
    monkeypatch.setattr(parts, "SECONDS", 0.0)  # a file after every batch
    monkeypatch.setattr(parts, "SHARE", 0.0)
    encode, seen, room = TrainedViT.encode, [], 6

    def counted(self, images):
        seen.append(len(images))
        if len(seen) > room:
            raise ValueError("stopped")
        return encode(self, images)

    monkeypatch.setattr(TrainedViT, "encode", counted)
    words = ("dynamics", tmp_path / "run" / "small", "classification", "--on", few)
    words += ("--workers", 0, "--batch-size", 1, "-o")
    assert command(*words, tmp_path / "out") == 1
    assert not list((tmp_path / "out").glob("*.json"))
    passes, values, room = [], [], 1000
    for out in (tmp_path / "out", tmp_path / "undisturbed"):
        seen.clear()
        assert command(*words, out) == 0
        passes.append(len(seen))
        values.append(json.loads((out / "classification-00000004.json").read_text())["values"])
    assert passes[0] < passes[1], "what was kept was measured again"
    assert values[0] == values[1]
    assert not (tmp_path / "out" / KEPT).exists()


def test_a_run_that_kept_nothing_says_how_to(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    assert command("dynamics", tmp_path / "run", "point-in-box", "--on", "scenes") == 1
    assert "keep_every" in capsys.readouterr().err
