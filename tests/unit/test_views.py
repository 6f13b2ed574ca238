"""What benchmarks show a model, against the libraries' own preprocessing."""

import dataclasses

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torchvision.models import get_model_weights

from unlazy.benchmarks.classification import Classification
from unlazy.benchmarks.point_in_box import PointInBox
from unlazy.benchmarks.views import own_view, usual_view
from unlazy.benchmarks.zero_shot import ZeroShot
from unlazy.catalog import load_backbone


@pytest.fixture(scope="module")
def photo():
    return Image.fromarray(load_sample_image("china.jpg"))


def difference(backbone, photo, theirs) -> float:
    """Mean over normalised pixels; photographs that are cropped otherwise differ by over 0.1."""
    shown = own_view(backbone.facts)(photo).pixels[None]
    return (backbone.normalise(shown)[0] - theirs).abs().mean().item()


@pytest.mark.parametrize(
    "name",
    [
        "vit_tiny_patch16_224.augreg_in21k_ft_in1k",  # 0.9
        "deit3_small_patch16_224.fb_in1k",
        "vit_base_patch32_clip_224.openai",
        "vit_base_patch16_siglip_224.webli",  # squashed
        "vit_medium_patch16_gap_384.sw_in12k_ft_in1k",  # squashed, 0.95
        "resnet26.bt_in1k",
        "swinv2_tiny_window8_256.ms_in1k",
    ],
)
def test_timm(name, photo):
    backbone = load_backbone(f"timm:{name}", weights="random")
    config = timm.data.resolve_data_config(model=backbone.model)
    theirs = timm.data.create_transform(**config, is_training=False)(photo)
    assert difference(backbone, photo, theirs) < 0.02


@pytest.mark.parametrize("name", ["vit_b_32", "vit_b_16.IMAGENET1K_SWAG_LINEAR_V1", "resnet18"])
def test_torchvision(name, photo):
    arch, _, tag = name.partition(".")
    theirs = get_model_weights(arch)[tag or "IMAGENET1K_V1"].transforms()(photo)
    backbone = load_backbone(f"torchvision:{name}", weights="random")
    assert difference(backbone, photo, theirs) < 0.03


@pytest.mark.parametrize("name", ["RN50-quickgelu/openai", "ViT-B-16-SigLIP/webli"])
def test_open_clip(name, photo):
    open_clip = pytest.importorskip("open_clip")
    backbone = load_backbone(f"open_clip:{name}", weights="random")
    arch, tag = name.split("/")
    config = open_clip.get_pretrained_cfg(arch, tag)
    theirs = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(
            size=backbone.facts.size,
            **{key: config[key] for key in ("mean", "std", "interpolation", "resize_mode")},
        ),
        is_train=False,
    )(photo)
    assert difference(backbone, photo, theirs) < 0.02


def test_who_sees_what():
    facts = load_backbone("timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k", weights="random").facts
    for benchmark in (Classification(), ZeroShot()):
        assert benchmark.view(facts).resize == 248
    seen = PointInBox().view(facts)
    assert facts.interpolation == "bicubic"
    assert seen == dataclasses.replace(usual_view(facts), interpolation="bilinear")
    assert seen.resize == 256
    small = load_backbone("bundled:tiny-label").facts
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = own_view(small)(Image.fromarray(pixels)).pixels
    assert torch.equal(whole.permute(1, 2, 0), torch.from_numpy(pixels))
