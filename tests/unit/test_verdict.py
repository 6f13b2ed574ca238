import dataclasses

import numpy as np
import pytest

from unit.page_findings import findings
from unlazy.ledger import Estimate, Seen
from unlazy.measures.norms import Norms, NormShape
from unlazy.report.sentences import has_high_norms
from unlazy.report.verdict import kind_of, verdict


def estimates(**numbers):
    return {key: Estimate(value, value - 0.01, value + 0.01) for key, value in numbers.items()}


NORMS = estimates(max_over_median=9.0, share_over_3median=0.03, images_with_high_norm=0.9)
GROUP = estimates(share_above_boundary=0.03, boundary=40.0)  # a minor group of long vectors
HIGH = {"norms": NORMS, "norm_shape": GROUP}
QUIET = estimates(max_over_median=1.5, share_over_3median=0.0, images_with_high_norm=0.0)


@pytest.fixture(scope="module")
def facts():
    return dataclasses.replace(findings().facts, weights="pretrained")


def titles(values, facts, kind, n=100):
    return " | ".join(sentence.title for sentence in verdict(values, facts, kind, n))


def text(values, facts, kind, n=100):
    return " ".join(f"{one.title}. {one.text}" for one in verdict(values, facts, kind, n))


def score(cosine, low, high, chance=0.3, centre=0.5, pictures=100, **more):
    return {
        "patch_score": {
            **more,
            "point_in_box/pictures": Estimate(float(pictures)),
            "point_in_box/cosine": Estimate(cosine, low, high),
            "point_in_box/chance": Estimate(chance),
            "point_in_box/centre": Estimate(centre),
        }
    }


def test_random_weights_come_first(facts):
    random = dataclasses.replace(facts, weights="random")
    first = verdict(HIGH, random, "bimodal", 100)[0]
    assert "random" in first.title
    assert "Nothing below says anything about the trained model" in first.text
    assert first.level == "warning"
    assert "What to try" not in titles(HIGH, random, "bimodal")


@pytest.mark.parametrize(
    ("kind", "norms", "above", "title"),
    [
        ("bimodal", NORMS, 0.03, "This model has high-norm patches"),
        ("bimodal", QUIET, 0.03, "two groups, but not far apart"),
        ("bimodal", NORMS, 0.2, "two groups, but not far apart"),
        ("bimodal", NORMS, 0.0001, "two groups, but not far apart"),
        ("bimodal", NORMS, 0.97, "the smaller one short"),
        ("skewed", NORMS, None, "long tail, but no separate group"),
        ("skewed", QUIET, None, "No high-norm patches were found, though norms have a tail"),
        ("unimodal", NORMS, None, "long tail, but no separate group"),
        ("unimodal", QUIET, None, "No high-norm patches"),
        ("constant", QUIET, None, "No high-norm patches"),
    ],
)
def test_each_shape_of_norms_has_its_sentence(facts, kind, norms, above, title):
    shape = {} if above is None else estimates(share_above_boundary=above, boundary=40.0)
    found = titles({"norms": norms, "norm_shape": shape}, facts, kind)
    assert title in found
    assert ("This model has" in found) == (title == "This model has high-norm patches")


def planted(changed):
    """Values as a run gives them, of 30 pictures whose norms the caller changes."""
    norms = np.random.default_rng(0).normal(50, 4, (30, 100))
    changed(norms)
    rows = dict(enumerate(norms[:, :, None]))
    names = {"before": rows, "after": rows, "norm": rows}
    peak = {index: row.max() for index, row in rows.items()}
    names |= dict.fromkeys(("peak", "peak_over_median", "largest_value"), peak)
    seen = Seen(names, {}, tuple(range(30)))
    each = (Norms(), NormShape())
    return {one.name: {k: Estimate(v) for k, v in one.conclude(seen).items()} for one in each}


def many(norms):
    norms[:, :2] = np.random.default_rng(1).normal(400, 40, (30, 2))


def stray(norms):
    norms[3, 5] = 400


def short(norms):
    norms[:, :2] = np.random.default_rng(1).normal(10, 0.5, (30, 2))
    norms[3, 5] = 400


@pytest.mark.parametrize(
    ("changed", "kind", "found"),
    [(many, "bimodal", True), (stray, "", False), (short, "bimodal", False)],
)
def test_neither_a_stray_patch_nor_a_short_group_is_an_artifact(facts, changed, kind, found):
    values = planted(changed)
    assert kind in kind_of(values)
    assert has_high_norms(values, kind_of(values)) == found
    assert ("This model has high-norm" in titles(values, facts, kind_of(values))) == found


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
    attention = {"attention": estimates(top_mass=0.5, top_share=0.02, iou_with_norm=0.8)}
    assert "mostly the patches with the highest norms" in text(HIGH | attention, facts, "bimodal")
    assert "bright dots" in text(HIGH | attention, facts, "bimodal")
    assert "overlap" not in text({"norms": QUIET, **attention}, facts, "unimodal")
    other = {"attention": estimates(top_mass=0.5, top_share=0.02, iou_with_norm=0.02)}
    assert "other patches than the high-norm" in text(HIGH | other, facts, "bimodal")
    assert "bright dots" not in text(HIGH | other, facts, "bimodal")
    spread = {"attention": estimates(top_mass=0.05, top_share=0.02, iou_with_norm=0.8)}
    assert "spread over many" in titles(HIGH | spread, facts, "bimodal")
    assert "bright dots" not in text(HIGH | spread, facts, "bimodal")


