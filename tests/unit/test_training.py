"""Training in one process: exact resume, refusals, logs; the loop against a plain one."""

import dataclasses
import itertools
import json

import pytest
import torch
from safetensors.torch import load_file

from reference.training import plain_label_run
from unlazy.backbones.text_tower import TextConfig
from unlazy.backbones.vit import ViT
from unlazy.catalog import load_backbone
from unlazy.training import checkpoint, label, loop, schedule
from unlazy.training.feeds import Held
from unlazy.training.recipes import DistillRecipe, LabelRecipe, TextRecipe, ViTConfig
from unlazy.training.run import build
from unlazy.training.text import TwoTowers

SMALL = ViTConfig(img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2, num_classes=3)
RECIPE = LabelRecipe(
    "test", model=SMALL, epochs=2, batch=8, padding=2, log_every=1, save_every=3, evaluate_every=0
)
BARE = dataclasses.replace(SMALL, num_classes=0, drop_path=0.2)
SELF = DistillRecipe(
    "self",
    model=BARE,
    epochs=2,
    batch=8,
    local_size=8,
    local_crops=2,
    prototypes=32,
    hidden=16,
    bottleneck=8,
    log_every=1,
    save_every=3,
)
EVERYTHING = dataclasses.replace(
    RECIPE,
    model=dataclasses.replace(SMALL, drop_path=0.2, pool="lazy_strike", registers=2),
    mixup=0.8,
    cutmix=1.0,
    ema=0.9,
    accumulate=2,
    crop="resized",
)
TEXT = TextRecipe(
    "text", model=BARE, epochs=2, batch=8, padding=2, ema=0.9, log_every=1, save_every=3
)
ALL = {"label": RECIPE, "everything": EVERYTHING, "self": SELF, "text": TEXT}


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return pixels, torch.randint(0, 3, (40,), generator=generator)


@dataclasses.dataclass
class Names:
    """A source of which only the class names are used."""

    classes = ("cat", "dog", "fish")


def train(recipe, data, out, **more):
    objective = build(recipe, Names())
    return loop.train(recipe, objective, Held(recipe, objective, *data), out, **more)


def same_weights(first, second) -> bool:
    files = sorted(path.name for path in first.glob("*.safetensors"))
    assert files == sorted(path.name for path in second.glob("*.safetensors"))
    assert "model.safetensors" in files
    return all(
        torch.equal(weights[key], load_file(second / file)[key])
        for file in files
        for weights in [load_file(first / file)]
        for key in weights
    )


def test_the_loop_equals_a_plain_one_bit_for_bit(tmp_path, data):
    rows = list(train(RECIPE, data, tmp_path))
    losses, weights = plain_label_run(RECIPE, *data)
    assert [row["loss"] for row in rows] == losses
    found = load_file(tmp_path / "model.safetensors")
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[key], weights[key]) for key in found)


@pytest.mark.parametrize("kind", ALL)
def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one(tmp_path, data, kind):
    recipe = ALL[kind]
    whole = list(train(recipe, data, tmp_path / "whole"))
    list(itertools.islice(train(recipe, data, tmp_path / "parts"), 5))  # stopped in step 6
    resumed = list(train(recipe, data, tmp_path / "parts"))
    assert [row["step"] for row in resumed] == list(range(4, 11))  # from the checkpoint of step 3
    losses = {row["step"]: row["loss"] for row in whole}
    assert all(row["loss"] == losses[row["step"]] for row in resumed)
    assert same_weights(tmp_path / "whole", tmp_path / "parts")
    log = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == list(range(1, 11))  # no step twice


def test_a_finished_run_started_again_trains_nothing(tmp_path, data):
    list(train(RECIPE, data, tmp_path))
    before = load_file(tmp_path / "model.safetensors")
    assert list(train(RECIPE, data, tmp_path)) == []
    after = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_another_recipe_is_refused_and_the_difference_shown(tmp_path, data):
    next(train(RECIPE, data, tmp_path))
    other = dataclasses.replace(
        RECIPE, epochs=1, model=dataclasses.replace(SMALL, depth=3), log_every=7, workers=3
    )
    with pytest.raises(ValueError, match=r"epochs: 2 there, 1 now") as found:
        next(train(other, data, tmp_path))
    assert "model.depth: 2 there, 3 now" in str(found.value)
    assert "log_every" not in str(found.value)
    assert "workers" not in str(found.value)


