"""Probes on two real ranks, and after a real kill: the Record is that of one undisturbed run."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unlazy.cli import main
from unlazy.shards import Shards
from warm import Run

EPOCHS, TRAINING = 4, 40
OTHERS = ("token-class", "register-heads", "threshold-sweep", "dino-linear")
MODEL = """
import os, signal
from pathlib import Path
import timm, torch
from unlazy.backbones.timm import TimmViT

HERE = Path(__file__).parent

class Counted(TimmViT):
    def encode(self, images):
        if not torch.is_inference_mode_enabled():  # while heads learn
            with open(HERE / f"seen-{os.environ.get('RANK', '0')}", "a") as file:
                file.write("x" * len(images))
            if (HERE / "die").exists() and len((HERE / "seen-0").read_text()) > 100:
                os.kill(os.getpid(), signal.SIGKILL)  # in the third epoch
        return super().encode(images)

def one():
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224", depth=2, embed_dim=24, num_heads=2, img_size=32, patch_size=8,
        reg_tokens=2,
    )
    return Counted(model, name="tiny", weights="random")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, and pictures of three classes laid out as Tiny ImageNet; one cannot be read."""
    root = tmp_path_factory.mktemp("probes")
    (root / "models.py").write_text(MODEL)
    data, rng = root / "data", np.random.default_rng(0)
    (data / "val" / "images").mkdir(parents=True)
    wnids = ["n1", "n2", "n3"]
    (data / "wnids.txt").write_text("\n".join(wnids))
    (data / "words.txt").write_text("\n".join(f"{each}\tclass {each}" for each in wnids))

    def picture(path: Path) -> None:
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path, "PNG")

    for wnid in wnids:
        images = data / "train" / wnid / "images"
        images.mkdir(parents=True)
        rows = [f"{number}.JPEG" for number in range(20)]
        for name in rows:
            picture(images / name)
        boxes = "\n".join(f"{name}\t0\t0\t9\t9" for name in rows)
        (data / "train" / wnid / f"{wnid}_boxes.txt").write_text(boxes)
    (data / "train" / "n2" / "images" / "4.JPEG").write_bytes(b"broken")
    rows = [(f"{number}.JPEG", wnids[number % 3]) for number in range(36)]
    for name, _ in rows:
        picture(data / "val" / "images" / name)
    text = "\n".join(f"{name}\t{wnid}\t0\t0\t9\t9" for name, wnid in rows)
    (data / "val" / "val_annotations.txt").write_text(text)
    return root


def words(folder: Path, out: str, *probes: str) -> list[str]:
    named = probes or ("position", "pixels")
    given = ["probe", f"{folder}/models.py:one", *named, "--data", f"{folder}/data"]
    changed = ("rates=0.01,0.1", "seeds=2", f"epochs={EPOCHS}", "patience=4", "batch=9")
    settings = [f"--set={each}" for each in (*changed, f"pictures={TRAINING}")]
    options = ["--batch-size", "4", "--workers", "0", "--device", "cpu", "-o", str(folder / out)]
    method = ["--set=method=adamw"] if "pixels" in probes else []
    return [*given, *settings, *method, *options]


def run(folder: Path, out: str, *probes: str, ranks: int = 1) -> int:
    return Run(words(folder, out, *probes), cwd=folder, ranks=ranks).wait().returncode


def here(folder: Path, out: str, *probes: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words(folder, out, *probes))
    assert not stop.value.code


def learned_from(folder: Path) -> int:
    """Pictures that the model saw while heads learned, since the last time."""
    counts = [len(path.read_text()) for path in folder.glob("seen-*")]
    for path in folder.glob("seen-*"):
        path.unlink()
    return sum(counts)


def record(folder: Path, out: str, name: str) -> dict:
    found = json.loads((folder / out / f"{name}.json").read_text())
    del found["timing"]
    return found


@pytest.fixture(scope="module")
def expected(folder):
    here(folder, "alone")
    assert learned_from(folder) == EPOCHS * (TRAINING - 1) + 1  # a black one; one is broken
    return {name: record(folder, "alone", name) for name in ("position", "pixels")}


def test_a_killed_run_goes_on_after_the_last_epoch(folder, expected):
    (folder / "die").touch()
    assert run(folder, "killed") == -signal.SIGKILL
    assert not (folder / "killed" / "position.json").exists()
    (folder / "die").unlink()
    learned_from(folder)
    here(folder, "killed")
    assert learned_from(folder) - 1 <= 2 * TRAINING, "epochs that were kept were learned again"
    for name, each in expected.items():
        assert record(folder, "killed", name) == each
    left = sorted(path.name for path in (folder / "killed").iterdir())
    assert left == ["index.html", "pixels.json", "position.json"]


def test_two_ranks_learn_what_one_learns(folder, expected):
    assert run(folder, "both", ranks=2) == 0
    assert (folder / "seen-1").exists()
    learned_from(folder)
    for name, each in expected.items():
        same(record(folder, "both", name), each)


def test_two_ranks_learn_what_one_learns_with_the_other_probes(folder):
    """What learns by descent, from tokens in memory or in files, from pictures; and a sweep."""
    names = ("pixels", *OTHERS)
    here(folder, "others", *names)
    assert run(folder, "others-both", *names, f"--tokens={folder}/ranks", ranks=2) == 0
    for name in names:
        alone = record(folder, "others", name)
        assert sum(map(len, alone["values"].values())) > 2, f"{name} measured nothing"
        same(record(folder, "others-both", name), alone)


def test_tokens_kept_in_files_give_the_same_record(folder, capsys):
    """Also once a file is damaged, which alone is made again; other tokens are refused."""
    tokens = folder / "tokens"
    here(folder, "memory", "token-class")
    for out in ("files", "again"):
        before = {path.name: path.stat().st_mtime_ns for path in tokens.glob("shard*")}
        if before:
            damaged = sorted(before)[1]
            (tokens / damaged).write_bytes((tokens / damaged).read_bytes()[:-1])
            with pytest.warns(UserWarning, match=f"{damaged} has .* made again"):
                here(folder, out, "token-class", f"--tokens={tokens}")
            now = {path.name: path.stat().st_mtime_ns for path in tokens.glob("shard*")}
            assert [name for name in before if now[name] != before[name]] == [damaged]
        else:
            here(folder, out, "token-class", f"--tokens={tokens}")
        assert record(folder, out, "token-class") == record(folder, "memory", "token-class")
    shards = Shards(tokens)
    assert shards.shape("outlier") == (2, 24)
    assert 1 < len(shards.having("outlier")) < len(shards) == TRAINING - 1
    others = words(folder, "other", "token-class", f"--tokens={tokens}")
    with pytest.raises(SystemExit) as stop:
        main([*others, "--set=seeds=3"])
    assert stop.value.code == 1
    assert "seeds=2" in (said := capsys.readouterr().err)
    assert "choose another folder" in said


def same(both: dict, alone: dict) -> None:
    assert both["environment"]["ranks"] == 2
    assert both["verdict"] == alone["verdict"]  # rates and epochs
    assert both["values"].keys() == alone["values"].keys()
    for measure, numbers in alone["values"].items():
        for key, number in numbers.items():
            for bound, value in number.items():
                other = both["values"][measure][key][bound]
                assert other == (value and pytest.approx(value, rel=1e-4, abs=2e-3)), key
