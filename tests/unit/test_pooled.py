"""A pool in the place of CLS: equal to a model that has it; families; refusals; the command."""

import dataclasses
import json

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image

from unlazy.backbones import timm_load
from unlazy.backbones.torchvision import TorchvisionViT
from unlazy.backbones.trained import TrainedViT
from unlazy.backbones.vit import ViT, ViTConfig
from unlazy.catalog import load_backbone
from unlazy.cli import main
from unlazy.fixes.files import read
from unlazy.fixes.pooled import Pooled
from unlazy.pooling import lazy_strike
from unlazy.tokens import FINAL, SHARED

SMALL = {"img_size": 32, "embed_dim": 48, "depth": 2, "num_heads": 3, "num_classes": 5}


def images(count=3, side=32):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def trained(**fields):
    torch.manual_seed(0)
    return TrainedViT(ViT(ViTConfig(**SMALL | fields)).eval(), name="tiny", weights="random")


def timm_vit(**more):
    torch.manual_seed(0)
    fields = {"img_size": 32, "patch_size": 8, "depth": 2, "embed_dim": 48, "num_heads": 3}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=5, **fields, **more)
    return timm_load.wrap(model, name="timm", weights="random")


@pytest.mark.parametrize("registers", [0, 2])
@torch.inference_mode()
def test_it_is_the_model_that_was_built_with_the_pool(registers):
    plain = trained(registers=registers)
    own = trained(registers=registers, pool="lazy_strike", keep=3)
    own.model.load_state_dict(plain.model.state_dict())
    fixed, x = Pooled(keep=3).apply(plain), images()
    assert torch.equal(fixed.encode(x), own.encode(x))
    assert torch.equal(fixed.classify(fixed.encode(x)), own.classify(own.encode(x)))
    assert not torch.allclose(plain.encode(x), own.encode(x))
    assert torch.equal(
        fixed.trace(x, [SHARED])[SHARED].patches, own.trace(x, [SHARED])[SHARED].patches
    )


@pytest.mark.parametrize("more", [{}, {"reg_tokens": 2, "no_embed_class": True}])
@torch.inference_mode()
def test_timm_sees_the_pooled_patches_after_its_last_norm(more):
    backbone, x = timm_vit(**more), images()
    expected = lazy_strike(backbone.trace(x, [FINAL])[FINAL].patches, keep=1)
    assert torch.allclose(Pooled().apply(backbone).encode(x), expected, atol=1e-6)


@torch.inference_mode()
def test_torchvision_as_the_published_weights_are_used():
    """The public code pools after ``encoder``, before ``heads``."""
    torch.manual_seed(0)
    model = torchvision.models.VisionTransformer(32, 8, 2, 3, 48, 96, num_classes=5).eval()
    torch.nn.init.normal_(model.heads.head.weight)
    backbone, x = TorchvisionViT(model, name="vit_b_16", weights="random"), images()
    fixed = Pooled(keep=0.5).apply(backbone)
    tokens = backbone.trace(x, [FINAL])[FINAL].patches
    assert torch.allclose(
        fixed.classify(fixed.encode(x)), model.heads(lazy_strike(tokens, keep=0.5)), atol=1e-5
    )


def test_models_without_a_cls_to_replace_are_refused():
    with pytest.raises(ValueError, match="not made from CLS"):
        Pooled().apply(timm_vit(global_pool="avg", fc_norm=False))
    with pytest.raises(ValueError, match="not made from CLS"):
        Pooled().apply(trained(pool="lazy_strike"))
    with pytest.raises(ValueError, match="no CLS"):
        Pooled().apply(trained(pool="mean", class_token=False))
    with pytest.raises(ValueError, match=r"keep must be in 1\.\.16"):
        Pooled(keep=17).apply(trained())
    with pytest.raises(ValueError, match="fixed already"):
        Pooled().apply(Pooled().apply(trained()))


def test_a_calibrated_pool_says_what_it_is_and_loads_as_a_model(tmp_path, capsys):
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    words = ["fix", "pooled", "bundled:tiny-label", str(tmp_path), "--set", "keep=0.5"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "-o", str(tmp_path / "out")])
    assert ended.value.code in (0, None)
    assert "trained with this pool" in capsys.readouterr().out
    saved = json.loads((tmp_path / "out" / "fix.json").read_text())
    assert saved["parameters"]["keep"] == 0.5
    fix, _ = read(tmp_path / "out")
    assert dataclasses.replace(fix, likeness=None) == Pooled(keep=0.5)
    fixed = load_backbone(f"fixed:{tmp_path / 'out'}")
    assert fixed.facts.name.endswith("+ pooled")