@pytest.mark.parametrize(
    ("mass", "top", "title"),
    [
        (0.19, 0.02, "spread"),
        (0.21, 0.02, "concentrated on few"),
        (0.3, 1 / 16, "spread"),  # an even share of one patch of 16 is 6 %
        (0.7, 1 / 16, "concentrated on few"),
        (0.9, 1 / 4, "Too few patches to tell"),
    ],
)
def test_attention_is_held_against_an_even_share(facts, mass, top, title):
    values = {"norms": QUIET, "attention": estimates(top_mass=mass, top_share=top)}
    assert title in titles(values, facts, "unimodal")


@pytest.mark.parametrize(
    ("values", "title"),
    [
        (score(0.1, 0.05, 0.15), "avoid the object"),
        (score(0.32, 0.25, 0.4), "not clearly find the object more often than chance"),
        (score(0.8, 0.7, 0.9, **{"auc/cosine": Estimate(0.4, 0.3, 0.45)}), "background scores"),
        (score(0.45, 0.4, 0.5), "beat chance, but not pointing at the centre"),
        (score(0.8, 0.7, 0.9), "Patch scores follow the object"),
        ({"patch_score": estimates(mean_cosine=0.2)}, "cannot be told"),
    ],
)
def test_point_in_box_is_held_against_both_baselines(facts, values, title):
    assert title in titles({"norms": QUIET, **values}, facts, "unimodal")


def test_few_pictures_are_named_and_soften_the_verdict(facts):
    values = {"norms": QUIET, **score(0.1, 0.05, 0.15, pictures=8)}
    few = verdict(values, facts, "unimodal", 100)  # 8 of 100 have boxes
    about = next(sentence for sentence in few if "avoid the object" in sentence.title)
    assert about.level == "note"
    assert "too few" in about.title
    assert "8 pictures with boxes" in about.text
    assert "too few to say whether patch scores" in text(values, facts, "unimodal")
    assert few[-1].text == "Nothing was found that would need repair."
    assert "too few" not in text({"norms": QUIET, **score(0.1, 0.05, 0.15)}, facts, "unimodal", 100)
    assert "That is few" in text({"norms": QUIET}, facts, "unimodal", 8)
    assert "That is few" not in text({"norms": QUIET}, facts, "unimodal", 100)


def test_a_wavering_verdict_is_called_so(facts):
    shape = {"norm_shape": estimates(is_skewed=1.0, agreement=0.6, redrawn_bimodal=0.4)}
    assert "wavers" in titles({"norms": QUIET, **shape}, facts, kind_of(shape))
    assert "40 % give two groups" in text({"norms": QUIET, **shape}, facts, kind_of(shape))


def test_one_picture_has_no_redraws_and_no_intervals(facts):
    found = text({"norms": QUIET, "norm_shape": estimates(agreement=1.0)}, facts, "unimodal", 1)
    assert "1 picture, so there are no intervals" in found
    assert "draw" not in found


def gained(value, low, high):
    numbers = {"point_in_box/centred_cosine": Estimate(0.4, 0.35, 0.45)}
    return numbers | {"point_in_box/centred_cosine_gain": Estimate(value, low, high)}


def test_centring_is_advised_only_where_it_gained(facts):
    def told(*gain):
        values = {"norms": QUIET, **score(0.3, 0.25, 0.35, **gained(*gain))}
        return verdict(values, facts, "unimodal", 100)[-1].text

    better = told(0.1, 0.04, 0.15)
    assert better.startswith("Score patches by the centred cosine")
    assert "40 % (interval 35 % to 45 %)" in better
    assert "against 30 % (interval 25 % to 35 %)" in better
    assert "+10.0 points (interval +4.0 to +15.0)" in better
    same = told(0.1, -0.04, 0.2)
    assert same.startswith("Train")
    assert "did not clearly help here" in same
    assert "made it worse here" in told(-0.1, -0.2, -0.04)
    plain = verdict({"norms": QUIET, **score(0.3, 0.25, 0.35)}, facts, "unimodal", 100)[-1].text
    assert "centred" not in plain


def test_block_of_the_largest_rise_does_not_clear_the_blocks_before_it(facts):
    blocks = estimates(
        first_block_max_over_median=2.0,
        highest_max_over_median=8.0,
        highest_at_block=10.0,
        largest_rise_at_block=7.0,
    )
    found = text(HIGH | {"blocks": blocks}, facts, "bimodal")
    assert "rise most at block 7" in found
    assert "do not have" not in found
    low = blocks | estimates(highest_max_over_median=2.0)  # no block shows them on average
    assert "rise most" not in text(HIGH | {"blocks": low}, facts, "bimodal")


def test_advice_fits_the_model(facts):
    bare = dataclasses.replace(facts, streams=facts.streams - {"value"}, num_registers=4)
    advice = verdict(HIGH, bare, "bimodal", 100)[-1].text
    assert "value features" not in advice
    assert "model trained with registers" not in advice
    advice = verdict(HIGH, facts, "bimodal", 100)[-1].text
    assert "value features" in advice
    assert "model trained with registers" in advice


def test_same_places_need_enough_pictures(facts):
    norms = NORMS | estimates(p98_position_entropy=0.2)
    assert "same places" in titles(HIGH | {"norms": norms}, facts, "bimodal", 100)
    assert "same places" not in titles(HIGH | {"norms": norms}, facts, "bimodal", 10)


def test_unmeasured_norms_give_no_verdict_on_them(facts):
    assert kind_of({}) == "unknown"
    assert "nothing can be said" in text({}, facts, "unknown")


def test_too_few_patches_are_named(facts):
    shape = {"norm_shape": estimates(is_unknown=1.0, tokens=4.0)}
    found = text({"norms": QUIET, **shape}, facts, kind_of(shape), 1)
    assert "Too few patches to judge the norms. There are 4 patches" in found
    assert "sound" not in found
