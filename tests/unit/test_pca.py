import numpy as np
import torch
from sklearn.decomposition import PCA as Reference

from unlazy.ledger import Ledger
from unlazy.measures.pca import PCA, components


def test_components_are_scikit_learns_up_to_sign():
    tokens = np.random.default_rng(0).normal(size=(60, 7)) * np.arange(1, 8)
    expected = Reference(3).fit_transform(tokens)
    np.testing.assert_allclose(np.abs(components(tokens, 3)), np.abs(expected), atol=1e-9)


def test_the_sign_does_not_depend_on_the_order_of_tokens():
    rng = np.random.default_rng(1)
    tokens = rng.normal(size=(50, 5)) * np.arange(1, 6)
    order = rng.permutation(50)
    np.testing.assert_allclose(components(tokens[order], 3), components(tokens, 3)[order])


def test_fewer_dimensions_than_asked_are_filled_with_zeros():
    assert (components(np.array([[0.0], [3.0]]), 3)[:, 1:] == 0).all()


INSIDE = np.zeros((8, 8), dtype=bool)
INSIDE[2:6, 2:6] = True


def planted() -> np.ndarray:
    """Two pictures of unlike sources, whose middle 4 x 4 patches differ from those around them."""
    maps = np.random.default_rng(2).normal(scale=0.1, size=(2, 8, 8, 6))
    maps[:, INSIDE, 0] += 5
    maps[1, ..., 3] += 50
    return maps.astype(np.float32)


def colours(maps: np.ndarray) -> np.ndarray:
    measure, ledger = PCA(frozenset({0, 1})), Ledger()
    ledger.add("pca", {"tokens": torch.from_numpy(maps)}, [0, 1])
    ledger.indices.extend([0, 1])
    return np.stack(measure.colours(ledger.gather([measure])["pca"]))


def test_a_planted_object_stands_out_in_every_picture_of_mixed_sources():
    found = colours(planted())
    inside, outside = found[:, INSIDE].mean(1), found[:, ~INSIDE].mean(1)
    assert (np.abs(inside - outside).max(-1) > 0.5).all()


def test_like_patches_have_like_colours_across_pictures():
    same = np.repeat(planted()[:1], 2, axis=0)
    found = colours(same)
    np.testing.assert_array_equal(found[0], found[1])


def test_patches_without_differences_are_grey():
    assert (colours(np.ones((2, 8, 8, 6), np.float32)) == 0.5).all()
