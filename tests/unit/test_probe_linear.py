"""Linear classifiers as DINO and DINOv2 train them: random crops, and the last blocks."""

import numpy as np
import pytest
import timm
import torch
import transformers
from PIL import Image

from planted_tokens import Planted
from unlazy.backbones.timm import TimmViT
from unlazy.backbones.transformers import HFViT
from unlazy.benchmarks.probe_linear import DINOLinear, DINOv2Linear
from unlazy.data.crops import Crops
from unlazy.data.sample import Sample
from unlazy.probes.last_blocks import LastBlocks
from unlazy.report.probe import run_probes

SIDE = 64


class Ruled:
    """Pictures whose red and green say where a pixel is."""

    classes = ("one",)

    def __len__(self):
        return 200

    def __getitem__(self, index):
        across = np.tile(np.arange(SIDE, dtype=np.uint8), (SIDE, 1))
        pixels = np.stack([across, across.T, np.full_like(across, index)], axis=2)
        return Sample(Image.fromarray(pixels), str(index), label=0, boxes=np.zeros((1, 4)))

    def name_of(self, index):
        return str(index)


def test_crops_are_parts_of_the_picture_of_the_areas_and_shapes_that_dino_takes():
    crops, mirrored, areas = Crops(Ruled(), seed=1, epoch=2), 0, []
    for index in range(len(crops)):
        sample = crops[index]
        pixels = np.asarray(sample.image).astype(int)
        height, width = pixels.shape[:2]
        step = pixels[0, 1, 0] - pixels[0, 0, 0]
        assert (np.diff(pixels[..., 0], axis=1) == step).all()
        assert (np.diff(pixels[..., 1], axis=0) == 1).all()
        assert (pixels[..., 2] == index).all()
        assert (sample.label, sample.boxes) == (0, None)
        mirrored += step == -1
        areas.append(height * width / SIDE**2)
        assert 0.7 < width / height < 1.4
    assert 70 < mirrored < 130
    assert 0.07 < min(areas) < 0.2
    assert 0.9 < max(areas) <= 1
    assert np.mean(areas) == pytest.approx(0.54, abs=0.08)


def test_a_crop_is_the_same_wherever_it_is_drawn_and_another_in_each_epoch():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, again, other = (Crops(Ruled(), 0, epoch)[7].image for epoch in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state()), "others' draws go on as they would"
    assert np.array_equal(first, again)
    assert not (first.size == other.size and np.array_equal(first, other))


def small(depth=5, **fields):
    torch.manual_seed(0)
    given = {"depth": depth, "embed_dim": 24, "num_heads": 2, "img_size": 16, "patch_size": 4}
    model = timm.create_model("vit_tiny_patch16_224", **given, **fields)
    with torch.no_grad():
        model.norm.weight.normal_()
        model.norm.bias.normal_()
    return TimmViT(model.eval(), name="small", weights="random")


def test_the_vector_is_that_of_timms_intermediate_layers():
    backbone, images = small(), torch.randn(3, 3, 16, 16)
    layers = backbone.model.get_intermediate_layers(images, n=4, return_prefix_tokens=True)
    normal = [backbone.model.norm(torch.cat([cls, rest], 1)) for rest, cls in layers]
    four = LastBlocks.of(backbone, 4, mean=False)
    with torch.no_grad():
        found = four(backbone.trace(images, four.reads))
        torch.testing.assert_close(found, torch.cat([each[:, 0] for each in normal], 1))
        one = LastBlocks.of(backbone, 1, mean=True)
        found = one(backbone.trace(images, one.reads))
        last = normal[-1]
        torch.testing.assert_close(found, torch.cat([last[:, 0], last[:, 1:].mean(1)], 1))


class Coloured:
    """A class a colour, which any crop shows."""

    classes = ("red", "green", "blue")

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        colour = np.full(3, 40) + 150 * np.eye(3, dtype=int)[index % 3]
        noise = np.random.default_rng(index).integers(-30, 30, (20, 24, 3))
        pixels = (colour + noise).astype(np.uint8)
        return Sample(Image.fromarray(pixels), str(index), label=index % 3)

    def name_of(self, index):
        return str(index)


def test_both_protocols_learn_and_say_how():
    evaluated, training = Coloured(31), Coloured(60)
    settings = {"epochs": 12, "patience": 12, "batch": 10, "rates": (0.01, 0.1)}
    probes = DINOLinear(**settings), DINOv2Linear(**settings)
    outcomes = run_probes(probes, small(), evaluated, training, source="drawn")
    for outcome in outcomes:
        found = outcome.record.values[outcome.benchmark.headline.measure]
        assert found["chance"].value == pytest.approx(1 / 3)
        assert found["majority"].value == pytest.approx(11 / 31)
        assert found["top1_linear"].value > 0.9
        said = " ".join(outcome.record.verdict)
        assert "54 examples to learn from and 6 held out" in said
        assert "the papers report the best on the evaluated pictures" in said


def test_rates_are_in_proportion_to_the_batch():
    rates = DINOv2Linear().plan.rates
    assert len(rates) == 13
    assert (rates[0], rates[-1]) == (pytest.approx(4e-5), pytest.approx(0.4))  # of 1,024
    assert DINOLinear().plan.rates == (0.001,)
    assert DINOLinear(batch=64).plan.rates == (0.00025,)
    assert DINOLinear().lesson.crops
    assert DINOv2Linear().lesson.crops


def test_the_last_norm_of_the_other_libraries_is_found():
    torch.manual_seed(0)
    fields = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
    config = transformers.ViTConfig(**fields, intermediate_size=48, image_size=16, patch_size=4)
    model = transformers.ViTModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        model.layernorm.weight.normal_()
    backbone, images = HFViT(model, name="vit", weights="random"), torch.randn(2, 3, 16, 16)
    two = LastBlocks.of(backbone, 2, mean=False)
    with torch.no_grad():
        hidden = model(images, output_hidden_states=True).hidden_states
        expected = [model.layernorm(each)[:, 0] for each in hidden[-2:]]
        found = two(backbone.trace(images, two.reads))
    torch.testing.assert_close(found, torch.cat(expected, 1))


def test_models_without_such_blocks_are_refused():
    planted = Planted(lambda patches: (patches, patches[..., 0]), dim=48)
    assert LastBlocks.of(planted, 1, mean=True).blocks == 1
    with pytest.raises(ValueError, match=r"planted has .* fewer than 2 blocks"):
        LastBlocks.of(planted, 2, mean=True)
    with pytest.raises(ValueError, match="fewer than 4 blocks"):
        LastBlocks.of(small(depth=3), 4, mean=False)
