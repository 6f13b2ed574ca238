import dataclasses
import itertools
import json

import pytest
import torch
from safetensors.torch import load_file

from unlazy.training import label, loop
from unlazy.training.recipes import LabelRecipe, ViTConfig

RECIPE = LabelRecipe(
    "test",
    model=ViTConfig(img_size=16, embed_dim=16, depth=1, num_heads=2, num_classes=3),
    epochs=2,
    batch=8,
    padding=2,
)


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return pixels, torch.randint(0, 3, (40,), generator=generator)


def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one(tmp_path, data, monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    monkeypatch.setattr(loop, "SAVE_EVERY", 3)
    whole = list(loop.train(RECIPE, *data, tmp_path / "whole"))
    list(itertools.islice(loop.train(RECIPE, *data, tmp_path / "parts"), 5))  # stopped in step 6
    resumed = list(loop.train(RECIPE, *data, tmp_path / "parts"))
    assert [row["step"] for row in resumed] == list(range(4, 11))  # from the checkpoint of step 3
    losses = {row["step"]: row["loss"] for row in whole}
    assert all(row["loss"] == losses[row["step"]] for row in resumed)
    first, second = (
        load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts")
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_of_another_recipe_is_refused_and_the_difference_named(tmp_path, data):
    next(iter(loop.train(dataclasses.replace(RECIPE, epochs=1), *data, tmp_path)))
    with pytest.raises(ValueError, match="epochs differ"):
        next(iter(loop.train(RECIPE, *data, tmp_path)))


def test_a_loss_that_is_not_finite_stops_with_its_step(tmp_path, data):
    broken = dataclasses.replace(RECIPE, learning_rate=float("inf"))
    with pytest.raises(FloatingPointError, match=r"step \d+ of 10"):
        list(loop.train(broken, *data, tmp_path))


def test_training_lowers_the_loss_and_the_run_loads_as_a_backbone(tmp_path, data, monkeypatch):
    from unlazy.catalog import load_backbone

    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    recipe = dataclasses.replace(RECIPE, epochs=30, learning_rate=3e-3, padding=0)
    rows = list(loop.train(recipe, *data, tmp_path / "run"))
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.1
    backbone = load_backbone(f"file:{tmp_path / 'run'}")
    assert backbone.facts.size == (16, 16)
    pixels = data[0][:4]
    with torch.no_grad():
        expected = loop.load(tmp_path / "run").forward_features(backbone.normalise(pixels))[:, 0]
        torch.testing.assert_close(backbone(backbone.normalise(pixels)), expected)


def test_augmentation_keeps_shape_and_draws_again_each_time(data):
    pixels, _ = data
    torch.manual_seed(0)
    first, second = label.augment(pixels, 2), label.augment(pixels, 2)
    assert first.shape == pixels.shape
    assert first.dtype == torch.uint8
    assert not torch.equal(first, second)


def test_the_recipe_is_written_before_training(tmp_path, data):
    next(iter(loop.train(RECIPE, *data, tmp_path)))
    assert json.loads((tmp_path / "recipe.json").read_text())["model"]["embed_dim"] == 16
