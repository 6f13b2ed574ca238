"""A Record of an earlier run is used again only where all that it depends on is the same."""

import pytest
from PIL import Image

from unlazy.bench_inputs import Data
from unlazy.benchmarks.classification import KNN
from unlazy.catalog import load_backbone
from unlazy.data.class_folders import ClassFolders
from unlazy.earlier_records import identity_of
from unlazy.inputs import Options


@pytest.fixture
def identity(tmp_path):
    """A function that gives the identity of k-NN on the class folders as they are by then."""
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", (64, 64)).save(tmp_path / split / name / "0.png")
    backbone = load_backbone("bundled:tiny-label")

    def found():
        training, evaluated = (ClassFolders(tmp_path, split) for split in ("train", "val"))
        data = Data("folders", {False: evaluated}, training)
        return identity_of(backbone, data, KNN(), Options())

    return found


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("change", ["content", "name", "label"])
def test_as_many_other_pictures_are_other_data(identity, tmp_path, split, change):
    first, path = identity(), tmp_path / split / "cat" / "0.png"
    assert first == identity() != ""
    if change == "content":
        Image.effect_noise((64, 64), 50).save(path)
    elif change == "name":
        path.rename(path.with_name("1.png"))
    else:
        path.rename(tmp_path / split / "dog" / "1.png")
    assert identity() != first


def test_the_training_split_is_looked_at_once(identity, tmp_path, monkeypatch):
    data = Data("folders", {}, ClassFolders(tmp_path, "train"))
    first = data.learned_from
    monkeypatch.setattr("unlazy.identity.data_identity", None)
    assert data.learned_from == first != Data("folders", {}, None).learned_from
