"""``unlazy train`` as a user meets it: overrides, dry run, mistakes, fine-tuning, every recipe."""

import dataclasses
import inspect
import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from unlazy.catalog import find, table
from unlazy.cli import main
from unlazy.settings import keys, override
from unlazy.training import paper, plan, tracking
from unlazy.training.initial import start_from
from unlazy.training.kinds import LabelRecipe, TextRecipe
from unlazy.training.recipes import ViTConfig
from unlazy.training.run import build
from warm import Run

TINY = ("tiny_label", "tiny_label_lazystrike", "tiny_label_registers")


def run(capsys, *words) -> tuple[int, str, str]:
    code = 0
    try:
        main([str(word) for word in words])
    except SystemExit as stop:
        code = stop.code or 0
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return code, printed.out, printed.err


@pytest.mark.parametrize("name", table("recipes"))
def test_every_recipe_states_data_cost_expectation_and_a_command_that_names_it(name):
    make = find("recipes", name)
    stated = inspect.getdoc(make)
    assert "Data" in stated
    assert "Expected" in stated or "expected" in stated
    assert "ost" in stated
    made = make()
    if isinstance(made, tuple):
        assert f"train {name}``" in stated or f"train {name} --data" in stated
        assert len({each.name for each in made}) == len(made)
    else:
        assert f"train {name} --data" in stated or made.data == "scenes"
        assert f"train {name} " in stated
        assert made.name == name


def recipes_of(name):
    made = find("recipes", name)()
    return made if isinstance(made, tuple) else (made,)


def test_the_first_recipes_mean_what_they_meant():
    expected = {
        "epochs": 5,
        "batch": 128,
        "learning_rate": 1e-3,
        "weight_decay": 0.05,
        "betas": (0.9, 0.999),
        "warmup": 0.05,
        "final_rate": 0.0,
        "label_smoothing": 0.1,
        "crop": "shift",
        "padding": 6,
        "flip": 0.5,
        "clip_norm": 1.0,
        "seed": 0,
        "precision": "float32",
        "accumulate": 1,
        "mixup": 0.0,
        "cutmix": 0.0,
        "ema": 0.0,
    }
    for name in TINY:
        recipe = find("recipes", name)()
        assert {key: getattr(recipe, key) for key in expected} == expected


def test_values_are_read_as_the_fields_types():
    words = (
        "epochs=2 learning_rate=3e-4 model.keep=3 model.windows=0,2 compile=true betas=0.8,0.95"
        " clip_norm=none data=imagenet hold=false crop=resized model.layer_scale=0.1"
    )
    found = override(LabelRecipe("a"), words.split())
    assert (found.epochs, found.learning_rate, found.compile) == (2, 3e-4, True)
    assert (found.model.windows, found.betas, found.clip_norm) == ((0, 2), (0.8, 0.95), None)
    assert found.model.keep == 3
    assert isinstance(found.model.keep, int)
    assert isinstance(override(found, ["model.keep=1.0"]).model.keep, float)
    assert override(found, ["model.windows="]).model.windows == ()


