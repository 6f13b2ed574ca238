"""Verdicts on the five claims: from real passes of tiny models, and at the lines between them."""

import dataclasses

import numpy as np
import pytest
import timm

from unit.claim_evidence import like, observed, told
from unlazy.ledger import Estimate
from unlazy.report.bench import Outcome
from unlazy.report.claims.across import growth, registers
from unlazy.report.claims.answer import Thresholds
from unlazy.report.claims.content import content
from unlazy.report.claims.evidence import difference
from unlazy.report.claims.families import bare, family
from unlazy.report.claims.judge import ALSO, ALSO_BY_LABEL, judge
from unlazy.report.claims.published import MODELS, figures, paper_name
from unlazy.report.claims.single import artifacts, presence, redundancy
from unlazy.scores import chance_overlap

LINES = Thresholds()
SURE, UNSURE = Estimate(0.8, 0.7, 0.9), Estimate(0.4, 0.2, 0.6)


def test_planted_outliers_are_a_group_and_random_weights_have_none():
    assert presence(observed(high=True).values, LINES) == "group"
    assert presence(observed(high=False).values, LINES) == "none"


def test_without_high_norms_no_claim_about_them_is_decided():
    one = observed(high=False)
    for answer in (artifacts(one, LINES), redundancy(one, LINES), content(one, LINES)):
        assert answer.verdict == "cannot tell"
        assert answer.reason
    assert redundancy(one, LINES).by_label is not None  # what the 98th percentile would say


def test_few_pictures_decide_nothing():
    few = observed(high=True, count=12)
    assert redundancy(few, LINES).verdict == "cannot tell"
    assert "12 pictures" in redundancy(few, LINES).reason
    assert "12 pictures" in artifacts(few, LINES).reason


@pytest.mark.parametrize(
    ("overlap", "verdict"),
    [
        (SURE, "holds"),
        (UNSURE, "cannot tell"),
        (Estimate(0.2, 0.15, 0.25), "does not hold"),
        (Estimate(0.8), "cannot tell"),
        (Estimate(1.0, 1.0, 1.0), "cannot tell"),  # the same in every picture
        (Estimate(0.0, 0.0, 0.0), "cannot tell"),
    ],
)
def test_claim_1_takes_an_overlap_whose_interval_is_clear_of_the_line(overlap, verdict):
    one = told(observed(high=True), "attention", iou_with_norm=overlap)
    assert artifacts(one, LINES).verdict == verdict


def test_claim_1_fails_where_attention_peaks_without_high_norms():
    """As the paper has it of DINOv2-L: these are high-attention patches, not high-norm ones."""
    numbers = {"top_mass": SURE, "iou_with_norm": Estimate(0.05, 0.0, 0.1)}
    found = artifacts(told(observed(high=False), "attention", **numbers), LINES)
    assert found.verdict == "does not hold"
    assert "not high-norm" in found.reason


@pytest.mark.parametrize(("patches", "chosen"), [(64, 1), (50, 3), (16, 16)])
def test_chance_overlap_is_that_of_random_draws(patches, chosen):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(4000):
        first, second = (set(rng.permutation(patches)[:chosen].tolist()) for _ in range(2))
        found.append(len(first & second) / len(first | second))
    assert chance_overlap(patches, chosen) == pytest.approx(np.mean(found), abs=0.01)


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [
        (Estimate(0.2, 0.1, 0.3), "holds"),
        (Estimate(-0.2, -0.3, -0.1), "does not hold"),
        (Estimate(0.1, -0.1, 0.3), "cannot tell"),
    ],
)
def test_claim_3_takes_an_interval_without_zero(gap, verdict):
    one = told(observed(high=True), "neighbours", difference=gap)
    assert redundancy(one, LINES).verdict == verdict


