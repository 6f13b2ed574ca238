import pytest
import torch

from unlazy.ledger import Batch, Ledger
from unlazy.measures.norms import NormShape
from unlazy.tokens import Tokens, Trace, block, norm_of


def concluded(norms):
    """What is concluded on norms (B, N); the pictures are called a, b, ..."""
    count, patches = norms.shape
    tokens = Tokens.split(norms[:, :, None], (1, patches))
    trace = Trace(norms[:, :1], {norm_of(block(0)): tokens}, depth=1)
    pixels = torch.zeros(count, 3, 4, 4, dtype=torch.uint8)
    batch = Batch(tuple(range(count)), pixels, tuple("abcdef"[:count]), (None,) * count, ())
    ledger = Ledger()
    ledger.add("norm_shape", NormShape().observe(trace, batch), range(count))
    ledger.indices.extend(range(count))
    return NormShape().conclude(ledger.gather([NormShape()])["norm_shape"])


def test_too_few_tokens_conclude_that_nothing_is_known():
    assert concluded(torch.rand(1, 4)) == {"is_unknown": 1.0, "tokens": 4.0}


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_broken_patches_are_refused_by_the_pictures_name(broken):
    norms = torch.rand(3, 9)
    norms[1, 4] = broken
    with pytest.raises(ValueError, match="patches of b are not finite"):
        concluded(norms)


def test_one_picture_is_not_drawn_anew():
    assert "agreement" not in concluded(torch.rand(1, 50))


def test_redraws_of_all_verdicts_sum_to_one():
    norms = 1 + 0.1 * torch.randn(3, 60, generator=torch.Generator().manual_seed(0))
    norms[0, :20] += 8  # only one of the three has a second group
    found = concluded(norms)
    others = [share for key, share in found.items() if key.startswith("redrawn_")]
    assert others
    assert found["agreement"] + sum(others) == pytest.approx(1)
