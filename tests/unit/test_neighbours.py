"""Redundancy: which patches count as most uniform, ties included."""

import math

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


def seen_of(**rows):
    return Seen({key: {0: np.asarray(value)} for key, value in rows.items()}, {}, (0,))


def concluded(similarity, norm):
    return Neighbours().conclude(seen_of(similarity=similarity, norm=norm))


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


def traced(directions, norms):
    """A picture whose patches, (H, W), have these angles, and its final tokens' norms."""
    angles, last = torch.tensor(directions), torch.tensor(norms)
    patches = torch.stack([angles.cos(), angles.sin()], -1).flatten(0, 1)[None]
    sites = {
        EMBED: Tokens(patches, tuple(angles.shape), None, patches[:, :0]),
        norm_of(block(0)): Tokens(
            last.flatten()[None, :, None], tuple(last.shape), None, torch.zeros(1, 0, 1)
        ),
    }
    batch = Batch((0,), torch.zeros(1, 3, 4, 4), ("a.png",), (None,), ())
    return Trace(torch.zeros(1, 1), sites, 1), batch


TURN = math.pi / 3  # cosine 1/2
TURNED = [[0.0] * 4, [0.0, TURN, 0.0, 0.0], [0.0] * 4, [0.0] * 4]  # a patch unlike the others
HALF, MOST_ALIKE = 0.5, (1 + 1 + 1 + 0.5) / 4


def test_patches_at_the_border_take_part_or_not():
    norms = [[1.0] * 4 for _ in range(4)]
    norms[1][1] = 9.0
    border = (1 + 1 + 0.5) / 3
    whole = [
        *(1.0, border, 1.0, 1.0),
        *(border, HALF, MOST_ALIKE, 1.0),
        *(1.0, MOST_ALIKE, 1.0, 1.0),
        *(1.0, 1.0, 1.0, 1.0),
    ]
    inner = [HALF, MOST_ALIKE, MOST_ALIKE, 1.0]
    for measure, expected in ((Neighbours(), whole), (Neighbours("interior"), inner)):
        found = measure.observe(*traced(TURNED, norms))
        seen = seen_of(**{key: each[0].numpy() for key, each in found.items()})
        similarity, high = measure.patches(seen)
        assert similarity.tolist() == pytest.approx(expected)
        assert similarity[high].tolist() == pytest.approx([HALF])
        assert measure.conclude(seen)["mean"] == pytest.approx(np.mean(expected))
        rest = (sum(expected) - HALF) / (len(expected) - 1)
        assert measure.conclude(seen)["rest"] == pytest.approx(rest)
    assert Redundancy(neighbours="interior").judges(None, None) == [Neighbours("interior")]


def test_a_coarser_token_has_the_mean_of_its_footprint_or_the_nearest_patch():
    corner = (1 + 2 * (1 + 1 + 0.5) / 3 + HALF) / 4
    right = (1 + 1 + MOST_ALIKE + 1) / 4
    for measure, expected in (
        (Neighbours(), [corner, right, right, 1.0]),
        (Neighbours(mapping="nearest"), [HALF, 1.0, 1.0, 1.0]),
        (Neighbours("interior"), [HALF, MOST_ALIKE, MOST_ALIKE, 1.0]),
    ):
        found = measure.observe(*traced(TURNED, [[1.0, 1.0], [1.0, 1.0]]))["similarity"]
        assert found.flatten().tolist() == pytest.approx(expected)
    assert Redundancy(mapping="nearest").judges(None, None) == [Neighbours(mapping="nearest")]


def test_without_inner_patches_nothing_is_told():
    measure = Neighbours("interior")
    found = measure.observe(*traced([[0.0, TURN]], [[1.0, 9.0]]))
    assert measure.conclude(seen_of(**{key: each[0] for key, each in found.items()})) == {}


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
