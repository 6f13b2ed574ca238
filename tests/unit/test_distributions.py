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


def test_dip_is_the_librarys():
    norms = sample("skewed", 1_000)
    assert distributions.shape(norms).dip_p == diptest.diptest(norms)[1]


def test_constant_norms_are_named_so():
    assert distributions.shape(np.full(100, 3.0)).kind == "constant"


@pytest.mark.parametrize("bad", [np.ones(3), np.array([1.0] * 20 + [np.nan])])
def test_too_few_or_broken_norms_are_refused(bad):
    with pytest.raises(ValueError, match="finite norms"):
        distributions.shape(bad)


def test_agreement_is_full_for_a_clear_case_and_repeats():
    rows = list(sample("bimodal 2 %", 4_000).reshape(40, 100))
    first = distributions.agreement(rows, "bimodal")
    assert first == distributions.agreement(rows, "bimodal") == 1.0
