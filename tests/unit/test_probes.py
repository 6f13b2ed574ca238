"""Probes find what was planted, say where they cannot tell, and agree with slow definitions."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from planted_tokens import Drawn, Planted, bright_of, labels_of, noise_of
from reference import probes as reference
from unlazy.benchmarks.classification import KNN
from unlazy.benchmarks.linear import LinearProbe
from unlazy.benchmarks.probe_pixels import PixelProbe
from unlazy.benchmarks.probe_position import PositionProbe
from unlazy.benchmarks.probe_redundancy import Redundancy
from unlazy.benchmarks.probe_registers import RegisterHeads
from unlazy.benchmarks.probe_sweep import ThresholdSweep
from unlazy.benchmarks.probe_token_class import TokenClassProbe
from unlazy.data.sample import Unreadable
from unlazy.probes.pixels import Patches
from unlazy.probes.position import PositionTask
from unlazy.probes.sweep import rank_sets
from unlazy.probes.task import Plan
from unlazy.report.bench import check_needs, run_benchmark
from unlazy.report.probe import run_probes
from unlazy.report.record import plain
from unlazy.settings import override_all

TRAINING, EVALUATED = Drawn(80, seed=1), Drawn(50, seed=2)
QUICK = {"rates": (0.3,), "seeds": 1, "epochs": 6, "batch": 16}


def tokens_of(parts: torch.Tensor, *, cls: torch.Tensor | None = None) -> torch.Tensor:
    first = torch.zeros_like(parts[:, :1]) if cls is None else cls[:, None]
    return torch.cat([first, parts], dim=1)


def norms_of(patches: torch.Tensor) -> torch.Tensor:
    """White patches stand out; the others differ a little."""
    return torch.where(bright_of(patches), 50.0, 1.0 + 0.1 * patches.mean(-1))


def places(patches: torch.Tensor) -> torch.Tensor:
    count = patches.shape[1]
    return torch.eye(count).expand(len(patches), -1, -1)


def everywhere(patches):
    return tokens_of(places(patches)), norms_of(patches)


def normal_only(patches):
    """Places in normal tokens; an outlier has noise instead."""
    parts = torch.where(bright_of(patches)[..., None], torch.rand(16), places(patches))
    return tokens_of(parts), norms_of(patches)


def values(outcomes, name):
    """Numbers of the probe's measure."""
    outcome = next(each for each in outcomes if each.benchmark.name == name)
    found = outcome.record.values[outcome.benchmark.headline.measure]
    return {key: each.value for key, each in found.items()}, outcome


def test_every_number_is_explained(rare):
    from unlazy.report.bench_page import render
    from unlazy.report.meanings import meaning, title

    settings = {"rates": (0.1,), "seeds": 2, "epochs": 1}
    probes = (
        PositionProbe(**settings),
        PixelProbe(method="adamw", **settings),
        TokenClassProbe(**settings),
        ThresholdSweep(**settings),
        RegisterHeads(**settings),
    )
    outcomes = run(with_registers, *probes, registers=2, **rare)
    for outcome in outcomes:
        for measure, found in outcome.record.values.items():
            assert title(measure) != measure
            assert not [key for key in found if not meaning(measure, key)], measure
    page = render(outcomes)
    assert "Outliers at different thresholds" in page
    assert "B, Table 3" in page


def run(design, *probes, dim=16, training=TRAINING, evaluated=EVALUATED, **facts):
    model = Planted(design, dim=dim, **facts)
    return run_probes(probes, model, evaluated, training, source="drawn")


class Rare(Drawn):
    """Eight of 25 pictures have a white patch: 2 % of all tokens, in multiples of 25 pictures."""

    def __getitem__(self, index):
        self.bright = self.where if index % 25 < 8 else None
        return super().__getitem__(index)

    def where(self, index):
        return 2 + index % 14


@pytest.fixture(scope="module")
def rare():
    return {"training": Rare(100, seed=1), "evaluated": Rare(75, seed=2)}


def test_places_in_the_tokens_are_found(rare):
    found, outcome = values(run(everywhere, PositionProbe(**QUICK), **rare), "position")
    assert found["top1_normal"] == found["top1_outlier"] == 1
    assert found["distance_normal"] == found["distance_outlier"] == 0
    assert found["tokens_outlier"] == 24
    assert found["distance_centre"] == pytest.approx(1.4977, abs=1e-4)  # 4 x 4, by hand
    assert any(
        "1,440 examples to learn from and 160 held out; learning rate 0.3" in note
        for note in outcome.record.verdict
    )


