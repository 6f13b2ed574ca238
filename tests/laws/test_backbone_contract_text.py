"""The backbone contract over open_clip towers and Hugging Face models, tiny and random."""

from __future__ import annotations

import functools
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from unlazy.backbones.doctor import examine, rebuild_error
from unlazy.tokens import EMBED, FINAL, LAYERED, SHARED, Site, attention, block, key, norm_of, query

open_clip = pytest.importorskip("open_clip")
transformers = pytest.importorskip("transformers")

from unlazy.backbones import open_clip as towers  # noqa: E402
from unlazy.backbones import transformers as hub  # noqa: E402

CUT = (  # open_clip architectures, registered with two narrow blocks
    "ViT-S-32",
    "ViT-B-32",
    "ViT-B-16-quickgelu",
    "ViT-L-14-336-quickgelu",
    "ViT-H-14",
    "ViT-g-14",
    "ViT-e-14",
    "ViT-bigG-14-CLIPA",
    "ViT-M-16-alt",
    "coca_base",
    "coca_ViT-B-32",
    "roberta-ViT-B-32",
    "nllb-clip-base",
)
NORMED = "ViT-B-32 with normed attention"  # every custom attention option that open_clip can run
TRUNKS = {  # timm trunks at full depth, on small images
    "EVA02-B-16": 32,
    "PE-Core-T-16-384": 64,
    "ViT-B-32-SigLIP2-256": 64,
    "vit_medium_patch16_gap_256": 32,
}
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "patch_size": 8}
SMALL_MLP = {**SMALL, "intermediate_size": 48}
HUB = {
    "vit": lambda: transformers.ViTConfig(**SMALL_MLP, image_size=32),
    "dinov2": lambda: transformers.Dinov2Config(**SMALL, image_size=32),
    "dinov2 swiglu": lambda: transformers.Dinov2Config(**SMALL, image_size=32, use_swiglu_ffn=True),
    "dinov2 registers": lambda: transformers.Dinov2WithRegistersConfig(
        **SMALL, image_size=32, num_register_tokens=4
    ),
    "dinov3": lambda: transformers.DINOv3ViTConfig(
        **SMALL_MLP, image_size=32, num_register_tokens=3, use_gated_mlp=True
    ),
    "clip": lambda: transformers.CLIPVisionConfig(**SMALL_MLP, image_size=32, projection_dim=24),
    "siglip": lambda: transformers.SiglipVisionConfig(**SMALL_MLP, image_size=32),
}
MODELS = (*(f"cut-{arch}" for arch in CUT), NORMED, *TRUNKS, *(f"hf {kind}" for kind in HUB))
POOLED = ("CLIPA", "coca_ViT", "PE-Core", "SigLIP", "gap", "siglip")  # image vector is no CLS token


