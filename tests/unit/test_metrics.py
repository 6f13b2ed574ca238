import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from unlazy import metrics

HIT = np.zeros((4, 4), dtype=bool)
HIT[1:3, 0:2] = True


def test_uniform_scores_give_exactly_chance():
    assert metrics.point_in_box(np.ones((4, 4)), HIT) == metrics.chance(HIT) == 0.25


def test_a_peak_inside_hits_and_outside_misses():
    score = np.zeros((4, 4))
    score[2, 1] = 1
    assert metrics.point_in_box(score, HIT) == 1
    assert metrics.point_in_box(score[::-1, ::-1], HIT) == 0


def test_the_centre_of_an_even_grid_is_its_four_middle_patches():
    assert metrics.centre(HIT) == 0.5
    assert metrics.centre(np.ones((1, 1), dtype=bool)) == 1


@given(st.integers(0, 60))
def test_auc_agrees_with_scikit_learn_ties_included(seed):
    rng = np.random.default_rng(seed)
    score, positive = rng.integers(0, 6, (3, 5)).astype(float), rng.random((3, 5)) < 0.4
    positive.flat[:2] = True, False
    expected = roc_auc_score(positive.ravel(), score.ravel())
    assert abs(metrics.ranking_auc(score, positive) - expected) < 1e-12


def test_auc_without_negatives_is_not_a_number():
    assert np.isnan(metrics.ranking_auc(np.ones((2, 2)), np.ones((2, 2), dtype=bool)))