@pytest.mark.parametrize(
    ("recipe", "words", "hint"),
    [
        ("tiny_label", "epochs", "write key=value"),
        ("tiny_label", "epoch=2", "did you mean epochs"),
        ("tiny_label", "pool=max", "did you mean model.pool"),
        ("tiny_label", "model.kep=2", "did you mean model.keep"),
        ("tiny_label", "epochs=2.5", "epochs takes a whole number, not '2.5'"),
        ("tiny_label", "learning_rate=fast", "learning_rate takes a number, not 'fast'"),
        ("tiny_label", "compile=1", "compile takes true or false, not '1'"),
        ("tiny_label", "precision=float16", "takes one of float32, bfloat16, not 'float16'"),
        ("tiny_label", "betas=0.9", "takes 2 values with commas between"),
        ("tiny_label", "clip_norm=x", "a number or none"),
        ("tiny_label", "model.pool=lazy", "takes one of cls, mean"),
        ("tiny_label", "supervision=text", "no field 'supervision'"),
        ("tiny_label", "model=vit", "set its fields, for example model."),
        ("tiny_label", "classes=0", "classes must be at least 1, not 0"),
        ("tiny_label", "classes=9", "classes=9 needs a head of as many, not 200"),
        ("tiny_label", "epochs=0", "epochs must be at least 1"),
        ("tiny_label", "model.keep=65 model.pool=lazy_strike", "keep must be in 1..64"),
        ("tiny_label", "data=imagenet", "use hold=false"),
        ("tiny_label", "rand_augment=rand-m9", "use hold=false"),
        ("tiny_label", "hold=false", "use crop=resized"),
        # what a recipe of several models varies is not set for all
        ("tiny_scenes", "model.pool=max", "unlazy train tiny_scene model.pool=max"),
        ("tiny_scenes", "epochs=2 name=a", "unlazy train tiny_scene epochs=2 name=a"),
        ("scenes_pools", "seed=1", "30 models of scenes_pools differ in seed"),
        ("tiny_pools", "model.registers=4", "unlazy train tiny_label model.registers=4"),
        # values out of range
        ("tiny_label", "warmup=2", "warmup must be at least 0 and at most 1, not 2"),
        ("tiny_label", "evaluate_every=-1", "evaluate_every must be at least 0, not -1"),
        ("tiny_label", "learning_rate=-1", "learning_rate must be above 0, not -1"),
        ("tiny_label", "label_smoothing=3", "label_smoothing must be at least 0 and at most 1"),
        ("tiny_label", "crop_scale=2,3", "crop_scale is the least and the greatest share"),
        ("tiny_label", "data=captions hold=false crop=resized", "captions have no labels"),
        ("tiny_label", "accumulate=3", "batch 128 does not divide into 1 ranks x 3"),
        ("tiny_dino", "model.pool=lazy_strike model.keep=32", "of a local crop: keep must be"),
        ("imagenet_b16_deit", "rand_augment=foo", "timm has no policy 'foo'"),
        ("tiny_label", "clip_norm=0", "clip_norm must be above 0, not 0"),
        ("tiny_dino", "student_temperature=0", "student_temperature must be above 0, not 0"),
        ("tiny_scene", "padding=64", "padding lies in 0..63 for 64 px pictures"),
        ("tiny_label", "mixup=0.8 batch=129", "batch 129 in 1 parts is odd"),
        ("tiny_dino", "local_size=0", "local_size 0 is no multiple of patch_size 8"),
        ("tiny_dino", "local_crops=-1", "local_crops must be at least 0, not -1"),
        ("tiny_dino", "prototypes=0", "prototypes must be at least 1, not 0"),
        ("tiny_dino", "bottleneck=0", "bottleneck must be at least 1, not 0"),
        ("tiny_clip", "text.heads=3", "text.heads 3 must divide text.width 128"),
        ("tiny_clip", "text.layers=0", "text.layers must be at least 1, not 0"),
        ("tiny_clip", "text.context=1", "text.context must be at least 3, not 1"),
        ("tiny_clip", "temperature=-1", "temperature must be above 0, not -1"),
    ],
)
def test_mistaken_overrides_say_what_to_write(capsys, recipe, words, hint):
    code, _, err = run(capsys, "train", recipe, *words.split(), "--dry-run")
    assert code == 1
    assert hint in " ".join(err.split())


def test_what_a_pool_does_not_use_may_be_anything(capsys):
    code, _, _ = run(capsys, "train", "tiny_dino", "model.keep=32", "--dry-run")
    assert code == 0