def test_places_in_normal_tokens_only(rare):
    found, _ = values(run(normal_only, PositionProbe(**QUICK), **rare), "position")
    assert found["top1_normal"] == 1
    assert found["top1_outlier"] < 0.3
    assert found["top1_outlier_minus_normal"] == found["top1_outlier"] - 1


def test_a_head_of_its_own_may_say_row_and_column(rare):
    """Two more outputs, whose squared error joins cross-entropy; the place is the classifier's."""
    task = PositionTask(Plan((1.0,), 1, 1, 1, "adam"), (2, 3), "head")
    assert task.outputs == 6 + 2
    scores = torch.zeros(1, 8)
    scores[0, 6:] = torch.tensor([3.0, 4.0])  # place 5 is row 1, column 2
    squared = ((3 - 1) ** 2 + (4 - 2) ** 2) / 2
    assert task.loss(scores, torch.tensor([5])).item() == pytest.approx(math.log(6) + 0.5 * squared)
    assert task.merit(scores, torch.tensor([0])).item() == 1  # the highest is none of the two
    probe = PositionProbe(**QUICK, target="head")
    found, outcome = values(run(everywhere, probe, **rare), "position")
    assert found["top1_normal"] == found["top1_outlier"] == 1
    assert outcome.record.parameters["position"].target == "head"


def test_the_centre_is_as_far_as_the_paper_says():
    """14.15 for 37 x 37 patches, 5.35 for 14 x 14, 3.04 for 8 x 8, 2.65 for 7 x 7."""
    from unlazy.probes.bank import Heads
    from unlazy.probes.position import PositionErrors

    heads = Heads(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2))
    for side, expected in ((37, 14.15), (14, 5.35), (8, 3.04), (7, 2.65)):
        judge = PositionErrors(heads, 0.0, (side, side))
        evenly = np.stack([np.ones(side**2, dtype=int), np.zeros(side**2, dtype=int)])
        assert judge._without_model(evenly)["distance_centre"] == pytest.approx(expected, abs=0.01)


def test_outliers_at_one_place_are_known_from_the_place_alone():
    class OnePlace(Rare):
        def where(self, index):
            return 6

    noise = lambda patches: (tokens_of(noise_of(patches, 16)), norms_of(patches))  # noqa: E731
    outcomes = run(
        noise, PositionProbe(**QUICK), training=OnePlace(50, seed=1), evaluated=OnePlace(50, seed=2)
    )
    found, _ = values(outcomes, "position")
    assert found["majority_outlier"] == 1
    assert found["entropy_outlier"] == 0
    assert found["majority_normal"] < 0.1
    assert found["entropy_normal"] > 0.99


def test_pixels_in_the_tokens_are_rebuilt(rare):
    exact = lambda patches: (tokens_of(patches), norms_of(patches))  # noqa: E731
    found, outcome = values(run(exact, PixelProbe(), dim=48, **rare), "pixels")
    assert found["error_normal"] < 1e-6
    assert found["error_outlier"] < 1e-6
    assert found["r2_normal"] == pytest.approx(1)
    assert "4 x 4 x 3" in " ".join(outcome.record.verdict)


def test_few_tokens_to_solve_from_are_said(rare):
    exact = lambda patches: (tokens_of(patches), norms_of(patches))  # noqa: E731
    for pictures, few in ((29, True), (30, False)):  # of 16 tokens, 48 wide
        probe = PixelProbe(pictures=pictures)
        _, outcome = values(run(exact, probe, dim=48, **rare), "pixels")
        assert any("few for a width of 48" in each for each in outcome.record.verdict) == few


def blurred(patches):
    """A third of what is needed, with a sum that never changes, as behind a normalisation."""
    mix = torch.randn(48, 15, generator=torch.Generator().manual_seed(1)) / 7
    parts = patches @ mix
    return tokens_of(torch.cat([parts, 3 - parts.sum(-1, keepdim=True)], -1)), norms_of(patches)


def test_closed_form_is_the_optimum_of_descent(rare):
    closed, _ = values(run(blurred, PixelProbe(), **rare), "pixels")
    slow = PixelProbe(method="adamw", rates=(0.1,), seeds=1, epochs=24, patience=24, batch=16)
    learned, _ = values(run(blurred, slow, **rare), "pixels")
    assert learned["error_normal"] == pytest.approx(closed["error_normal"], rel=5e-3)
    assert 0 < closed["r2_normal"] < 0.9
    assert closed["value_error_normal"] == pytest.approx(closed["error_normal"] / 48)
    assert closed["root_error_normal"] == pytest.approx(closed["error_normal"] ** 0.5)


