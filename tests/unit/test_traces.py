"""Traces in files: what is read again is what the model would return, or it is run again."""

import dataclasses
import json
import resource

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from unlazy.backbones.base import Backbone
from unlazy.backbones.trained import TrainedViT
from unlazy.backbones.vit import ViT, ViTConfig
from unlazy.benchmarks.classification import KNN
from unlazy.benchmarks.discovery import Discovery
from unlazy.benchmarks.masked_classification import MaskedClassification
from unlazy.benchmarks.point_in_box import PointInBox
from unlazy.catalog import load_backbone
from unlazy.cli import main
from unlazy.data.sample import Sample
from unlazy.data.synthetic import Scenes
from unlazy.fixes.baselines import NeighbourMedian
from unlazy.geometry import View
from unlazy.measure import measure
from unlazy.measures.norms import Norms
from unlazy.report.bench import run_benchmark
from unlazy.traces import TraceFiles

CONFIG = ViTConfig(
    img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=8, registers=2
)
SCENES = Scenes(count=24, size=(32, 32), seed=3)
WIDE = Scenes(count=6, size=(32, 48), seed=4)


def backbone(seed=0):
    torch.manual_seed(seed)
    return TrainedViT(ViT(CONFIG), name="tiny", weights="random")


def run(benchmark, model, folder, data=SCENES):
    """Its Record without the time, and how many batches were read and run."""
    traces = None if folder is None else TraceFiles(folder, model)
    training = Scenes(count=16, size=(32, 32), seed=5) if "training" in benchmark.needs else None
    found = run_benchmark(
        benchmark, model, data, training, source="scenes", batch_size=7, traces=traces
    )
    record = json.loads(found.record.to_json())
    timing = record.pop("timing")
    return record, timing, (0, 0) if traces is None else (traces.found, traces.run)


def files(folder):
    return sorted(folder.rglob("*.safetensors"))


@pytest.mark.parametrize(
    "benchmark", [PointInBox(), Discovery(), KNN(neighbours=2), MaskedClassification()], ids=repr
)
def test_a_second_run_reads_all_and_gives_the_same_record(benchmark, tmp_path, monkeypatch):
    model = backbone()
    plain, timing, _ = run(benchmark, model, None)
    assert "read_traces" not in timing
    first, timing, (found, ran) = run(benchmark, model, tmp_path)
    assert found == 0
    assert len(files(tmp_path)) == ran > 0
    monkeypatch.setattr(Backbone, "trace", None)
    monkeypatch.setattr(type(benchmark), "sheet", None, raising=False)
    again, timing, counts = run(benchmark, model, tmp_path)
    assert counts == (ran, 0)
    assert timing["read_traces"] == 24
    assert timing["forward_share"] == 0
    assert first == again == plain


def test_a_batch_is_of_its_model_fix_pictures_and_size(tmp_path):
    run(PointInBox(), backbone(), tmp_path)
    fixed = NeighbourMedian(cutoff=1.0).apply(backbone())
    others = [(backbone(1), SCENES), (fixed, SCENES), (backbone().double(), SCENES)]
    for model, data in [*others, (backbone(), dataclasses.replace(SCENES, seed=9))]:
        assert run(PointInBox(), model, tmp_path, data)[2] == (0, 4)
    assert run(PointInBox(), backbone(), tmp_path)[2] == (4, 0)
    assert run(PointInBox(), fixed, tmp_path)[0] == run(PointInBox(), fixed, None)[0]


def test_other_sites_of_a_batch_are_kept_beside_the_first(tmp_path):
    model = backbone()
    run(PointInBox(), model, tmp_path)
    one = [path.stat().st_size for path in files(tmp_path)]
    assert run(Discovery(), model, tmp_path)[2] == (0, 4)
    assert [path.stat().st_size > size for path, size in zip(files(tmp_path), one, strict=True)]
    for benchmark in (PointInBox(), Discovery()):
        assert run(benchmark, model, tmp_path)[2] == (4, 0)


def test_padding_is_part_of_what_the_model_sees(tmp_path):
    """Pixels are the same; but padding is the mean colour for the model, and black is black."""
    model, view = backbone(), View((32, 32), fit="pad", multiple=(8, 8))
    traces = TraceFiles(tmp_path, model)
    narrow = SCENES[0].image.crop((0, 0, 27, 32))
    black = Image.new("RGB", (32, 32))
    black.paste(narrow)
    for image in (narrow, black, narrow):
        measure(model, [Sample(image, "one")], [Norms()], view=view, traces=traces)
    assert (traces.found, traces.run) == (1, 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-9] ^= 64
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def empty(path):
    path.write_bytes(b"")


def without_entries(path):
    save_file({"image": torch.zeros(7, 1, 16)}, path)


@pytest.mark.parametrize("harm", [flip, cut, empty, without_entries])
def test_a_damaged_file_is_named_and_its_batch_run_again(harm, tmp_path):
    model = backbone()
    first = run(PointInBox(), model, tmp_path)[0]
    harm(files(tmp_path)[1])
    with pytest.warns(UserWarning, match=f"{files(tmp_path)[1]} is damaged"):
        again, _, counts = run(PointInBox(), model, tmp_path)
    assert counts == (3, 1)
    assert first == again
    assert run(PointInBox(), model, tmp_path)[2] == (4, 0)


def test_no_room_is_told_once_and_the_run_goes_on(tmp_path):
    """A real limit: no file may grow beyond it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
    try:
        with pytest.warns(UserWarning, match="takes no more traces.*File too large") as told:
            found, _, counts = run(PointInBox(), backbone(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len([each for each in told if "traces" in str(each.message)]) == 1
    assert counts == (0, 4)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert found == run(PointInBox(), backbone(), None)[0]


def test_models_without_cls_and_pyramids_are_read_as_they_were(tmp_path):
    model = load_backbone("torchvision:resnet18", weights="random")
    first = run(PointInBox(), model, tmp_path, WIDE)
    again = run(PointInBox(), model, tmp_path, WIDE)
    assert again[2] == (first[2][1], 0)
    assert first[0] == again[0]


def test_the_command_says_what_was_read(few, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["bench", "bundled:tiny-label", "point-in-box", "--on", few, "--workers", "0"]
    values = []
    for said in ("0 batches read, 1 run", "1 batches read, 0 run"):
        with pytest.raises(SystemExit) as stop:
            main([*words, "--cache", "seen", "-o", "out"])
        assert not stop.value.code
        assert f"traces: {said}" in " ".join(capsys.readouterr().out.split())
        values.append(json.loads((tmp_path / "out" / "point-in-box.json").read_text())["values"])
    assert values[0] == values[1]
