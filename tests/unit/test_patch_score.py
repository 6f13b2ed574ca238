import numpy as np
import pytest
import torch

from unlazy.geometry import Viewed
from unlazy.ledger import Batch, Ledger, estimates
from unlazy.measures.patch_score import PatchScore
from unlazy.tokens import SHARED, Tokens, Trace, block, norm_of

COUNT = 12


def concluded(image):
    """Estimates for 4 x 4 patches: one offset, the object's patch a bit off it; 3 lack a box."""
    generator = torch.Generator().manual_seed(0)
    offset = torch.zeros(16)
    offset[0] = 10
    patches = offset + 0.3 * torch.randn(COUNT, 16, 16, generator=generator)
    patches[:, 5, 1] += 3
    whole = image(patches)
    tokens = {
        SHARED: Tokens.split(patches, (4, 4)),
        norm_of(block(0)): Tokens.split(patches, (4, 4)).norms(),
    }
    box, kept = torch.tensor([[11.0, 11, 19, 19]]), torch.tensor([True])
    pixels = torch.zeros(3, 40, 40, dtype=torch.uint8)
    views = tuple(Viewed(pixels, box, kept) if i % 4 else Viewed(pixels) for i in range(COUNT))
    batch = Batch(
        tuple(range(COUNT)),
        torch.stack([view.pixels for view in views]),
        tuple(map(str, range(COUNT))),
        (None,) * COUNT,
        views,
    )
    ledger, measure = Ledger(), PatchScore()
    ledger.add(measure.name, measure.observe(Trace(whole, tokens, 1), batch), range(COUNT))
    ledger.indices.extend(range(COUNT))
    return estimates(measure, ledger.gather([measure])[measure.name])


def test_the_gain_of_centring_is_paired_and_has_an_interval():
    found = concluded(lambda patches: patches.mean(1) + torch.eye(16)[1] * 0.5)
    gain = found["point_in_box/centred_cosine_gain"]
    centred, plain = found["point_in_box/centred_cosine"], found["point_in_box/cosine"]
    assert gain.value == pytest.approx(centred.value - plain.value)
    assert gain.value > 0
    assert gain.low <= gain.value <= gain.high


def test_pictures_with_boxes_are_counted():
    pictures = concluded(lambda patches: patches[:, 0])["point_in_box/pictures"]
    assert (pictures.value, pictures.low) == (9, None)


def test_a_mean_patch_has_nothing_to_centre():
    found = concluded(lambda patches: patches.mean(1) * (1 + 1e-6))
    assert "point_in_box/cosine" in found
    assert not [key for key in found if "centred" in key]
    assert all(np.isfinite(each.value) for each in found.values())