def test_claim_2_takes_sizes_on_both_sides_of_300_million():
    none, high = observed(high=False), observed(high=True)
    small = like(none, name="timm:vit_small_patch14_dinov2", parameters=22_000_000)
    base = like(none, name="timm:vit_base_patch14_dinov2", parameters=86_000_000)
    large = like(high, name="timm:vit_large_patch14_dinov2", parameters=304_000_000)
    other = like(high, name="timm:deit3_huge_patch14_224.fb_in1k", parameters=632_000_000)
    alone = growth(small, [small, other], LINES)
    assert (alone.verdict, "one size only" in alone.reason) == ("cannot tell", True)
    below = growth(small, [small, base], LINES)
    assert (below.verdict, "none has more than 300 M" in below.reason) == ("cannot tell", True)
    for one in (small, base, large):
        assert growth(one, [large, base, small, other], LINES).verdict == "holds"
    clean = like(none, name=large.facts.name, parameters=large.parameters)
    assert growth(small, [small, clean], LINES).verdict == "does not hold"
    both = like(high, name=small.facts.name, parameters=small.parameters)
    answer = growth(both, [both, large], LINES)
    assert answer.verdict == "does not hold"
    assert "Smaller ones have them too" in answer.reason
    assert "grids" not in answer.reason
    facts = dataclasses.replace(large.facts, size=(128, 96))
    wider = dataclasses.replace(large, findings=dataclasses.replace(large.findings, facts=facts))
    seen = growth(small, [small, wider], LINES)
    assert (seen.verdict, "grids of 8 x 8, 16 x 12 patches" in seen.reason) == ("holds", True)
    control = like(high, name=large.facts.name, parameters=large.parameters, random=True)
    assert "one size only" in growth(small, [small, control], LINES).reason


def test_claim_2_takes_large_models_alone_even_where_norms_rise():
    high, many = observed(high=True), {index: 1000.0 + index for index in range(40)}
    seen = high.findings.measured.seen
    seen = {**seen, "norms": with_rows(seen["norms"], peak_over_median=many)}
    measured = dataclasses.replace(high.findings.measured, seen=seen)
    more = dataclasses.replace(high, findings=dataclasses.replace(high.findings, measured=measured))
    small = like(high, name="timm:vit_small_patch14_dinov2", parameters=22_000_000)
    large = like(more, name="timm:vit_large_patch14_dinov2", parameters=304_000_000)
    answer = growth(small, [small, large], LINES)
    assert answer.statistics[-1].found.low > 0
    assert answer.verdict == "does not hold"
    unsure = told(small, "norms", share_over_3median=Estimate(0.0001, 0.0, 0.003))
    assert growth(unsure, [unsure, large], LINES).verdict == "cannot tell"


def outcome(one, name, **numbers):
    """A probe's outcome with these numbers, under this evidence."""
    record = dataclasses.replace(one.findings.record, values={name: numbers})
    found = Outcome(None, record, one.findings.measured, None)
    return dataclasses.replace(one, outcomes={**one.outcomes, name: found})


LESS = {"top1_outlier_minus_normal": Estimate(-0.3, -0.4, -0.2)}
MORE = {"top1_outlier_minus_normal": Estimate(0.6, 0.5, 0.7)}
ERROR = {
    "error_outlier_minus_normal": Estimate(600.0, 500.0, 700.0),
    "r2_outlier": Estimate(0.2, 0.1, 0.3),
    "r2_normal": Estimate(0.7, 0.6, 0.8),
    "r2_outlier_minus_normal": Estimate(-0.5, -0.6, -0.4),
}
TAUGHT = {
    "pictures": Estimate(40.0),
    "top1_normal": Estimate(0.6, 0.5, 0.7),
    "chance": Estimate(0.25),
    "majority": Estimate(0.4),
}
GAIN = {**TAUGHT, "outlier_minus_normal": Estimate(0.2, 0.1, 0.3)}


def probed(*, entropy=0.9, place=LESS, error=ERROR, gain=GAIN, high=True):
    one = outcome(observed(high=high), "position", entropy_outlier=Estimate(entropy), **place)
    one = told(one, "labels", classes=Estimate(4.0))
    return outcome(outcome(one, "pixels", **error), "token-class", **gain)


