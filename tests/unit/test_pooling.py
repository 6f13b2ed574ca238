"""LazyStrike against the literal transcriptions, its laws, its edges, and the other pools."""

import inspect
import math
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from reference import definitions
from unlazy import pooling
from unlazy.pooling import LazyStrike, build_pool, lazy_strike, lazy_strike_scores, votes
from unlazy.pooling.lazystrike import Reading

READINGS = get_args(pooling.Reading)
KERNELS = get_args(pooling.Kernel)
DIMS = (1, 2, 5, 8, 33, 48)
readings, kernels, seeds = (
    st.sampled_from(READINGS),
    st.sampled_from(KERNELS),
    st.integers(0, 10_000),
)


def patches(count, dim, seed=0, dtype=torch.float64, batch=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, count, dim, generator=generator, dtype=torch.float64).to(dtype)


def chosen(x, keep, **settings):
    """Indices that each channel of the first image takes, read off the gradient."""
    x = x.clone().requires_grad_()
    lazy_strike(x, keep=keep, **settings)[0].sum().backward()
    return [sorted(column.nonzero()[:, 0].tolist()) for column in x.grad[0].T]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dim", [*DIMS, 768])
def test_the_filter_is_the_shifted_complex_one(dim, kernel):
    x = patches(4, dim)
    exact = definitions.low_pass(x.numpy(), kernel)
    np.testing.assert_allclose(pooling.low_pass(x, kernel=kernel), exact, atol=1e-12)
    single = pooling.low_pass(x.float(), kernel=kernel)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, exact, atol=2e-6)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dim", DIMS)
def test_the_matrix_of_an_exported_graph_is_the_same_filter(dim, kernel, monkeypatch):
    x = patches(4, dim)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    monkeypatch.setattr(torch.fft, "rfft", None)
    found = pooling.low_pass(x, kernel=kernel)
    np.testing.assert_allclose(found, definitions.low_pass(x.numpy(), kernel), atol=1e-12)


def test_the_kernels_differ_for_even_widths_alone():
    for dim in (8, 768):
        x = patches(4, dim)
        assert not torch.allclose(pooling.low_pass(x), pooling.low_pass(x, kernel="centred"))
    x = patches(4, 33)
    assert torch.equal(pooling.low_pass(x), pooling.low_pass(x, kernel="centred"))


