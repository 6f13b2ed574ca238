"""Real processes: two gloo ranks train as one does; a killed run goes on as if it had not been."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from warm import Run

pytestmark = pytest.mark.slow

PROGRAM = """
import dataclasses, os, sys
from pathlib import Path
import torch
from unlazy import distributed
from unlazy.training import loop
from unlazy.training.feeds import Held
from unlazy.training.recipes import DistillRecipe, LabelRecipe, TextRecipe, ViTConfig
from unlazy.settings import override
from unlazy.training.run import build

torch.set_num_threads(1)
model = ViTConfig(
    img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2, num_classes=0, registers=1
)
shared = dict(batch=8, epochs=3, log_every=1, save_every=4, evaluate_every=0)
label = LabelRecipe(
    "label", model=dataclasses.replace(model, num_classes=3), padding=2, **shared, ema=0.9,
    mixup=0.8, cutmix=1.0
)
recipes = {
    "label": label,
    "text": TextRecipe("text", model=model, padding=2, **shared),
    "self": DistillRecipe(
        "self", model=model, local_size=8, local_crops=2, prototypes=32, hidden=16, bottleneck=8,
        **shared
    ),
}
class Names:
    classes = ("cat", "dog", "fish")

generator = torch.Generator().manual_seed(0)
pixels = torch.randint(0, 256, (32, 3, 16, 16), dtype=torch.uint8, generator=generator)
labels = torch.randint(0, 3, (32,), generator=generator)
with distributed.started():
    for job in sys.argv[1:]:  # FOLDER:KIND KEY=VALUE ...
        out, _, words = job.partition(":")
        kind, *words = words.split()
        recipe = override(recipes[kind], words)
        objective = build(recipe, Names())
        feed = Held(recipe, objective, pixels, labels)
        for row in loop.train(recipe, objective, feed, Path(out)):
            if row["step"] == int(os.environ.get("FAIL_AT", -1)) and distributed.rank() == 1:
                raise RuntimeError("the GPU of this rank fell off")
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "program.py"
    path.write_text(PROGRAM)
    return path


def run(program: Path, *jobs: str, ranks: int = 1) -> None:
    done = Run([program, *jobs], cwd=program.parent, ranks=ranks).wait()
    assert done.returncode == 0, done.stderr


def rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def losses(out: Path) -> torch.Tensor:
    found = rows(out)
    assert [row["step"] for row in found] == list(range(1, len(found) + 1))
    return torch.tensor([row["loss"] for row in found])


def compare(first: Path, second: Path, *, exact: bool) -> None:
    close = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-3, "atol": 2e-5}
    torch.testing.assert_close(losses(first), losses(second), **close)
    for file in first.glob("*.safetensors"):  # of a text run also the vectors of its classes
        if file.name == "text.safetensors" and not exact:
            continue  # biases of keys change nothing, so rounding alone moves them
        weights, others = load_file(file), load_file(second / file.name)
        for key, value in weights.items():
            torch.testing.assert_close(others[key], value, **close, msg=key)


VARIANTS = [
    "label",
    "label accumulate=2",
    "label sharding=fully_shard",
    "text",
    "text sharding=fully_shard",
    "self",
    "self accumulate=2",
    "self sharding=fully_shard",
]


LONG = ("label epochs=30", "self epochs=30")


@pytest.fixture(scope="module")
def trained(program, tmp_path_factory):
    """Folders of the same recipes on one rank and on two."""
    folder = tmp_path_factory.mktemp("trained")
    one = {words: folder / f"one-{words}" for words in ("label", "text", "self", *LONG)}
    two = {words: folder / f"two-{words}" for words in VARIANTS}
    for ranks, jobs in ((1, one), (2, two)):
        run(program, *(f"{out}:{job}" for job, out in jobs.items()), ranks=ranks)
    return one, two


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_ranks_train_as_one(trained, variant):
    one, two = trained
    alone = one[variant.split()[0]]
    assert len(losses(alone)) == 12
    compare(alone, two[variant], exact=False)


def test_a_rank_that_dies_ends_the_job_with_its_error_and_one_rank_goes_on(
    program, tmp_path, trained
):
    job = f"{tmp_path / 'parts'}:self sharding=fully_shard"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc_per_node=2", program, job],
        capture_output=True,
        text=True,
        timeout=280,
        env=os.environ | {"FAIL_AT": "7"},
    )
    assert done.returncode != 0
    assert "the GPU of this rank fell off" in done.stderr
    assert 4 <= length(tmp_path / "parts") < 12
    run(program, job)
    compare(trained[0]["self"], tmp_path / "parts", exact=False)


def test_killed_at_any_moment_and_resumed_is_never_stopped(program, tmp_path, trained):
    jobs = {words: tmp_path / words for words in LONG}
    start = [program, *(f"{out}:{words}" for words, out in jobs.items())]
    for out, least in zip(jobs.values(), (1, 14), strict=True):  # killed once in either job
        child = Run(start, cwd=tmp_path)
        while child.poll() is None and length(out) < least:
            time.sleep(0.002)
        assert child.poll() is None
        child.kill()
        assert length(out) < 120
    run(program, *start[1:])
    for words, out in jobs.items():
        compare(trained[0][words], out, exact=True)


def length(out: Path) -> int:
    path = out / "log.jsonl"
    return len(path.read_bytes().splitlines()) if path.is_file() else 0


def test_the_command_trains_and_writes_its_card_with_two_ranks(tmp_path):
    words = ("train", "tiny_scene", "epochs=1", "batch=16", "scenes.count=32", "validation=8")
    done = Run([*words, "-o", "out"], cwd=tmp_path, ranks=2).wait()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished") == 1
    assert json.loads((tmp_path / "out" / "card.json").read_text())["n"] == 8
    planned = Run([*words, "--dry-run"], cwd=tmp_path, ranks=2).wait()
    assert planned.stdout.count("steps: 2 ") == 1
    assert "8 pictures a part" in planned.stdout
    assert "on each of 2 ranks" in planned.stdout