def test_the_rest_of_a_recipe_of_several_models_is_set_for_all_and_one_may_be_any(capsys):
    code, out, _ = run(capsys, "train", "tiny_scenes", "epochs=2", "--dry-run")
    assert (code, out.count("epochs = 2")) == (0, 3)
    code, out, _ = run(capsys, "train", "tiny_scene", "model.pool=max", "--dry-run")
    assert code == 0
    assert 'model.pool = "max"' in out


def test_every_field_can_be_overridden_from_its_text():
    for recipe in (each for name in table("recipes") for each in recipes_of(name)):
        for key in keys(type(recipe)):
            value = recipe
            for part in key.split("."):
                value = getattr(value, part)
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            assert override(recipe, [f"{key}={text}"]) == recipe, key


def test_models_of_one_name_are_refused(capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from unlazy.training.recipes import scene_recipe\n"
        "def two():\n    return scene_recipe('a'), scene_recipe('a', pool='max')\n"
    )
    code, _, err = run(capsys, "train", f"{path}:two", "--dry-run")
    assert code == 1
    assert "several models called 'a'" in err


def test_a_function_that_returns_no_recipe_is_told(capsys, tmp_path):
    (tmp_path / "mine.py").write_text("def mine():\n    return 3\n")
    code, _, err = run(capsys, "train", f"{tmp_path}/mine.py:mine")
    assert code == 1
    assert "returns 3; it must return a recipe" in " ".join(err.split())


def test_a_dry_run_needs_no_data_and_shows_what_would_happen(capsys):
    code, out, _ = run(capsys, "train", "tiny_label", "epochs=2", "model.registers=4", "--dry-run")
    assert code == 0
    assert "epochs = 2" in out
    assert "model.registers = 4" in out
    assert "parameters trained: 1,249,352" in out
    assert "steps: 1,562 (2 epochs of 781, from 100,000 pictures" in out
    assert "memory: about" in out


def test_the_memory_of_a_pass_is_that_of_its_tensors():
    recipe = find("recipes", "tiny_label")()
    kept = plan._kept_by_a_pass(recipe, build(recipe, None))
    deeper = override(recipe, ["model.depth=12"])
    twice = plan._kept_by_a_pass(deeper, build(deeper, None))
    assert 1.8 < twice / kept < 2.05
    tokens = plan.PROBE * 65 * 128 * 4  # bytes of one activation
    assert 6 * 14 < kept / tokens < 6 * 24  # qkv, attention, MLP of four widths, norms, residuals


def test_paper_recipes_are_as_published():
    recipe = paper.imagenet_b16_last()
    assert (recipe.epochs, recipe.batch, recipe.learning_rate) == (100, 4096, 1e-3)
    assert (recipe.weight_decay, recipe.betas, recipe.warmup) == (0.3, (0.9, 0.95), 0.01)
    assert (recipe.model.pool, recipe.model.keep) == ("lazy_strike", 1)
    assert paper.patch28_b().model.side == 8
    assert paper.windows_s16().model.windows == (1, 5, 9, 11)


def test_training_without_data_asks_for_it(capsys, tmp_path):
    code, _, err = run(capsys, "train", "tiny_label")
    assert code == 1
    assert "needs --data FOLDER (tiny-imagenet), or --dry-run" in err
    code, _, err = run(capsys, "train", "tiny_label", "--data", tmp_path, "-o", tmp_path / "out")
    assert code == 1
    assert "wnids.txt must lie there" in err


@pytest.fixture
def trunk(tmp_path):
    config = ViTConfig(img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2)
    recipe = LabelRecipe("trunk", model=config)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(dataclasses.asdict(recipe)))
    weights = build(recipe, None).trained.state_dict()
    save_file(weights, tmp_path / "run" / "model.safetensors")
    return recipe, tmp_path / "run", weights