def test_errors_in_rgb_undo_the_normalisation_of_each_channel(rare):
    weights = Patches((1, 2), (0.5,) * 3, (0.1, 0.2, 0.3)).variances
    assert weights.tolist() == pytest.approx([0.01, 0.01, 0.04, 0.04, 0.09, 0.09])
    found, _ = values(run(blurred, PixelProbe(), **rare), "pixels")
    assert found["rgb_error_normal"] == pytest.approx(found["value_error_normal"] / 16)  # std 1/4


def classes_in_outliers(patches):
    """Outliers know the class; CLS has it half of the time; normal tokens have noise."""
    label, parts = labels_of(patches), noise_of(patches, 16)
    parts = torch.where(
        bright_of(patches)[..., None],
        torch.cat([4 * label, torch.zeros(len(label), 12)], 1)[:, None],
        parts,
    )
    sees = (patches[:, 1, :1] > 0).float()
    cls = torch.cat([4 * label * sees, torch.zeros(len(label), 12)], 1)
    return tokens_of(parts, cls=cls), norms_of(patches)


def test_classes_planted_in_outliers_give_the_order(rare):
    probe = TokenClassProbe(rates=(0.1,), epochs=20, batch=16, seeds=3)
    data = {"training": Rare(250, seed=1), "evaluated": Rare(150, seed=2)}
    found, outcome = values(run(classes_in_outliers, probe, **data), "token-class")
    assert found["pictures"] == 48
    assert found["top1_outlier"] == 1
    assert found["top1_normal"] < found["top1_cls"] < 1
    assert found["outlier_minus_normal"] == pytest.approx(1 - found["top1_normal"])
    assert found["cls_minus_outlier"] == pytest.approx(found["top1_cls"] - 1)
    paired = outcome.record.values["token_class"]["outlier_minus_normal"]
    assert 0.2 < paired.low < paired.value < paired.high < 1


def test_classifiers_that_are_all_right_are_told_apart_by_how_sure_they_are():
    """Two classes that every head tells after one epoch: by top-1 the first epoch would stand."""
    from unlazy.probes.task import Lesson
    from unlazy.probes.token_class import correct, cross_entropy, fit

    labels = torch.arange(40) % 2
    tokens = torch.eye(2)[labels]
    plan = Plan(rates=(0.001, 0.1), seeds=1, epochs=8, patience=2, optimizer="adam")
    heads = fit(
        *(dict(enumerate(tokens[:, None].numpy())), dict(enumerate(labels.tolist()))),
        *(plan, Lesson(None, 8, 0)),
        seeds=1,
        device=torch.device("cpu"),
        name="drawn",
    )
    scores = heads(tokens[None])[:, 0]
    assert correct(scores, labels).min() == 1
    assert heads.rates == (0.1,)
    assert heads.epochs == (8,)
    assert heads.merits[0] == pytest.approx(-float(cross_entropy(scores, labels).mean()), rel=0.05)


def test_pictures_without_a_label_are_left_out():
    class Hidden(Rare):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            hidden = {0: None, 1: -1}.get(index % 5, sample.label)
            return dataclasses.replace(sample, label=hidden)

    probes = (
        TokenClassProbe(rates=(0.1,), epochs=2, batch=16, seeds=1),
        RegisterHeads(rates=(0.1,), epochs=1),
    )
    data = {"training": Hidden(100, seed=1), "evaluated": Hidden(75, seed=2)}
    outcomes = run(classes_in_outliers, *probes, **data)
    labels = [data["evaluated"][index].label for index in range(75) if index % 5 > 1]
    found, _ = values(outcomes, "token-class")
    assert found["pictures"] == int(0.02 * len(labels) * 16)  # the top 2 %, one a picture
    assert 4 * 4 <= found["training_pictures"] <= 100 * 3 // 5
    right = values(outcomes, "register-heads")[0]["top1_cls_mean"] * len(labels) * 3  # seeds
    assert right == pytest.approx(round(right), abs=1e-4)
    for outcome in outcomes:
        skipped = outcome.record.skipped
        assert {each["reason"] for each in skipped} == {"it has no label"}
        assert len(skipped) == 2 * (75 + 100) // 5
        assert outcome.record.data["n"] == len(labels)
    assert outcomes[1].counted() == len(labels)


def test_where_all_are_of_one_class_whichever_the_remark_says_so():
    class Seventh(Rare):
        def __getitem__(self, index):
            return dataclasses.replace(super().__getitem__(index), label=7)

    probe = TokenClassProbe(rates=(0.1,), epochs=1, batch=8, seeds=1)
    [outcome] = run(
        classes_in_outliers, probe, training=Seventh(50, seed=1), evaluated=Seventh(50, seed=2)
    )
    found, _ = values([outcome], "token-class")
    assert found["majority"] == 1
    assert any("of one class" in note for note in outcome.record.verdict)


