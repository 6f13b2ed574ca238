import inspect

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reference import definitions
from unlazy import scores

sizes = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(2, 17), st.integers(0, 99))


def tokens(rows, columns, dim, seed):
    return torch.randn(2, rows, columns, dim, generator=torch.Generator().manual_seed(seed))


@given(sizes)
def test_patch_score_is_the_published_cosine(size):
    grid = tokens(*size)
    patches, image = grid.flatten(1, 2), grid.mean((1, 2))
    found = scores.patch_score(patches, image)
    for index in range(2):
        expected = definitions.patch_score_cosine(patches[index].numpy(), image[index].numpy())
        np.testing.assert_allclose(found[index], expected, atol=1e-5)


def test_cosine_ignores_token_scale_and_dot_does_not():
    patches, image = tokens(3, 3, 8, 0).flatten(1, 2), torch.randn(2, 8)
    louder = patches.clone()
    louder[:, 4] *= 50
    torch.testing.assert_close(
        scores.patch_score(louder, image), scores.patch_score(patches, image)
    )
    dots = [scores.patch_score(each, image, score="dot") for each in (louder, patches)]
    assert not torch.allclose(*dots)


def test_centred_cosine_ignores_an_offset_that_all_share():
    patches, image = tokens(3, 3, 8, 0).flatten(1, 2), torch.randn(2, 8)
    shifted = scores.patch_score(patches + 9, image + 9, score="centred_cosine")
    torch.testing.assert_close(
        shifted, scores.patch_score(patches, image, score="centred_cosine"), atol=1e-4, rtol=1e-4
    )


def test_unknown_score_names_the_known_ones():
    with pytest.raises(ValueError, match="use cosine, dot or centred_cosine"):
        inspect.unwrap(scores.patch_score)(torch.ones(1, 2, 3), torch.ones(1, 3), score="euclid")


@given(sizes)
def test_neighbour_similarity_is_the_mean_over_existing_neighbours(size):
    grid = tokens(*size)
    found = scores.neighbour_similarity(grid)
    for index in range(2):
        expected = definitions.neighbour_similarity(grid[index].double().numpy())
        np.testing.assert_allclose(found[index], expected, atol=1e-5)


def test_orthogonal_checkerboard_has_no_similar_neighbours():
    board = torch.zeros(1, 4, 4, 2)
    board[0, ..., 0] = (torch.arange(4)[:, None] + torch.arange(4)) % 2
    board[0, ..., 1] = 1 - board[0, ..., 0]
    assert scores.neighbour_similarity(board).abs().max() == 0


def test_top_share_takes_at_least_one_and_breaks_ties_by_position():
    assert scores.top_share(torch.ones(1, 10), 0.02).tolist() == [[True] + [False] * 9]
    assert scores.top_share(torch.arange(100.0)[None], 0.05).sum() == 5


@given(st.integers(0, 50))
def test_spearman_agrees_with_scipy_ties_included(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 5, (3, 12)), rng.integers(0, 5, (3, 12))
    found = scores.spearman(torch.tensor(first).float(), torch.tensor(second).float())
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(found, np.nan_to_num(expected), atol=1e-9)


@given(
    st.lists(st.floats(-1e6, 1e6, width=32) | st.just(np.nan), min_size=1, max_size=40),
    st.floats(0, 1),
    st.sampled_from([np.float32, np.float64]),
)
def test_quantile_and_median_are_numpys_to_the_last_bit(values, share, dtype):
    values = np.array(values, dtype=dtype)
    for wanted in (share, 0.02, 0.98, 1.0):
        np.testing.assert_array_equal(scores.quantile(values, wanted), np.quantile(values, wanted))
    np.testing.assert_array_equal(scores.median(values), np.median(values))


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_cosine_is_torchs_at_any_length_and_zero_for_a_zero_patch(scale):
    generator = torch.Generator().manual_seed(0)
    patches = scale * torch.randn(2, 7, 48, generator=generator, dtype=torch.float64)
    image = torch.randn(2, 48, generator=generator, dtype=torch.float64)
    expected = torch.cosine_similarity(patches / scale, image[:, None], dim=-1)
    assert torch.allclose(scores.patch_score(patches, image), expected, atol=1e-14)
    assert (scores.patch_score(torch.zeros(2, 7, 48), image.float()) == 0).all()
    same = scores.patch_score(patches[:, :1].expand(-1, 7, -1).contiguous(), image)
    assert (same == same[:, :1]).all(), "equal patches tie"
