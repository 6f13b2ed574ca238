"""Benchmarks on planted answers, and from the command line to the Record."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from planted_runs import save_run
from reference.neighbours import votes as written_out
from unlazy.backbones.trained import TrainedViT
from unlazy.backbones.vit import ViT, ViTConfig
from unlazy.backbones.weights import CheckpointMismatch
from unlazy.benchmarks.card_boxes import OtherMaps, SmallBoxes
from unlazy.benchmarks.classification import (
    KNN,
    TIE,
    Accuracy,
    Classification,
    Neighbours,
    Vectors,
)
from unlazy.benchmarks.discovery import Discovery
from unlazy.benchmarks.linear import LinearProbe
from unlazy.benchmarks.masked_accuracy import MaskedAccuracy
from unlazy.benchmarks.masked_classification import MaskedClassification
from unlazy.benchmarks.point_in_box import BoxHits, PointInBox
from unlazy.benchmarks.views import usual_view
from unlazy.benchmarks.zero_shot import ZeroShot
from unlazy.catalog import find, load_backbone, table
from unlazy.data.spread import Spread
from unlazy.data.synthetic import Scenes
from unlazy.geometry import View
from unlazy.ledger import Batch, Ledger, estimates, wilson
from unlazy.measure import measure as look
from unlazy.report.bench import run_benchmark
from unlazy.report.bench_page import render
from unlazy.report.meanings import meaning, title
from unlazy.tokens import SHARED, Tokens, Trace

CONFIG = ViTConfig(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=8)
SCENES = Scenes(count=24, size=(32, 32), seed=3)


def backbone(**changes):
    torch.manual_seed(0)
    return TrainedViT(ViT(dataclasses.replace(CONFIG, **changes)), name="tiny", weights="random")


def planted(best: list[int], side: int = 4) -> Trace:
    """A trace whose highest patch is the given one in each picture."""
    patches = torch.zeros(len(best), side * side, 2)
    patches[..., 1] = 1.0
    for row, place in enumerate(best):
        patches[row, place] = torch.tensor([1.0, 0.0])
    image = torch.tensor([[1.0, 0.0]]).expand(len(best), 2)
    cls = torch.tensor([[0.0, 1.0]]).expand(len(best), 2)
    tokens = Tokens(patches, (side, side), cls, patches[:, :0])
    return Trace(image, {SHARED: tokens}, 1)


def batch_of(boxes: list[np.ndarray | None], side: int = 32) -> Batch:
    from PIL import Image

    views = tuple(View((side, side))(Image.new("RGB", (side, side)), box) for box in boxes)
    count = len(boxes)
    return Batch(
        tuple(range(count)),
        torch.stack([view.pixels for view in views]),
        tuple(map(str, range(count))),
        (0,) * count,
        views,
    )


def concluded(measure, trace, batch) -> dict[str, float]:
    ledger = Ledger()
    ledger.add(measure.name, measure.observe(trace, batch), batch.indices)
    ledger.indices.extend(batch.indices)
    return measure.conclude(ledger.gather([measure])[measure.name])


BOX = np.array([[8, 8, 16, 16]], dtype=np.float32)  # one patch: number 5
LARGE = np.array([[0, 0, 24, 24]], dtype=np.float32)  # nine patches
TWO = np.array([[8, 8, 16, 16], [24, 24, 32, 32]], dtype=np.float32)  # patches 5 and 15


def test_point_in_box_counts_hits_of_the_planted_patch_in_each_subset():
    found = concluded(BoxHits(), planted([5, 3, 15, 9]), batch_of([BOX, LARGE, TWO, None]))
    assert found["all/pictures"] == 3
    assert found["all/hit"] == pytest.approx(2 / 3)
    assert (found["single/pictures"], found["single/hit"]) == (2, 0.5)
    assert (found["single_small25/pictures"], found["single_small25/hit"]) == (1, 1.0)
    assert found["single/chance"] == pytest.approx((1 / 16 + 9 / 16) / 2)
    assert found["single/centre"] == pytest.approx((1 / 4 + 1) / 2)


def test_misses_alone_have_an_interval_by_their_number():
    ledger, measure = Ledger(), BoxHits()
    batch = batch_of([BOX, BOX, TWO])
    ledger.add(measure.name, measure.observe(planted([0, 3, 4]), batch), batch.indices)
    ledger.indices.extend(batch.indices)
    found = estimates(measure, ledger.gather([measure])[measure.name])
    assert (found["all/hit"].low, found["all/hit"].high) == pytest.approx(wilson(0.0, 3))
    assert (found["single/hit"].low, found["single/hit"].high) == pytest.approx(wilson(0.0, 2))


def test_point_in_box_against_cls_and_by_the_centre_rule():
    edge = np.array([[8, 8, 18, 16]], dtype=np.float32)  # reaches into patch 6, not to its centre
    trace, batch = planted([6]), batch_of([edge])
    assert concluded(BoxHits(), trace, batch)["single/hit"] == 1.0
    assert concluded(BoxHits(rule="center"), trace, batch)["single/hit"] == 0.0
    tied = concluded(BoxHits(against="cls"), trace, batch)["single/hit"]
    assert tied == pytest.approx(1 / 15)  # all others resemble CLS alike; one of them is in the box
    bare = dataclasses.replace(trace[SHARED], cls=None)
    with pytest.raises(ValueError, match="against=image"):
        BoxHits(against="cls").observe(Trace(trace.image, {SHARED: bare}, 1), batch)


def test_no_boxes_give_no_numbers():
    assert concluded(BoxHits(), planted([5]), batch_of([None])) == {}


def test_accuracy_stands_beside_chance_and_the_most_frequent_class():
    scores = torch.eye(4)[torch.tensor([0, 1, 1, 3, 0])]
    trace = Trace(scores, {}, 1)
    batch = dataclasses.replace(batch_of([None] * 5), labels=(0, 2, 2, 2, 1))
    found = concluded(Accuracy(lambda image: image), trace, batch)
    assert found == {"top1": pytest.approx(0.2), "chance": 0.25, "majority": 0.6}


@pytest.mark.parametrize("kind", [Classification, KNN, LinearProbe])
def test_every_classifier_has_both_baselines(kind):
    outcome = run_benchmark(kind(), backbone(), SCENES, SCENES, source="scenes")
    labels = [SCENES[index].label for index in range(len(SCENES))]
    most = 100 * max(map(labels.count, labels)) / len(labels)
    baselines = dict(outcome.compared()[1:])
    assert baselines["a random class"].value == pytest.approx(12.5)
    assert baselines["always the most frequent class"].value == pytest.approx(most)
    assert baselines["a random class"].low is None


def assert_votes(bank, labels, queries, *, count: int) -> None:
    found = Neighbours(bank, labels, count=count)(queries)
    for row, query in zip(found, queries, strict=True):
        expected = written_out(
            bank.numpy(), labels.tolist(), query.numpy(), k=count, temperature=0.07, tie=TIE
        )
        assert row.tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", [Classification, KNN, LinearProbe])
def test_misses_and_hits_are_shown_with_both_classes(kind):
    outcome = run_benchmark(kind(), backbone(), SCENES, Spread(SCENES, 16), source="scenes")
    seen = outcome.measured.seen[kind.headline.measure]
    names = {name: index for index, name in outcome.measured.names.items()}
    misses, hits = outcome.sheet.groups
    for group, hit in ((misses, 0), (hits, 1)):
        members = [index for index, row in seen.kept["correct"].items() if row == hit]
        assert len(group.panels) == min(12, len(members))
        few = f"12 of {len(members)}," if len(members) > 12 else f"All {len(members)}."
        assert group.meaning.startswith(few)
        assert "predicted / true" in group.meaning
        for panel in group.panels:
            index = names[panel.name]
            told = SCENES.classes[int(seen.kept["told"][index])]
            true = SCENES.classes[SCENES[index].label]
            assert panel.caption == f"{told} / {true}"
            assert (told == true) == bool(hit)
            assert torch.equal(panel.pixels, View((32, 32))(SCENES[index].image).pixels)
    assert misses.panels[0].caption in render([outcome])


@pytest.mark.parametrize("count", [1, 7, 20])
def test_neighbours_vote_as_written_out(count):
    rng = np.random.default_rng(0)
    some = torch.tensor(rng.normal(size=(20, 6))).float()
    bank = torch.nn.functional.normalize(some, dim=1)[rng.integers(0, 20, 61)]  # with duplicates
    labels = torch.tensor(rng.integers(0, 4, 61))
    assert_votes(
        bank,
        labels,
        torch.cat([torch.tensor(rng.normal(size=(7, 6))).float(), some[:5]]),
        count=count,
    )


def test_neighbours_of_drawn_scenes_vote_as_written_out():
    model = load_backbone("bundled:tiny-label")
    scenes = Scenes(count=12, size=(64, 64), seed=3)
    seen = look(model, scenes, [Vectors()], view=usual_view(model.facts)).seen["vectors"]
    bank = Neighbours.among(seen, torch.device("cpu"))
    twice = bank.vectors.repeat(2, 1)  # each picture twice, under another label
    labels = torch.cat([bank.labels, bank.labels.roll(1)])
    assert_votes(twice, labels, bank.vectors, count=5)


def test_of_equal_neighbours_the_lower_index_votes_whatever_the_batch(monkeypatch):
    bank = torch.nn.functional.normalize(torch.ones(37, 5), dim=1)
    labels = torch.arange(37)
    queries = torch.ones(9, 5)
    expected = torch.zeros(9, 37)
    expected[:, :3] = torch.tensor(1 / 0.07).exp()
    for pairs in (2**27, 74):
        monkeypatch.setattr("unlazy.benchmarks.classification.PAIRS", pairs)
        votes = Neighbours(bank, labels, count=3)
        torch.testing.assert_close(votes(queries), expected, rtol=1e-4, atol=0.0)
        torch.testing.assert_close(votes(queries[:1]), expected[:1], rtol=1e-4, atol=0.0)


def test_knn_and_linear_know_their_own_training_pictures():
    model = backbone()
    knn = run_benchmark(KNN(neighbours=1), model, SCENES, SCENES, source="scenes")
    assert knn.record.values["knn"]["top1"].value == 1.0
    row, *_ = knn.compared()
    assert row[1].value == 100.0
    with pytest.raises(ValueError, match="training pictures"):
        run_benchmark(KNN(), model, SCENES, source="scenes")


def test_a_linear_probe_separates_what_is_separable_and_repeats():
    rng = np.random.default_rng(1)
    labels = torch.tensor(rng.integers(0, 3, 300))
    corners = torch.eye(3)[labels]
    noise = torch.tensor(rng.normal(size=(300, 3)) * 0.1).float()
    vectors = torch.nn.functional.normalize(corners + noise, dim=1)
    probe = LinearProbe(epochs=5)
    head = probe.fit(vectors, labels)
    assert (head(vectors).argmax(1) == labels).double().mean() == 1.0
    assert torch.equal(head.weight, probe.fit(vectors, labels).weight)


def test_masking_nothing_is_clean_and_masking_all_leaves_one_class():
    model = backbone()
    outcome = run_benchmark(MaskedClassification(), model, SCENES, source="scenes")
    found = {
        key: each.value for key, each in outcome.record.values["masked_classification"].items()
    }
    clean = {found[f"{order}/0"] for order in ("highest", "lowest", "random")}
    empty = {found[f"{order}/100"] for order in ("highest", "lowest", "random")}
    assert len(clean) == 1
    assert found["chance"] == 1 / 8
    assert empty == {0.125}  # of 24 scenes in 8 classes, 3 have the one class that is left
    plain = [
        model.classify(model.encode(model.normalise(view.pixels[None]))).argmax().item()
        == sample.label
        for sample in map(SCENES.__getitem__, range(len(SCENES)))
        for view in [View((32, 32))(sample.image)]
    ]
    assert clean.pop() == pytest.approx(np.mean(plain))


def test_highest_and_lowest_masks_are_complements():
    model = backbone()
    measure = MaskedAccuracy(model, shares=(0.25, 0.75))
    seen: list[torch.Tensor] = []
    encode = model.encode
    batch = batch_of([None, None])
    batch = dataclasses.replace(batch, pixels=torch.full((2, 3, 32, 32), 200, dtype=torch.uint8))
    model.encode = lambda images: seen.append((images == 0).all(dim=1)) or encode(images)
    trace = model.trace(model.normalise(batch.pixels), measure.reads)
    seen.clear()
    measure.observe(trace, batch)
    highest, lowest = seen[:2], seen[2:4]
    assert torch.equal(highest[0], ~lowest[1])
    assert torch.equal(highest[1], ~lowest[0])
    assert all(
        int(mask[0].sum()) == share * 32 * 32
        for mask, share in zip(highest, (0.25, 0.75), strict=True)
    )


@pytest.mark.parametrize("fill", ["mean", "black", "grey", "blur"])
def test_every_fill_hides(fill):
    outcome = run_benchmark(
        MaskedClassification(fill=fill), backbone(), Spread(SCENES, 4), source="scenes"
    )
    assert set(outcome.record.values["masked_classification"]) >= {"highest/71", "random/area"}


def test_a_model_without_classes_cannot_be_masked():
    model = backbone(num_classes=0)
    with pytest.raises(ValueError, match="no classifier"):
        run_benchmark(MaskedClassification(), model, SCENES, source="scenes")


def test_a_linear_head_stands_in_for_a_missing_classifier():
    model = backbone(num_classes=0)
    masked = MaskedClassification(head="linear")
    epochs: list[tuple[int, int]] = []
    outcome = run_benchmark(
        masked,
        model,
        SCENES,
        SCENES,
        source="scenes",
        fitting=lambda done, total: epochs.append((done, total)),
    )
    found = outcome.record.values["masked_classification"]
    linear = run_benchmark(LinearProbe(), model, SCENES, SCENES, source="scenes")
    assert found["highest/0"].value == linear.record.values["linear"]["top1"].value
    assert found["chance"].value == 1 / 8
    assert outcome.record.data["training"]["n"] == len(SCENES)
    assert "linear classifier" in outcome.record.verdict[0]
    assert epochs == [(done, 600) for done in range(1, 601)]
    with pytest.raises(ValueError, match="training pictures"):
        run_benchmark(masked, model, SCENES, source="scenes")


def test_bench_from_the_command_line(tmp_path, few, capsys):
    from unlazy.cli import main

    run = save_run(tmp_path / "run", CONFIG, backbone().model.state_dict())
    words = ("bench", f"file:{run}", "point-in-box", "masked-classification", "--on", few)
    with pytest.raises(SystemExit) as stop:
        main([*words, "-o", str(tmp_path / "out"), "--workers", "0"])
    assert not stop.value.code
    printed = capsys.readouterr().out
    assert "always the centre" in printed
    assert "A, Table 1" in printed
    record = json.loads((tmp_path / "out" / "point-in-box.json").read_text())
    assert record["benchmark"]["name"] == "point-in-box"
    assert record["benchmark"]["version"] == PointInBox.version
    assert record["parameters"]["point-in-box"]["rule"] == "overlap"
    for wrong, hint in (
        (["bench", f"file:{run}", "point-in-bx", "--on", "scenes"], "point-in-box"),
        (["bench", f"file:{run}", "knn", "--on", "scenes"], "training split"),
        (["bench", f"file:{run}", "knn", "--data", str(tmp_path)], "--on"),
        (["bench", f"file:{run}", "point-in-box"], "--data"),
        (["bench", f"file:{run}", "coarse-segmentation", "--on", "photos"], "needs masks"),
        (["bench", f"file:{run}", "knn", "--on", "tiny-imagenet:train", "--data", "."], "learn"),
        (["bench", f"file:{run}", "point-in-box", "--on", "scenes", "--size", "64"], "own size"),
        (["bench", f"file:{run}", "point-in-box", "--on", "scenes", "--fit", "squash"], "--fit"),
        (
            ["bench", f"file:{run}", "point-in-box", "--on", "scenes", "--device", "banana"],
            "banana",
        ),
        (["bench", f"file:{run}", "discovery", "--on", "scenes", "--set", "k=nan"], "number"),
        (["bench", f"file:{run}", "discovery", "--on", "scenes", "--set", "share=7"], "(0, 1]"),
        (["bench", f"file:{run}", "linear", "--on", "scenes", "--set", "epochs=0"], "at least 1"),
        (["bench", f"file:{run}", "point-in-box", "--on", "scenes", "--set", "rule=x"], "overlap"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(wrong)
        assert stop.value.code == 1
        assert hint in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "timm:vit_tiny_patch16_224",
        "timm:vit_base_patch16_clip_224.openai_ft_in1k",
        "timm:pvt_v2_b0",
        "timm:swinv2_tiny_window8_256",
        "timm:resnet18",
        "torchvision:resnet18",
        "torchvision:vit_b_32",
    ],
)
@torch.inference_mode()
def test_the_classifier_completes_the_model(name):
    torch.manual_seed(0)
    model = load_backbone(name, weights="random")
    images = torch.randn(1, 3, *model.facts.size)
    assert torch.equal(model.classify(model.encode(images)), model.model(images))


def test_a_model_without_a_head_says_so():
    model = load_backbone("timm:vit_small_patch14_dinov2", weights="random", size=56)
    assert model.classifier() is None
    with pytest.raises(ValueError, match="no classifier"):
        model.classify(torch.zeros(1, model.facts.dim))


def test_ids_and_names_of_classes_do_not_compare():
    model = backbone()
    model.label_names = [f"n{place:08}" for place in range(8)]
    run_benchmark(Classification(), model, SCENES, source="scenes")
    model.label_names = [f"{each}, and more" for each in SCENES.classes]
    run_benchmark(Classification(), model, SCENES, source="scenes")
    model.label_names = [*SCENES.classes, "one more"]
    with pytest.raises(ValueError, match=r"than the 8 of the data: label 8 is .* missing here"):
        run_benchmark(Classification(), model, SCENES, source="scenes")
    model.label_names = SCENES.classes[::-1]
    with pytest.raises(ValueError, match="means other classes by its 8 labels"):
        run_benchmark(Classification(), model, SCENES, source="scenes")


def test_classification_refuses_data_of_other_classes():
    model = backbone(num_classes=5)
    with pytest.raises(ValueError, match="knows 5 classes, the data have 8"):
        run_benchmark(Classification(), model, SCENES, source="scenes")
    found = run_benchmark(Classification(), backbone(), SCENES, source="scenes")
    assert 0 <= found.record.values["accuracy"]["top1"].value <= 1


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A small CLIP that open_clip knows, its weights in a file."""
    open_clip = pytest.importorskip("open_clip")
    folder = tmp_path_factory.mktemp("clip")
    config = {
        "embed_dim": 32,
        "vision_cfg": {
            "image_size": 32,
            "layers": 2,
            "width": 64,
            "head_width": 32,
            "patch_size": 16,
        },
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 1,
        },
    }
    (folder / "tiny-clip-of-a-test.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "tiny-clip-of-a-test.json")
    torch.manual_seed(0)
    model = open_clip.create_model("tiny-clip-of-a-test", load_weights=False).eval()
    save_file(dict(model.state_dict()), folder / "clip.safetensors")
    return model, folder / "clip.safetensors"


@pytest.mark.parametrize("name", table("benchmarks"))
def test_every_number_of_every_benchmark_has_its_meaning(name, clip):
    text = name == "zero-shot-classification"
    model = load_backbone("open_clip:tiny-clip-of-a-test", weights=clip[1]) if text else backbone()
    some = dataclasses.replace(SCENES, count=4)
    outcome = run_benchmark(find("benchmarks", name)(), model, some, SCENES, source="scenes")
    assert outcome.record.values
    for measure, numbers in outcome.record.values.items():
        assert title(measure) != measure
        assert [key for key in numbers if not meaning(measure, key)] == []


@pytest.mark.parametrize("measure", [SmallBoxes(), OtherMaps()])
def test_the_numbers_of_a_card_have_meanings(measure):
    found = look(backbone(), Spread(SCENES, 4), [measure], view=View((32, 32)))
    numbers = measure.conclude(found.seen[measure.name])
    assert numbers
    assert [key for key in numbers if not meaning(measure.name, key)] == []


def test_masked_classification_draws_its_three_curves_with_their_areas():
    outcome = run_benchmark(MaskedClassification(), backbone(), Spread(SCENES, 8), source="scenes")
    found = outcome.record.values["masked_classification"]
    (curve,) = outcome.sheet.curves
    for order in ("highest", "lowest", "random"):
        tops = [found[f"{order}/{percent}"].value for percent in (0, 14, 29, 43, 57, 71, 86, 100)]
        steps = [(left + right) / 2 / 7 for left, right in itertools.pairwise(tops)]
        assert found[f"{order}/area"].value == pytest.approx(sum(steps))
    for order, (label, points) in zip(("highest", "lowest", "random"), curve.lines, strict=True):
        assert label == f"{order} ({100 * found[f'{order}/area'].value:.1f})"
        assert points[0] == (0, pytest.approx(100 * found[f"{order}/0"].value))
        assert points[5][1] == pytest.approx(100 * found[f"{order}/71"].value)
    assert curve.title in render([outcome])


def test_masked_classification_shows_what_was_lost_and_kept_as_the_model_saw_it():
    model = backbone()
    masked = MaskedClassification(fill="black")
    outcome = run_benchmark(masked, model, SCENES, source="scenes")
    found = outcome.record.values["masked_classification"]
    rows = outcome.measured.seen["masked_classification"].kept["highest"]
    lost, kept = outcome.sheet.groups
    assert lost.title.startswith("Class lost with the highest 71 %")
    assert kept.title.startswith("Class kept")
    told = sum(int(row[0]) for row in rows.values())
    assert len(lost.panels) + len(kept.panels) == told > 0  # at most twelve a group
    assert round(found["highest/0"].value * len(SCENES)) == told
    names = {SCENES[index].name: index for index in rows}
    for group, hit in ((lost, 0), (kept, 1)):
        assert f"of the {told} whose" in group.meaning
        for panel in group.panels:
            index = names[panel.name]
            assert (rows[index][0], rows[index][5]) == (1, hit)
            whole = View((32, 32))(SCENES[index].image).pixels
            black = (panel.pixels == 0).all(dim=0)
            assert black.double().mean() == pytest.approx(11 / 16, abs=0.05)
            assert torch.equal(panel.pixels[:, ~black], whole[:, ~black])
            assert black[panel.best[0] * 8, panel.best[1] * 8]
            assert panel.map[panel.best] == panel.map.max()
            answers = panel.caption.split(" / ")
            assert (answers[0] == answers[1]) == bool(hit)


def test_figures_of_another_split_are_not_shown_as_of_the_same_data():
    outcome = run_benchmark(Discovery(), backbone(), Spread(SCENES, 2), source="scenes")

    def on(source):
        data = outcome.record.data | {"source": source}
        return dataclasses.replace(outcome, record=dataclasses.replace(outcome.record, data=data))

    own, other = on("voc12").published(), on("voc12:val").published()
    assert own == on("voc12:trainval").published()
    assert {row.data for row in (*own, *other)} == {"voc12:trainval"}
    assert not any("other split" in row.note for row in own)
    assert all(row.note.startswith("other split") for row in other)
    assert other[0].note == "other split; no model"
    assert "voc12:trainval (other split; values)" in render([on("voc12:val")])
    assert {row.data for row in on("mine.py:voc12").published()} == {"voc07:trainval"}
    outcome = dataclasses.replace(outcome, benchmark=Discovery(masks=True))  # the segmentation list
    notes = {row.model: row.note for row in on("voc12").published()}
    assert notes["DINOv2"] == "other pictures; keys"
    assert on("voc12:val").published()[0].note == "other split; other pictures; no model"
    assert not any("other pictures" in row.note for row in on("coco20k").published())


def test_the_first_row_of_discovery_names_its_method():
    outcome = run_benchmark(Discovery(), backbone(), Spread(SCENES, 2), source="scenes")
    assert outcome.compared()[0][0] == "tiny, by patch score"


def test_zero_shot_vectors_are_open_clips_own(clip):
    import open_clip

    model, path = clip
    backbone = load_backbone("open_clip:tiny-clip-of-a-test", weights=path)
    tokenizer = open_clip.get_tokenizer("tiny-clip-of-a-test")
    names, templates = ["dog", "fire truck"], open_clip.SIMPLE_IMAGENET_TEMPLATES
    with torch.inference_mode():
        theirs = open_clip.build_zero_shot_classifier(model, tokenizer, names, templates)
    torch.testing.assert_close(backbone.texts.classes(names, "simple"), theirs.T)


def test_zero_shot_from_pictures_to_top1(clip):
    _, path = clip
    model = load_backbone("open_clip:tiny-clip-of-a-test", weights=path)
    found = run_benchmark(ZeroShot(templates="simple"), model, SCENES, source="scenes")
    vectors = model.texts.classes(list(SCENES.classes), "simple")
    view, right = View((32, 32), resize=None), []
    with torch.inference_mode():
        for sample in map(SCENES.__getitem__, range(len(SCENES))):
            image = model.encode(model.normalise(view(sample.image).pixels[None]))
            right.append(int((vectors @ image[0]).argmax()) == sample.label)
    assert found.record.values["zero_shot"]["top1"].value == pytest.approx(np.mean(right))
    with pytest.raises(ValueError, match="no text tower"):
        run_benchmark(ZeroShot(), backbone(), SCENES, source="scenes")
    only = path.with_name("visual.safetensors")
    save_file(dict(model.model.state_dict()), only)
    half = load_backbone("open_clip:tiny-clip-of-a-test", weights=only)
    with pytest.raises(CheckpointMismatch, match="image tower alone"):
        half.texts.classes(["a"], "simple")