def test_a_run_from_before_a_field_was_there_goes_on(tmp_path, data):
    list(itertools.islice(train(RECIPE, data, tmp_path), 5))
    path = tmp_path / "recipe.json"
    written = json.loads(path.read_text())
    del written["eps"], written["model"]["windows"]
    path.write_text(json.dumps(written))
    changed = dataclasses.replace(RECIPE, eps=1e-6)
    with pytest.raises(ValueError, match="eps: 1e-08 there, 1e-06 now"):
        next(train(changed, data, tmp_path))
    assert [row["step"] for row in train(RECIPE, data, tmp_path)][-1] == 10


def test_a_recipe_that_never_came_to_a_step_gives_way(tmp_path, data):
    """Its settings were mistaken: the corrected command is no other run."""
    checkpoint.claim(tmp_path, dataclasses.replace(RECIPE, epochs=1))
    assert len(list(train(RECIPE, data, tmp_path))) > 0
    assert json.loads((tmp_path / "recipe.json").read_text())["epochs"] == RECIPE.epochs


def test_what_belongs_to_the_machine_may_change(tmp_path, data):
    list(itertools.islice(train(RECIPE, data, tmp_path), 5))
    changed = dataclasses.replace(RECIPE, log_every=2)
    assert [row["step"] for row in train(changed, data, tmp_path)] == [4, 6, 8, 10]


def test_a_loss_that_is_not_finite_stops_with_step_and_batch(tmp_path, data):
    broken = dataclasses.replace(RECIPE, learning_rate=float("inf"))
    with pytest.raises(FloatingPointError, match=r"at step \d+ of 10; its batch holds \d+, "):
        list(train(broken, data, tmp_path))
    named = json.loads((tmp_path / "not_finite-rank0.json").read_text())
    assert len(named["batch"]) == 8


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_good_one(tmp_path, data, monkeypatch):
    rows, real = train(RECIPE, data, tmp_path), checkpoint.write_tensors

    def full(path, tensors, **how):
        real(path, tensors, **how)
        if "00000006" in str(path) and path.name == "optimizer.safetensors":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_tensors", full)
    with pytest.raises(OSError, match=r"step 6 .*No space left.*checkpoint-00000003") as found:
        list(rows)
    assert "start the same command again" in str(found.value)
    assert [path.name for path in tmp_path.glob("checkpoint*")] == ["checkpoint-00000003"]
    monkeypatch.undo()
    assert next(train(RECIPE, data, tmp_path))["step"] == 4


