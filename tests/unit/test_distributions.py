import diptest
import numpy as np
import pytest

from unlazy import distributions


def sample(kind: str, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    body = rng.normal(50, 4, count)
    if kind == "unimodal":
        return body
    if kind == "skewed":
        return rng.lognormal(3.5, 0.6, count)
    share = {"bimodal 2 %": 0.02, "bimodal 0.5 %": 0.005, "bimodal 30 %": 0.3}[kind]
    high = rng.random(count) < share
    return np.where(high, rng.normal(400, 40, count), body)


@pytest.mark.parametrize(
    "kind", ["unimodal", "skewed", "bimodal 2 %", "bimodal 0.5 %", "bimodal 30 %"]
)
@pytest.mark.parametrize("count", [2_000, 50_000])
def test_planted_shapes_are_recognised(kind, count):
    found = distributions.shape(sample(kind, count))
    assert found.kind == kind.split()[0]
    if found.kind == "bimodal":
        assert 70 < found.boundary < 330


def test_rare_modes_at_the_same_place_are_seen_where_the_dip_test_cannot():
    found = distributions.shape(sample("bimodal 0.5 %", 5_000))
    assert found.dip_p > 0.05
    assert found.kind == "bimodal"


def test_a_narrow_bell_is_no_mixture():
    norms = 100 * (1 + 1e-4 * np.random.default_rng(0).normal(size=3_000))
    found = distributions.shape(norms)
    assert found.kind == "unimodal"
    assert found.bic_gain < distributions.Thresholds().bic_gain


def test_dip_is_the_librarys():
    norms = sample("skewed", 1_000)
    assert distributions.shape(norms).dip_p == diptest.diptest(norms)[1]


def test_constant_norms_are_named_so():
    assert distributions.shape(np.full(100, 3.0)).kind == "constant"


def test_too_few_norms_are_not_judged():
    found = distributions.shape(np.arange(7.0))
    assert (found.kind, found.tokens, found.boundary) == ("unknown", 7, None)
    assert distributions.shape(np.arange(8.0)).kind != "unknown"


def test_broken_norms_are_refused_and_counted():
    with pytest.raises(ValueError, match="2 of 22 norms are not finite"):
        distributions.shape(np.array([1.0] * 20 + [np.nan, np.inf]))


@pytest.mark.parametrize(("strays", "kind"), [(1, "skewed"), (4, "skewed"), (8, "bimodal")])
def test_a_few_stray_tokens_are_no_second_mode(strays, kind):
    norms = sample("unimodal", 196)
    norms[:strays] = np.linspace(380, 420, strays)
    assert distributions.shape(norms).kind == kind


def test_the_share_above_the_boundary_is_that_of_the_planted_mode():
    high = sample("bimodal 2 %", 4_000)
    assert distributions.shape(high).share_above_boundary == (high > 200).mean()
    low = np.where(high > 200, high / 10, high + 400)
    assert distributions.shape(low).kind == "bimodal"
    assert distributions.shape(low).share_above_boundary == (high < 200).mean()
    assert distributions.shape(sample("unimodal", 4_000)).share_above_boundary is None


def test_redraws_of_a_clear_case_agree_and_repeat():
    rows = list(sample("bimodal 2 %", 4_000).reshape(40, 100))
    first = distributions.redraws(rows)
    assert first == distributions.redraws(rows) == {"bimodal": 1.0}


def test_redraws_name_every_verdict_that_they_give():
    rows = [*sample("unimodal", 1_000).reshape(10, 100), sample("bimodal 30 %", 100)]
    found = distributions.redraws(rows)
    assert set(found) == {"bimodal", "unimodal"}
    assert sum(found.values()) == pytest.approx(1)
