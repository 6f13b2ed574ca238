"""`unlazy claims`: verdicts, Records and page of models that a user gives."""

import dataclasses
import html
import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from planted import plant
from planted_runs import random_weights, save_run
from unit.claim_evidence import CONFIG
from unlazy.backbones.trained import TrainedViT
from unlazy.backbones.vit import ViT
from unlazy.cli import main
from unlazy.data.tiny_imagenet import TinyImageNet

TRAINING, PICTURES = 20, 32


def draw(path, label, seed):
    """A smooth picture, dark or bright by its class."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 128, (8, 8, 3)) + 120 * label
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse.astype(np.uint8)).resize((64, 64), Image.Resampling.BICUBIC).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Tiny ImageNet's layout with two classes."""
    root = tmp_path_factory.mktemp("data")
    wnids = ("n01", "n02")
    (root / "wnids.txt").write_text("\n".join(wnids))
    (root / "words.txt").write_text("n01\tdark\nn02\tbright\n")
    for label, wnid in enumerate(wnids):
        names = [f"{wnid}_{number}.JPEG" for number in range(TRAINING // 2)]
        for number, name in enumerate(names):
            draw(root / "train" / wnid / "images" / name, label, 100 * label + number)
        lines = "".join(f"{name}\t0\t0\t63\t63\n" for name in names)
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text(lines)
    rows = []
    for number in range(PICTURES):
        draw(root / "val" / "images" / f"{number}.JPEG", number % 2, 1000 + number)
        rows.append(f"{number}.JPEG\t{wnids[number % 2]}\t0\t0\t63\t63\n")
    (root / "val" / "val_annotations.txt").write_text("".join(rows))
    return root


def pictures(root):
    files = [root / "val" / "images" / f"{number}.JPEG" for number in range(PICTURES)]
    stacked = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()


@pytest.fixture(scope="module")
def pair(root, tmp_path_factory):
    """Two runs: one with planted high norms, one with registers and none."""
    folder = tmp_path_factory.mktemp("runs")
    for name, registers in (("net", 0), ("net-registers", 2)):
        torch.manual_seed(0)
        config = dataclasses.replace(CONFIG, registers=registers)
        vit = ViT(config)
        if not registers:
            backbone = TrainedViT(
                *(vit,), name=name, weights="", supervision="label", class_vectors=None
            )
            plant(backbone, backbone.normalise(pictures(root)))
        weights = {key: each.contiguous() for key, each in vit.state_dict().items()}
        save_run(folder / name, config, weights)
    return [f"file:{folder / name}" for name in ("net", "net-registers")]


def done(words) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*words, "--workers", "0"])
    assert stop.value.code == 0


