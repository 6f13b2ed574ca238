"""Claims after a real kill, and on two real ranks: the Records are those of one undisturbed run."""

import json
import signal

import pytest

from warm import Run

MODEL = """
import os, signal
from pathlib import Path
import timm, torch
from unlazy import parts
from unlazy.backbones.timm import TimmViT
from unlazy.report.claims import clock

HERE = Path(__file__).parent
parts.SECONDS = parts.SHARE = 0.0  # every batch is kept
clock.SECONDS = 0.05

class Counted(TimmViT):
    def encode(self, images):
        if len(images) > 1:  # not the black picture that tells the width
            with open(HERE / f"seen-{os.environ.get('RANK', '0')}", "a") as file:
                file.write("x" * len(images))
        if (HERE / "die").exists() and len((HERE / "seen-0").read_text()) > 32:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(images)

def one(name="tiny"):
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224", depth=2, embed_dim=24, num_heads=2, img_size=32, patch_size=8,
    )
    with torch.no_grad():  # a neuron that fires at some patches makes high norms
        model.blocks[-1].mlp.fc1.bias[0] = -1.5
        model.blocks[-1].mlp.fc1.weight[0] *= 40
        model.blocks[-1].mlp.fc2.weight[:, 0] *= 40
    return Counted(model, name=name, weights="random")

def sick():
    backbone = one("sick")
    backbone.model.blocks[-1].mlp.fc2.bias.data[3] = 3e38  # sound, but its square is not
    return backbone
"""
PICTURES, BATCH = 48, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("claims")
    (root / "models.py").write_text(MODEL)
    return root


def run(folder, out, *models, ranks=1):
    names = [f"{folder}/models.py:{name}" for name in models]
    few = ["--on", "scenes", "--pictures", PICTURES, "--batch-size", BATCH]
    words = ["claims", *names, *few, "--workers", 0, "--device", "cpu", "-o", folder / out]
    return Run(words, cwd=folder, ranks=ranks).wait()


def seen(folder):
    """Pictures that the model saw since the last time."""
    counts = [len(path.read_text()) for path in folder.glob("seen-*")]
    for path in folder.glob("seen-*"):
        path.unlink()
    return sum(counts)


def record(folder, out, name="record"):
    found = json.loads((folder / out / f"{name}.json").read_text())
    return found, found.pop("timing")


def numbers(found):
    """Measure, number -> value, as far as there is one."""
    return {
        (measure, key): each["value"]
        for measure, values in found["values"].items()
        for key, each in values.items()
        if each["value"] is not None
    }


@pytest.fixture(scope="module")
def expected(folder):
    done = run(folder, "alone", "one")
    assert done.returncode == 0, done.stderr
    return record(folder, "alone")[0], seen(folder)


def test_killed_claims_go_on_and_count_all_hours(folder, expected):
    alone, passed = expected
    (folder / "die").touch()
    assert run(folder, "killed", "one").returncode == -signal.SIGKILL
    (folder / "die").unlink()
    assert not (folder / "killed" / "record.json").exists()
    [note] = (folder / "killed").glob(".unlazy*/claims/*/seconds-*")
    assert float(note.read_text()) > 0
    note.write_text("36000")
    done = seen(folder)
    assert run(folder, "killed", "one").returncode == 0
    found, timing = record(folder, "killed")
    assert found == alone
    assert seen(folder) <= passed - done + BATCH, "what was kept was measured again"
    assert 10 < timing["hours_of_everything"] < 11
    names = sorted(path.name for path in (folder / "killed").iterdir())
    assert not [name for name in names if name.startswith(".")]


def test_ranks_agree_on_a_model_that_cannot_be_measured(folder, expected):
    alone, _ = expected
    done = run(folder, "both", "sick", "one", ranks=2)
    assert done.returncode == 0, done.stderr
    assert "- not measured: " in done.stdout
    found, _ = record(folder, "both")
    assert found["environment"]["ranks"] == 2
    claims = [each["verdict"] for each in alone["benchmark"]["claims"]]
    assert [each["verdict"] for each in found["benchmark"]["claims"]] == claims
    assert found["data"] == alone["data"]
    for name in ("record", "position", "pixels"):
        both, one = (numbers(record(folder, out, name)[0]) for out in ("both", "alone"))
        assert both == pytest.approx(one, rel=1e-3, abs=1e-5), name
    assert numbers(found)["norms", "max"] > 10  # the planted high norm
