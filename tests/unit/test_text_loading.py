"""Loading open_clip towers and Hugging Face models: names, files, and refusals that help."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

open_clip = pytest.importorskip("open_clip")
transformers = pytest.importorskip("transformers")

from unlazy.backbones import open_clip as towers  # noqa: E402
from unlazy.backbones import transformers as hub  # noqa: E402
from unlazy.backbones.weights import CheckpointMismatch, PretrainedUnavailable  # noqa: E402
from unlazy.catalog import UnknownName  # noqa: E402

TEXT = {"context_length": 4, "vocab_size": 8, "width": 64, "heads": 1, "layers": 1}
ARCH = "two-narrow-blocks"


@pytest.fixture(scope="module", autouse=True)
def _arch(tmp_path_factory):
    vision = {"image_size": 48, "layers": 2, "width": 64, "patch_size": 16}
    path = tmp_path_factory.mktemp("configs") / f"{ARCH}.json"
    path.write_text(json.dumps({"embed_dim": 32, "vision_cfg": vision, "text_cfg": TEXT}))
    open_clip.add_model_config(path)


@pytest.fixture
def clip():
    torch.manual_seed(0)
    return open_clip.create_model(ARCH).eval()


def test_a_whole_clip_and_its_tower_alone_load_alike(clip, tmp_path):
    pixels = torch.randn(2, 3, 48, 48)
    torch.save({"state_dict": clip.state_dict()}, tmp_path / "whole.pt")
    prefixed = {f"module.{name}": part for name, part in clip.state_dict().items()}
    torch.save(prefixed, tmp_path / "parallel.pt")
    save_file(clip.visual.state_dict(), tmp_path / "tower.safetensors")
    own = towers.OpenClipViT(clip.visual, towers.find(ARCH), weights="random").fingerprint()
    for file in ("whole.pt", "parallel.pt", "tower.safetensors"):
        backbone = towers.load(ARCH, weights=tmp_path / file)
        assert backbone.fingerprint() == own
        assert backbone.facts.weights == file
        assert torch.equal(backbone.encode(pixels), clip.encode_image(pixels))


def test_clips_resnet_loads_from_a_whole_clip(tmp_path):
    vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8}
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": TEXT}
    (tmp_path / "narrow-resnet.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "narrow-resnet.json")
    torch.manual_seed(0)
    whole = open_clip.create_model("narrow-resnet").eval()
    save_file(whole.state_dict(), tmp_path / "whole.safetensors")
    backbone = towers.load("narrow-resnet", weights=tmp_path / "whole.safetensors")
    pixels = torch.randn(2, 3, 64, 64)
    assert torch.equal(backbone.encode(pixels), whole.encode_image(pixels))
    assert backbone.facts.supervision == "text"
    assert backbone.texts is not None
    del (short := whole.state_dict())["visual.attnpool.c_proj.bias"]
    save_file(short, tmp_path / "short.safetensors")
    with pytest.raises(CheckpointMismatch, match=r"c_proj\.bias"):
        towers.load("narrow-resnet", weights=tmp_path / "short.safetensors")


def test_a_timm_tower_survives_a_round_trip(tmp_path):
    torch.manual_seed(0)
    config = open_clip.get_model_config("vit_medium_patch16_gap_256")
    vision = {**config["vision_cfg"], "timm_model_name": "vit_tiny_patch16_224", "timm_pool": "avg"}
    path = tmp_path / "tiny-timm.json"
    path.write_text(json.dumps({"embed_dim": 32, "vision_cfg": vision, "text_cfg": TEXT}))
    open_clip.add_model_config(path)
    first = towers.load("tiny-timm", weights="random")
    state = {f"visual.trunk.{name}": part for name, part in first.model.state_dict().items()}
    state |= {f"visual.head.{name}": part for name, part in first.projection.state_dict().items()}
    save_file(state, tmp_path / "clip.safetensors")
    again = towers.load("tiny-timm", weights=tmp_path / "clip.safetensors")
    assert again.fingerprint() == first.fingerprint()
    with torch.no_grad():
        again.projection.proj.weight.add_(1)
    assert again.fingerprint() != first.fingerprint()


def test_positions_are_resized_to_the_size_asked_for(clip, tmp_path):
    save_file(clip.visual.state_dict(), tmp_path / "tower.safetensors")
    backbone = towers.load(ARCH, weights=tmp_path / "tower.safetensors", size=(96, 64))
    assert backbone.facts.size == (96, 64)
    assert backbone.encode(torch.randn(1, 3, 96, 64)).shape == (1, 32)
    with pytest.raises(ValueError, match="patches of 16 px"):
        towers.load(ARCH, weights="random", size=100)


def test_parts_of_a_tower_that_are_missing_or_left_over_are_named(clip, tmp_path):
    state = clip.state_dict()
    del state["visual.ln_post.weight"]
    torch.save(state, tmp_path / "short.pt")
    with pytest.raises(CheckpointMismatch, match=r"ln_post\.weight"):
        towers.load(ARCH, weights=tmp_path / "short.pt")
    state = clip.state_dict() | {"visual.attn_pool.query": torch.zeros(1)}
    torch.save(state, tmp_path / "long.pt")
    with pytest.raises(CheckpointMismatch, match=r"attn_pool\.query"):
        towers.load(ARCH, weights=tmp_path / "long.pt")


def test_names_are_checked_before_anything_is_built():
    with pytest.raises(UnknownName, match="ViT-B-16"):
        towers.load("ViT-B16", weights="random")
    with pytest.raises(UnknownName, match="openai"):
        towers.load("ViT-B-16-quickgelu/opena", weights="random")
    with pytest.raises(ValueError, match="neither a plain ViT"):
        towers.load("convnext_base", weights="random")
    with pytest.raises(ValueError, match="224 px only"):
        towers.load("RN50", weights="random", size=256)
    assert towers.load("RN50", weights="random", size=224).facts.size == (224, 224)
    with pytest.raises(ValueError, match="ViT-B-16-quickgelu/openai"):
        towers.load("ViT-B-16/openai", weights="random")
    with pytest.raises(ValueError, match="ViT-H-14-quickgelu/metaclip"):
        towers.load("ViT-H-14/metaclip-fullcc", weights="pretrained")
    with pytest.raises(ValueError, match="ViT-B-16/TAG"):
        towers.load("ViT-B-16", weights="pretrained")
    with pytest.raises(ValueError, match="differ in preprocessing"):
        towers.load("ViT-L-14", weights=Path("absent.pt"))


def test_a_tag_tells_preprocessing_and_an_architecture_its_activation():
    openai = towers.find("ViT-B-32-quickgelu/OpenAI")
    assert (openai.tag, openai.config["quick_gelu"]) == ("openai", True)
    assert openai.mean == open_clip.OPENAI_DATASET_MEAN
    assert towers.find("ViT-B-16-SigLIP/webli").mean == (0.5, 0.5, 0.5)
    assert towers.find("roberta-ViT-B-32/laion2b_s12b_b32k").tag  # no sibling: the config is right


def test_weights_that_cannot_be_downloaded_say_what_to_do(monkeypatch):
    def fail(_: object) -> None:
        raise FileNotFoundError("no route to host")

    monkeypatch.setattr(open_clip, "download_pretrained", fail)
    with pytest.raises(PretrainedUnavailable, match="--checkpoint FILE"):
        towers.load("ViT-B-16-quickgelu/openai", weights="pretrained")


def test_readable_architectures_are_grouped():
    found = towers.names()
    assert "ViT-B-16-quickgelu" in found["CLIP"]
    assert "EVA02-B-16" in found["EVA"]
    assert "RN50-quickgelu" in found["CLIP"]
    assert not any("convnext_base" in archs for archs in found.values())


@pytest.mark.parametrize(("load", "module"), [(towers, "open_clip"), (hub, "transformers")])
def test_a_missing_extra_is_named(load, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install unlazy\[text\]"):
        load.load("any", weights="random")


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "patch_size": 8}
SMALL |= {"intermediate_size": 48, "image_size": 32}


def whole_clip():
    text = {**SMALL, "vocab_size": 64, "max_position_embeddings": 8}
    text = {name: text[name] for name in text if name not in ("patch_size", "image_size")}
    vision = {**SMALL, "projection_dim": 24}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    return transformers.CLIPModel(config)


@pytest.mark.filterwarnings("ignore:.*preprocessor_config")
def test_a_directory_survives_a_round_trip(tmp_path):
    torch.manual_seed(0)
    labelled = transformers.ViTForImageClassification(transformers.ViTConfig(**SMALL)).eval()
    clip = whole_clip().eval()
    pixels = torch.randn(2, 3, 32, 32)
    expected = {
        "vit": labelled.vit(pixels).last_hidden_state[:, 0],
        "clip": clip.visual_projection(clip.vision_model(pixels).pooler_output),
    }
    for name, model in (("vit", labelled), ("clip", clip)):
        model.save_pretrained(tmp_path / name)
        directory = hub.load(str(tmp_path / name), weights="pretrained")
        file = hub.load(str(tmp_path / name), weights=tmp_path / name / "model.safetensors")
        assert torch.equal(directory.encode(pixels), expected[name])
        assert file.fingerprint() == directory.fingerprint()
        assert next(directory.parameters()).dtype == torch.float32
    assert hub.load(str(tmp_path / "vit"), weights="random").facts.supervision == "label"


def test_a_directory_tells_its_preprocessing(tmp_path):
    transformers.Dinov2Model(
        transformers.Dinov2Config(**{**SMALL, "mlp_ratio": 2})
    ).save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="preprocessor_config"):
        hub.load(str(tmp_path), weights="pretrained")
    settings = {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1], "resample": 2}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    facts = hub.load(str(tmp_path), weights="pretrained", size=64).facts
    assert (facts.mean, facts.interpolation) == ((0.1, 0.2, 0.3), "bilinear")
    assert (facts.size, facts.supervision) == ((64, 64), "self")


def test_hub_files_that_do_not_fit_or_are_absent_are_named(tmp_path, monkeypatch):
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0, 0, 0]}')
    transformers.ViTModel(transformers.ViTConfig(**SMALL)).save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    del state[next(name for name in state if "layernorm.weight" in name)]
    save_file(state, tmp_path / "short.safetensors")
    with pytest.raises(CheckpointMismatch, match="layernorm"):
        hub.load(str(tmp_path), weights=tmp_path / "short.safetensors")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(PretrainedUnavailable, match="--checkpoint FILE"):
        hub.load(str(tmp_path), weights="pretrained")
    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="'bert' model"):
        hub.load(str(tmp_path), weights="random")

    for name in (str(tmp_path / "absent"), "./absent", "some/folder/deep"):
        with pytest.raises(FileNotFoundError, match="there is no folder"):
            hub.load(name, weights="random")

    def fail(_: str) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", fail)
    with pytest.raises(FileNotFoundError, match="hf download"):
        hub.load("facebook/dinov2-base", weights="random")
