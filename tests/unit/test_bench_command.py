"""`unlazy bench` as a user has it: where its Records go, and what they say of data and fix."""

import dataclasses
import json
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image

from planted_runs import random_weights, save_run
from unlazy import bench_inputs, cli_claims
from unlazy.backbones.trained import TrainedViT
from unlazy.backbones.vit import ViT, ViTConfig
from unlazy.bench_inputs import is_training_split, training_split
from unlazy.benchmarks.classification import Classification
from unlazy.benchmarks.point_in_box import PointInBox
from unlazy.cli import main
from unlazy.data.synthetic import Scenes
from unlazy.fixes.baselines import NeighbourMedian, NormClipping
from unlazy.fixes.pooled import Pooled
from unlazy.geometry import View
from unlazy.inputs import named_data
from unlazy.report.bench import run_benchmark
from unlazy.report.numbers import glance
from unlazy.report.run import investigate

CONFIG = ViTConfig(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=8)


def command(capsys, *words) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main([str(each) for each in words])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return stop.value.code or 0, " ".join((said.out + said.err).split())


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two models, in ``a`` and ``b``; the working folder is theirs."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("ab"):
        save_run(tmp_path / name, CONFIG, random_weights(CONFIG, seed))
    return tmp_path


@pytest.fixture
def classes(tmp_path):
    """Six pictures of two classes to learn from, one of them broken, and four others."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 2)):
        for wnid in ("n00000001", "n00000002"):
            folder = tmp_path / "pictures" / split / wnid
            folder.mkdir(parents=True)
            for place in range(count):
                pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{place}.png")
    (tmp_path / "pictures" / "train" / "n00000001" / "0.png").write_text("no picture")
    return tmp_path / "pictures"


def test_records_of_two_models_go_to_two_folders(runs, few, capsys):
    for name in "ab":
        code, said = command(
            capsys, "bench", f"file:{name}", "point-in-box", "--on", few, "--workers", "0"
        )
        assert code == 0, said
        assert f"runs/bench/file-{name}" in said
    hashes = {
        json.loads(path.read_text())["model"]["weights_hash"]
        for path in runs.glob("runs/bench/*/point-in-box.json")
    }
    assert len(hashes) == 2


def test_a_folder_with_records_of_another_model_is_refused_before_any_pass(runs, few, capsys):
    words = ("point-in-box", "--on", few, "--workers", "0", "-o", "out")
    assert command(capsys, "bench", "file:a", *words)[0] == 0
    before = {path: path.read_bytes() for path in (runs / "out").iterdir()}
    code, said = command(capsys, "bench", "file:b", "classification", *words[1:])
    assert code == 1
    assert "out holds the Records of file:a" in said
    assert "-o" in said
    assert {path: path.read_bytes() for path in (runs / "out").iterdir()} == before
    shutil.copy(runs / "b" / "model.safetensors", runs / "a" / "model.safetensors")
    code, said = command(capsys, "bench", "file:a", *words)
    assert (code, "with other weights" in said) == (1, True)


def test_the_same_model_may_add_records_and_replace_its_own(runs, few, capsys):
    for benchmark in ("point-in-box", "classification", "point-in-box"):
        code, said = command(
            capsys, "bench", "file:a", benchmark, "--on", few, "--workers", "0", "-o", "out"
        )
        assert code == 0, said
    assert len(list((runs / "out").glob("*.json"))) == 2


def test_a_setting_reaches_the_benchmarks_that_have_it(runs, classes, capsys):
    words = ("--data", classes, "--on", "imagenet", "--workers", "0", "-o", "out")
    given = ("bench", "file:a", "knn", "classification", *words)
    code, said = command(capsys, *given, "--set", "neighbours=3")
    assert code == 1  # the model has 8 classes, the data two
    assert "knows 8 classes" in said
    record = json.loads((runs / "out" / "knn.json").read_text())
    assert record["parameters"]["knn"]["neighbours"] == 3
    code, said = command(capsys, *given, "--set", "neighbors=3")
    assert code == 1
    assert "knn and classification have no setting 'neighbors'" in said
    assert "neighbours" in said


@pytest.mark.parametrize("benchmark", ["knn", "linear"])
def test_the_record_says_how_many_pictures_were_learned_from(runs, classes, capsys, benchmark):
    words = ("--data", classes, "--on", "imagenet", "--workers", "0", "-o", "out")
    settings = ("--set", "epochs=1") if benchmark == "linear" else ()
    code, said = command(capsys, "bench", "file:a", benchmark, *words, *settings)
    assert code == 0, said
    record = json.loads((runs / "out" / f"{benchmark}.json").read_text())
    assert record["data"]["n"] == 4
    assert record["data"]["training"] == {"n": 5, "skipped": 1}
    assert [each["name"] for each in record["skipped"]] == ["train/n00000001/0.png"]
    code, said = command(
        *(capsys, "bench", "file:a", benchmark, *words, *settings, "--set", "bank=2")
    )
    record = json.loads((runs / "out" / f"{benchmark}.json").read_text())
    assert sum(record["data"]["training"].values()) == 2


def test_problems_of_annotations_are_told_in_a_line(runs, classes, capsys):
    folder = classes / "val"
    (folder / "boxes.csv").write_text("n00000001/0.png,1,2,30,40\ngone.png,1,2,3,4\n")
    words = ("--data", folder, "--on", "box-folder", "--workers", "0", "-o", "out")
    code, said = command(capsys, "bench", "file:a", "point-in-box", *words)
    assert code == 0, said
    problems = json.loads((runs / "out" / "point-in-box.json").read_text())["data"]["problems"]
    name = next(iter(problems))
    assert (
        f"problems in the annotations of box-folder: {len(problems)}, all in the Records, for"
        f" example {name}: {problems[name]}"
    ) in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bench", "MODEL", "FILE:Broken", "--on", "scenes"), "line 2: KeyError: 'x'"),
        (("bench", "MODEL", "FILE:three", "--on", "scenes"), "three makes 3; it must make one of"),
        (("probe", "MODEL", "FILE:Broken", "--on", "scenes"), "line 2: KeyError: 'x'"),
        (("bench", "MODEL", "point-in-box", "--on", "FILE:Broken"), "line 2: KeyError: 'x'"),
        (("report", "MODEL", "data:scenes", "--fix", "FILE:three"), "three is no dataclass"),
        (("doctor", "FILE:three"), "three returns 3; it must return a Backbone"),
    ],
)
def test_mistakes_in_a_users_file_are_told_by_every_command(tmp_path, capsys, words, said):
    path = tmp_path / "mine.py"
    path.write_text("def Broken():\n    return {}['x']\n\ndef three():\n    return 3\n")
    path_of = {"MODEL": "bundled:tiny-label"}
    code, out = command(
        capsys, *(path_of.get(each, each.replace("FILE", str(path))) for each in words)
    )
    assert code == 1
    assert said in out


def test_without_a_training_split_what_learns_is_to_be_left_out(runs, classes, capsys):
    shutil.rmtree(classes / "train")
    words = ("bench", "file:a", "knn", "--data", classes, "--on", "imagenet")
    code, said = command(capsys, *words)
    assert code == 1
    assert "imagenet has no training split to learn from (no train pictures of ImageNet" in said
    assert "leave out knn" in said


def renamed(classes):
    for folder in classes.glob("*/n0*"):
        folder.rename(folder.with_name({"1": "cat", "2": "dog"}[folder.name[-1]]))
    return classes


def test_a_folder_a_class_is_evaluated_and_learned_from(runs, classes, capsys):
    root = renamed(classes)
    given = ("--data", root, "--workers", "0", "-o")
    settings = ("--set", "neighbours=1", "--set", "epochs=1")
    code, said = command(capsys, "bench", "file:a", "knn", "linear", *given, "out", *settings)
    assert code == 0, said
    data = json.loads((runs / "out" / "knn.json").read_text())["data"]
    assert (data["source"], data["n"], data["training"]["n"]) == ("class-folders", 4, 5)
    assert (runs / "out" / "linear.json").exists()
    evaluated = cli_claims._data(None, root)
    assert (evaluated.opened[False].split, evaluated.training.split) == ("val", "train")
    code, said = command(capsys, "probe", "file:a", "pixels", *given, "probes")
    assert code == 0, said
    assert (runs / "probes" / "pixels.json").exists()


def test_a_folder_a_class_without_splits_is_evaluated_alone(runs, classes, capsys):
    root = renamed(classes) / "val"
    words = ("--data", root, "--workers", "0", "-o", "out")
    code, said = command(capsys, "bench", "file:a", "knn", *words)
    assert code == 1
    assert "class-folders has no training split to learn from" in said
    assert "has no folder train" in said
    config = dataclasses.replace(CONFIG, num_classes=2)
    save_run(runs / "two", config, random_weights(config))
    code, said = command(capsys, "bench", "file:two", "classification", *words)
    assert code == 0, said
    assert json.loads((runs / "out" / "classification.json").read_text())["data"]["n"] == 4
    assert cli_claims._data(None, root).training is None


def test_labels_are_asked_for_before_a_training_split(runs, classes, capsys):
    (classes / "val2017").mkdir()
    shutil.copy(classes / "val" / "n00000001" / "0.png", classes / "val2017")
    found = {
        "images": [{"id": 1, "file_name": "0.png", "width": 32, "height": 32}],
        "annotations": [],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (classes / "annotations").mkdir()
    (classes / "annotations" / "instances_val2017.json").write_text(json.dumps(found))
    code, said = command(capsys, "bench", "file:a", "knn", "--data", classes, "--on", "coco")
    assert code == 1
    assert "knn needs labels; none of the 1 pictures of coco has any" in said


def test_progress_counts_the_training_pictures_too(runs, classes, capsys, monkeypatch):
    totals, done, fitted = [], [], []

    class Bar:
        def add_task(self, description, **options):
            return "fit"

        def update(self, task, *, total=0, advance=0, completed=0, visible=True):
            if task == "fit":
                fitted.append((completed, total))
                return
            totals.append(total)
            done.append(advance)

    @contextmanager
    def counting(description):
        yield Bar(), None

    monkeypatch.setattr(bench_inputs, "progress", counting)
    words = ("--data", classes, "--on", "imagenet", "--workers", "0", "-o", "out")
    command(capsys, "bench", "file:a", "knn", *words)
    assert max(totals) == sum(done) == 10
    assert not fitted
    command(capsys, "bench", "file:a", "linear", *words, "--set", "epochs=2")
    assert fitted == [(done, 12) for done in range(1, 13)]


@pytest.mark.parametrize("kind", [NormClipping, NeighbourMedian, Pooled])
def test_the_record_has_the_settings_of_the_fix(kind):
    torch.manual_seed(0)
    model = TrainedViT(ViT(CONFIG), name="tiny", weights="random")
    fix = kind(keep=3) if kind is Pooled else kind(cutoff=1.5)
    fixed = fix.apply(model)
    scenes = Scenes(count=2, size=(32, 32), seed=3)
    record = run_benchmark(PointInBox(), fixed, scenes, source="scenes").record
    assert record.fix == kind.name
    settings = json.loads(record.to_json())["parameters"]["fix"]
    assert settings["keep" if kind is Pooled else "cutoff"] == (3 if kind is Pooled else 1.5)
    plain = run_benchmark(PointInBox(), model, scenes, source="scenes").record
    assert "fix" not in plain.parameters


def test_a_comparison_of_models_on_what_they_learned_begins_with_top1():
    torch.manual_seed(0)
    model = TrainedViT(ViT(CONFIG), name="tiny", weights="random")
    scenes, view = Scenes(count=8, size=(32, 32), seed=3), View((32, 32))
    found = investigate(model, scenes, source="s", view=view, shown=1, trained_on=True)
    (right,) = glance([found]).rows[0].cells
    expected = run_benchmark(Classification(), model, scenes, source="s").record.values["accuracy"]
    assert glance([found]).rows[0].key == "top1"
    assert float(right.value) == expected["top1"].value
    bare = TrainedViT(ViT(dataclasses.replace(CONFIG, num_classes=0)), name="b", weights="random")
    found = investigate(bare, scenes, source="s", view=view, shown=1, trained_on=True)
    assert "accuracy" not in found.record.values


def test_data_of_a_users_file_are_learned_from_by_their_own_split(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(
        "class Mine(list):\n"
        "    pass\n"
        "def make(split='val'):\n"
        "    found = Mine()\n"
        "    found.split = split\n"
        "    return found\n"
        "def train():\n"
        "    raise AssertionError('another object of that file')\n"
    )
    name = f"{mine}:make"
    training, reason = training_split(name, None)
    assert (training.split, reason) == ("train", "")
    assert is_training_split(name, training)
    assert not is_training_split(name, named_data(name, None))
    assert training_split(f"{mine}:train", None) == (None, "it has no splits")
