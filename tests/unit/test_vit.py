"""The trained ViT: parity with timm, windows, stochastic depth, settings, files."""

import copy
import dataclasses
import json

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer

from unlazy.backbones import bundled, vit
from unlazy.backbones.vit import ViT, ViTConfig
from unlazy.backbones.vit_files import load_weights
from unlazy.backbones.vit_timm import from_timm, to_timm
from unlazy.backbones.weights import BadCheckpoint, CheckpointMismatch
from unlazy.catalog import UnknownName, load_backbone

SMALL = {"img_size": 32, "embed_dim": 48, "depth": 3, "num_heads": 3, "num_classes": 7}
TO_TIMM = {
    "cls": {},
    "registers": {"registers": 3},
    "mean": {"pool": "mean"},
    "no-cls": {"pool": "mean", "class_token": False},
    "no-cls-registers": {"pool": "max", "class_token": False, "registers": 2},
    "layer-scale": {"layer_scale": 0.1},
    "no-head": {"num_classes": 0},
    "patch28": {"patch_size": 28, "img_size": 84},
}


def build(seed=0, **fields) -> ViT:
    """A small model whose weights are off their initial values."""
    torch.manual_seed(seed)
    model = ViT(ViTConfig(**SMALL | fields))
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return model.eval()


def images(model, rows=None, columns=None, batch=2):
    patch, side = model.config.patch_size, model.config.side
    size = (rows or side) * patch, (columns or side) * patch
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", TO_TIMM)
@torch.inference_mode()
def test_timm_is_the_same_function_bit_for_bit_both_ways(name):
    model = build(**TO_TIMM[name])
    theirs = to_timm(model)
    back = from_timm(theirs)
    assert set(back.state_dict()) == set(model.state_dict())
    for grid in ((None, None), (2, 3), (5, 7)):
        x = images(model, *grid)
        tokens, expected = theirs.forward_features(x), model.forward_features(x)
        assert torch.equal(tokens, expected)
        assert torch.equal(theirs(x), model(x))
        assert torch.equal(back(x), model(x))


@pytest.mark.parametrize(
    "arch",
    ["vit_tiny_patch16_224", "deit3_small_patch16_224", "vit_medium_patch16_reg1_gap_256"],
)
@torch.inference_mode()
def test_models_of_timm_come_over_bit_for_bit(arch):
    shape = {"depth": 2, "embed_dim": 48, "num_heads": 3, "num_classes": 7, "img_size": 64}
    theirs = timm.create_model(arch, fc_norm=False, dynamic_img_size=True, **shape).eval()
    ours = from_timm(theirs)
    for x in (torch.randn(2, 3, 64, 64), torch.randn(1, 3, 32, 80)):
        assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize(
    ("arch", "options", "message"),
    [
        ("vit_tiny_patch16_224", {"pre_norm": True}, "norm_pre"),
        ("vit_base_patch16_clip_quickgelu_224", {}, "QuickGELU"),
        ("vit_tiny_patch16_224", {"global_pool": "avg"}, "fc_norm"),
        ("vit_tiny_patch16_224", {"qk_norm": True}, "q_norm"),
        ("vit_tiny_patch16_224", {"mlp_ratio": 3}, "mlp.fc1"),
        ("vit_tiny_patch16_224", {"final_norm": False}, "has no norm.weight"),
        ("vit_tiny_patch16_224", {"pos_embed": "none"}, "has no pos_embed"),
        ("vit_so150m_patch16_reg4_map_256", {}, "map"),
        ("resnet18", None, "no timm VisionTransformer"),
    ],
)
def test_parts_of_timm_that_we_have_not_are_named(arch, options, message):
    shape = {"depth": 1, "embed_dim": 48, "num_heads": 3} | options if options is not None else {}
    with pytest.raises(ValueError, match=message):
        from_timm(timm.create_model(arch, **shape))


def test_an_epsilon_that_differs_is_no_small_matter():
    model = VisionTransformer(img_size=32, embed_dim=48, depth=1, num_heads=3)
    model.blocks[0].norm2.eps = 1e-5
    with pytest.raises(ValueError, match="eps"):
        from_timm(model)


@torch.inference_mode()
def test_another_pool_goes_onto_a_trained_trunk():
    theirs = to_timm(build())
    tuned = from_timm(theirs, pool="lazy_strike", keep=0.25, num_classes=3)
    x = images(tuned)
    tokens = theirs.forward_features(x)
    assert torch.equal(tuned.forward_features(x), tokens)
    assert torch.equal(tuned.pooled(tokens), tuned.pool(tokens[:, 1:]))
    assert tuned(x).shape == (2, 3)
    assert from_timm(theirs, pool="attention").pool.query.shape == (1, 1, 48)
    with pytest.raises(ValueError, match="0 registers, 4 were asked"):
        from_timm(theirs, registers=4)
    with pytest.raises(ValueError, match="cls_token"):
        from_timm(theirs, class_token=False, pool="mean")


