"""The doctor finds a model that is misread, whatever the model's pool."""

import pytest
import timm
import torch

from unlazy.backbones import timm_load
from unlazy.backbones.doctor import examine

SMALL = {"depth": 2, "embed_dim": 48, "num_heads": 3, "dynamic_img_size": True, "img_size": 64}
POOLS = {  # name -> what is said of the image vector
    "vit_base_patch16_clip_224.openai": "the image vector is the CLS token",
    "vit_base_patch16_siglip_gap_224.webli": "the image vector is the mean of the patches",
    "vit_betwixt_patch16_reg4_gap_256.sbb_in1k": "how tokens are pooled is not checked",
    "vit_base_patch16_siglip_224.webli": "how tokens are pooled is not checked",
}
LAST_STEPS = {  # name -> the step after the last norm that a wrong reading leaves out
    "vit_base_patch16_clip_224.openai": "head",
    "vit_betwixt_patch16_reg4_gap_256.sbb_in1k": "fc_norm",
    "vit_base_patch16_siglip_224.webli": "attn_pool",
}


def build(name):
    torch.manual_seed(0)
    model = timm.create_model(name, **SMALL)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn(weight.shape)
    return timm_load.wrap(model, name=name, weights="random")


def shared_check(backbone):
    return next(check for check in examine(backbone) if check.what.startswith("SHARED"))


@pytest.mark.parametrize("name", POOLS)
def test_the_shared_space_is_proven_for_every_pool(name):
    backbone = build(name)
    check = shared_check(backbone)
    assert check.passed, check
    assert POOLS[name] in check.evidence
    assert not any(module._forward_hooks for module in backbone.modules())


@pytest.mark.parametrize("name", LAST_STEPS)
def test_a_misread_shared_space_fails(name, monkeypatch):
    backbone = build(name)
    model, step, right = backbone.model, LAST_STEPS[name], type(backbone).shared

    def wrong(self, tokens):
        with monkeypatch.context() as patch:
            patch.setitem(
                model._modules, step, None if step == "attn_pool" else torch.nn.Identity()
            )
            return right(self, tokens)

    monkeypatch.setattr(type(backbone), "shared", wrong)
    check = shared_check(backbone)
    assert not check.passed, check