def test_guesses_are_told_beside_what_tokens_know(rare):
    class Mostly(Rare):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            return sample if index % 3 else dataclasses.replace(sample, label=0)

    probe = TokenClassProbe(rates=(0.1,), epochs=1, batch=8, seeds=1)
    data = {"training": Mostly(100, seed=1), "evaluated": Mostly(100, seed=2)}
    [outcome] = run(classes_in_outliers, probe, **data)
    found, _ = values([outcome], "token-class")
    rows = outcome.measured.seen["token_class"].kept["label"]
    labels = np.array([int(each) for each in rows.values()])
    assert found["chance"] == 1 / 4
    assert found["majority"] == pytest.approx(np.bincount(labels).max() / len(labels))
    assert dict(outcome.compared()).keys() >= {"a random class", "always the most frequent class"}


def test_tokens_that_are_alike_know_as_much(rare):
    def alike(patches):
        label = torch.cat([labels_of(patches), torch.zeros(len(patches), 12)], 1)
        cls = label * torch.rand(16, generator=torch.Generator().manual_seed(0))
        return tokens_of(cls[:, None].expand(-1, 16, -1), cls=cls), norms_of(patches)

    probe = TokenClassProbe(rates=(0.05,), epochs=4, batch=8, seeds=2)
    found, _ = values(run(alike, probe, **rare), "token-class")
    assert found["top1_cls"] == found["top1_normal"] == found["top1_outlier"]
    assert found["outlier_minus_normal"] == found["cls_minus_outlier"] == 0


def test_where_no_norm_stands_out_nothing_is_claimed():
    flat = lambda patches: (tokens_of(places(patches)), torch.ones(patches.shape[:2]))  # noqa: E731
    probes = (
        PositionProbe(**QUICK),
        PixelProbe(),
        TokenClassProbe(epochs=1),
        ThresholdSweep(**QUICK),
    )
    outcomes = run(flat, *probes)
    for name, key in (
        ("position", "top1_outlier"),
        ("pixels", "error_outlier"),
        ("token-class", "top1_cls"),
        ("threshold-sweep", "top1/top2"),
    ):
        found, outcome = values(outcomes, name)
        assert key not in found
        assert any("cannot tell" in note for note in outcome.record.verdict), name
    assert values(outcomes, "position")[0]["top1_normal"] == 1
    assert values(outcomes, "threshold-sweep")[0]["top1/top100"] == 1


def test_the_sweep_is_nested_and_begins_with_all_tokens(rare):
    by_norm = lambda patches: (  # noqa: E731
        tokens_of(torch.where(patches.mean(-1, keepdim=True) > -0.5, places(patches), 0.0)),
        2 + patches.mean(-1).clamp(-1.9),
    )
    outcomes = run(by_norm, PositionProbe(**QUICK), ThresholdSweep(**QUICK), **rare)
    position, _ = values(outcomes, "position")
    sweep, outcome = values(outcomes, "threshold-sweep")
    everything = position["tokens_normal"] + position["tokens_outlier"]
    whole = position["top1_normal"] * position["tokens_normal"]
    whole += position["top1_outlier"] * position["tokens_outlier"]
    assert sweep["top1/top100"] == pytest.approx(whole / everything, abs=1e-6)
    assert sweep["top1/top2"] == pytest.approx(position["top1_outlier"], abs=1e-6)
    shares = (100, 50, 40, 30, 20, 10, 5, 2)
    counts = [sweep[f"tokens/top{share}"] for share in shares]
    assert counts == pytest.approx([share / 100 * everything for share in shares], abs=2)
    tenths = [sweep[f"tokens/decile{place}"] for place in range(1, 11)]
    assert sum(tenths) == everything
    assert sweep["top1/decile1"] < sweep["top1/decile10"] == 1
    asked = ThresholdSweep(probe="pixels", shares=(0.02,))
    pixels, _ = values(run(everywhere, PixelProbe(), asked, **rare), "pixels")
    found, _ = values(run(everywhere, PixelProbe(), asked, **rare), "threshold-sweep")
    assert found["error/top2"] == pytest.approx(pixels["error_outlier"], rel=1e-6)
    line = outcome.sheet.curves[0].lines[0][1]
    assert [point[0] for point in line] == list(shares)


