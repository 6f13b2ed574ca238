import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from reference.discovery import jaccard
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


def test_corloc_asks_for_half_an_overlap_with_any_box():
    truth = np.array([[50.0, 50.0, 60.0, 60.0], [0.0, 0.0, 10.0, 10.0]])
    assert metrics.corloc(np.array([0.0, 0.0, 10.0, 5.0]), truth) == 1, "exactly one half"
    assert metrics.corloc(np.array([0.0, 0.0, 10.0, 4.9]), truth) == 0
    assert metrics.corloc(np.array([0.0, 0.0, 10.0, 4.9]), truth, threshold=0.4) == 1
    assert metrics.corloc(np.zeros(4), truth) == 0, "nothing was found"
    assert metrics.corloc(np.zeros(4), np.zeros((1, 4))) == 0, "nor is a point an object"
    assert np.isnan(metrics.corloc(np.array([0.0, 0.0, 1.0, 1.0]), np.zeros((0, 4))))


@given(st.integers(0, 60))
def test_overlap_of_boxes_is_that_of_their_pixels(seed):
    corners = np.sort(np.random.default_rng(seed).integers(0, 9, (5, 2, 2)), axis=1)
    boxes = corners.reshape(5, 4).astype(float)
    drawn = np.zeros((5, 9, 9), dtype=bool)
    for mask, (left, top, right, bottom) in zip(drawn, boxes.astype(int), strict=True):
        mask[top:bottom, left:right] = True
    found = metrics.box_iou(boxes[0], boxes[1:])
    expected = [metrics.mask_iou(drawn[0], each) for each in drawn[1:]]
    assert np.allclose(found, np.nan_to_num(expected), atol=1e-12)


@given(st.integers(0, 60))
def test_overlap_of_masks_counts_pixels_but_void_ones(seed):
    found, truth, void = np.random.default_rng(seed).random((3, 2, 3)) < 0.5
    nowhere = np.zeros_like(void)
    assert metrics.mask_iou(found, truth, void=void) == pytest.approx(
        jaccard(found, truth, void), nan_ok=True
    )
    assert metrics.mask_iou(found, truth) == pytest.approx(
        jaccard(found, truth, nowhere), nan_ok=True
    )


def test_the_whole_picture_overlaps_by_the_share_of_the_object():
    truth = np.arange(20).reshape(4, 5) < 6
    assert metrics.mask_iou(np.ones((4, 5), dtype=bool), truth) == 0.3


def test_each_class_has_its_best_head():
    classes = np.array([[0, 3, 3], [255, 7, 7]])
    heads = np.array([[[0, 1, 1], [1, 0, 0]], [[0, 0, 0], [0, 1, 0]]], dtype=bool)
    assert metrics.class_iou(heads, classes) == {3: 1.0, 7: 0.5}
    assert metrics.class_iou(heads, np.zeros((2, 3), dtype=int)) == {}
