"""Counted norms give NumPy quantiles up to a bin for any split; draws depend on no split."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unlazy.ledger import Batch, Ledger
from unlazy.probes.chosen import Chosen, draw, hashes
from unlazy.probes.norm_counts import LEAST, NormCounts, Quantiles
from unlazy.tokens import FINAL, Tokens, Trace, block, norm_of


def trace_of(norms: torch.Tensor) -> Trace:
    """Tokens (B, N) whose only value at the end is their index, with these norms."""
    count, number = norms.shape
    values = torch.arange(count * number).float().view(count, number, 1)
    tokens = Tokens(values, (1, number), values[:, 0] * 0, values[:, :0])
    lengths = Tokens(norms[..., None], (1, number), None, norms[:, :0, None])
    return Trace(values[:, 0], {FINAL: tokens, norm_of(block(0)): lengths}, 1)


def batch_of(indices: list[int]) -> Batch:
    pixels = torch.zeros(len(indices), 3, 1, 1, dtype=torch.uint8)
    names = tuple(map(str, indices))
    return Batch(tuple(indices), pixels, names, tuple(indices), ())


def counted(norms: np.ndarray, parts: int) -> Quantiles:
    measure, ledger = NormCounts(), Ledger()
    for part in np.array_split(norms.astype(np.float32).reshape(-1, 1), parts):
        if len(part):
            trace = trace_of(torch.from_numpy(part))
            ledger.add(measure.name, measure.observe(trace, batch_of([0] * len(part))), [0])
    return Quantiles.of(ledger.gather([measure])[measure.name])


@given(
    scale=st.floats(1e-3, 1e3),
    spread=st.floats(0.0, 3.0),
    count=st.integers(1, 500),
    share=st.sampled_from([0.1, 0.5, 0.9, 0.95, 0.98]),
    parts=st.integers(1, 5),
)
def test_quantiles_are_numpys_up_to_a_bin(scale, spread, count, share, parts):
    norms = scale * np.exp(spread * np.random.default_rng(count).standard_normal(count))
    norms = norms.clip(1e-5, 1e5).astype(np.float32)
    true = np.quantile(norms, share, method="inverted_cdf")
    found = counted(norms, parts).above(share)
    assert true < found <= true * (1 + 2**-12)
    assert (norms >= found).mean() <= 1 - share + 1e-9


def test_alike_norms_have_nothing_above_and_share_0_is_everything():
    counts = counted(np.full(100, 7.3), 1)
    assert counts.above(0.98) > 7.3
    assert counts.above(0.0) == 0
    assert counts.above(0.02) == counts.above(0.98)


def test_norms_that_are_not_told_apart_are_refused():
    assert counted(np.array([0.0, 1.0, 2.0]), 1).above(0.98) > 2
    with pytest.raises(ValueError, match="outside"):
        counted(np.array([LEAST / 2, LEAST / 4, 1.0]), 1).above(0.5)
    with pytest.raises(ValueError, match="outside"):
        counted(np.full(3, 1e9), 1).above(0.5)
    with pytest.raises(ValueError, match="1 are not finite"):
        NormCounts().observe(trace_of(torch.tensor([[1.0], [np.inf]])), batch_of([0, 1]))


@given(order=st.permutations(range(6)), size=st.integers(1, 6))
def test_chosen_tokens_depend_on_seed_and_picture_alone(order, size):
    norms = torch.rand(6, 5, generator=torch.Generator().manual_seed(0))
    norms[2] = 0  # without an outlier
    measure, rows = Chosen(0.4, seeds=3), {}
    for start in range(0, 6, size):
        indices = list(order[start : start + size])
        trace = trace_of(norms)
        part = Trace(
            trace.image[indices],
            {
                site: Tokens(each.patches[indices], each.grid, None, each.registers[indices])
                for site, each in trace.items()
            },
            1,
        )
        ledger = Ledger()
        ledger.add("chosen", measure.observe(part, batch_of(indices)), indices)
        for index, row in ledger.kept["chosen"]["outlier"].items():
            rows[index] = row.ravel().tolist()
    whole = measure.observe(trace_of(norms), batch_of(list(range(6))))
    used = [index for index in range(6) if bool(whole["outlier"].which[index])]
    assert 2 not in used
    assert rows == dict(zip(used, whole["outlier"].rows[..., 0].tolist(), strict=True))
    for index, row in zip(used, whole["outlier"].rows[..., 0].long().tolist(), strict=True):
        assert all(norms.flatten()[place] >= 0.4 for place in row)
        assert all(5 * index <= place < 5 * index + 5 for place in row)
    for index, row in zip(used, whole["normal"].rows[..., 0].long().tolist(), strict=True):
        assert all(norms.flatten()[place] < 0.4 for place in row), index


def test_draws_are_even():
    among = torch.tensor([True, False, True, True]).expand(3000, 4)
    for seed in range(2):
        counts = torch.bincount(draw(among, range(3000), seed=seed), minlength=4)
        assert counts[1] == 0
        assert counts[[0, 2, 3]].min() > 900
    assert (hashes(0, range(100)) != hashes(1, range(100))).all()