def test_claim_4_takes_less_local_and_more_global():
    assert content(probed(), LINES).verdict == "holds"
    worse = {**TAUGHT, "outlier_minus_normal": Estimate(-0.2, -0.3, -0.1)}
    assert content(probed(gain=worse), LINES).verdict == "does not hold"
    unsure = {**TAUGHT, "outlier_minus_normal": Estimate(0.1, -0.1, 0.3)}
    assert content(probed(gain=unsure), LINES).verdict == "cannot tell"
    better = {
        "error_outlier_minus_normal": Estimate(-600.0, -700.0, -500.0),
        "r2_outlier": Estimate(0.8, 0.7, 0.9),
        "r2_normal": Estimate(0.7, 0.6, 0.8),
        "r2_outlier_minus_normal": Estimate(0.1, 0.05, 0.15),
    }
    assert content(probed(error=better), LINES).verdict == "cannot tell"  # one less, one more
    assert content(probed(place=MORE, error=better), LINES).verdict == "does not hold"
    assert content(probed(high=False), LINES).verdict == "cannot tell"
    assert content(probed(high=False), LINES).by_label == "holds"


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        ({**GAIN, "pictures": Estimate(29.0)}, "29 labelled pictures"),
        ({"pictures": Estimate(0.0), "training_pictures": Estimate(9.0)}, "0 labelled pictures"),
        ({**GAIN, "top1_normal": Estimate(0.4, 0.3, 0.5)}, "than a guess, 0.4"),
    ],
)
def test_claim_4_says_why_the_class_could_not_be_tested(gain, said):
    found = content(probed(gain=gain), LINES)
    assert found.verdict == "cannot tell"
    assert "The picture's class could not be tested: " in found.reason
    assert said in found.reason
    assert "class than the others" not in found.reason
    either = {**GAIN, "top1_normal": Estimate(0.2), "top1_outlier": Estimate(0.5, 0.45, 0.6)}
    assert content(probed(gain=either), LINES).verdict == "holds"


def test_claim_4_ignores_positions_that_can_be_guessed():
    """As of PVT: outliers at one place have a top-1 of 100 %, which says nothing."""
    fixed = content(probed(entropy=0.0, place=MORE), LINES)
    assert fixed.verdict == "holds"  # by pixels and class alone
    assert "can be guessed" in fixed.reason
    assert content(probed(place=MORE), LINES).verdict == "cannot tell"  # says more, pixels less


def test_claim_4_does_not_call_few_outliers_at_different_places_guessable():
    """13 outliers at 13 of 64 places have 0.62 of the entropy of all places; at 4 places, 0.33."""
    few = {**LESS, "tokens_outlier": Estimate(13.0)}
    apart = content(probed(entropy=0.59, place=few), LINES)
    assert "can be guessed" not in apart.reason
    single = {**LESS, "tokens_outlier": Estimate(1.0)}
    for entropy, place in ((0.33, few), (0.0, single)):
        together = content(probed(entropy=entropy, place=place), LINES)
        assert "can be guessed" in together.reason


def test_claim_4_ignores_errors_that_only_come_from_richer_pixels():
    for share in (Estimate(0.2, 0.1, 0.3), Estimate(-0.1, -0.3, 0.1)):
        richer = {**ERROR, "r2_outlier_minus_normal": share}
        found = content(probed(entropy=0.0, error=richer), LINES)
        assert found.verdict == "cannot tell"


def test_claim_4_ignores_pixels_that_nothing_was_learned_of():
    nothing = {"r2_outlier": Estimate(-0.9, -1.2, -0.6), "r2_normal": Estimate(0.0, -0.1, 0.1)}
    found = content(probed(entropy=0.0, error={**ERROR, **nothing}), LINES)
    assert found.verdict == "cannot tell"
    assert "tell nothing of their pixels" in found.reason


def test_claim_5_takes_a_pair():
    bad = like(observed(high=True), name="file:net")
    good = like(observed(high=False, registers=2), name="file:net-registers")
    still = like(observed(high=True, registers=2), name="file:net-registers")
    assert "no pair" in registers(bad, [bad], LINES).reason
    clean = like(observed(high=False), name="file:net")
    assert "nothing to remove" in registers(clean, [clean, good], LINES).reason
    gone = registers(bad, [bad, good], LINES)
    assert gone.verdict == "cannot tell"
    assert "high norms are gone" in gone.reason
    assert "accuracy was not compared" in gone.reason
    assert registers(bad, [bad, still], LINES).verdict != "holds"
    norms = gone.statistics[0].found
    assert norms.high < 0


def seeing(one, mass):
    """With about this share of attention on the top patches, and two classes."""
    rows = dict(
        enumerate(
            mass + np.random.default_rng(one.facts.num_registers).uniform(-0.01, 0.01, one.pictures)
        )
    )
    measured = one.findings.measured
    attention = measured.seen["attention"]
    seen = {**measured.seen, "attention": with_rows(attention, top_mass=rows)}
    measured = dataclasses.replace(measured, seen=seen)
    one = dataclasses.replace(one, findings=dataclasses.replace(one.findings, measured=measured))
    numbers = {"top_mass": Estimate(mass, mass - 0.01, mass + 0.01), "top_share": Estimate(0.02)}
    return told(told(one, "attention", **numbers), "labels", classes=Estimate(2.0))


