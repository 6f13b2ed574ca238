"""`unlazy reproduce`: the papers' tables, what is here of them, and ours beside them."""

import dataclasses
import json
import math
import shlex
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from planted_runs import random_weights, save_run
from unlazy.backbones import open_clip_names
from unlazy.backbones.cached import is_cached
from unlazy.backbones.vit import ViT, ViTConfig
from unlazy.catalog import UnknownName, find, load_backbone, table
from unlazy.cli import main
from unlazy.data.expected import EXPECTED
from unlazy.report import cost as report_cost
from unlazy.report.missing import data_state
from unlazy.report.reproduce import Choices, plan, runnable
from unlazy.report.reproduced import footnotes
from unlazy.report.tables.row import Local, Pretrained, Trained
from unlazy.report.tables.second_models import MODELS, SIZES, SIZES_224
from unlazy.settings import override

NAMES = sorted(table("tables"))
LATER = {"discovery", "coarse-segmentation", "zero-shot-segmentation"}
CONFIG = ViTConfig(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=8)
FIGURES = {  # as in the papers, row by row
    "table1": [68.4, 42.7, 41.5, 71.1, 45.3, 53.9, 39.8, 37.6],
    "table3": [68.4, 42.7, 55.1, 71.1, 44.5, 69.7, 53.9, 39.8, 50.1],
    "table6": [22.3, 32.8, 29.5, 41.9, 47.7, 55.1],
    "table7": [
        *(18.8, 20.9, 16.0, 31.1, 31.6, 28.8, 45.8, 46.2, 42.1),
        *(61.9, 64.0, 50.7, 68.8, 72.1, 58.8, 64.4, 67.6, 51.6),
    ],
    "table9": [
        *(55.8, 10.7, 3.3, 53.1, 71.9, 12.2, 53.5, 72.7, 13.5),
        *(55.8, 75.8, 18.5, 56.2, 75.9, 18.0, 55.3, 13.5, 4.8),
    ],
    "table10": [
        *(59.1, 14.1, 28.7, 64.3, 15.3, 29.6, 64.6, 30.4, 35.6),
        *(64.8, 32.1, 37.6, 64.9, 15.8, 30.3),
    ],
    "figure2": [81.1, 81.1, 70.3, 22.3],
    "figure3": [42.0, 44.0, None],
    "b-table1": [
        *(28.05, 19.18, 1.07, 1.27, 14.15, 7.53, 7.05, 4.29, 3.88, 5.35),
        *(6.76, 8.19, 3.87, 6.38, 5.35, 45.48, 7.60, 0.67, 7.41, 14.15),
        *(19.44, 13.38, 2.67, 2.59, 3.04, 37.84, 100.00, 1.21, 0, 2.65),
    ],
    "b-table2": [
        *(383.13, 521.56, 801.07, 1505.68, 572.54, 983.69),
        *(337.20, 926.34, 3945.00, 3687.00, 3826.00, 5132.00),
    ],
    "b-table3": [
        *(74.81, 55.61, 57.00, 81.08, 69.18, 78.96, 75.77, 59.22, 69.48),
        *(81.56, 50.04, 68.33, 80.89, 69.29, 63.54, 82.01, 74.12, 76.16),
    ],
    "b-table4": [81.15, 81.65, 84.33, 84.71, 86.12, 86.80, 86.90, 87.29],
    "b-table5": [82.28, 82.12, 81.60, 85.07, 84.92, 83.44, 86.62, 86.74, 86.58],
}
SAID = {  # what is inconsistent or open in the papers, and must be said
    "table1": ("45.3 in Table 1 and 44.5 in Table 3", "called OpenCLIP", "25 %", "28 px"),
    "table3": ("45.3 in Table 1 and 44.5 in Table 3", "called OpenCLIP", "25 %", "28 px"),
    "table6": ("not published", "CRATE"),
    "table7": ("claims +2.7", "TokenCut", "last component"),
    "table9": ("COCO is not said", "measure of its noise", "not disclosed"),
    "table10": ("30.5 on VOC12", "measure of its noise"),
    "figure2": ("inferred", "replaces a masked patch", "+1.2"),
    "figure3": ("recipe is not said",),
    "b-table1": ("which every model has", "keep to one place", "1k is taken", "30 epochs"),
    "b-table2": ("18.38", "rgb_error_", "closed form"),
    "b-table3": ("table has 9.8", "held-out"),
    "b-table4": ("81.1 / 80.9", "518 px", "dl.fbaipublicfiles.com/dinov2/dinov2_vitg14/"),
    "b-table5": ("recipe alone",),
}


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was tried")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def run(tmp_path):
    """A tiny model with a head for the drawn scenes' eight classes."""
    weights = random_weights(CONFIG)
    noisy = {key: each + 0.2 * torch.randn_like(each) for key, each in weights.items()}
    return save_run(tmp_path / "tiny", CONFIG, noisy)