def register(name: str, config: dict[str, Any]) -> None:
    """Make a configuration known to open_clip under a new name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.json"
        path.write_text(json.dumps(config))
        open_clip.add_model_config(path)


def cut(arch: str, **options: Any) -> dict[str, Any]:
    config = open_clip.get_model_config(arch)
    vision = config["vision_cfg"]
    if not isinstance(vision["layers"], int):  # blocks a stage
        small = {"layers": [1, 1, 1, 2], "width": 8, "image_size": 96}
        return {**config, "embed_dim": 24, "vision_cfg": {**vision, **small}}
    head, patch = vision.get("head_width", 64), vision["patch_size"]
    small = {"layers": 2, "width": 2 * head, "image_size": 3 * patch, **options}
    return {**config, "embed_dim": 64, "vision_cfg": {**vision, **small}}


@functools.cache
def build(name: str) -> Any:
    torch.manual_seed(0)
    if name.startswith("hf "):
        with tempfile.TemporaryDirectory() as folder:
            HUB[name.removeprefix("hf ")]().save_pretrained(folder)
            return hub.load(folder, weights="random")
    if name in TRUNKS:
        return towers.load(name, weights="random", size=TRUNKS[name])
    if name == NORMED:
        options = {"qk_norm": True, "scale_heads": True, "scale_attn_inner": True}
        register(name, cut("ViT-B-32", **options, scale_attn=True, scale_fc=True))
    else:
        register(name, cut(name.removeprefix("cut-")))
    backbone = towers.load(name, weights="random")
    with torch.no_grad():  # initial values that would hide a missing term
        for parameter in backbone.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return backbone


def images(backbone: Any, size: tuple[int, int] | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, *(size or backbone.facts.size), generator=generator)


def every_site(backbone: Any) -> list[Site]:
    streams = sorted(backbone.facts.streams)
    sites = [Site(stream, 0) for stream in streams]
    sites += [Site(stream, -1) for stream in streams if stream in LAYERED]
    return [*sites, norm_of(block(0))]


@pytest.fixture(params=MODELS)
def backbone(request: pytest.FixtureRequest) -> Any:
    return build(request.param)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


def test_tracing_leaves_the_output_bit_equal(backbone):
    pixels = images(backbone)
    plain = backbone.encode(pixels)
    trace = backbone.trace(pixels, every_site(backbone))
    assert torch.equal(trace.image, plain)
    assert plain.ndim == 2
    assert torch.isfinite(plain).all()


def test_every_site_is_split_by_the_facts(backbone):
    facts, pixels = backbone.facts, images(backbone)
    trace = backbone.trace(pixels, every_site(backbone))
    grid = (pixels.shape[2] // facts.patch[0], pixels.shape[3] // facts.patch[1])
    for site, tokens in trace.items():
        assert tokens.grid == grid, site
        if site != EMBED:
            assert (tokens.cls is not None) == facts.has_cls, site
            assert tokens.registers.shape[1] == facts.num_registers, site
    assert trace[EMBED].patches.shape[2] == trace[FINAL].patches.shape[2] == facts.dim
    assert trace[SHARED].patches.shape[2] == trace.image.shape[1]
    assert trace[attention(0)].patches.shape[2] == facts.heads


@pytest.mark.parametrize("layer", [0, 1])
def test_qkv_rebuild_the_attention_output(backbone, layer):
    error, scale = rebuild_error(backbone, images(backbone), layer)
    assert scale > 1e-3
    assert error < 1e-5


def test_attention_is_that_of_the_traced_queries_and_keys(backbone):
    trace = backbone.trace(images(backbone), [attention(-1), query(-1), key(-1)])
    heads = backbone.facts.heads
    q, k = (trace[site].sequence().unflatten(2, (heads, -1)) for site in (query(-1), key(-1)))
    logits = torch.einsum("bqad,bkad->baqk", q, k) / math.sqrt(q.shape[-1])
    weights = logits.softmax(-1)
    row = weights[:, :, 0] if backbone.facts.has_cls else weights.mean(2)
    found = trace[attention(-1)].sequence()
    assert torch.allclose(found, row.transpose(1, 2), atol=1e-5)
    assert torch.allclose(found.sum(1), torch.ones(2, heads), atol=1e-5)


def test_norms_are_those_of_the_tokens(backbone):
    trace = backbone.trace(images(backbone), [block(-1), norm_of(block(-1))])
    tokens, norms = trace[block(-1)].sequence(), trace[norm_of(block(-1))].sequence()
    assert torch.allclose(norms[..., 0], tokens.norm(dim=-1), rtol=1e-5)


def test_no_hook_survives_an_exception(backbone, monkeypatch):
    def hooks() -> int:
        return sum(len(module._forward_hooks) for module in backbone.modules())

    def fail(_: torch.Tensor) -> None:
        raise ZeroDivisionError

    before = hooks()
    monkeypatch.setattr(backbone, "encode", fail)
    with pytest.raises(ZeroDivisionError):
        backbone.trace(images(backbone), every_site(backbone))
    assert hooks() == before


def test_other_sizes_are_read_or_refused(backbone):
    facts = backbone.facts
    size = (facts.patch[0] * 2, facts.patch[1] * 5)
    if not facts.any_size:
        with pytest.raises(ValueError, match="px only"):
            backbone.trace(images(backbone, size))
        return
    trace = backbone.trace(images(backbone, size), every_site(backbone))
    assert trace[SHARED].grid == (2, 5)
    with pytest.raises(ValueError, match="multiples"):
        backbone.trace(images(backbone, (facts.patch[0] * 2 + 1, facts.patch[1])))


def test_shared_cls_is_the_image_vector(backbone):
    if any(word in backbone.facts.name for word in POOLED) or not backbone.facts.has_cls:
        pytest.skip("pooled otherwise; see tests of the pools")
    trace = backbone.trace(images(backbone), [SHARED])
    assert torch.allclose(trace[SHARED].cls, trace.image, atol=1e-5)


@pytest.mark.parametrize("name", ["hf siglip", "ViT-B-32-SigLIP2-256"])
def test_a_single_patch_shares_the_whole_image_vector(name):
    backbone = towers.load(name, weights="random", size=32) if name in TRUNKS else build(name)
    trace = backbone.trace(images(backbone, backbone.facts.patch), [SHARED])
    assert torch.allclose(trace[SHARED].patches[:, 0], trace.image, atol=1e-5)


def test_shared_of_coca_is_its_pool_on_each_token_alone():
    backbone = build("cut-coca_ViT-B-32")
    trace = backbone.trace(images(backbone), [SHARED, block(-1)])
    tokens, model = trace[block(-1)].sequence(), backbone.model
    alone = model.ln_post(model.attn_pool(tokens.flatten(0, 1)[:, None])[:, 0]) @ model.proj
    assert torch.allclose(trace[SHARED].sequence().flatten(0, 1), alone, atol=1e-5)


def test_final_is_after_the_models_own_norm():
    clip = build("cut-ViT-B-32")
    trace = clip.trace(images(clip), [FINAL, block(-1)])
    norm = clip.model.ln_post
    normed = F.layer_norm(
        trace[block(-1)].patches, (clip.facts.dim,), norm.weight, norm.bias, norm.eps
    )
    assert torch.allclose(trace[FINAL].patches, normed, atol=1e-5)
    for name in ("hf vit", "hf dinov2 registers", "hf dinov3", "hf siglip"):
        found = build(name)
        pixels = images(found)
        last = found.model(pixel_values=pixels).last_hidden_state
        assert torch.allclose(found.trace(pixels, [FINAL])[FINAL].sequence(), last, atol=1e-5)


def test_a_timm_tower_encodes_as_open_clip_does():
    tower = open_clip.timm_model.TimmModel("vit_tiny_patch16_224", 24, pool="token").eval()
    entry = towers.find("EVA02-B-16")
    backbone = towers.OpenClipTimmViT(tower, entry, weights="random")
    pixels = images(backbone)
    assert torch.equal(backbone.encode(pixels), tower(pixels))
    assert torch.allclose(backbone.trace(pixels, [SHARED])[SHARED].cls, tower(pixels), atol=1e-5)


def test_clips_resnet_is_read_as_its_attention_pool_reads_it():
    backbone = build("cut-RN50")
    before = backbone.fingerprint()
    assert [check for check in examine(backbone) if not check.passed] == []
    assert backbone.fingerprint() == before
    trace = backbone.trace(images(backbone), every_site(backbone))
    assert [trace[site].grid for site in (EMBED, block(0), block(-1), SHARED)] == [
        *[(24, 24)] * 2,
        *[(3, 3)] * 2,
    ]
    assert trace[SHARED].patches.shape == (2, 9, 24)
    assert trace[FINAL].patches.shape == (2, 9, backbone.facts.dim)
    with pytest.raises(ValueError, match="px only"):
        backbone.trace(images(backbone, (64, 96)))


def test_a_pool_of_clips_resnet_that_is_left_out_is_found(monkeypatch):
    backbone = build("cut-RN50")
    monkeypatch.setattr(backbone.model.attnpool.v_proj, "forward", lambda tokens: tokens)
    assert [check.what for check in examine(backbone) if not check.passed] == [
        "SHARED maps a token to the image vector's space"
    ]
