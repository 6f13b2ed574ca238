import argparse
import os
import pickle
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import VisionTransformer, get_model

from unlazy.backbones import timm_load
from unlazy.backbones import torchvision as torchvision_backbones
from unlazy.backbones.weights import (
    BadCheckpoint,
    CheckpointMismatch,
    PretrainedUnavailable,
    load_into,
    read_checkpoint,
)
from unlazy.catalog import UnknownName
from unlazy.tokens import FINAL

NAME = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
SMALL = {"depth": 2, "embed_dim": 24, "num_heads": 3}


@pytest.fixture
def tiny_timm(monkeypatch):
    """timm builds every plain ViT two blocks deep and 24 wide."""
    full = timm.create_model

    def create(name, **options):
        return full(name, **{**SMALL, **options})

    monkeypatch.setattr(timm_load.timm, "create_model", create)
    return create


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))


def saved(state, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "backbone.", "module.backbone."])
def test_prefixes_are_stripped_where_that_makes_keys_match(tmp_path, prefix, suffix):
    source, target = net(), net()
    with torch.no_grad():
        source[0].weight += 1
    state = {prefix + key: value for key, value in source.state_dict().items()}
    loaded = load_into(target, saved(state, tmp_path / f"w.{suffix}"))
    assert loaded.prefix == prefix
    assert loaded.name == f"w.{suffix}"
    assert loaded.ignored == ()
    assert torch.equal(target[0].weight, source[0].weight)


def test_a_prefix_that_belongs_to_the_model_stays(tmp_path):
    model = nn.ModuleDict({"encoder": net()})
    loaded = load_into(model, saved(model.state_dict(), tmp_path / "w.pth"))
    assert loaded.prefix == ""


@pytest.mark.parametrize("nest", ["state_dict", "model", "teacher", "student", "model_state"])
def test_nested_weights_are_found(tmp_path, nest):
    held = {nest: net().state_dict(), "epoch": 3, "args": argparse.Namespace(lr=0.1)}
    assert set(read_checkpoint(saved(held, tmp_path / "w.pth"))) == set(net().state_dict())


def test_the_teacher_is_preferred_and_its_head_reported(tmp_path, caplog):
    teacher, student, target = net(), net(), net()
    with torch.no_grad():
        teacher[0].weight += 1
    held = {
        "student": {"module.backbone." + key: value for key, value in student.state_dict().items()},
        "teacher": {"backbone." + key: value for key, value in teacher.state_dict().items()},
    }
    held["teacher"]["head.mlp.0.weight"] = torch.zeros(2, 2)
    loaded = load_into(target, saved(held, tmp_path / "dino.pth"))
    assert torch.equal(target[0].weight, teacher[0].weight)
    assert loaded.ignored == ("head.mlp.0.weight",)
    assert "head.mlp.0.weight" in caplog.text


