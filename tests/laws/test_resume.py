"""Real kills: what was observed is kept, and the run that goes on gives the same Record."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from planted_classes import EVALUATED, TRAINING, save_classes
from warm import Run

COUNT = 24
SAVED = 2  # pictures, at least, of which a killed run leaves files
MODELS = """
import os, signal
from pathlib import Path
import timm, torch
import unlazy.benchmarks.sheet
import unlazy.parts
from unlazy.backbones.timm import TimmViT

unlazy.parts.SECONDS = unlazy.parts.SHARE = 0.0  # a file after every batch
unlazy.benchmarks.sheet.SHOWN = 0  # no second pass for the page: passes are counted

class Counted(TimmViT):
    def encode(self, images):
        rank = os.environ.get("RANK", "0")
        with open(f"seen-{rank}", "a") as file:
            file.write("x" * len(images))
        if Path("die").exists():
            chosen, count = Path("die").read_text().split()
            if rank == chosen and len(Path(f"seen-{rank}").read_text()) > int(count):
                os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(images)

def build(seed):
    torch.manual_seed(seed)
    model = timm.create_model(
        "vit_tiny_patch16_224", depth=1, embed_dim=24, num_heads=2, img_size=64,
        dynamic_img_size=True,
    )
    return Counted(model, name="tiny", weights="random")

def one(): return build(0)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures with one box each, as YOLO has them; the sixth cannot be read."""
    tmp_path = tmp_path_factory.mktemp("resume")
    (tmp_path / "models.py").write_text(MODELS)
    images, labels = (tmp_path / "coco128" / each / "train2017" for each in ("images", "labels"))
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    (tmp_path / "coco128" / "coco128.yaml").write_text("names: [thing]")
    rng = np.random.default_rng(0)
    for index in range(COUNT):
        picture = Image.fromarray(rng.integers(0, 255, (70, 90, 3), dtype=np.uint8))
        left, top = rng.integers(0, 50, 2).tolist()
        ImageDraw.Draw(picture).rectangle((left, top, left + 19, top + 19), fill="red")
        picture.save(images / f"{index:02}.png")
        centre = f"{(left + 10) / 90} {(top + 10) / 70} {20 / 90} {20 / 70}"
        (labels / f"{index:02}.txt").write_text(f"0 {centre}\n")
    (images / "05.png").write_bytes((images / "05.png").read_bytes()[:200])
    return tmp_path


POINTING = ("point-in-box", "--data", "coco128", "-o", "out")
NEIGHBOURS = ("knn", "--data", "classes", "-o", "neighbours")


def command(folder: Path, *, ranks: int = 1, room: int | None = None, words=POINTING):
    """Run a benchmark, with files of at most ``room`` bytes."""
    for path in folder.glob("seen-*"):
        path.unlink()
    what = ("bench", "models.py:one", *words)
    how = ("--batch-size", "2", "--workers", "0", "--device", "cpu")
    return Run((*what, *how), cwd=folder, ranks=ranks, room=room).wait()


def bench(folder: Path, *, ranks=1, die: int | None = None, after=3, words=POINTING) -> int:
    """Run until rank ``die`` has seen ``after`` pictures; how many the model saw."""
    if die is not None:
        (folder / "die").write_text(f"{die} {after}")
    else:
        (folder / "die").unlink(missing_ok=True)
    run = command(folder, ranks=ranks, words=words)
    assert (run.returncode == 0) == (die is None), run.stderr
    if ranks == 1 and die is not None:
        assert run.returncode == -signal.SIGKILL
    return sum(len(path.read_text()) for path in folder.glob("seen-*"))


def record(folder: Path, file: str = "out/point-in-box.json") -> dict:
    found = json.loads((folder / file).read_text())
    del found["timing"]
    del found["environment"]["ranks"]
    return found


@pytest.fixture(scope="module")
def expected(folder):
    """The Record of a run that nobody disturbs."""
    assert bench(folder) == COUNT - 1
    return record(folder)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_a_killed_run_goes_on_with_other_ranks_and_the_same_record(folder, expected, before, after):
    shutil.rmtree(folder / "out")
    bench(folder, ranks=before, die=0)
    assert not (folder / "out" / "point-in-box.json").exists()
    again = bench(folder, ranks=after)
    assert 0 < again <= COUNT - 1 - SAVED, "what was kept was measured again"
    assert record(folder) == expected
    left_over = sorted(path.name for path in (folder / "out").iterdir())
    assert left_over == ["index.html", "point-in-box.json"]


def test_no_room_for_the_page_is_told_and_what_was_measured_is_not_measured_again(folder, expected):
    shutil.rmtree(folder / "out")
    run = command(folder, room=9_000)
    assert run.returncode == 1
    assert "unlazy: cannot write to out: File too large" in run.stderr
    assert "Traceback" not in run.stderr
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        ".unlazy-kept",
        "point-in-box.json",
    ]
    assert bench(folder) == 0
    assert record(folder) == expected


def test_what_neighbours_are_sought_among_is_not_measured_again(folder):
    save_classes(folder / "classes")
    assert bench(folder, words=NEIGHBOURS) == TRAINING + EVALUATED
    expected = record(folder, "neighbours/knn.json")
    shutil.rmtree(folder / "neighbours")
    bench(folder, words=NEIGHBOURS, die=0, after=TRAINING + SAVED)
    again = bench(folder, words=NEIGHBOURS)
    assert 0 < again < EVALUATED, "what was kept was measured again"
    assert record(folder, "neighbours/knn.json") == expected