@given(readings, kernels, st.integers(2, 40), st.integers(2, 41), seeds)
def test_every_reading_picks_the_indices_of_its_formula(reading, kernel, count, dim, seed):
    x = patches(count, dim, seed)
    scores = definitions.lazy_strike_scores(x[0].numpy(), reading, kernel)
    for keep in {1, max(1, count // 8), count // 2, count}:
        expected = definitions.lazy_strike_choice(scores, keep)
        assert chosen(x, keep, reading=reading, kernel=kernel) == expected
        found = lazy_strike(x, keep=keep, reading=reading, kernel=kernel)[0]
        exact = definitions.lazy_strike(x[0].numpy(), scores, keep)
        np.testing.assert_allclose(found, exact, atol=1e-12)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("dim", [48, 768, 769])
def test_single_precision_picks_the_same_at_the_size_of_a_vit(reading, dim):
    x = patches(196, dim, batch=1, dtype=torch.float32)
    scores = definitions.lazy_strike_scores(x[0].double().numpy(), reading)
    for keep in (1, 24, 98):
        ranked = np.sort(scores, axis=0)[::-1]
        clear = ranked[keep - 1] - ranked[keep] > 1e-4 * np.abs(ranked[keep - 1])
        found, expected = (
            chosen(x, keep, reading=reading),
            definitions.lazy_strike_choice(scores, keep),
        )
        same = np.array([a == b for a, b in zip(found, expected, strict=True)])
        assert same[clear].all()  # where rounding cannot swap the last one kept and the next
        assert clear.mean() > 0.9


@given(st.integers(1, 12), st.integers(2, 21), seeds)
def test_votes_count_the_released_choice(count, dim, seed):
    x = patches(count, dim, seed)
    for keep in {1, (count + 1) // 2, count}:
        found = votes(x, keep=keep)
        assert found.sum(1).tolist() == [keep * dim] * 2
        for index in range(2):
            scores = definitions.lazy_strike_scores(x[index].numpy())
            assert found[index].tolist() == definitions.votes(scores, keep).tolist()


@given(st.integers(2, 41), seeds)
def test_released_is_paper_plus_a_sign(dim, seed):
    x = patches(9, dim, seed)
    low = pooling.low_pass(x)
    released, residual = lazy_strike_scores(x), (low - x).abs()
    paper = lazy_strike_scores(x, reading="paper") * (residual + 1e-6) / residual  # eps taken out
    torch.testing.assert_close(released, paper + (x - low).sign(), rtol=1e-9, atol=1e-6)


def test_all_patches_are_the_mean_bit_for_bit():
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        x = patches(49, 33, dtype=dtype)
        for keep in (49, 1.0):
            assert torch.equal(lazy_strike(x, keep=keep), x.mean(dim=1))


def test_one_patch_is_not_the_maximum():
    x = patches(196, 768, dtype=torch.float32)
    one, highest = lazy_strike(x, keep=1), build_pool("max", dim=768, heads=1)(x)
    assert (one <= highest).all()
    assert (one < highest).float().mean() > 0.9


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("keep", [1, 7, 0.5])
def test_the_gradient_reaches_keep_values_of_each_channel_equally(keep, reading):
    x = patches(36, 33, dtype=torch.float32).requires_grad_()
    lazy_strike(x, keep=keep, reading=reading).sum().backward()
    count = pooling.kept(keep, 36)
    assert ((x.grad != 0).sum(dim=1) == count).all()
    torch.testing.assert_close(x.grad[x.grad != 0], torch.tensor(1 / count).expand(2 * 33 * count))


@given(readings, seeds)
def test_the_order_of_patches_does_not_matter(reading, seed):
    x = patches(20, 33, seed)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
    for keep in (1, 10):
        there = lazy_strike(x[:, order], keep=keep, reading=reading)
        torch.testing.assert_close(there, lazy_strike(x, keep=keep, reading=reading))
        assert torch.equal(votes(x[:, order], keep=keep), votes(x, keep=keep)[:, order])


@given(readings, seeds)
def test_the_ranking_ignores_the_length_of_tokens(reading, seed):
    x = patches(20, 33, seed)
    generator = torch.Generator().manual_seed(seed)
    lengths = 2.0 ** torch.randint(-3, 8, (2, 20, 1), generator=generator)
    for keep in (1, 10):
        assert chosen(x * lengths, keep, reading=reading) == chosen(x, keep, reading=reading)


def test_the_order_of_channels_matters_and_the_shuffled_control_changes_it():
    x = patches(196, 96)
    order = torch.randperm(96, generator=torch.Generator().manual_seed(0))
    plain = lazy_strike(x, keep=0.25)
    assert not torch.allclose(lazy_strike(x[..., order], keep=0.25), plain[:, order])
    shuffled = lazy_strike(x, keep=0.25, order=order)
    torch.testing.assert_close(shuffled[:, order], lazy_strike(x[..., order], keep=0.25))
    module = build_pool("lazy_strike", dim=96, heads=1, keep=0.25, shuffle=0).eval()
    assert torch.equal(module(x), shuffled)
    assert not module.state_dict()
    other = build_pool("lazy_strike", dim=96, heads=1, keep=0.25, shuffle=1).eval()
    assert not torch.allclose(other(x), shuffled)


def test_in_training_the_shuffled_control_draws_another_order_in_each_pass():
    """One fixed order is no control there: it only names the channels of fresh weights anew."""
    x, module = patches(49, 96), build_pool("lazy_strike", dim=96, heads=1, keep=1, shuffle=0)
    torch.manual_seed(0)
    first, second = module.train()(x), module(x)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(module(x), first)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("keep", [1, 0.5])
def test_half_precision_is_computed_in_single(keep, reading, dtype):
    x = patches(49, 32, dtype=dtype) * 100
    found = lazy_strike(x, keep=keep, reading=reading)
    assert found.dtype == dtype
    assert torch.equal(found, lazy_strike(x.float(), keep=keep, reading=reading).to(dtype))
    assert lazy_strike_scores(x).dtype == torch.float32


def test_equal_scores_go_to_the_first_patches():
    x = patches(1, 8, dtype=torch.float32).expand(2, 70, 8)  # every patch the same
    for keep in (1, 3, 35):
        counts = votes(x, keep=keep)
        assert counts[:, :keep].tolist() == [[8] * keep] * 2
        assert chosen(x, keep) == [list(range(keep))] * 8
    crowd = patches(9, 8)
    crowd[:, 5] = crowd[:, 2]
    scores = definitions.lazy_strike_scores(crowd[0].numpy())
    for keep in range(1, 9):
        assert chosen(crowd, keep) == definitions.lazy_strike_choice(scores, keep)


def test_the_choice_is_that_of_other_devices():
    """Torch's top-k, which GPUs and exported graphs use, gives the limit that NumPy gives."""
    rows = patches(5, 33).round()  # many ties
    place = [math.inf, *sorted(rows[0, 0].tolist(), reverse=True)]
    for count in range(1, 34):
        torchs = rows.topk(count, dim=2).values.amin(dim=2, keepdim=True)
        found = pooling.lazystrike._nth_highest(rows, count)
        assert torch.equal(found, torchs)
        assert found[0, 0, 0] == place[count]


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(2, 9, 8),
        torch.ones(2, 9, 8) * 3,
        torch.randn(2, 9, 1).expand(2, 9, 8),  # constant over channels
        torch.randn(2, 1, 8),
        torch.randn(2, 9, 1),
        torch.randn(2, 9, 8) * 1e-42,
        torch.randn(2, 9, 64).sign() * 3e37,
        torch.full((2, 9, 64), 3e37),
        torch.randn(2, 9, 8, dtype=torch.float64) * 1e-300,
        torch.full((2, 9, 8), 65504.0, dtype=torch.float16),
        torch.full((2, 9, 64), 3e37, dtype=torch.bfloat16),
    ],
)
def test_finite_patches_never_give_nan(x, kernel, reading):
    scores = lazy_strike_scores(x, reading=reading, kernel=kernel)
    assert torch.isfinite(scores).all()
    for keep in {1, (x.shape[1] + 1) // 2, x.shape[1]}:
        pooled = lazy_strike(x, keep=keep, reading=reading, kernel=kernel)
        assert torch.isfinite(pooled).all()
        assert (pooled.abs() <= x.abs().amax(1) * 1.01).all()


@pytest.mark.parametrize("reading", get_args(Reading))
def test_an_infinite_value_that_is_not_chosen_does_no_harm(reading):
    x = patches(9, 8)
    x[0, 4, 3] = -math.inf
    chosen = lazy_strike(x, keep=4, reading=reading)
    if reading != "alg1":  # which takes what differs most from its low-pass
        assert torch.isfinite(chosen).all()
    assert not chosen.isnan().any()


def test_a_diverged_model_is_not_hidden():
    x = patches(9, 8)
    x[0, 4, 3] = math.nan
    for keep in (1, 4, 9):
        assert lazy_strike(x, keep=keep)[0].isnan().any()


def test_a_filter_first_used_in_inference_works_in_training():
    with torch.inference_mode():
        pooling.low_pass(patches(3, 37))
    x = patches(3, 37).requires_grad_()
    pooling.low_pass(x).square().sum().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (0, r"in 1\.\.9"),
        (10, r"in 1\.\.9 \(the number of patches\), not 10"),
        (-1, r"in 1\.\.9"),
        (0.0, r"lies in \(0, 1\]"),
        (1.5, r"a count is an int"),
        (math.nan, r"lies in \(0, 1\]"),
        (True, "not True"),
    ],
)
def test_a_keep_that_is_no_count_or_share_is_refused(keep, message):
    for function in (lazy_strike, votes, LazyStrike(keep=keep)):
        with pytest.raises(ValueError, match=message):
            function(patches(9, 8), **({} if isinstance(function, nn.Module) else {"keep": keep}))


