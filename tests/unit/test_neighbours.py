"""Redundancy: which patches count as most uniform, ties included."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unlazy.benchmarks.probe_redundancy import Redundancy
from unlazy.ledger import Batch, Estimate, Seen
from unlazy.measures.neighbours import Neighbours, most
from unlazy.tokens import EMBED, Tokens, Trace, block, norm_of


@given(
    arrays(np.float64, st.integers(1, 60), elements=st.integers(-3, 3).map(float)),
    st.floats(0.01, 1.0),
)
def test_the_highest_share_has_that_share_and_keeps_the_order(values, share):
    found = most(values, share)
    assert found.mean() == pytest.approx(share)
    assert ((found >= 0) & (found <= 1 + 1e-12)).all()
    assert (np.diff(found[np.argsort(values)]) >= -1e-12).all()


def concluded(similarity, norm):
    rows = {"similarity": np.asarray(similarity), "norm": np.asarray(norm)}
    kept = {key: {0: value} for key, value in rows.items()}
    return Neighbours().conclude(Seen(kept, {}, (0,)))


def test_flat_pictures_do_not_hide_outliers_that_all_sit_in_them():
    similarity = np.concatenate([np.ones(100), np.linspace(0, 0.9, 200)])
    norm = np.concatenate([np.full(6, 9.0), np.linspace(1, 2, 294)])
    found = concluded(similarity, norm)
    flat = 30 / 100  # of the patches that are equally uniform, those that the tenth has room for
    assert found["redundant_ratio"] == pytest.approx(flat / (94 * flat / 294))
    assert found["redundant_ratio"] > 3


def test_the_ratio_is_left_out_where_no_other_patch_is_uniform():
    similarity, norm = [1.0, 0.0, 0.0, 0.0], [9.0, 1.0, 1.0, 1.0]
    assert "redundant_ratio" not in concluded(similarity, norm)
    assert concluded(similarity, norm)["difference"] == 1


@pytest.mark.parametrize("where", [EMBED, norm_of(block(-1))])
def test_what_is_no_number_is_named(where):
    def tokens(width):
        flat = torch.ones(2, 4, width)
        return Tokens(flat, (2, 2), None, flat[:, :0])

    sites = {EMBED: tokens(3), norm_of(block(0)): tokens(1)}
    sites[norm_of(block(0)) if where != EMBED else EMBED].patches[1, 2] = torch.nan
    batch = Batch((0, 1), torch.zeros(2, 3, 4, 4), ("a.png", "b.png"), (None,) * 2, ())
    with pytest.raises(ValueError, match=r"b\.png are not finite"):
        Neighbours().observe(Trace(torch.zeros(2, 1), sites, 1), batch)


def test_a_model_without_outliers_is_told_so():
    plain = {"mean": Estimate(0.5)}
    assert "no outliers" in " ".join(Redundancy().remarks([], {"neighbours": plain}))
    assert Redundancy().remarks([], {"neighbours": {**plain, "difference": Estimate(0.1)}}) == ()