def test_fine_tuning_starts_from_a_run_and_leaves_head_and_pool_fresh(trunk):
    recipe, folder, weights = trunk
    for init in (f"file:{folder}", str(folder / "model.safetensors")):
        words = [f"init={init}", "model.pool=attention", "model.num_classes=7", "seed=3", "ema=0.9"]
        objective = build(override(recipe, words), None)
        for module in (objective.trained, objective.averaged):
            own = module.state_dict()
            assert torch.equal(own["blocks.1.mlp.fc1.weight"], weights["blocks.1.mlp.fc1.weight"])
            assert torch.equal(own["pos_embed"], weights["pos_embed"])
            assert own["head.weight"].shape == (7, 16)
            assert "pool.query" in own


def test_fine_tuning_starts_from_a_timm_model(monkeypatch):
    import timm

    from unlazy.backbones.timm_load import wrap
    from unlazy.training import initial

    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2
    )
    monkeypatch.setattr(
        initial, "load_backbone", lambda name: wrap(model, name=name, weights="random")
    )
    config = ViTConfig(img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2, pool="max")
    found = build(LabelRecipe("timm", model=config, init="timm:any"), None).trained.state_dict()
    assert torch.equal(found["blocks.0.attn.qkv.weight"], model.blocks[0].attn.qkv.weight)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("model.registers=4", "has 0 registers, the recipe 4; use model.registers=0"),
        ("model.depth=3", "blocks.2.norm1.weight is absent there"),
        ("model.depth=1", "it has blocks.1.norm1.weight, which has no place here (12 such parts)"),
        ("model.patch_size=8", "pos_embed is (1, 17, 16) there and (1, 5, 16) here"),
        ("model.layer_scale=0.1", "layer_scale as they were trained"),
        (
            "model.class_token=false model.pool=max",
            "class_token and layer_scale as they were trained",
        ),
    ],
)
def test_a_trunk_that_does_not_fit_is_refused(trunk, word, hint):
    recipe, folder, _ = trunk
    with pytest.raises(ValueError, match=r"there|here|registers") as found:
        build(override(recipe, [f"init=file:{folder}", *word.split()]), None)
    assert hint in str(found.value)


def test_parts_of_a_file_that_have_no_place_are_refused(trunk, tmp_path):
    recipe, _, weights = trunk
    path = tmp_path / "scaled.safetensors"
    save_file(weights | {"blocks.0.ls1.gamma": torch.ones(16)}, path)
    with pytest.raises(ValueError, match=r"it has blocks\.0\.ls1\.gamma"):
        build(override(recipe, [f"init={path}"]), None)


@pytest.mark.parametrize(
    ("init", "hint"),
    [
        ("none.pth", "there is no file none.pth"),
        ("none.py", "there is no file none.py"),
        ("file:none", "there is no folder none"),
        ("timm:vit_tiny_patch16_224", "give a local file of them, init=FILE"),
    ],
)
def test_weights_that_are_not_there_say_what_to_give(capsys, monkeypatch, init, hint):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, _, err = run(capsys, "train", "tiny_label", f"init={init}", "--dry-run")
    assert code == 1
    assert hint in err
    assert "--checkpoint" not in err


def test_no_bias_comes_before_the_text_space_by_init(trunk):
    recipe, folder, weights = trunk
    save_file(
        weights | {"head.bias": torch.ones(len(weights["head.bias"]))}, folder / "b.safetensors"
    )
    text = TextRecipe("text", model=recipe.model, init=str(folder / "b.safetensors"))
    head = build(text, None).trained.visual.head
    assert torch.equal(head.weight, weights["head.weight"])
    assert not head.bias.any()


def test_start_from_names_what_stays_fresh(trunk):
    recipe, folder, _ = trunk
    objective = build(override(recipe, ["model.pool=attention"]), None)
    fresh = start_from(objective.trained, f"file:{folder}")
    assert fresh
    assert all(key.startswith("pool.") for key in fresh)


def test_trackers_get_the_numbers_and_missing_ones_say_what_to_install(tmp_path, monkeypatch):
    (write,) = tracking.writers(["tensorboard"], tmp_path, "run")
    write(3, {"train/loss": 0.5})
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(each.step, each.value) for each in events.Scalars("train/loss")] == [(3, 0.5)]
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"pip install unlazy\[wandb\]"):
        tracking.writers(["wandb"], tmp_path, "run")