def test_timm_has_no_lazy_strike_and_no_windows():
    with pytest.raises(ValueError, match="no lazy_strike pool; only cls, mean, max"):
        to_timm(build(pool="lazy_strike"))
    with pytest.raises(ValueError, match="no windowed blocks"):
        to_timm(build(windows=(0,)))


@torch.inference_mode()
def test_a_window_as_large_as_the_grid_is_global_attention():
    plain = build()
    for window in (4, 9):
        windowed = build(windows=(0, 1, 2), window=window)
        torch.testing.assert_close(windowed(images(plain)), plain(images(plain)))
    narrow = build(windows=(0, 1, 2), window=2)
    assert not torch.allclose(narrow(images(plain)), plain(images(plain)), atol=1e-3)


@pytest.mark.parametrize("windows", [(), (0, 2)])
def test_attention_that_is_trained_in_bfloat16_is_pytorchs(windows, monkeypatch):
    x, found = images(build()), []
    for mix in (vit.attend, torch.nn.functional.scaled_dot_product_attention):
        monkeypatch.setattr(vit, "attend", mix)
        model = build(windows=windows, window=2)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(x).float().square().sum()
        loss.backward()
        found.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    assert not torch.equal(*found)
    assert torch.cosine_similarity(*found, dim=0) > 0.999
    assert found[0].norm() / found[1].norm() == pytest.approx(1, abs=0.01)