def test_half_a_checkpoint_and_half_a_row_of_a_killed_run_are_passed_over(tmp_path, data):
    list(itertools.islice(train(RECIPE, data, tmp_path), 4))
    (tmp_path / "checkpoint-00000009.part").mkdir()
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "lo')
    assert [row["step"] for row in train(RECIPE, data, tmp_path)] == list(range(4, 11))
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("file", ["weights.safetensors", "optimizer.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_named(tmp_path, data, file):
    list(itertools.islice(train(RECIPE, data, tmp_path), 4))
    damaged = checkpoint.latest(tmp_path) / file
    damaged.write_bytes(damaged.read_bytes()[:-7])
    with pytest.raises(ValueError, match=r"checkpoint-00000003 cannot be read .* begins anew"):
        list(train(RECIPE, data, tmp_path))


def test_a_run_does_not_go_on_with_other_pictures(tmp_path, data):
    list(itertools.islice(train(RECIPE, data, tmp_path), 4))
    pixels, labels = data
    with pytest.raises(ValueError, match=r"learned from other pictures: 40 there, 39 now.*--data"):
        list(train(RECIPE, (pixels[:39], labels[:39]), tmp_path))
    renamed = build(RECIPE, Names())
    feed = Held(RECIPE, renamed, *data, names=lambda index: f"other {index}")
    with pytest.raises(ValueError, match="learned from other pictures"):
        list(loop.train(RECIPE, renamed, feed, tmp_path))
    state = checkpoint.latest(tmp_path) / "state.json"
    state.write_text(json.dumps({"step": 3}))  # as runs were written before
    assert next(train(RECIPE, data, tmp_path))["step"] == 4


def test_only_our_own_half_written_files_are_removed(tmp_path, data):
    (tmp_path / "film.part").write_text("a download of somebody's")
    (tmp_path / "checkpoint-00000002.part").mkdir()
    step = tmp_path / "steps" / "00000004"
    step.mkdir(parents=True)
    left = (tmp_path / ".log.jsonl.part", step / ".model.safetensors.part")
    for each in left:
        each.write_text("half")
    next(train(RECIPE, data, tmp_path))
    assert (tmp_path / "film.part").is_file()
    assert not (tmp_path / "checkpoint-00000002.part").exists()
    assert not any(each.exists() for each in left)


def test_a_kill_between_checkpoint_and_kept_model_loses_neither(tmp_path, data, monkeypatch):
    recipe = dataclasses.replace(RECIPE, keep_every=3)

    def killed(*given):
        real(*given)
        raise KeyboardInterrupt

    real = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        list(train(recipe, data, tmp_path))
    monkeypatch.undo()
    list(train(recipe, data, tmp_path))
    kept = sorted(path.name for path in (tmp_path / "steps").iterdir())
    assert kept == ["00000003", "00000006", "00000009"]


def test_kept_models_and_the_finished_one_know_classes_and_texts(tmp_path, data):
    recipe = dataclasses.replace(TEXT, keep_every=10)
    list(train(recipe, data, tmp_path / "run"))
    names = ["a cat", "a hat"]
    found = [
        load_backbone(f"file:{folder}")
        for folder in (tmp_path / "run", tmp_path / "run" / "steps" / "00000010")
    ]
    images = torch.randn(2, 3, 16, 16)
    scores, texts = (
        [call(each) for each in found]
        for call in (
            lambda each: each.classify(each.encode(images)),
            lambda each: each.texts.classes(names, "simple"),
        )
    )
    assert scores[0].shape == (2, 3)
    assert torch.equal(*scores)
    assert torch.equal(*texts)
    own = found[0].texts.classes(Names.classes, "simple")
    assert torch.allclose(own, found[0].class_vectors, atol=1e-6)
    assert torch.allclose(texts[0].norm(dim=1), torch.ones(2))


def test_accumulation_is_the_same_step(tmp_path, data):
    parts = dataclasses.replace(RECIPE, accumulate=4)
    whole = [row["loss"] for row in train(RECIPE, data, tmp_path / "whole")]
    cut = [row["loss"] for row in train(parts, data, tmp_path / "cut")]
    torch.testing.assert_close(torch.tensor(cut), torch.tensor(whole), rtol=1e-4, atol=1e-5)


def test_bfloat16_trains_and_keeps_float32_weights(tmp_path, data):
    low = dataclasses.replace(RECIPE, precision="bfloat16", model=EVERYTHING.model)
    full = dataclasses.replace(low, precision="float32")
    first = [row["loss"] for row in train(low, data, tmp_path / "low")]
    second = [row["loss"] for row in train(full, data, tmp_path / "full")]
    assert first != second
    torch.testing.assert_close(torch.tensor(first), torch.tensor(second), rtol=0.05, atol=0.05)
    kept = load_file(tmp_path / "low" / "model.safetensors")
    assert {value.dtype for value in kept.values()} == {torch.float32}


def test_the_average_is_what_is_kept(tmp_path, data):
    averaged = dataclasses.replace(RECIPE, ema=0.5)
    list(train(averaged, data, tmp_path / "averaged"))
    list(train(RECIPE, data, tmp_path / "plain"))
    kept = load_file(tmp_path / "averaged" / "model.safetensors")
    state = load_file(tmp_path / "averaged" / "checkpoint-00000010" / "weights.safetensors")
    plain = load_file(tmp_path / "plain" / "model.safetensors")
    for key, value in kept.items():
        assert torch.equal(value, state[f"averaged.{key}"])
        assert torch.equal(plain[key], state[f"trained.{key}"])  # averaging changes no training
    assert not torch.equal(kept["head.weight"], plain["head.weight"])


def test_training_lowers_the_loss_and_the_run_loads_as_a_backbone(tmp_path, data):
    from unlazy.catalog import load_backbone

    recipe = dataclasses.replace(RECIPE, epochs=40, learning_rate=3e-3, padding=0, save_every=999)
    recipe = dataclasses.replace(recipe, flip=0.0)  # so that noise can be learned by heart
    rows = list(train(recipe, data, tmp_path / "run"))
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.1
    backbone = load_backbone(f"file:{tmp_path / 'run'}")
    assert backbone.facts.size == (16, 16)


@pytest.mark.parametrize(("kind", "supervision"), [("self", "self"), ("text", "text")])
def test_runs_of_other_supervision_load_and_say_what_they_are(tmp_path, data, kind, supervision):
    from unlazy.catalog import load_backbone

    list(train(dataclasses.replace(ALL[kind], epochs=1), data, tmp_path / "run"))
    backbone = load_backbone(f"file:{tmp_path / 'run'}")
    assert backbone.facts.supervision == supervision


def test_a_batch_that_parts_do_not_divide_is_refused(data):
    with pytest.raises(ValueError, match="multiple of 3"):
        train(dataclasses.replace(RECIPE, accumulate=3), data, "nowhere")
    with pytest.raises(ValueError, match="do not fill one batch of 64"):
        train(dataclasses.replace(RECIPE, batch=64), data, "nowhere")


def test_mixing_needs_an_even_part():
    with pytest.raises(ValueError, match="batch 10 in 2 parts is odd"):
        dataclasses.replace(EVERYTHING, batch=10, accumulate=2)


def test_mixed_labels_weigh_as_much_as_mixed_pixels():
    ones, zeros = torch.ones(1, 3, 40, 40), torch.zeros(1, 3, 40, 40)
    images = torch.cat([ones, zeros])
    for recipe in (
        dataclasses.replace(RECIPE, cutmix=1.0),
        dataclasses.replace(RECIPE, mixup=0.8),
    ):
        for seed in range(20):
            mixed, share = label.mix(images, recipe, torch.Generator().manual_seed(seed))
            assert abs(float(mixed[0].mean()) - share) < 1e-5
            assert abs(float(mixed[1].mean()) - (1 - share)) < 1e-5


def test_the_recipe_is_written_before_training(tmp_path, data):
    next(train(RECIPE, data, tmp_path))
    written = json.loads((tmp_path / "recipe.json").read_text())
    assert written["model"]["embed_dim"] == 16
    assert written["supervision"] == "label"


def test_steps_that_are_kept_are_runs_of_their_own(tmp_path, data):
    from unlazy.catalog import load_backbone

    recipe = dataclasses.replace(RECIPE, keep_every=4)
    for _ in train(recipe, data, tmp_path / "whole"):
        pass
    kept = sorted(path.name for path in (tmp_path / "whole" / "steps").iterdir())
    assert kept == ["00000004", "00000008"]
    short = dataclasses.replace(recipe, save_every=4)
    for row in train(short, data, tmp_path / "short"):
        if row["step"] == 5:  # after the checkpoint of step 4
            break
    weights = load_file(tmp_path / "short" / "steps" / "00000004" / "model.safetensors")
    state = load_file(tmp_path / "short" / "checkpoint-00000004" / "weights.safetensors")
    assert all(torch.equal(value, state[f"trained.{key}"]) for key, value in weights.items())
    backbone = load_backbone(f"file:{tmp_path / 'whole' / 'steps' / '00000008'}")
    assert backbone.facts.depth == SMALL.depth


@pytest.mark.parametrize(
    ("decay", "left_out"),
    [
        ("matrices", {"bias", "norm"}),
        ("deit", {"bias", "norm", "pos_embed", "cls_token"}),
        ("all", set()),
    ],
)
def test_the_weights_that_decay_are_those_of_the_source(decay, left_out):
    model = ViT(ViTConfig(img_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2))
    recipe = dataclasses.replace(RECIPE, decay=decay, weight_decay=0.3)
    rates = {
        id(weight): group["weight_decay"]
        for group in loop.build_optimizer(model, recipe).param_groups
        for weight in group["params"]
    }
    for name, weight in model.named_parameters():
        kept = any(part in name for part in left_out)
        assert rates[id(weight)] == (0 if kept else 0.3), name


def test_without_warmup_the_first_step_learns():
    recipe = dataclasses.replace(RECIPE, warmup=0.0)
    assert schedule.learning_rate(recipe, 0, 1) == recipe.learning_rate
    assert schedule.learning_rate(dataclasses.replace(recipe, warmup=0.5), 0, 4) == 0


def test_images_get_no_offset_on_their_way_to_the_texts():
    pytest.importorskip("open_clip")
    model = ViTConfig(img_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=8)
    text = TextConfig(context=8, width=16, heads=2, layers=1)
    towers = TwoTowers(TextRecipe("text", model=model, text=text))
    bias = towers.visual.head.bias
    assert not bias.requires_grad
    assert not bias.any()