def refused(words, capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 1
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return " ".join(said.err.split())


def test_a_pair_gets_verdicts_records_and_a_page(root, pair, tmp_path, capsys):
    out = tmp_path / "out"
    power = ["--power", "0.805", "--pue", "1.19", "--intensity", "0.37"]
    done(["claims", *pair, "--data", str(root), *power, "-o", str(out)])
    said = capsys.readouterr().out
    records = {path.name: json.loads(path.read_text()) for path in out.glob("record-*.json")}
    assert sorted(records) == [
        "record-file-net-registers.json",
        "record-file-net.json",
    ]
    trained = records["record-file-net.json"]
    assert trained["data"]["n"] == PICTURES
    assert trained["model"]["parameters"] > 0
    assert [each["claim"] for each in trained["benchmark"]["claims"]] == [1, 2, 3, 4, 5]
    registers = trained["benchmark"]["claims"][4]
    assert "high norms are gone" in registers["reason"]
    accuracy = registers["statistics"][-1]
    assert "nearest neighbours" in accuracy["label"]
    assert accuracy["found"]["low"] <= accuracy["found"]["value"] <= accuracy["found"]["high"]
    assert (out / "knn-file-net.json").is_file()
    for probe in ("position", "pixels", "token-class"):
        assert (out / f"{probe}-file-net.json").is_file()
    content = trained["benchmark"]["claims"][3]
    assert {"position", "pixels", "class"} == {
        each["label"].split(":")[0] for each in content["statistics"] if ":" in each["label"]
    }
    assert any("training pictures" in note for note in content["notes"])
    hours = trained["timing"]["hours_of_everything"]
    assert hours > trained["timing"]["seconds"] / 3600  # the probes take theirs
    assert trained["timing"]["kg_co2"] == pytest.approx(0.37 * 1.19 * 0.805 * hours, rel=1e-4)
    thresholds = trained["parameters"]["thresholds"]
    assert thresholds["large"] == 300e6
    page = (out / "index.html").read_text()
    for word in ("cannot tell", "kg CO2", "file:net-registers"):
        assert word in page
    assert "claim 5" in said
    assert not list(out.glob(".unlazy*"))


def test_one_model_with_its_control_on_pictures_without_a_training_split(pair, tmp_path):
    words = ["--on", "scenes", "--pictures", "32", "--random", "-o", str(tmp_path)]
    done(["claims", pair[0], *words])
    names = sorted(path.name for path in tmp_path.glob("*.json"))
    own = ("file-net-random-weights.json", "file-net.json")
    kinds = ("pixels", "position", "record")
    assert names == [f"{kind}-{each}" for kind in kinds for each in own]
    control, record = (json.loads((tmp_path / f"record-{each}").read_text()) for each in own)
    assert (record["model"]["control"], control["model"]["control"]) == (False, True)
    assert control["model"]["weights"] == "random"
    answers = record["benchmark"]["claims"]
    assert record["data"]["n"] == 32
    assert "one size only" in answers[1]["reason"]
    assert "Not run: token-class (there is no training split" in answers[3]["reason"]
    halves = "every second one was learned from, the others were evaluated"
    assert {note.split(":")[0] for note in answers[3]["notes"] if halves in note} == {
        "position",
        "pixels",
    }
    pixels = json.loads((tmp_path / "pixels-file-net.json").read_text())
    assert pixels["data"]["n"] == 16
    assert any(halves in note for note in pixels["verdict"])
    assert "no pair" in answers[4]["reason"]
    assert not any("kwh" in key or "kg" in key for key in record["timing"])
    page = (tmp_path / "index.html").read_text()
    for words in ("energy is not reported", "control", "file:net, random weights"):
        assert words in page


def test_what_an_earlier_run_wrote_goes_and_files_of_others_stay(root, pair, tmp_path):
    out = tmp_path / "out"
    done(["claims", pair[0], "--data", str(root), "-o", str(out)])
    assert (out / "token-class.json").is_file()
    record = (out / "record.json").read_text()
    own = {
        "record-mine.json": record,  # a copy under a name that claims would not give
        "record-file-net-damaged.json": record[:99],
        "record-file-net-of-a-report.json": json.dumps(
            {**json.loads(record), "benchmark": {"name": "report", "version": 1}}
        ),
        "pixels-mine.json": (out / "pixels.json").read_text(),
        "knn.json": json.dumps({"names": ["a"]}),
    }
    for name, text in own.items():
        (out / name).write_text(text)
    done(["claims", *pair, "--on", "scenes", "--pictures", "16", "-o", str(out)])
    kinds, models = ("pixels", "position", "record"), ("file-net-registers", "file-net")
    new = {f"{kind}-{each}.json" for kind in kinds for each in models}
    assert {path.name for path in out.glob("*.json")} == new | own.keys()
    assert {name: (out / name).read_text() for name in own} == own


def test_records_of_claims_and_a_sweep_go_on_the_page_of_their_model(
    root, pair, few, tmp_path, capsys, monkeypatch
):
    judged, probed = (str(tmp_path / name) for name in ("claims", "probe"))
    done(["claims", *pair, "--on", few, "-o", judged])
    settings = [f"--set={each}" for each in ("rates=1.0", "seeds=1", "epochs=1")]
    done(["probe", pair[0], "threshold-sweep", "--data", str(root), *settings, "-o", probed])
    report = ["report", pair[0], str(root / "val" / "images" / "0.JPEG"), "--records"]
    fixed = ["--fix", "pooled"]
    done([*report, judged, probed, *fixed, "-o", str(tmp_path / "page")])
    page = (tmp_path / "page" / "index.html").read_text()
    trained = json.loads((tmp_path / "claims" / "record-file-net.json").read_text())
    for answer in trained["benchmark"]["claims"]:
        assert answer["reason"] in html.unescape(page)
    assert f"unlazy claims {pair[0]} file:net-registers --on" in page
    assert f"unlazy probe {pair[0]} threshold-sweep --data ROOT --on tiny-imagenet" in page
    assert page.count('<section id="sweep">') == 1
    assert page.count('<article class="answer') == 5
    capsys.readouterr()
    monkeypatch.setattr("unlazy.backbones.base.Backbone.trace", pytest.fail)
    out = tmp_path / "none"
    other = ["report", pair[1], *report[2:], probed, *fixed, "-o", str(out)]
    assert "is of file:net, weights" in refused(other, capsys)
    assert "choose another folder" in refused([*report, judged, "-o", judged], capsys)
    assert not out.exists()


def sick(folder):
    """A run whose last block gives NaN."""
    state = random_weights(CONFIG)
    state["blocks.1.mlp.fc2.bias"][3] = 3e38  # sound as weights are; its squares are not
    state["blocks.1.mlp.fc2.weight"][3] = 3e38
    return f"file:{save_run(folder, CONFIG, state)}"


def test_what_was_wrong_with_pictures_and_annotations_is_told(root, pair, tmp_path, capsys):
    broken = tmp_path / "data"
    shutil.copytree(root, broken)
    (broken / "train" / "n01" / "images" / "n01_3.JPEG").write_bytes(b"no picture")
    rows = (broken / "val" / "val_annotations.txt").read_text().splitlines()
    rows[2] = "2.JPEG\tn01\t0\t0\ta\t63"
    (broken / "val" / "val_annotations.txt").write_text("\n".join(rows))
    out = tmp_path / "out"
    done(["claims", pair[0], "--data", str(broken), "-o", str(out)])
    assert "problems in the annotations of tiny-imagenet: 1" in capsys.readouterr().out
    page = (out / "index.html").read_text()
    assert "n01_3.JPEG" in page
    assert "Problems in the annotations: 1" in page


def test_labels_that_mean_something_else_in_training_are_no_test_of_the_class(
    root, pair, tmp_path, monkeypatch
):
    kept = TinyImageNet.__init__

    def turned(self, root, split="val", **given):
        kept(self, root, split, **given)
        if split == "train":
            self.wnids = self.wnids[::-1]

    monkeypatch.setattr(TinyImageNet, "__init__", turned)
    done(["claims", pair[0], "--data", str(root), "-o", str(tmp_path)])
    record = json.loads((tmp_path / "record.json").read_text())
    why = record["benchmark"]["not_run"]
    assert "mean something else" in why.pop("token-class")
    assert not why.keys() & {"position", "pixels"}  # these need no labels


def test_a_model_that_cannot_be_measured_does_not_end_the_others(pair, tmp_path, capsys):
    bad, out = sick(tmp_path / "sick"), tmp_path / "out"
    words = ["--on", "scenes", "--pictures", "8", "-o", str(out)]
    done(["claims", bad, pair[0], *words])
    said = capsys.readouterr().out
    assert [path.name for path in out.glob("record*.json")] == ["record.json"]
    page = (out / "index.html").read_text()
    for words in ("file:sick", "was not measured", "not finite"):
        assert words in page
    for words in ("- not measured: ", "not finite"):
        assert words in said
    assert not list(out.glob(".unlazy*"))


def test_where_none_can_be_measured_the_models_are_named(tmp_path, capsys):
    bad, out = sick(tmp_path / "sick"), tmp_path / "out"
    said = refused(["claims", bad, "--on", "scenes", "--pictures", "8", "-o", str(out)], capsys)
    assert "no model could be measured: file:sick" in said


@pytest.mark.parametrize("pictures", [1, 9])
def test_few_pictures_are_told_as_such(root, pair, tmp_path, pictures):
    """A fifth of them, for position, is less than a probe can learn from."""
    done(["claims", pair[0], "--data", str(root), "--pictures", str(pictures), "-o", str(tmp_path)])
    record = json.loads((tmp_path / "record.json").read_text())
    assert {each["verdict"] for each in record["benchmark"]["claims"]} == {"cannot tell"}
    assert f"There are {pictures} pictures" in record["benchmark"]["claims"][3]["reason"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["claims"], "name a MODEL"),
        (["claims", "bundled:tiny-label"], "needs --data"),
        (["claims", "bundled:tiny-label", "--data", "."], "photographs: --on images:."),
        (["claims", "bundled:tiny-label", "--on", "scenes", "--pictures", "0"], "at least 1"),
        (
            ["claims", "bundled:tiny-label", "--on", "scenes", "--pue", "1.2"],
            "says nothing without",
        ),
        (
            ["claims", "bundled:tiny-label", "--on", "scenes", "--power", "1", "--intensity", "1"],
            "carbon dioxide takes",
        ),
        (["claims", "bundled:tiny-labe", "--on", "scenes"], "did you mean tiny-label"),
        (["claims", "bundled:tiny-label", "--on", "scenes", "--size", "32"], "does not apply"),
    ],
)
def test_mistakes_are_told_before_any_work(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # there may be data where tests are started
    assert said in refused([*words, "-o", str(tmp_path / "out")], capsys)


@pytest.mark.parametrize(("width", "lines"), [(80, 3), (140, 1)])
def test_names_stand_whole_in_the_table(width, lines):
    from rich.console import Console

    from unlazy.cli_claims import _table

    names = ["bundled:tiny-label-lazystrike", "bundled:tiny-label-registers, random weights"]
    rows = {name: ["holds", "does not hold", "cannot tell", "holds", "holds"] for name in names}
    console = Console(width=width, soft_wrap=True, record=True, file=io.StringIO())
    console.print(_table(rows, [f"claim {number}" for number in range(1, 6)], width))
    told = console.export_text().splitlines()
    assert max(map(len, told)) <= width
    for word in ("bundled:tiny-label-lazystrike", "bundled:tiny-label-registers,"):
        assert any(f" {word} " in line for line in told)
    assert sum("│" in line for line in told) == 2 * lines