def test_wandb_takes_the_numbers_without_a_network(tmp_path):
    program = (
        "import sys, wandb\n"
        "from pathlib import Path\n"
        "from unlazy.training import tracking\n"
        "for name in ('cls', 'max'):\n"
        "    (Path(sys.argv[1]) / name).mkdir()\n"
        "    (write,) = tracking.writers(['wandb'], Path(sys.argv[1]) / name, name)\n"
        "    write(3, {'train/loss': 0.5})\n"
        "wandb.run.finish()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "WANDB_MODE": "offline"},
    )
    for name in ("cls", "max"):  # a run each, also in one process
        (run,) = (tmp_path / name / "wandb").glob("offline-run-*/*.wandb")
        assert b"train/loss" in run.read_bytes(), done.stderr


def test_training_needs_no_optional_package():
    program = (
        "import sys\n"
        "for name in ('open_clip', 'transformers', 'tensorboard', 'cyclopts', 'diptest', 'rich'):\n"
        "    sys.modules[name] = None\n"
        "from unlazy.training import recipes, run\n"
        "print(run.describe(recipes.tiny_label(), None).splitlines()[-1])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "memory" in done.stdout, done.stderr


FULL_DISK = """
import resource, sys, torch
from pathlib import Path
from unlazy.training import loop
from unlazy.training.feeds import Held
from unlazy.training.recipes import LabelRecipe, ViTConfig
from unlazy.training.run import build
from warm import Run

model = ViTConfig(img_size=16, patch_size=4, embed_dim=16, depth=1, num_heads=2, num_classes=3)
recipe = LabelRecipe(
    "full", model=model, batch=8, epochs=4, padding=2, log_every=1, save_every=2, evaluate_every=0
)
pixels, labels = torch.zeros(16, 3, 16, 16, dtype=torch.uint8), torch.zeros(16, dtype=torch.int64)
objective = build(recipe, None)
feed = Held(recipe, objective, pixels, labels)
try:
    for row in loop.train(recipe, objective, feed, Path(sys.argv[1])):
        if row["step"] == 3 and sys.argv[2] == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
except OSError as problem:
    print("MESSAGE", problem)
"""


def test_a_disk_that_really_fills_up_leaves_the_last_checkpoint_to_go_on_from(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(FULL_DISK)
    out = tmp_path / "out"

    def start(how):
        done = Run([program, out, how], cwd=tmp_path).wait()
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = start("full")
    assert "MESSAGE the checkpoint of step 4 could not be written" in said
    assert "it goes on from the last good one, " in said
    assert "checkpoint-00000002" in said
    assert [path.name for path in out.glob("checkpoint*")] == ["checkpoint-00000002"]
    assert start("empty") == ""
    steps = [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 9))
    assert load_file(out / "model.safetensors")


def test_a_compiled_model_trains_the_same(tmp_path):
    from unlazy.training import loop
    from unlazy.training.feeds import Held

    config = ViTConfig(img_size=16, patch_size=4, embed_dim=16, depth=1, num_heads=2, num_classes=3)
    recipe = LabelRecipe(
        "compiled", model=config, batch=8, epochs=1, padding=2, log_every=1, evaluate_every=0
    )
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (32, 3, 16, 16), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 3, (32,), generator=generator)
    losses = []
    for each in (recipe, dataclasses.replace(recipe, compile=True)):
        objective = build(each, None)
        feed = Held(each, objective, pixels, labels)
        out = tmp_path / str(each.compile)
        losses.append([row["loss"] for row in loop.train(each, objective, feed, out)])
        assert "head.weight" in load_file(out / "model.safetensors")
    torch.testing.assert_close(*map(torch.tensor, losses), rtol=1e-3, atol=1e-4)
