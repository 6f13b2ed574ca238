"""Coarse segmentation, and boxes as COCO has them."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reference import discovery as literal
from unlazy.discovery import (
    coarse_mask,
    coco_results,
    masks_in_pixels,
)
from unlazy.metrics import mask_iou

RULES = ("unit_mass", "mass", "entries", "mean_std")


@given(st.integers(0, 99))
def test_masks_of_sixty_percent_of_the_mass_equal_the_sorted_sums(seed):
    scores = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(seed)).double()
    low, high = scores.amin((1, 2), keepdim=True), scores.amax((1, 2), keepdim=True)
    scaled = (scores - low) / (high - low)
    for found, of_unit, one in zip(
        coarse_mask(scores.abs(), rule="mass"), coarse_mask(scores), range(3), strict=True
    ):
        assert np.array_equal(found, literal.keep_mass(scores[one].abs().numpy()))
        assert np.array_equal(of_unit, literal.keep_mass(scaled[one].numpy()))


def test_entries_count_patches_and_ties_go_to_the_first():
    assert coarse_mask(torch.rand(2, 5, 7), rule="entries").sum((1, 2)).tolist() == [21, 21]
    same = coarse_mask(torch.zeros(1, 1, 5), rule="entries")
    assert same.tolist() == [[[True, True, True, False, False]]]
    few = torch.tensor([[[True, False, True, True, False]]])
    assert coarse_mask(torch.rand(1, 1, 5), rule="entries", valid=few).sum() == 2


@pytest.mark.parametrize("rule", RULES)
def test_padding_of_any_value_changes_no_mask(rule):
    scores = torch.rand(4, 6, 5)
    padded = torch.nn.functional.pad(scores, (0, 2, 0, 1), value=torch.nan)
    padded[1] = torch.nan_to_num(padded[1], nan=99.0)
    valid = torch.zeros(4, 7, 7, dtype=torch.bool)
    valid[:, :6, :5] = True
    found = coarse_mask(padded, rule=rule, valid=valid)
    assert torch.equal(found[:, :6, :5], coarse_mask(scores, rule=rule))
    assert not (found & ~valid).any()


def test_equal_scores_and_one_patch():
    for rule, expected in zip(RULES, (0, 8, 7, 0), strict=True):
        assert coarse_mask(torch.full((1, 3, 4), 0.3), rule=rule).sum() == expected
    assert [coarse_mask(torch.ones(1, 1, 1), rule=rule).item() for rule in RULES] == [
        False, True, True, False,
    ]  # fmt: skip
    assert not coarse_mask(torch.zeros(1, 2, 2), rule="mass").any()


def test_what_has_no_mass_or_no_name_is_refused():
    with pytest.raises(ValueError, match="use rule='unit_mass'"):
        coarse_mask(torch.tensor([[[-1.0, 1.0]]]), rule="mass")
    with pytest.raises((ValueError, TypeError), match=r"unit_mass.*entries"):
        coarse_mask(torch.rand(1, 2, 2), rule="half")
    with pytest.raises(ValueError, match="NaN"):
        coarse_mask(torch.tensor([[[torch.nan, 1.0]]]))


def test_a_mask_of_patches_scores_as_its_pixels():
    mask = torch.tensor([[[True, False], [False, False]]])
    pixels = masks_in_pixels(mask, (8, 8), (12, 16)).numpy()
    truth = np.zeros((12, 16), dtype=bool)
    truth[:8, :8] = True
    assert pixels.shape == (1, 12, 16)
    assert mask_iou(pixels[0], truth) == 1


def test_coco_results_can_be_written_and_read_by_pycocotools(tmp_path, capsys):
    tools = pytest.importorskip("pycocotools.coco")
    boxes = np.array([[2.0, 1.0, 12.0, 21.0], [0.0, 0.0, 0.0, 0.0]], dtype=np.float32)
    rows = coco_results([7, 8], boxes, np.array([0.5, 0.9]), category=3)
    truth = {
        "images": [{"id": 7, "width": 30, "height": 30}, {"id": 8, "width": 30, "height": 30}],
        "categories": [{"id": 3, "name": "object"}],
        "annotations": [],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "found.json").write_text(json.dumps(rows))
    found = tools.COCO(str(tmp_path / "truth.json")).loadRes(str(tmp_path / "found.json"))
    assert [(each["image_id"], each["bbox"]) for each in found.anns.values()] == [
        (7, [2.0, 1.0, 10.0, 20.0])
    ]
    with pytest.raises(ValueError, match="1 ids, 2 boxes"):
        coco_results([7], boxes, np.zeros(2))