def touched(model, row, column, grid) -> set[tuple[int, int]]:
    """Windows of 2x2 patches whose tokens change with the pixels of one patch."""
    x, patch = images(model, *grid, batch=1), model.config.patch_size
    other = x.clone()
    other[..., row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] += 1
    with torch.inference_mode():
        before, after = model.forward_features(x), model.forward_features(other)
    moved = (before != after).any(-1)[0, model.num_prefix_tokens :].unflatten(0, grid)
    return {(int(i) // 2, int(j) // 2) for i, j in moved.nonzero()}


@pytest.mark.parametrize("grid", [(4, 4), (3, 5)])  # the second has cut windows at the border
def test_strict_windows_let_nothing_pass_and_cls_or_registers_leak(grid):
    setting = {"windows": (0, 1, 2), "window": 2}
    everywhere = {(i, j) for i in range((grid[0] + 1) // 2) for j in range((grid[1] + 1) // 2)}
    strict = build(**setting, class_token=False, pool="mean")
    for row, column in ((0, 0), (1, 2), (2, 0), (2, grid[1] - 1)):
        assert touched(strict, row, column, grid) == {(row // 2, column // 2)}
    assert touched(build(**setting), 0, 0, grid) == everywhere
    leaking = build(**setting, class_token=False, registers=1, pool="mean")
    assert touched(leaking, 0, 0, grid) == everywhere
    one_global = build(windows=(0, 2), window=2, class_token=False, pool="mean")
    assert touched(one_global, 0, 0, grid) == everywhere


def test_patch_28_makes_64_tokens_of_224_pixels():
    model = build(img_size=224, patch_size=28, pool="lazy_strike")
    assert model.forward_features(torch.randn(1, 3, 224, 224)).shape == (1, 65, 48)
    assert model(torch.randn(1, 3, 224, 224)).isfinite().all()


def test_sizes_that_do_not_split_into_patches_are_refused():
    with pytest.raises(ValueError, match=r"30x32 px do not split into patches of 8"):
        build()(torch.randn(1, 3, 30, 32))


def test_stochastic_depth_keeps_the_mean_and_rests_in_evaluation():
    branch = torch.ones(20_000, 2, 3)
    torch.manual_seed(0)
    dropped = vit.drop_path(branch, 0.3, training=True)
    assert ((dropped == 0) | (dropped == 1 / 0.7)).all()
    assert (dropped == dropped[:, :1, :1]).all()  # a sample keeps or loses the whole branch
    assert abs(dropped.mean().item() - 1) < 0.02
    assert torch.equal(vit.drop_path(branch, 0.3, training=False), branch)
    plain, deep = build(), build(drop_path=0.5)
    x = images(plain)
    assert torch.equal(plain(x), deep(x))
    assert [block.drop for block in deep.blocks] == [0, 0.25, 0.5]
    assert not torch.equal(deep.train()(x), deep(x))


def test_the_window_setting_does_not_change_the_first_weights():
    settings = [{}, {"pool": "lazy_strike"}, {"windows": (0,)}, {"pool": "max"}]
    states = []
    for fields in settings:
        torch.manual_seed(3)
        states.append(ViT(ViTConfig(**SMALL | fields)).state_dict())
    for state in states[1:]:
        assert all(torch.equal(state[key], states[0][key]) for key in states[0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"img_size": 30}, "no multiple of patch_size 8"),
        ({"num_heads": 5}, "does not split into 5 heads"),
        ({"class_token": False}, "pool cls needs the class token"),
        ({"windows": (0, 3)}, r"blocks \[3\]; there are 0 to 2"),
        ({"windows": "all"}, "list of blocks"),
        ({"pool": "lazystrike"}, "there are cls, mean, max"),
        ({"pool": "lazy_strike", "keep": 17}, r"in 1\.\.16"),
        ({"pool": "lazy_strike", "keep": "half"}, "keep is a number"),
        ({"drop_path": 1.0}, r"in \[0, 1\)"),
        ({"registers": -1}, "at least 0"),
        ({"depth": "6"}, "depth is a whole number"),
        ({"depth": True}, "depth is a whole number"),
        ({"window": 0}, "window is a whole number of at least 1"),
        ({"class_token": 1}, "true or false"),
        ({"patchsize": 8}, "'patchsize': did you mean patch_size"),
    ],
)
def test_a_recipe_with_wrong_settings_says_what_is_wrong(tmp_path, fields, message):
    with pytest.raises(UnknownName, match=message):
        load_run(tmp_path, model=SMALL | fields)


def load_run(folder, model, weights="random", **recipe):
    (folder / "recipe.json").write_text(json.dumps({"model": model, **recipe}))
    (folder / "model.safetensors").touch()
    return bundled.load_run(str(folder), weights=weights)


def test_supervision_is_read_from_the_recipe(tmp_path):
    assert load_run(tmp_path, SMALL).facts.supervision == "label"
    assert load_run(tmp_path, SMALL, supervision="self").facts.supervision == "self"
    with pytest.raises(UnknownName, match="'labels'; there are label, text, self"):
        load_run(tmp_path, SMALL, supervision="labels")
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(UnknownName, match="'model'"):
        bundled.load_run(str(tmp_path), weights="random")


def test_the_weights_of_a_cls_run_load_into_another_pool(tmp_path):
    path = tmp_path / "model.safetensors"
    source = build()
    save_file(source.state_dict(), path)
    target = build(seed=1, pool="lazy_strike")
    load_weights(target, path)
    assert all(
        torch.equal(source.state_dict()[key], value) for key, value in target.state_dict().items()
    )
    with pytest.raises(CheckpointMismatch, match="0 registers, the model has 2; use registers=0"):
        load_weights(build(registers=2), path)
    with pytest.raises(CheckpointMismatch, match=r"pool\.query"):
        load_weights(build(pool="attention"), path)


FILES = TO_TIMM | {
    "lazy-strike": {"pool": "lazy_strike", "keep": 3, "reading": "token", "shuffle": 5},
    "windows": {"windows": (1, 2), "window": 2, "drop_path": 0.1},
    "attention": {"pool": "attention", "registers": 1},
}


@pytest.mark.parametrize("name", FILES)
@torch.inference_mode()
def test_a_saved_folder_loads_here_and_in_timm(name, tmp_path):
    model = build(**FILES[name])
    model.save_pretrained(tmp_path)
    again = ViT.from_pretrained(tmp_path)
    assert again.config == model.config
    assert not again.training
    x = images(model)
    assert torch.equal(again(x), model(x))
    if name in TO_TIMM:
        theirs = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
        assert torch.equal(theirs(x), model(x))
        assert theirs.pretrained_cfg["input_size"] == list(x.shape[1:])
    else:
        with pytest.raises(KeyError, match="architecture"):
            timm.create_model(f"local-dir:{tmp_path}", pretrained=True)


@torch.inference_mode()
def test_a_saved_folder_is_a_model_of_the_command_line(tmp_path):
    model = build(pool="lazy_strike", keep=3, registers=1)
    model.save_pretrained(tmp_path / "mine")
    backbone = load_backbone(f"file:{tmp_path / 'mine'}")
    assert backbone.facts.name == "file:mine"
    x = images(model)
    assert torch.equal(backbone.encode(x), model.pooled(model.forward_features(x)))
    (tmp_path / "mine" / "config.json").write_text("{}")
    with pytest.raises(UnknownName, match=r"nor a saved model: recipe\.json is missing"):
        load_backbone(f"file:{tmp_path / 'mine'}")


@torch.inference_mode()
def test_a_saved_model_of_text_supervision_stays_one(tmp_path):
    shipped = load_backbone("bundled:tiny-clip")
    shipped.model.save_pretrained(tmp_path / "mine")
    saved = load_backbone(f"file:{tmp_path / 'mine'}")
    assert saved.facts.supervision == "text"
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(saved.classify(saved.encode(x)), shipped.classify(shipped.encode(x)))
    again = ViT.from_pretrained(tmp_path / "mine")
    assert again.supervision == "text"
    assert len(shipped.label_names) == 200
    assert again.label_names == saved.label_names == shipped.label_names
    assert torch.equal(again.class_vectors, shipped.model.class_vectors)


def test_a_pushed_folder_is_the_saved_one(monkeypatch):
    """The upload itself belongs to huggingface_hub; what it would send is ours."""
    from huggingface_hub import HfApi

    model, sent = build(pool="lazy_strike"), {}

    def upload(self, *, repo_id, folder_path, **rest):
        sent[repo_id] = {path.name: path.read_bytes() for path in folder_path.iterdir()}

    created = type("Created", (), {"repo_id": "someone/model"})
    monkeypatch.setattr(HfApi, "create_repo", lambda self, **given: created)
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    model.push_to_hub("someone/model")
    files = sent["someone/model"]
    assert files.keys() == {"README.md", "config.json", "model.safetensors"}
    card = files["README.md"].decode()
    assert "Image vector: lazy_strike (keep 0.5)" in card
    assert "More Information Needed" not in card
    fields = json.loads(files["config.json"])["unlazy"]
    assert ViTConfig.from_fields(fields) == model.config
    assert fields.keys() == {each.name for each in dataclasses.fields(ViTConfig)}


def test_what_is_asked_of_a_saved_model_is_done_or_refused(tmp_path):
    model = build(registers=1)
    model.save_pretrained(tmp_path)
    pooled = ViT.from_pretrained(tmp_path, pool="max")
    assert pooled.config == dataclasses.replace(model.config, pool="max")
    names = model.label_names = [f"n{place}" for place in range(model.config.num_classes)]
    model.save_pretrained(tmp_path)
    again = ViT.from_pretrained(tmp_path, num_classes=model.config.num_classes)
    assert again.label_names == names
    with pytest.raises(CheckpointMismatch, match="1 registers, the model has 4"):
        ViT.from_pretrained(tmp_path, registers=4)
    with pytest.raises(CheckpointMismatch, match="head"):
        ViT.from_pretrained(tmp_path, num_classes=9)
    with pytest.raises(TypeError, match="no 'regsters'; did you mean registers"):
        ViT.from_pretrained(tmp_path, regsters=4)


def test_damaged_vectors_of_classes_are_named(tmp_path):
    shipped = load_backbone("bundled:tiny-clip")
    shipped.model.save_pretrained(tmp_path)
    file = tmp_path / "classes.safetensors"
    file.write_bytes(file.read_bytes()[:200])
    for load in (ViT.from_pretrained, lambda folder: load_backbone(f"file:{folder}")):
        with pytest.raises(BadCheckpoint, match=r"classes\.safetensors is damaged"):
            load(tmp_path)


def test_folders_that_are_none_of_ours_are_refused(tmp_path):
    with pytest.raises(ValueError, match="names the fields of unlazy's ViT"):
        ViT.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"unlazy": SMALL | {"dept": 3}}))
    with pytest.raises(ValueError, match="'dept': did you mean depth"):
        ViT.from_pretrained(tmp_path)
    build(registers=1).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"unlazy": SMALL}))
    with pytest.raises(CheckpointMismatch, match="1 registers, the model has 0"):
        ViT.from_pretrained(tmp_path)


def test_files_on_disk_have_timms_names_and_shapes(tmp_path):
    model = build(registers=2)
    model.save_pretrained(tmp_path)
    saved, theirs = load_file(tmp_path / "model.safetensors"), to_timm(model).state_dict()
    assert {key: value.shape for key, value in saved.items()} == {
        key: value.shape for key, value in theirs.items()
    }


def test_a_model_copies():
    model = build(pool="lazy_strike", shuffle=1)
    twin, x = copy.deepcopy(model), images(model)
    assert torch.equal(twin(x), model(x))
    assert twin.config == model.config