def test_a_share_keeps_at_least_one():
    assert [pooling.kept(0.5, count) for count in (1, 2, 36, 196)] == [1, 1, 18, 98]


@pytest.mark.parametrize("name", [name for name in get_args(pooling.PoolName) if name != "cls"])
def test_a_pool_sees_each_image_alone(name):
    torch.manual_seed(0)
    pool = build_pool(name, dim=12, heads=3, keep=4)
    x = patches(9, 12, dtype=torch.float32, batch=5)
    x[0] *= 10
    together, alone = pool(x), torch.cat([pool(image[None]) for image in x])
    assert together.shape == (5, 12)
    torch.testing.assert_close(together, alone)
    order = torch.randperm(9)
    torch.testing.assert_close(pool(x[:, order]), together)


def test_attention_pool_is_one_query_over_the_patches():
    torch.manual_seed(0)
    pool, x = build_pool("attention", dim=12, heads=3), patches(9, 12, dtype=torch.float32)
    k, v = pool.kv(x).chunk(2, dim=-1)
    expected = []
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        logits = torch.einsum("d,bnd->bn", pool.query[0, 0, part], k[..., part]) / 2
        expected.append(torch.einsum("bn,bnd->bd", logits.softmax(-1), v[..., part]))
    torch.testing.assert_close(pool(x), pool.proj(torch.cat(expected, dim=-1)))


def test_simpool_is_its_published_formula():
    torch.manual_seed(0)
    pool, x = build_pool("simpool", dim=12, heads=1), patches(9, 12, dtype=torch.float32)
    for image, found in zip(x, pool(x), strict=True):
        query = pool.wq.weight @ image.mean(0)
        normed = pool.norm(image)
        weights = ((pool.wk.weight @ normed.T).T @ query / math.sqrt(12)).softmax(0)
        values = (normed - normed.min() + 1e-6) ** 1.25
        torch.testing.assert_close(found, (weights @ values) ** (1 / 1.25))


def test_each_token_of_simpool_is_in_the_space_of_the_pooled_vector():
    """That is a generalised mean of the patches' values, so these lie around it."""
    torch.manual_seed(0)
    pool, x = build_pool("simpool", dim=12, heads=1), patches(11, 12, dtype=torch.float32)
    tokens = pool.each(x, 2)[:, 2:]
    pooled = pool(x[:, 2:])
    assert (tokens.amin(1) - 1e-5 <= pooled).all()
    assert (pooled <= tokens.amax(1) + 1e-5).all()
    weights = torch.linalg.lstsq((tokens**1.25).mT, (pooled**1.25)[..., None]).solution
    torch.testing.assert_close(weights.sum(1), torch.ones(len(x), 1), atol=1e-3, rtol=0)


def test_names_that_do_not_exist_are_refused_with_those_that_do():
    with pytest.raises(ValueError, match="there are cls, mean, max"):
        inspect.unwrap(build_pool)("lazystrike", dim=8, heads=1)
    with pytest.raises(ValueError, match="there are released, paper"):
        inspect.unwrap(lazy_strike_scores)(patches(3, 8), reading="ac")
    assert build_pool("cls", dim=8, heads=1) is None
