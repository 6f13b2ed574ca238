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


def planted() -> np.ndarray:
    """Two pictures whose middle 4 x 4 patches lie far from those around them."""
    rng = np.random.default_rng(2)
    maps = rng.normal(scale=0.1, size=(2, 8, 8, 6))
    maps[:, 2:6, 2:6, 0] += 5
    maps[:, 2:6, 2:6, 1] += np.linspace(-1, 1, 4)
    return maps.astype(np.float32)


def colours(maps: np.ndarray, **parameters) -> np.ndarray:
    measure, ledger = PCA(frozenset({0, 1}), **parameters), Ledger()
    ledger.add("pca", {"tokens": torch.from_numpy(maps)}, [0, 1])
    ledger.indices.extend([0, 1])
    return np.stack(measure.colours(ledger.gather([measure])["pca"]))


def test_a_planted_object_is_coloured_and_the_border_is_black():
    inside = np.zeros((8, 8), dtype=bool)
    inside[2:6, 2:6] = True
    for sign in (1, -1):
        found = colours(sign * planted())
        assert (found[:, ~inside] == 0).all()
        assert (found[:, inside].sum(-1) > 0).all()
    flipped = colours(planted(), flip=True)
    assert (flipped[:, inside] == 0).all()
