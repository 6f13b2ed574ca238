import dataclasses

import pytest

from unit.page_findings import findings
from unlazy.ledger import Estimate
from unlazy.report.verdict import kind_of, verdict


def estimates(**numbers):
    return {key: Estimate(value, value - 0.01, value + 0.01) for key, value in numbers.items()}


NORMS = estimates(max_over_median=9.0, share_over_3median=0.03, images_with_high_norm=0.9)
QUIET = estimates(max_over_median=1.5, share_over_3median=0.0, images_with_high_norm=0.0)


@pytest.fixture(scope="module")
def facts():
    return dataclasses.replace(findings().facts, weights="pretrained")


def titles(values, facts, kind, n=100):
    return " | ".join(sentence.title for sentence in verdict(values, facts, kind, n))


def text(values, facts, kind, n=100):
    return " ".join(f"{one.title}. {one.text}" for one in verdict(values, facts, kind, n))


def score(cosine, low, high, chance=0.3, centre=0.5):
    return {
        "patch_score": {
            "point_in_box/cosine": Estimate(cosine, low, high),
            "point_in_box/chance": Estimate(chance),
            "point_in_box/centre": Estimate(centre),
        }
    }


def test_random_weights_come_first(facts):
    random = dataclasses.replace(facts, weights="random")
    first = verdict({"norms": NORMS}, random, "bimodal", 100)[0]
    assert "random" in first.title
    assert "Nothing below says anything about the trained model" in first.text
    assert first.level == "warning"
    assert "What to try" not in titles({"norms": NORMS}, random, "bimodal")


@pytest.mark.parametrize(
    ("kind", "norms", "title"),
    [
        ("bimodal", NORMS, "This model has high-norm patches"),
        ("bimodal", QUIET, "two groups, but not far apart"),
        ("skewed", QUIET, "long tail"),
        ("unimodal", QUIET, "No high-norm patches"),
        ("constant", QUIET, "No high-norm patches"),
    ],
)
def test_each_shape_of_norms_has_its_sentence(facts, kind, norms, title):
    assert title in titles({"norms": norms}, facts, kind)


def test_nothing_found_means_nothing_to_repair(facts):
    found = verdict({"norms": QUIET}, facts, "unimodal", 100)
    assert {sentence.level for sentence in found} == {"fine"}
    assert "Nothing was found that would need repair" in found[-1].text


def test_the_98th_percentile_is_never_evidence(facts):
    top = estimates(p98=50.0, p98_position_entropy=0.1, p98_most_common_position=0.9)
    neighbours = {"neighbours": {"auc": Estimate(0.9, 0.8, 0.95)}}
    found = text({"norms": QUIET | top, **neighbours}, facts, "unimodal")
    assert "98" not in found
    assert "redundant" not in found
    assert "same places" not in found


def test_attention_is_compared_with_high_norms_only_where_there_are_some(facts):
    attention = {"attention": estimates(top_mass=0.5, iou_with_norm=0.8)}
    assert "mostly the high-norm patches" in text({"norms": NORMS, **attention}, facts, "bimodal")
    assert "overlap" not in text({"norms": QUIET, **attention}, facts, "unimodal")
    other = {"attention": estimates(top_mass=0.5, iou_with_norm=0.02)}
    assert "other patches than the high-norm" in text({"norms": NORMS, **other}, facts, "bimodal")
    spread = {"attention": estimates(top_mass=0.05, iou_with_norm=0.02)}
    assert "spread over many" in titles({"norms": NORMS, **spread}, facts, "bimodal")


@pytest.mark.parametrize(
    ("values", "title"),
    [
        (score(0.1, 0.05, 0.15), "avoid the object"),
        (score(0.32, 0.25, 0.4), "not follow the object better than chance"),
        (score(0.45, 0.4, 0.5), "beat chance, but not pointing at the centre"),
        (score(0.8, 0.7, 0.9), "Patch scores follow the object"),
        ({"patch_score": estimates(mean_cosine=0.2)}, "cannot be told"),
    ],
)
def test_point_in_box_is_held_against_both_baselines(facts, values, title):
    assert title in titles({"norms": QUIET, **values}, facts, "unimodal")


def test_few_pictures_are_named_and_soften_the_verdict(facts):
    few = verdict({"norms": QUIET, **score(0.1, 0.05, 0.15)}, facts, "unimodal", 8)
    about = next(sentence for sentence in few if "avoid the object" in sentence.title)
    assert about.level == "note"
    assert "too few" in about.title
    assert "That is few" in text({"norms": QUIET}, facts, "unimodal", 8)
    assert "That is few" not in text({"norms": QUIET}, facts, "unimodal", 100)


def test_a_wavering_verdict_is_called_so(facts):
    shape = {"norm_shape": estimates(is_skewed=1.0, agreement=0.6)}
    assert "wavers" in titles({"norms": QUIET, **shape}, facts, kind_of(shape))


def test_advice_fits_the_model(facts):
    bare = dataclasses.replace(facts, streams=facts.streams - {"value"}, num_registers=4)
    advice = verdict({"norms": NORMS}, bare, "bimodal", 100)[-1].text
    assert "value features" not in advice
    assert "model trained with registers" not in advice
    advice = verdict({"norms": NORMS}, facts, "bimodal", 100)[-1].text
    assert "value features" in advice
    assert "model trained with registers" in advice


def test_same_places_need_enough_pictures(facts):
    norms = NORMS | estimates(p98_position_entropy=0.2)
    assert "same places" in titles({"norms": norms}, facts, "bimodal", 100)
    assert "same places" not in titles({"norms": norms}, facts, "bimodal", 10)


def test_unmeasured_norms_give_no_verdict_on_them(facts):
    assert kind_of({}) == "unknown"
    assert "nothing can be said" in text({}, facts, "unknown")