def with_rows(seen, **kept):
    return dataclasses.replace(seen, kept={**seen.kept, **kept})


def hits(one, share):
    """With nearest neighbours that are right on this share of the pictures."""
    right = {index: float(index < share * one.pictures) for index in range(one.pictures)}
    seen = {"knn": with_rows(one.findings.measured.seen["attention"], correct=right)}
    measured = dataclasses.replace(one.findings.measured, seen=seen)
    return dataclasses.replace(
        one, outcomes={"knn": Outcome(None, one.findings.record, measured, None)}
    )


@pytest.mark.parametrize(
    ("before", "after", "verdict", "said"),
    [
        (0.4, 0.1, "holds", "less concentrated"),
        (0.1, 0.14, "holds", "was not concentrated"),
        (0.4, 0.6, "does not hold", "more concentrated"),
        (0.1, 0.4, "does not hold", "more concentrated"),
        (0.4, 0.4, "cannot tell", "too uncertain"),
    ],
)
def test_claim_5_takes_attention_that_is_less_concentrated_too(before, after, verdict, said):
    bad = hits(seeing(like(observed(high=True), name="file:net"), before), 0.5)
    clean = like(observed(high=False, registers=2), name="file:net-registers")
    good = hits(seeing(clean, after), 0.75)
    answer = registers(bad, [bad, good], LINES)
    assert (answer.verdict, said in answer.reason) == (verdict, True)
    worse = hits(seeing(clean, 0.1), 0.25)
    assert registers(bad, [bad, worse], LINES).verdict == "does not hold"


def test_a_difference_is_paired():
    """Two rows that vary together differ for sure, though their own intervals overlap."""
    rng = np.random.default_rng(0)
    first = dict(enumerate(rng.normal(0, 10, 50)))
    second = {index: value + 0.1 for index, value in first.items()}
    found = difference(first, second)
    assert found.high < 0
    assert found.value == pytest.approx(-0.1)
    assert difference({0: 1.0}, {1: 1.0}) is None


def test_what_holds_for_random_weights_too_is_flagged():
    shared = told(observed(high=True), "neighbours", difference=Estimate(0.2, 0.1, 0.3))
    trained, control = like(shared, name="file:a"), like(shared, name="file:a", random=True)
    first, second = judge([trained, control])
    assert first.answers[2].verdict == "holds"
    assert first.answers[2].flag == ALSO
    assert second.answers[2].flag == ""
    label = told(observed(high=False), "neighbours", difference=Estimate(0.2, 0.1, 0.3))
    first, _ = judge([like(label, name="file:a"), like(label, name="file:a", random=True)])
    assert first.answers[2].verdict == "cannot tell"
    assert first.answers[2].flag == ALSO_BY_LABEL


def test_the_paper_is_cited_for_its_own_trained_models_only():
    assert any("45.48" in each.value for each in figures("timm:vit_giant_patch14_dinov2", 4))
    assert figures("bundled:tiny-label", 4) == ()
    named = like(observed(high=True), name="timm:vit_small_patch14_dinov2", random=True)
    assert redundancy(named, LINES).published == ()


@pytest.mark.parametrize("who", [who for who, _ in MODELS])
def test_every_model_of_the_paper_is_in_timm_and_has_a_figure(who):
    known = [name for name in timm.list_pretrained() if paper_name(f"timm:{name}") == who]
    assert known
    found = [each for claim in range(1, 6) for each in figures(f"timm:{known[0]}", claim)]
    assert {each.label for each in found} == {who}


def test_families_and_pairs_of_published_names():
    names = timm.list_pretrained("*dinov2*")
    assert {family(f"timm:{name}") for name in names if "reg4" not in name} == {
        "timm:vit-dinov2-lvd142m"
    }
    with_registers = [name for name in names if "reg4" in name]
    assert len(with_registers) == 4
    for name in with_registers:
        twin = f"timm:{name.replace('_reg4', '')}"
        assert bare(f"timm:{name}") == bare(twin)
        assert family(f"timm:{name}") != family(twin)
    assert family("timm:deit3_small_patch16_224.fb_in1k") != family(
        "timm:deit3_small_patch16_224.fb_in22k_ft_in1k"
    )