def test_a_mismatch_names_keys_and_loads_nothing(tmp_path):
    model = net()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = {key: value + 1 for key, value in model.state_dict().items()}
    del state["1.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["0.weight"] = torch.zeros(9, 3)
    with pytest.raises(CheckpointMismatch) as caught:
        load_into(model, saved(state, tmp_path / "w.pth"))
    message = str(caught.value)
    assert "1 keys missing (1.bias)" in message
    assert "1 keys unexpected (extra.weight)" in message
    assert "0.weight is (9, 3) in the file, (4, 3) in the model" in message
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_many_missing_keys_are_counted(tmp_path):
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(5)))
    path = saved({"0.weight": torch.zeros(2, 2)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointMismatch, match=r"9 keys missing .* and 5 more"):
        load_into(model, path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(tmp_path, bad):
    state = net().state_dict()
    state["0.weight"][1, 2] = bad
    with pytest.raises(BadCheckpoint, match=r"1 of 12 values of 0\.weight are NaN or infinite"):
        load_into(net(), saved(state, tmp_path / "w.pth"))


class Malicious:
    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def bare_pickle(held, path: Path) -> None:
    path.write_bytes(pickle.dumps(held, protocol=2))


@pytest.mark.parametrize("save", [torch.save, bare_pickle])
def test_a_pickle_that_would_run_code_is_refused_unrun(tmp_path, save):
    marker = tmp_path / "ran"
    path = tmp_path / "w.pth"
    save({"model": Malicious(str(marker))}, path)
    with pytest.raises(BadCheckpoint, match=r"refused.*could run code.*mkdir.*safetensors"):
        read_checkpoint(path)
    assert not marker.exists()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("kept", [0, 5, 300])
def test_truncated_files_are_refused(tmp_path, suffix, kept):
    path = saved(net().state_dict(), tmp_path / f"w.{suffix}")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadCheckpoint, match=r"w\..* is damaged|is damaged or not a checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_files_of_another_kind_are_refused(tmp_path, suffix):
    path = tmp_path / f"page.{suffix}"
    path.write_text("<html>not found</html>" * 50)
    with pytest.raises(BadCheckpoint, match="not a checkpoint"):
        read_checkpoint(path)


def test_files_without_weights_say_what_they_hold(tmp_path):
    with pytest.raises(BadCheckpoint, match="no named weights \\(found: epoch, loss\\)"):
        read_checkpoint(saved({"epoch": 3, "loss": 0.5}, tmp_path / "w.pth"))
    with pytest.raises(BadCheckpoint, match="no named weights \\(found: Tensor\\)"):
        read_checkpoint(saved(torch.zeros(3), tmp_path / "w.pth"))
    with pytest.raises(BadCheckpoint, match="there is no checkpoint file"):
        read_checkpoint(tmp_path / "absent.pth")


def test_timm_checkpoint_with_other_classes(tiny_timm, tmp_path):
    source = tiny_timm(NAME, num_classes=7)
    path = saved(source.state_dict(), tmp_path / "seven.safetensors")
    backbone = timm_load.load(NAME, weights=path)
    assert backbone.model.num_classes == 7
    assert backbone.facts.weights == "seven.safetensors"
    images = torch.randn(1, 3, 224, 224)
    torch.testing.assert_close(backbone.model(images), source.eval()(images))


def test_dino_training_checkpoint_has_no_classifier(tiny_timm, tmp_path):
    source = tiny_timm("vit_small_patch16_224.dino", num_classes=0)
    state = {f"module.backbone.{key}": value for key, value in source.state_dict().items()}
    state["module.head.last_layer.weight"] = torch.zeros(3, 3)
    path = saved({"teacher": state, "epoch": 1}, tmp_path / "dino.pth")
    backbone = timm_load.load("vit_small_patch16_224.dino", weights=path)
    images = torch.randn(1, 3, 224, 224)
    torch.testing.assert_close(backbone.encode(images), source.eval()(images))


def hub_dinov2_registers(source: nn.Module) -> dict[str, torch.Tensor]:
    """The keys that the original release of DINOv2 with registers uses."""
    state = dict(source.state_dict())
    position = state["pos_embed"]
    state["register_tokens"] = state.pop("reg_token")
    first = torch.randn_like(position[:, :1])
    state["pos_embed"] = torch.cat([first, position], dim=1)  # the class token has one there
    state["cls_token"] = state["cls_token"] - first
    state["mask_token"] = torch.zeros(1, position.shape[2])
    return state


def test_hub_named_dinov2_registers_are_converted(tiny_timm, tmp_path):
    name = "vit_small_patch14_reg4_dinov2"
    source = tiny_timm(name).eval()
    with torch.no_grad():
        for weight in source.parameters():
            weight += 0.1 * torch.randn_like(weight)
    state = hub_dinov2_registers(source)
    assert state["pos_embed"].shape[1] == 1370
    backbone = timm_load.load(name, weights=saved(state, tmp_path / "hub.pth"))
    images = torch.randn(1, 3, 518, 518)
    with torch.inference_mode():
        torch.testing.assert_close(backbone.encode(images), source(images), atol=1e-4, rtol=1e-4)


def test_a_checkpoint_of_another_model_is_refused(tiny_timm, tmp_path):
    path = saved(tiny_timm(NAME).state_dict(), tmp_path / "plain.pth")
    with pytest.raises(
        CheckpointMismatch, match=r"plain\.pth does not fit.*reg_token.*reg4_dinov2"
    ):
        timm_load.load("vit_small_patch14_reg4_dinov2", weights=path)
    path = saved(get_model("resnet18").state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(CheckpointMismatch, match=r"keys missing.*keys unexpected"):
        timm_load.load(NAME, weights=path)


def test_clip_without_its_projection_is_refused(tiny_timm, tmp_path):
    name = "vit_base_patch16_clip_224.openai"
    state = tiny_timm(name).state_dict()
    del state["head.weight"]
    with pytest.raises(CheckpointMismatch, match=r"1 keys missing \(head\.weight"):
        timm_load.load(name, weights=saved(state, tmp_path / "clip.pth"))


def test_published_weights_without_network(monkeypatch):
    def offline(name, *, pretrained, **options):
        raise FileNotFoundError("cannot find the requested files in the local cache")

    monkeypatch.setattr(timm_load.timm, "create_model", offline)
    with pytest.raises(PretrainedUnavailable, match=r"--checkpoint FILE.*--random"):
        timm_load.load(NAME, weights="pretrained")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("vit_smal_patch16_224", "vit_small_patch16_224"),
        ("vit_small_patch16_224.dinoo", "vit_small_patch16_224.dino"),
    ],
)
def test_unknown_timm_names_suggest_near_ones(name, near):
    with pytest.raises(UnknownName, match=f"did you mean.*{near}"):
        timm_load.load(name, weights="random")


def test_unsupported_timm_models_say_what_is_supported(tiny_timm):
    with pytest.raises(timm_load.UnsupportedModel, match=r"timm's convnext; .*PVT v2, ResNet"):
        timm_load.load("convnext_tiny", weights="random")
    with pytest.raises(timm_load.UnsupportedModel, match="VisionTransformer of ParallelThings"):
        timm_load.load("vit_small_patch16_18x2_224", weights="random")
    with pytest.raises(timm_load.UnsupportedModel, match="this version reads ViT, DeiT"):
        timm_load.load("vit_dwee_patch16_reg1_gap_256", weights="random")


def test_listed_timm_names_exist_in_every_family():
    families = timm_load.names()
    expected = "ViT DeiT DeiT3 DINO DINOv2 DINOv3 EVA EVA-02 CLIP SigLIP MAE Swin,v2 PVT,v2 ResNet"
    assert {family.replace(",", " ") for family in expected.split()} <= set(families)
    listed = [name for found in families.values() for name in found]
    assert len(listed) == len(set(listed)) > 300
    assert all(timm.is_model(name) for name in listed)


def small_vit(**options) -> VisionTransformer:
    settings = {"image_size": 32, "patch_size": 16, "num_layers": 1, "num_heads": 2}
    settings |= {"hidden_dim": 16, "mlp_dim": 16, "num_classes": 5}
    return VisionTransformer(**{**settings, **options})


@pytest.fixture
def tiny_torchvision(monkeypatch):
    def create(name, weights=None, **options):
        return small_vit(**options) if name.startswith("vit") else get_model(name, **options)

    monkeypatch.setattr(torchvision_backbones, "get_model", create)


def test_torchvision_takes_size_and_classes_from_the_file(tiny_torchvision, tmp_path):
    source = small_vit(image_size=48, num_classes=9).eval()
    state = {
        key.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): value
        for key, value in source.state_dict().items()
    }
    backbone = torchvision_backbones.load("vit_b_16", weights=saved(state, tmp_path / "w.pth"))
    assert backbone.facts.size == (48, 48)
    images = torch.randn(1, 3, 48, 48)
    torch.testing.assert_close(backbone.model(images), source(images))
    larger = torchvision_backbones.load("vit_b_16", weights=tmp_path / "w.pth", size=64)
    assert larger.encode(torch.randn(1, 3, 64, 64)).shape == (1, 16)