def test_a_sweep_may_be_cut_by_each_pictures_own_norms(rare):
    """Norms of one picture all above those of the other: pooled, the top half is one picture's."""
    norms = torch.tensor([[1.0, 2.0, 3.0, 4.0], [8.0, 7.0, 6.0, 5.0]])
    own = {each.name: each.members(norms).int().tolist() for each in rank_sets((0.5, 0.02))}
    assert own["top100"] == [[1] * 4] * 2
    assert own["top50"] == [[0, 0, 1, 1], [1, 1, 0, 0]]
    assert own["top2"] == [[0, 0, 0, 1], [1, 0, 0, 0]]
    tenths = torch.tensor([own[f"decile{place}"] for place in range(1, 11)])
    assert (tenths.sum(0) == 1).all()
    assert own["decile10"] == own["top2"]
    assert not rank_sets((0.5,))[1].members(torch.ones(1, 4)).any()  # all alike: none is higher
    bright = lambda patches: (  # noqa: E731
        tokens_of(places(patches)),
        patches.mean((1, 2))[:, None].exp() + torch.arange(16) / 1e3,
    )
    sets = {"probe": "position", "shares": (0.25,), **QUICK}
    pooled, image = (
        values(run(bright, ThresholdSweep(**sets, quantile=each), **rare), "threshold-sweep")
        for each in ("pooled", "image")
    )
    assert image[0]["tokens/top25"] == 75 * 4
    assert image[0]["entropy/top25"] == pytest.approx(math.log(4) / math.log(16))  # the last four
    assert pooled[0]["entropy/top25"] > 0.9
    assert image[1].record.parameters["threshold-sweep"].get("quantile") == "image"


def test_one_picture_wide_grids_and_one_class_are_no_crash():
    lonely = lambda patches: (tokens_of(patches[..., :16]), 1 + patches[..., 0].abs())  # noqa: E731
    data = {
        "training": Drawn(30, seed=1, side=4, classes=1, bright=None),
        "evaluated": Drawn(20, seed=2, side=4, classes=1, bright=None),
    }
    probes = (PositionProbe(**QUICK), PixelProbe(), TokenClassProbe(epochs=1))
    outcomes = run(lonely, *probes, side=4, **data)
    assert values(outcomes, "position")[0]["top1_normal"] == 1
    assert values(outcomes, "token-class")[0]["pictures"] == 0  # one token a picture: no pair


def test_fewer_pictures_than_classes(rare):
    probe = TokenClassProbe(rates=(0.1,), epochs=1, batch=4, seeds=1)
    data = {"training": Rare(15, seed=1, classes=6), "evaluated": Rare(50, seed=2, classes=6)}
    design = lambda patches: (tokens_of(noise_of(patches, 16)), norms_of(patches))  # noqa: E731
    found, _ = values(run(design, probe, **data), "token-class")
    assert found["pictures"] == 16


def test_tokens_that_are_no_numbers_are_named(rare):
    low = lambda patches: (  # noqa: E731
        torch.cat([torch.zeros(len(patches), 1, 16), places(patches) * float("nan")], 1),
        norms_of(patches),
    )
    for probe in (PositionProbe(**QUICK), PixelProbe(), TokenClassProbe(epochs=1)):
        with pytest.raises(ValueError, match="not finite"):
            run(low, probe, **rare)
    high = lambda patches: (tokens_of(places(patches)), norms_of(patches) * float("nan"))  # noqa: E731
    with pytest.raises(ValueError, match=r"2/0 are not finite"):
        run(high, PositionProbe(**QUICK))


def test_a_probe_runs_alone_as_a_benchmark_does(rare):
    model = Planted(everywhere, dim=16)
    alone = run_benchmark(
        PositionProbe(**QUICK), model, rare["evaluated"], rare["training"], source="drawn"
    )
    found, _ = values(run(everywhere, PositionProbe(**QUICK), **rare), "position")
    assert {k: v.value for k, v in alone.record.values["position"].items()} == found


def test_a_record_is_the_same_whatever_runs_beside_it(rare):
    class Broken(Rare):
        def __getitem__(self, index):
            if index in (0, 30):
                raise Unreadable("broken")
            return super().__getitem__(index)

    data = {**rare, "training": Broken(100, seed=1)}
    probes = (
        PositionProbe(**QUICK, pictures=60),
        PixelProbe(pictures=60),
        TokenClassProbe(rates=(0.1,), epochs=1),
    )
    with pytest.warns(UserWarning, match="2 training pictures could not be used"):
        together = run(everywhere, *probes, **data)
    with pytest.warns(UserWarning, match="2 training pictures could not be used"):
        alone = [run(everywhere, probe, **data)[0] for probe in probes]
    for one, other in zip(together, alone, strict=True):
        both = (dataclasses.replace(each.record, timing={}) for each in (one, other))
        assert next(both) == next(both)
    counts = [each.record.data.get("training") for each in together]
    assert counts == [{"n": 58, "skipped": 2}] * 2 + [{"n": 98, "skipped": 2}]


