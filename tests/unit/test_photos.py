import numpy as np
import pytest

from unlazy.data import photos
from unlazy.data.photos import CREDITS, FILES, Photos


def test_photographs_are_real_and_named_without_suffix():
    samples = [Photos()[i] for i in range(len(Photos()))]
    assert [sample.name for sample in samples] == list(Photos().names)
    assert {"china", "flower"} <= set(Photos().names)
    for sample in samples:
        assert sample.image.mode == "RGB"
        assert min(sample.image.size) >= 300
        assert np.asarray(sample.image).std() > 20
        assert (sample.label, sample.boxes, sample.mask) == (None, None, None)


def test_each_photograph_has_a_credit_with_a_licence():
    assert CREDITS.keys() == FILES.keys()
    for credit in CREDITS.values():
        assert any(licence in credit for licence in ("CC BY", "CC0", "public domain"))


def test_without_scikit_image_two_remain(monkeypatch):
    find_spec = photos.find_spec
    monkeypatch.setattr(
        photos, "find_spec", lambda name: None if name == "skimage" else find_spec(name)
    )
    assert Photos().names == ("china", "flower")
    assert Photos()[-1].name == "flower"
    with pytest.raises(IndexError):
        Photos()[2]
