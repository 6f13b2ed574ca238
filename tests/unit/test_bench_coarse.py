"""Coarse segmentation from the command line, and its variants on hand-made maps."""

import json

import numpy as np
import pytest
import torch

from planted_blocks import MODEL, save_model
from unlazy.benchmarks.coarse_segmentation import CoarseSegmentation, Overlap
from unlazy.benchmarks.whole_picture import shown_size
from unlazy.catalog import load_backbone
from unlazy.cli import main
from unlazy.data.synthetic import Scenes
from unlazy.geometry import Viewed
from unlazy.ledger import Batch, Ledger
from unlazy.report.bench import run_benchmark
from unlazy.tokens import SHARED, Tokens, Trace, attention


def seen_by(measure, maps, views):
    """What a measure concludes of maps (B, H, W, A), patches of 4 pixels."""
    grid, count = maps.shape[1:3], len(views)
    tokens = Tokens(maps.flatten(1, 2), tuple(grid), None, maps.flatten(1, 2)[:, :0])
    trace = Trace(torch.ones(count, maps.shape[-1]), {attention(0): tokens, SHARED: tokens}, 1)
    pixels = torch.stack([each.pixels for each in views])
    batch = Batch(tuple(range(count)), pixels, ("",) * count, (None,) * count, tuple(views))
    ledger = Ledger()
    ledger.add(measure.name, measure.observe(trace, batch), batch.indices)
    ledger.indices.extend(batch.indices)
    return measure.conclude(ledger.gather([measure])[measure.name])


def viewed(mask, *, void=None, shown=None) -> Viewed:
    pixels = torch.zeros(3, *mask.shape, dtype=torch.uint8)
    return Viewed(pixels, mask=mask.to(torch.uint8), void=void, shown=shown)


LEFT = torch.zeros(8, 8).int()
LEFT[:, :4] = 1  # two of four patches
ROW = torch.tensor([[[[0.4, 0.1], [0.1, 0.4]], [[0.4, 0.1], [0.1, 0.4]]]])  # head 0 left, 1 right


def test_the_best_head_counts_and_void_does_not():
    found = seen_by(Overlap("attention", "mass60"), ROW, [viewed(LEFT)])
    assert found["jaccard"] == 1
    assert found["every_pixel"] == 0.5
    assert found["centre_half"] == pytest.approx(8 / (32 + 16 - 8))
    half = torch.zeros(8, 8, dtype=torch.bool)
    half[:, :2] = True  # of the object
    found = seen_by(Overlap("attention", "top60"), ROW[..., 1:], [viewed(LEFT, void=half)])
    assert found["every_pixel"] == pytest.approx(16 / 48)


def test_padding_is_neither_in_the_map_nor_in_the_masks():
    mask = torch.zeros(8, 12).int()
    mask[:, :4] = 1
    maps = torch.tensor([[[[0.4], [0.1], [5.0]], [[0.4], [0.1], [5.0]]]])  # most of it on padding
    found = seen_by(Overlap("attention", "mass60"), maps, [viewed(mask, shown=(8, 8))])
    assert found["jaccard"] == 1
    assert found["every_pixel"] == 0.5


def test_crate_takes_the_best_head_for_each_class_at_the_patches():
    classes = LEFT.clone()
    classes[:, 4:] = 2
    found = seen_by(Overlap("attention", "crate"), ROW, [viewed(classes)])
    assert found["jaccard"] == 1  # one head each
    assert found["every_pixel"] == 0.5


def test_pictures_without_object_are_counted():
    nothing = Viewed(torch.zeros(3, 8, 8, dtype=torch.uint8))
    views = [viewed(LEFT), viewed(LEFT * 0), nothing]
    found = seen_by(Overlap("attention", "mass60"), ROW.expand(3, -1, -1, -1), views)
    assert (found["pictures"], found["pictures_without_object"]) == (1, 2)
    assert found["jaccard"] == 1
    none = seen_by(Overlap("attention", "mass60"), ROW, [nothing])
    assert none == {"pictures": 0, "pictures_without_object": 1}


@pytest.mark.parametrize("rule", ["mass60", "top60", "mean-std", "crate"])
def test_even_scores_have_an_overlap_and_no_error(rule):
    even = torch.ones(1, 2, 2, 2)
    found = seen_by(Overlap("patch-score", rule), even, [viewed(LEFT)])
    assert 0 <= found["jaccard"] <= 1


def test_drawn_scenes_from_the_command_line(tmp_path, few):
    weights = save_model(tmp_path / "planted.safetensors")
    given = [
        "bench",
        f"{MODEL}={weights}",
        "coarse-segmentation",
        "--on",
        few,
        "--workers",
        "0",
    ]
    with pytest.raises(SystemExit) as end:
        main([*given, "-o", str(tmp_path / "out"), "--set", "short_side=64"])
    assert not end.value.code
    record = json.loads((tmp_path / "out" / "coarse-segmentation.json").read_text())
    found = {key: each["value"] for key, each in record["values"]["coarse_segmentation"].items()}
    assert found["pictures"] == 40
    assert 0 < found["every_pixel"] < 0.35
    assert np.isfinite(found["jaccard"])
    assert record["parameters"]["view"]["resize"] == 64


@pytest.mark.parametrize("changes", [{}, {"map": "attention"}, {"rule": "crate"}])
def test_the_worst_and_the_best_are_shown_with_their_masks(changes):
    scenes = Scenes(count=6, size=(64, 48), seed=1)
    model = load_backbone(MODEL, weights="random")
    benchmark = CoarseSegmentation(short_side=64, **changes)
    outcome = run_benchmark(benchmark, model, scenes, source="scenes")
    rows = outcome.measured.seen["coarse_segmentation"].kept["jaccard"]
    names = outcome.measured.names
    ranked = [names[index] for index in sorted(rows, key=rows.__getitem__)]
    lowest, highest = outcome.sheet.groups
    assert [panel.name for panel in lowest.panels] == ranked[:3]
    assert [panel.name for panel in highest.panels] == ranked[:2:-1]
    indices = {name: index for index, name in names.items()}
    view = benchmark.view(model.facts)
    for panel in (*lowest.panels, *highest.panels):
        index = indices[panel.name]
        assert panel.caption == f"Jaccard index {float(rows[index]):.2f}"
        assert set(np.unique(panel.map)) <= {0.0, 1.0}
        if benchmark.rule == "crate":
            continue  # it is measured at the patches' centres
        patch = panel.pixels.shape[-2] // len(panel.map)
        sample = scenes[index]
        seen = view(sample.image, mask=sample.mask)
        height, width = shown_size(seen)
        mask = (np.kron(panel.map, np.ones([patch] * 2)) > 0)[:height, :width]
        truth = seen.mask[:height, :width].numpy() > 0
        assert (mask & truth).sum() / (mask | truth).sum() == pytest.approx(float(rows[index]))


def test_a_model_without_attention_is_told_what_to_do():
    from unlazy.benchmarks.base import Inputs

    resnet = load_backbone("timm:test_resnet", weights="random")
    with pytest.raises(ValueError, match="use map=patch-score"):
        CoarseSegmentation(map="attention").measures(Inputs(resnet, [], None, lambda *_: None))