def test_a_rate_at_the_end_of_those_tried_is_said(rare):
    steep = PositionProbe(**{**QUICK, "rates": (1e-6, 1e-5, 0.3)})
    _, outcome = values(run(everywhere, steep, **rare), "position")
    assert "0.3 (the highest of those tried), best" in outcome.record.verdict[2]


def test_heads_that_diverge_are_no_result(rare):
    def loud(design):
        return lambda patches: (1e3 * design(patches)[0], norms_of(patches))

    wild = {**QUICK, "rates": (1e37, 3e37), "epochs": 2}
    for design, probe in (
        (everywhere, PositionProbe(**wild)),
        (everywhere, PixelProbe(method="adamw", **wild)),
        (classes_in_outliers, TokenClassProbe(**wild)),
        (everywhere, RegisterHeads(**wild)),
    ):
        with pytest.raises(ValueError, match=r"with none of the rates 1e\+37, 3e\+37") as said:
            run(loud(design), probe, **rare)
        assert probe.name in str(said.value).replace("_", "-")


def test_a_rate_that_diverges_leaves_the_others_alone(rare):
    quick = {**QUICK, "epochs": 3}
    loud = lambda patches: (1e3 * everywhere(patches)[0], norms_of(patches))  # noqa: E731
    probes = (PositionProbe(**{**quick, "rates": rates}) for rates in ((0.3,), (0.3, 3e37)))
    alone, both = (values(run(loud, probe, **rare), "position") for probe in probes)
    assert both[0] == alone[0]
    assert any("learning rate 0.3 " in note for note in both[1].record.verdict)


class Named:
    """Says by its ids, or else by its names, what labels mean."""

    def __init__(self, classes, *, wnids=None):
        self.classes, self.wnids = classes, wnids

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return TRAINING[index]


@pytest.mark.parametrize("probe", [TokenClassProbe(), RegisterHeads(), KNN(), LinearProbe()])
def test_other_classes_in_training_are_refused(probe):
    names = list("abcd")
    for training, evaluated, said in (
        (Named(names), Named(list("abdc")), "label 2 is 'c' in training and 'd' here"),
        (Named(names), Named(names[:3]), "4 classes in training and 3 here; label 3 is 'd'"),
        (Named(names, wnids=["n1"]), Named(names, wnids=["n2"]), "label 0 is 'n1' in training"),
    ):
        with pytest.raises(ValueError, match=said):
            check_needs(probe, evaluated, training, "drawn")
    check_needs(probe, Named(None), Named(names), "drawn")
    check_needs(probe, Named(tuple(names)), Named(names), "drawn")
    check_needs(probe, Named(["w", "x"], wnids=["n1"]), Named(["y"], wnids=["n1"]), "drawn")
    check_needs(PixelProbe(), Named(names), Named(names[:3]), "drawn")


def test_a_setting_is_of_the_probes_that_have_it():
    probes = [PixelProbe(), ThresholdSweep(), Redundancy()]
    found = override_all(probes, ["method=adamw", "seeds=2", "shares=0.1"])
    assert (found[0].method, found[0].seeds) == ("adamw", 2)
    assert (found[1].seeds, found[1].shares) == (2, (0.1,))
    assert found[2] == probes[2]
    for words, said in (
        (["sedes=2"], "pixels and threshold-sweep and redundancy have no setting 'sedes'.*seeds"),
        (["shares=2"], "threshold-sweep: shares lie"),
        (["method=best"], "pixels: method takes one of"),
    ):
        with pytest.raises(ValueError, match=said):
            override_all(probes, words)
    with pytest.raises(ValueError, match="redundancy has no setting 'seeds'"):
        override_all(probes[2:], ["seeds=2"])


PIXELS = "{}: {} changes nothing where method=closed_form; use method=adamw, or leave it out"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *(("rates", "1.0"), ("seeds", "1"), ("epochs", "1"), ("patience", "1"), ("batch", "1")),
        ("seed", "1"),
    ],
)
def test_a_closed_form_refuses_settings_of_descent(key, text, rare):
    alone, sweep = [PixelProbe()], ["probe=pixels"]
    for probes, words in ((alone, []), ([ThresholdSweep()], sweep)):
        name = probes[0].name
        with pytest.raises(ValueError, match=PIXELS.format(name, key)):
            override_all(probes, [*words, f"{key}={text}"])
        [found] = override_all(probes, [*words, "method=adamw", f"{key}={text}"])
        with pytest.raises(ValueError, match=PIXELS.format(name, key)):
            run(everywhere, dataclasses.replace(found, method="closed_form"), **rare)
    both = override_all([PixelProbe(), PositionProbe()], [f"{key}={text}"])
    assert both[0] == PixelProbe()
    assert getattr(both[1], key) != getattr(PositionProbe(), key)


