import torch

from unlazy.ledger import Batch
from unlazy.measures.attention import Attention
from unlazy.tokens import Tokens, Trace, attention, block, norm_of


def observed(whole, grid, num_prefix):
    """Rows for attention (B, T, heads); all norms alike."""
    received = Tokens.split(whole, grid, num_prefix=num_prefix, has_cls=num_prefix > 0)
    norms = Tokens.split(torch.ones(*whole.shape[:2], 1), grid, num_prefix=num_prefix)
    trace = Trace(whole[:, 0], {attention(0): received, norm_of(block(0)): norms}, depth=1)
    names = tuple(map(str, range(len(whole))))
    batch = Batch(tuple(range(len(whole))), torch.zeros(len(whole), 3, 4, 4), names, (), ())
    return Attention().observe(trace, batch)


def test_a_small_prefix_keeps_its_digits():
    logits = torch.randn(2, 18, 3, generator=torch.Generator().manual_seed(0)).double()
    logits[:, :2] -= 12  # CLS and one register get next to nothing
    exact = logits.softmax(1)
    found = observed(exact.float(), (4, 4), 2)["prefix"].double()
    torch.testing.assert_close(found, exact[:, :2].mean(-1).sum(1), rtol=1e-6, atol=0)


def test_without_prefix_tokens_nothing_goes_there():
    whole = torch.rand(2, 16, 3, generator=torch.Generator().manual_seed(0)).softmax(1)
    assert observed(whole, (4, 4), 0)["prefix"].tolist() == [0, 0]


def test_the_share_of_patches_counted_as_top_is_the_true_one():
    even = torch.full((1, 17, 2), 1 / 17)
    found = observed(even, (4, 4), 1)
    assert found["top_share"].item() == 1 / 16
    torch.testing.assert_close(found["top_mass"], found["top_share"])
