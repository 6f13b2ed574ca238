import numpy as np
import pytest
import torch
from PIL import Image

from unlazy.benchmarks.point_in_box import BoxHits
from unlazy.geometry import Rule, View
from unlazy.ledger import Batch, Ledger
from unlazy.tokens import SHARED, Tokens, Trace


def concluded(
    image: Image.Image, boxes: np.ndarray, view: View, *, rule: Rule = "overlap", best: int = 5
) -> dict[str, float]:
    """One picture on 4 x 4 patches, of which the best, at (1, 1), is like the image vector."""
    viewed = view(image, boxes)
    patches = torch.zeros(1, 16, 2)
    patches[..., 0], patches[:, best, 1] = 1, 1
    trace = Trace(torch.tensor([[0.0, 1.0]]), {SHARED: Tokens.split(patches, (4, 4))}, 1)
    batch = Batch((0,), viewed.pixels[None], ("one",), (None,), (viewed,))
    ledger, measure = Ledger(), BoxHits(rule=rule)
    ledger.add(measure.name, measure.observe(trace, batch), (0,))
    ledger.indices.append(0)
    return measure.conclude(ledger.gather([measure])[measure.name])


@pytest.mark.parametrize(("right", "small"), [(100, True), (120, False)])
def test_a_box_is_small_by_its_share_of_the_whole_picture_not_of_the_view(right, small):
    """The view is the middle half of 200 x 100 pixels, where both boxes cover over a quarter."""
    image, boxes = Image.new("RGB", (200, 100)), np.array([[60, 0, right, 100]], np.float32)
    found = concluded(image, boxes, View((40, 40)))
    assert found["single/pictures"] == found["single/hit"] == 1
    assert found["single_small25/pictures"] == small


def test_what_the_view_cuts_off_counts_in_the_share():
    image, boxes = Image.new("RGB", (200, 100)), np.array([[0, 0, 60, 100]], np.float32)
    found = concluded(image, boxes, View((40, 40)))  # 10 % of the view, 30 % of the picture
    assert found["single/pictures"] == 1
    assert found["single_small25/pictures"] == 0


@pytest.mark.parametrize(("left", "best", "hit"), [(0, 4, 1), (0, 5, 0), (150, 7, 0)])
def test_a_box_out_of_view_is_left_out_and_counts_as_the_public_evaluator_has_it(left, best, hit):
    """The view is the middle of 200 x 100 pixels, from 50 to 150."""
    image, view = Image.new("RGB", (200, 100)), View((40, 40))
    boxes = np.array([[left, 30, left + 40, 45]], np.float32)  # beside the patches 4 to 7
    assert concluded(image, boxes, view, best=best) == {}
    found = concluded(image, boxes, view, rule="released", best=best)
    assert found["single/pictures"] == found["single_small25/pictures"] == 1
    assert found["single/hit"] == hit