def test_a_sweep_refuses_a_method_without_pixels():
    with pytest.raises(ValueError, match="method changes nothing where probe=position; use probe"):
        override_all([ThresholdSweep()], ["method=adamw"])


def test_a_record_has_the_settings_that_were_used(rare):
    settings = {"method", "pictures"}
    probes = (PixelProbe(), ThresholdSweep(probe="pixels", shares=(0.02,)))
    mores = (set(), {"probe", "shares", "quantile"})
    for outcome, more in zip(run(everywhere, *probes, **rare), mores, strict=True):
        found = plain(outcome.record)["parameters"][outcome.benchmark.name]
        assert found.keys() == settings | more
    learned = run(everywhere, PixelProbe(method="adamw", rates=(0.1,), epochs=1), **rare)[0]
    assert learned.record.parameters["pixels"].rates == (0.1,)
    swept = run(everywhere, ThresholdSweep(**QUICK), **rare)[0]
    assert "method" not in plain(swept.record)["parameters"]["threshold-sweep"]


def test_pixels_are_swept_by_the_recipe_of_the_paper(rare):
    learned = {"method": "adamw", **QUICK, "seeds": 2}
    probes = (PixelProbe(**learned), ThresholdSweep(probe="pixels", shares=(0.02,), **learned))
    outcomes = run(blurred, *probes, **rare)
    pixels, _ = values(outcomes, "pixels")
    found, outcome = values(outcomes, "threshold-sweep")
    assert found["error/top2"] == pytest.approx(pixels["error_outlier"], rel=1e-6)
    assert found["seed_sd_error/top2"] == pytest.approx(pixels["seed_sd_error_outlier"], rel=1e-5)
    assert any(note.startswith("pixels heads: 1,440 examples") for note in outcome.record.verdict)
    closed, _ = values(run(blurred, ThresholdSweep(probe="pixels"), **rare), "threshold-sweep")
    assert found["error/top100"] > closed["error/top100"]


def test_bad_settings_are_said():
    for wrong in ({"seeds": 0}, {"rates": ()}, {"rates": (-1.0,)}, {"pictures": 1}, {"batch": 0}):
        with pytest.raises(ValueError, match=r"at least|above 0"):
            PositionProbe(**wrong)
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        ThresholdSweep(shares=(2.0,))
    slower = ThresholdSweep(**{**QUICK, "epochs": 9})
    with pytest.raises(ValueError, match="two ways"):
        run(everywhere, PositionProbe(**QUICK), slower)


def with_registers(patches):
    """Half of the class in CLS, half in the registers."""
    label = labels_of(patches)
    half = torch.cat([label[:, :2], torch.zeros(len(label), 14)], 1)
    rest = torch.cat([label[:, 2:], torch.zeros(len(label), 14)], 1)
    parts = [half[:, None], torch.zeros(len(label), 1, 16), rest[:, None], noise_of(patches, 16)]
    return torch.cat(parts, dim=1), norms_of(patches)


def test_registers_add_what_only_they_know(tmp_path):
    settings = {"rates": (1.0,), "epochs": 12, "batch": 8}
    data = {"training": Drawn(60, seed=1), "evaluated": Drawn(40, seed=2)}
    torch.save({"weight": torch.zeros(4, 32), "bias": torch.eye(4)[2]}, tmp_path / "head.pth")
    probe = RegisterHeads(**settings, head=tmp_path / "head.pth")
    found, _ = values(run(with_registers, probe, registers=2, **data), "register-heads")
    labels = [data["evaluated"][index].label for index in range(40)]
    assert found["top1_pretrained"] == pytest.approx(np.mean(np.array(labels) == 2))
    assert found["top1_cls_mean_registers"] == 1 > found["top1_cls_mean"]
    assert found["registers_gain"] == pytest.approx(1 - found["top1_cls_mean"])
    assert found["seed_sd_top1_cls_mean_registers"] == 0 <= found["seed_sd_top1_cls_mean"]
    for weight, bias in (
        (torch.zeros(4, 16), torch.zeros(4)),
        (torch.zeros(4, 32), torch.zeros(3)),
    ):
        torch.save({"weight": weight, "bias": bias}, tmp_path / "head.pth")
        with pytest.raises(ValueError, match=r"\(classes, 32\)"):
            run(with_registers, probe, registers=2, **data)
    torch.save({"weight": torch.zeros(5, 32), "bias": torch.zeros(5)}, tmp_path / "head.pth")
    with pytest.raises(ValueError, match="knows 5 classes, the data have 4"):
        run(with_registers, probe, registers=2, **data)
    (tmp_path / "head.pth").write_bytes(b"no head")
    with pytest.raises(ValueError, match="no head of DINOv2"):
        run(with_registers, probe, registers=2, **data)
    found, outcome = values(
        run(everywhere, dataclasses.replace(probe, head=None, epochs=1)), "register-heads"
    )
    assert "top1_mean_registers" not in found
    assert any("has not the tokens" in note for note in outcome.record.verdict)