def done(words) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 0


def refused(words, capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 1
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return " ".join(said.err.split())


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_the_papers(name):
    assert [row.paper for row in find("tables", name)().rows] == FIGURES[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_row_names_what_the_catalog_has(name):
    known = {each.name for each in EXPECTED}
    for row in find("tables", name)().rows:
        assert row.benchmark in {*table("benchmarks"), *table("probes"), *LATER}
        for kind in ("benchmarks", "probes"):
            if row.benchmark in table(kind):
                override(find(kind, row.benchmark)(), row.settings)
        assert row.data.partition(":")[0] in known
        assert row.data.partition(":")[0] in table("data")
        origin = row.origin
        if isinstance(origin, Trained):
            override(find("recipes", origin.recipe)(), origin.words)
        elif isinstance(origin, Pretrained):
            is_cached(origin.model)  # raises where the library has no such weights
        elif isinstance(origin, Local):
            assert not is_cached(origin.model), "a library has these weights by name"


@pytest.mark.parametrize("name", NAMES)
def test_dry_run_needs_neither_data_nor_network(name, offline, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done(["reproduce", name, "--dry-run", "--throughput", "100"])
    said = capsys.readouterr().out
    count = len(FIGURES[name])
    assert f"0 of {count} figures can be measured here" in said
    assert "(give --data ROOT), from " in said
    for words in SAID[name]:
        assert words in said
    assert not list(tmp_path.iterdir())


def test_dry_run_says_where_each_missing_thing_is_had(capsys, offline):
    done(["reproduce", "table3", "--dry-run"])
    said = capsys.readouterr().out
    assert "image-net.org" in said
    assert "unlazy doctor timm:vit_small_patch16_224.dino" in said
    assert "-m unlazy train dino_s16 model.pool=lazy_strike" in said
    assert "takes GPUs" in said
    assert "github.com/ChengShiest/LAST-ViT" in said
    assert "dino_resnet50_pretrain.pth, from github.com/facebookresearch/dino" in said
    done(["reproduce", "table9", "--dry-run"])
    assert "benchmark zero-shot-segmentation: not built" in capsys.readouterr().out


def test_measured_on_stand_ins_and_never_as_if_it_were_the_same(
    run, few, tmp_path, capsys, offline
):
    out = tmp_path / "out"
    words = ["reproduce", "table3", "--on", few, "--workers", "0", "-o", str(out)]
    done([*words, "--model", f"ViT=file:{run}", "--model", "CLIP=file:nowhere"])
    said = capsys.readouterr().out
    rows = json.loads((out / "table3.json").read_text())["rows"]
    (ours,) = [row for row in rows if row["ours"] is not None]
    assert (ours["model"], ours["paper"], ours["comparable"]) == ("ViT", 42.7, False)
    assert f"model file:{run}" in ours["state"]
    assert f"{few} instead of imagenet:val" in ours["state"]
    record = json.loads(Path(ours["record"]).read_text())
    found = record["values"]["point_in_box"]
    assert ours["ours"] == pytest.approx(100 * found["single/hit"]["value"])
    assert ours["n"] == found["single/pictures"]["value"]
    assert len(rows) == 9
    reasons = {row["model"]: row["state"] for row in rows if row["ours"] is None}
    assert "there is no folder nowhere" in reasons["CLIP"]  # its failure stopped no other
    assert all(state.startswith("not run: ") for state in reasons.values())
    page = (out / "table3.md").read_text()
    assert "(42.7)" in page
    assert "(68.4)" not in page
    assert "[6] DINO's ViT has 45.3" in page
    assert ours["command"] in page
    assert ours["command"] in said

    line = shlex.split(ours["command"])
    again = tmp_path / "again"
    done([*line[1:-1], str(again), "--workers", "0"])  # what a user pastes
    pasted = json.loads((again / "point-in-box.json").read_text())
    assert pasted["values"] == record["values"]


def test_one_run_gives_all_figures_that_come_from_it(run, few, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["reproduce", "figure2", "--on", few, "--workers", "0", "-o", str(out)]
    done([*words, "--model", f"ViT-B/16=file:{run}"])
    rows = json.loads((out / "figure2.json").read_text())["rows"]
    (path,) = {row["record"] for row in rows}
    found = json.loads(Path(path).read_text())["values"]["masked_classification"]
    keys = ["highest/0", "highest/71", "random/71", "lowest/71"]
    assert len({row["ours"] for row in rows}) > 1
    assert [row["ours"] for row in rows] == pytest.approx(
        [100 * found[key]["value"] for key in keys]
    )


def test_a_finished_run_of_the_recipe_is_the_papers_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = find("tables", "table10")()
    row = next(row for row in wanted.rows if row.model == "M = 1")
    assert isinstance(row.origin, Trained)
    folder = tmp_path / row.origin.run
    recipe = override(find("recipes", row.origin.recipe)(), row.origin.words)

    def first():
        return next(each for each in plan(wanted, Choices()) if each.row is row)

    assert "takes GPUs" in first().missing[0]
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    (folder / "recipe.json").write_text(json.dumps(dataclasses.asdict(recipe)))
    assert first().stand_ins == ()
    assert all(what.startswith("data ") for what in first().missing)
    other = override(recipe, ["model.keep=2"])
    (folder / "recipe.json").write_text(json.dumps(dataclasses.asdict(other)))
    assert "other settings (model.keep 2 instead of 1)" in first().missing[0]
    other = override(recipe, ["learning_rate=0.1", "flip=0", "seed=3", "workers=3"])
    (folder / "recipe.json").write_text(json.dumps(dataclasses.asdict(other)))
    given = plan(wanted, Choices(models={"M = 1": f"file:{folder}"}))
    (said,) = next(each.stand_ins for each in given if each.row is row)
    for words in ("learning_rate 0.1 instead of 0.001", "flip 0 instead of 0.5", "seed 3"):
        assert words in said
    assert "workers" not in said


def test_a_model_is_measured_once_for_all_tables_until_its_record_or_weights_change(
    run, few, tmp_path, capsys
):
    out = tmp_path / "out"
    words = ["--on", few, "--workers", "0", "-o", str(out)]
    first = ["reproduce", "table1", *words, "--model", f"ViT=file:{run}"]
    done(first)
    (record,) = out.glob("records/*/point-in-box.json")
    before = record.stat().st_mtime_ns
    done(["reproduce", "table3", *words, "--model", f"CLIP=file:{run}"])
    assert record.stat().st_mtime_ns == before
    assert "measured before" in capsys.readouterr().out
    rows = json.loads((out / "table3.json").read_text())["rows"]
    assert [row["model"] for row in rows if row["ours"] is not None] == ["CLIP"]
    version = find("benchmarks", "point-in-box").version
    record.write_text(record.read_text().replace(f'"version": {version}', '"version": 0', 1))
    done(first)
    assert json.loads(record.read_text())["benchmark"]["version"] == version
    save_file(ViT(CONFIG).state_dict(), run / "model.safetensors")
    before = record.stat().st_mtime_ns
    done(first)
    assert record.stat().st_mtime_ns > before


def test_runs_whose_names_look_alike_have_folders_of_their_own():
    models = {"ViT": "file:a/b", "CLIP": "file:a-b"}
    found = plan(find("tables", "table3")(), Choices(models=models))
    folders = {each.model: each.folder for each in found if each.model in models.values()}
    assert len(set(folders.values())) == 2


def test_named_files_are_the_papers_weights_or_stand_in():
    def of(model):
        found = plan(find("tables", "table3")(), Choices(models={"DINO-ResNet": model}))
        return next(each for each in found if each.row.model == "DINO-ResNet")

    assert of("timm:resnet50=a/dino_resnet50_pretrain.pth").stand_ins == ()
    assert of("timm:resnet50=a/mine.pth").stand_ins == ("model timm:resnet50=a/mine.pth",)
    assert "not on this machine" in of("timm:resnet50.a1_in1k").missing[0]


def test_data_in_part_are_no_equal(tmp_path):
    folder = tmp_path / "VOC2007"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    Image.new("RGB", (20, 10)).save(folder / "JPEGImages" / "000005.jpg")
    (folder / "ImageSets" / "Main" / "trainval.txt").write_text("000005\n")
    missing, partial = data_state("voc07:trainval", tmp_path, needs=frozenset())
    assert not missing
    assert partial == "voc07 in part (1 of 5,011 pictures)"
    missing, _ = data_state("voc12:val", tmp_path, needs=frozenset({"masks"}))
    assert "VOCtrainval_11-May-2012.tar" in missing


def test_boxes_count_where_they_are_needed_and_are_missing_where_there_are_none(
    tmp_path, monkeypatch
):
    for place in range(2):
        path = tmp_path / "val" / "n01440764" / f"{place}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10)).save(path)
    monkeypatch.setattr("unlazy.report.missing.EXPECTED", small_imagenet(2))
    assert data_state("imagenet:val", tmp_path, needs=frozenset()) == ("", "")
    missing, partial = data_state("imagenet:val", tmp_path, needs=frozenset({"boxes"}))
    assert "boxes of data imagenet val: none found" in missing
    assert "ILSVRC2012_bbox_val_v3.tgz" in missing
    assert not partial
    corners = "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
    thing = f"<object><name>n01440764</name><bndbox>{corners}</bndbox></object>"
    (tmp_path / "bbox" / "val").mkdir(parents=True)
    (tmp_path / "bbox" / "val" / "0.xml").write_text(f"<annotation>{thing}</annotation>")
    missing, partial = data_state("imagenet:val", tmp_path, needs=frozenset({"boxes"}))
    assert not missing
    assert partial == "imagenet in part (2 of 2 pictures, 1 of 2 pictures with boxes)"
    assert data_state("imagenet:val", tmp_path, needs=frozenset()) == ("", "")


def small_imagenet(count):
    """What is expected of ImageNet's validation split, were it so small."""
    part = next(each for each in EXPECTED if (each.name, each.part) == ("imagenet", "val"))
    return (dataclasses.replace(part, counts=dict.fromkeys(part.counts, count)),)


def test_the_name_of_the_rows_own_data_is_no_stand_in():
    for on in (None, "imagenet", "imagenet:val"):
        first, *_ = plan(find("tables", "table1")(), Choices(on=on))
        assert (first.data, first.stand_ins) == ("imagenet:val", ())
    first, *_ = plan(find("tables", "table1")(), Choices(on="imagenet:train"))
    assert first.stand_ins == ("imagenet:train instead of imagenet:val",)


def test_weights_that_were_downloaded_are_seen(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert not is_cached("torchvision:resnet18")
    kept = tmp_path / "hub" / "checkpoints"
    kept.mkdir(parents=True)
    (kept / "resnet18-f37072fd.pth").touch()
    assert is_cached("torchvision:resnet18")
    assert not is_cached("torchvision:resnet34")
    with pytest.raises(UnknownName):
        is_cached("timm:vit_small_patch16_224.nobody")


def test_mistakes_are_said_before_any_run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert "did you mean table3" in refused(["reproduce", "tabel3"], capsys)
    assert "--dry-run" in refused(["reproduce", "table3"], capsys)
    said = refused(["reproduce", "table3", "--on", "scenes", "--model", "DINOv1=bundled:x"], capsys)
    assert "did you mean DINO-v1" in said
    said = refused(["reproduce", "table3", "--on", "scenes", "--model", "ViT"], capsys)
    assert "NAME=MODEL" in said
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "torchrun" in refused(["reproduce", "table3", "--on", "scenes"], capsys)
    assert not list(tmp_path.iterdir())


def test_footnotes_are_numbered_once_and_runs_shared():
    for name in NAMES:
        notes = footnotes(find("tables", name)())
        assert len(notes) == len(set(notes))
    found = plan(find("tables", "figure2")(), Choices())
    assert len({each.folder for each in found}) == 1
    assert runnable(found) == []


def test_hours_and_energy_follow_from_what_is_stated(capsys, offline):
    """60 kWh an hour of ViT-B/16 at 1,000 a second, by the paper's formula."""
    stated = ["--throughput", "1000", "--power", "0.805", "--pue", "1.19", "--intensity", "0.37"]
    done(["reproduce", "b-table3", "--dry-run", *stated])
    said = capsys.readouterr().out
    run = next(line for line in said.splitlines() if line.startswith("- OpenCLIP-B, token-class"))
    hours = 300_000 / 1000 / 3600  # its operations are those of ViT-B/16
    assert "300,000 forward passes at most; 0.34 GB of weights" in run
    assert "4.8 MB a picture of a batch, and 6.8 GB of kept tokens at most" in run
    assert f"{60 * hours:.1f} min" in run
    pyramid = next(line for line in said.splitlines() if line.startswith("- PVT-b2, token-class"))
    assert "6.4 MB a picture of a batch, and 4.5 GB of kept tokens" in pyramid
    assert f"{0.805 * 1.19 * hours:.2g} kWh" in run
    assert f"{0.37 * 0.805 * 1.19 * hours:.2g} kg CO2" in run
    done(["reproduce", "b-table3", "--dry-run", "--throughput", "1000"])
    said = capsys.readouterr().out
    assert "kWh" not in said
    assert "kg CO2" not in said


def test_throughput_is_timed_here_where_it_is_not_given(monkeypatch):
    monkeypatch.setattr(report_cost, "TIMED", 0.0)
    monkeypatch.setattr(report_cost, "YARDSTICK", dataclasses.replace(CONFIG, img_size=224))
    report_cost.measured_throughput.cache_clear()
    fast = report_cost.measured_throughput("cpu")
    report_cost.measured_throughput.cache_clear()
    assert fast > 0


def test_operations_and_parameters_of_the_plan_are_counted():
    """Of one model on no device: what the table states is what PyTorch counts."""
    size = SIZES["PVT-b2"]
    with torch.device("meta"), torch.inference_mode():
        backbone = load_backbone(MODELS["PVT-b2"].model, weights="random")
        with FlopCounterMode(display=False) as counted:
            backbone.encode(torch.zeros(1, 3, *backbone.facts.size))
    facts = backbone.facts
    assert counted.get_total_flops() / 1e9 == pytest.approx(size.operations, abs=0.06)
    millions = sum(each.numel() for each in backbone.parameters()) / 1e6
    assert millions == pytest.approx(size.parameters, abs=0.06)
    assert (facts.size[0] // facts.patch[0]) ** 2 == size.tokens
    assert facts.dim == size.dim
    first: Any = backbone.model.get_submodule("patch_embed.proj")
    places = math.prod(side // step for side, step in zip(facts.size, first.stride, strict=True))
    assert (places, first.out_channels) == size.widest


def test_the_models_of_table_6_see_pictures_at_480_px_as_its_note_says():
    table6 = find("tables", "table6")()
    assert any("480 px" in note for note in table6.notes)
    models = {row.origin.model for row in table6.rows if isinstance(row.origin, Pretrained)}
    assert len(models) == 3
    for model in models:
        with torch.device("meta"):
            facts = load_backbone(model, weights="random").facts
        view = find("benchmarks", "coarse-segmentation")().view(facts)
        assert (view.fit, view.resize) == ("pad", 480), model


def test_dinov2s_heads_are_planned_and_counted_at_224_px():
    rows = [row for name in ("b-table4", "b-table5") for row in find("tables", name)().rows]
    planned = [each for name in ("b-table4", "b-table5") for each in planned_of(name)]
    assert all(row.side == 224 and row.size == SIZES_224[row.model[:8]] for row in rows)
    assert all("--size 224 " in each.command for each in planned)
    with torch.device("meta"), torch.inference_mode():
        backbone = load_backbone(MODELS["DINOv2-S"].model, weights="random", size=224)
        with FlopCounterMode(display=False) as counted:
            backbone.encode(torch.zeros(1, 3, 224, 224))
    size = SIZES_224["DINOv2-S"]
    assert counted.get_total_flops() / 1e9 == pytest.approx(size.operations, abs=0.06)
    assert (224 // backbone.facts.patch[0]) ** 2 == size.tokens


def planned_of(name: str, **models: str) -> list[Any]:
    return plan(find("tables", name)(), Choices(models=models))


def test_a_model_that_stands_in_keeps_its_own_size():
    model = "DINOv2-S"
    stands, *_ = (each for each in planned_of("b-table4", **{model: "bundled:tiny-label"}))
    assert "--size" not in stands.command


def test_a_probe_row_is_run_with_its_own_unit(tmp_path, run, capsys):
    """Distances are in patches, top-1 in percent, from one Record."""
    root = tiny_imagenet(tmp_path / "data")
    words = ["--on", "tiny-imagenet", "--data", str(root), "-o", str(tmp_path / "out")]
    picked = ["--model", f"DeiT3-M=file:{run}", "--workers", "0"]
    done(["reproduce", "b-table1", *words, *picked])
    found = json.loads((tmp_path / "out" / "b-table1.json").read_text())
    ours = {row["column"]: row for row in found["rows"] if row["model"] == "DeiT3-M"}
    assert all("unlazy probe" in row["command"] for row in ours.values())
    assert not any(row["comparable"] for row in ours.values())
    record = json.loads(Path(ours["distance, normal"]["record"]).read_text())
    values = record["values"]["position"]
    assert ours["distance, normal"]["ours"] == pytest.approx(values["distance_normal"]["value"])
    top1 = 100 * values["top1_normal"]["value"]
    assert ours["top-1, normal (%)"]["ours"] == pytest.approx(top1)


def tiny_imagenet(root: Path) -> Path:
    """Its layout with two classes of twelve noisy pictures."""
    wnids = ("n01", "n02")
    (root / "val" / "images").mkdir(parents=True)
    (root / "wnids.txt").write_text("\n".join(wnids))
    (root / "words.txt").write_text("n01\tone\nn02\ttwo\n")
    rng = np.random.default_rng(0)

    def picture(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(path)

    for wnid in wnids:
        names = [f"{wnid}_{number}.JPEG" for number in range(12)]
        for name in names:
            picture(root / "train" / wnid / "images" / name)
        lines = "".join(f"{name}\t0\t0\t63\t63\n" for name in names)
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text(lines)
    rows = [f"{number}.JPEG\t{wnids[number % 2]}\t0\t0\t63\t63\n" for number in range(12)]
    for row in rows:
        picture(root / "val" / "images" / row.split()[0])
    (root / "val" / "val_annotations.txt").write_text("".join(rows))
    return root


def known_to_its_library(model: str) -> bool:
    library, _, name = model.partition(":")
    if library == "open_clip":
        pytest.importorskip("open_clip")
        return bool(open_clip_names.find(name).tag)  # raises where weights and activation differ
    if library == "timm":
        return name in timm.list_pretrained() or timm.is_model(name)
    return library == "torchvision" and name in torchvision.models.list_models()


@pytest.mark.parametrize("name", table("tables"))
def test_every_published_model_of_a_table_has_a_name_that_its_library_knows(name):
    for row in find("tables", name)().rows:
        if isinstance(row.origin, Pretrained | Local):
            assert known_to_its_library(row.origin.model), row.origin.model