@torch.inference_mode()
def test_torchvision_takes_other_sizes_as_its_own_interpolation_has_them(
    tiny_torchvision, tmp_path
):
    source = small_vit(image_size=48).eval()
    file = saved(source.state_dict(), tmp_path / "w.pth")
    backbone = torchvision_backbones.load("vit_b_16", weights=file)
    images = torch.randn(2, 3, 64, 64)
    larger = torchvision_backbones.load("vit_b_16", weights=file, size=64)
    torch.testing.assert_close(backbone.encode(images), larger.encode(images))
    before = backbone.fingerprint()
    wide = backbone.trace(torch.randn(1, 3, 32, 80), [FINAL])[FINAL]
    assert wide.grid == (2, 5)
    assert backbone.fingerprint() == before
    own = torch.randn(1, 3, 48, 48)
    torch.testing.assert_close(backbone.classify(backbone.encode(own)), source(own))


def test_torchvision_names_and_errors(monkeypatch, tmp_path):
    with pytest.raises(UnknownName, match="did you mean vit_b_16"):
        torchvision_backbones.load("vit_b16", weights="random")
    with pytest.raises(UnknownName, match="IMAGENET1K_V1"):
        torchvision_backbones.load("vit_b_16.IMAGENET1K_V9", weights="random")
    assert "vit_b_16.IMAGENET1K_V1" in torchvision_backbones.names()["ViT"]
    path = saved(net().state_dict(), tmp_path / "w.pth")
    with pytest.raises(CheckpointMismatch, match=r"w\.pth does not fit ResNet"):
        torchvision_backbones.load("resnet18", weights=path)


def test_torchvision_resnet_round_trip(tmp_path):
    source = get_model("resnet18", num_classes=3).eval()
    state = {key: value for key, value in source.state_dict().items() if "num_batches" not in key}
    backbone = torchvision_backbones.load("resnet18", weights=saved(state, tmp_path / "r.pth"))
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(backbone.model(images), source(images))