def test_errors_and_loss_are_those_of_slow_loops():
    from unlazy.benchmarks.probe import shared_view
    from unlazy.measure import measure
    from unlazy.probes.bank import Heads
    from unlazy.probes.pixels import Patches, PixelErrors, cut_out
    from unlazy.probes.position import PositionErrors, said

    generator = torch.Generator().manual_seed(0)
    design = lambda patches: (tokens_of(noise_of(patches, 16)), 2 + patches.mean(-1))  # noqa: E731
    model = Planted(design, dim=16)
    heads = Heads(torch.randn(1, 1, 16, 16, generator=generator), torch.zeros(1, 1, 16))
    pixel_heads = Heads(torch.randn(1, 1, 16, 48, generator=generator), torch.ones(1, 1, 48))
    patches = Patches((4, 4), model.facts.mean, model.facts.std)
    judges = [
        PositionErrors(heads, 2.2, (4, 4)),
        PixelErrors(pixel_heads, 2.2, patches, np.zeros(48, dtype=np.float32)),
    ]
    data = Drawn(6, seed=4)
    view = shared_view(model.facts)
    seen = measure(model, data, judges, view=view, batch_size=4).seen
    pixels = torch.stack([view(data[index].image).pixels for index in range(6)])
    images = model.normalise(pixels)
    cut = cut_out(images, (4, 4))
    tokens, norms = design(cut)
    trace = model.trace(images, judges[0].reads)
    right, _ = said(heads, trace)
    predicted = (tokens[:, 1:] @ heads.weight[0, 0]).argmax(-1)
    assert torch.equal(right[0], (predicted == torch.arange(16)).float())
    found = judges[0].conclude(seen["position"])
    for key, value in reference.position(predicted.tolist(), norms.tolist(), (4, 4), 2.2).items():
        assert found[key] == pytest.approx(value, rel=1e-5), key
    white = [place for row in norms for place, norm in enumerate(row) if norm >= 2.2]
    assert found["majority_outlier"] == pytest.approx(reference.majority(white))
    errors = {"normal": [], "outlier": []}
    rebuilt = tokens[:, 1:] @ pixel_heads.weight[0, 0] + 1
    for picture in range(6):
        for place in range(16):
            top, left = 4 * (place // 4), 4 * (place % 4)
            true = reference.patch_values(images[picture], top, left, (4, 4))
            error = reference.squared_error(rebuilt[picture, place].tolist(), true)
            errors["outlier" if norms[picture, place] >= 2.2 else "normal"].append(error)
    found = judges[1].conclude(seen["pixels"])
    for group, each in errors.items():
        assert found[f"error_{group}"] == pytest.approx(np.mean(each), rel=1e-4)
    task = PositionTask(Plan((1.0,), 1, 1, 1, "adam"), (2, 3))
    scores = torch.randn(5, 6, generator=generator)
    true = torch.tensor([0, 1, 2, 3, 5])
    pairs = zip(scores.tolist(), true.tolist(), strict=True)
    slow = [reference.position_loss(each, place, (2, 3)) for each, place in pairs]
    assert task.loss(scores, true).tolist() == pytest.approx(slow, rel=1e-5)


def test_the_sweep_finds_classes_that_high_norms_alone_know(rare):
    probe = ThresholdSweep(
        probe="token-class", rates=(0.1,), epochs=8, batch=16, seeds=2, shares=(0.5, 0.02)
    )
    outcomes = run(classes_in_outliers, probe, **rare)
    found, outcome = values(outcomes, "threshold-sweep")
    labels = [rare["evaluated"][index].label for index in range(len(rare["evaluated"]))]
    assert found["top1/top2"] > found["top1/top50"] > 1 / len(set(labels)) - 0.1
    assert found["top1/decile10"] > found["top1/decile1"]
    assert (
        found["tokens/top2"]
        == values(run(everywhere, PositionProbe(**QUICK), **rare), "position")[0]["tokens_outlier"]
    )
    assert "seed_sd_top1/top2" in found
    assert outcome.benchmark.needs == {"labels", "training"}
    alone = run(classes_in_outliers, probe, **rare)
    assert values(alone, "threshold-sweep")[0] == found
