"""Real processes: how the command ends when it is stopped, killed or out of room."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from warm import Run

SECONDS = 20  # a stop takes under one on an idle machine; the work below never ends by itself
MODELS = """
import os, signal, time
from pathlib import Path
import timm, torch
from unlazy.backbones.timm import TimmViT

class Endless(TimmViT):
    def encode(self, images):
        Path("started").touch()
        while True:
            self.step(images)

class Loop(Endless):
    def step(self, images):
        self.model(images)

class OneLongOperation(Endless):
    def step(self, images):
        torch.linalg.svd(torch.randn(8000, 8000))

def build(kind):
    torch.manual_seed(0)
    model = timm.create_model("test_vit", dynamic_img_size=True)
    return kind(model, name="test_vit", weights="random")

def loop(): return build(Loop)
def long(): return build(OneLongOperation)

class SickOnRankOne(TimmViT):
    def encode(self, images):
        return super().encode(images) * float("nan" if os.environ["RANK"] == "1" else 1)

def sick(): return build(SickOnRankOne)

def sick_and_slow():
    import torch.distributed as dist
    leave = dist.destroy_process_group
    def slowly():
        leave()
        time.sleep(3)
    if os.environ["RANK"] == "1":
        dist.destroy_process_group = slowly
    return sick()

def killed():
    import unlazy.report.write as write
    write.write_maps = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    return build(TimmViT)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for index in range(40):  # more than decoders read ahead, so that they are busy or waiting
        pixels = rng.integers(0, 255, (70, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{index}.png")
    return tmp_path


@pytest.fixture(autouse=True)
def heard():
    """Processes hear Ctrl-C, though these tests may be a shell's background job, which does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def words(model, *more):
    return ["report", model, "photos", "-o", "new/out", "--size", "64", *more]


def report(folder, model, *more, prefix=("-m", "unlazy")):
    return subprocess.Popen(
        [sys.executable, *prefix, *words(model, *more)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def members(session: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize(
    ("number", "word", "send", "model"),
    [
        (signal.SIGINT, "interrupted", os.killpg, "loop"),  # what a terminal does at Ctrl-C
        (signal.SIGTERM, "terminated", os.kill, "long"),
    ],
)
def test_a_signal_in_a_forward_pass_ends_everything(folder, number, word, send, model):
    more = ("--workers", "2", "--batch-size", "2")
    with report(folder, f"models.py:{model}", *more) as process:
        while not (folder / "started").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        assert len(members(process.pid)) == 3
        send(process.pid, number)
        _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + number
    assert err.rstrip().endswith(f"unlazy: {word}")
    assert "Traceback" not in err
    assert "race condition" not in err
    assert not (folder / "new").exists()
    assert not members(process.pid)


def test_a_signal_that_is_lost_in_a_finaliser_ends_the_process_all_the_same(tmp_path):
    """Also where a decoder ends meanwhile, which rings the bells of a signal."""
    program = """
import signal, subprocess, time
from pathlib import Path
from unlazy import console

class Finalised:
    def __del__(self):
        time.sleep(0.2)

console.GRACE = 1.0
signal.signal(signal.SIGCHLD, lambda *_: None)
decoder = subprocess.Popen(["sleep", "1000"])
with console.stoppable():
    Path("started").touch()
    while True:
        Finalised()
        if console._heard.is_set():
            decoder.kill()
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "started").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "Exception ignored" in err
    assert err.endswith("unlazy: interrupted\n")


def test_what_a_killed_run_left_goes_at_the_next(folder):
    done = Run(words("models.py:killed", "--shown", "1"), cwd=folder).wait()
    assert done.returncode == -signal.SIGKILL
    out = folder / "new" / "out"
    assert [path.name[:13] for path in out.iterdir()] == [".unlazy-part-"]
    done = Run(words("timm:test_vit", "--random", "--shown", "1"), cwd=folder).wait()
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "maps", "record.json"]


def test_no_room_for_the_page_names_the_folder_and_leaves_nothing(folder):
    given = words("timm:test_vit", "--random", "--shown", "1")
    done = Run(given, cwd=folder, room=50_000).wait()
    assert done.returncode == 1
    assert "unlazy: cannot write to new/out: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "new").exists()


SICK = ("models.py:sick", (), "unlazy: test_vit returned values that are not finite")


@pytest.mark.parametrize(
    ("model", "more", "message"),
    [
        ("timm:test_vitt", (), "unlazy: timm has no model 'test_vitt'; did you mean"),
        ("timm:test_vit", ("--bogus", "1"), "unlazy: Unknown option: --bogus"),
        ("models.py:sick_and_slow", *SICK[1:]),
    ],
)
def test_of_several_ranks_one_tells_of_a_mistake(folder, model, more, message):
    done = Run(words(model, *more), cwd=folder, ranks=2).wait()
    assert done.returncode != 0
    assert done.stderr.count("unlazy: ") == 1, done.stderr
    assert message in done.stderr
    assert not (folder / "new").exists()


def test_so_it_is_under_torchrun(folder):
    ranks = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "unlazy")
    model, more, message = SICK
    with report(folder, model, *more, prefix=ranks) as process:
        _, err = process.communicate()
    assert process.returncode != 0
    assert err.count("unlazy: ") == 1, err
    assert message in err


LEAVER = """
import os
from unlazy import distributed

with distributed.started():
    if distributed.rank() == 1:
        os._exit(0)
    try:
        distributed.gather(1)
    except ConnectionError as error:
        print(error)
"""


def test_a_rank_that_is_left_alone_says_so(folder):
    (folder / "leaver.py").write_text(LEAVER)
    done = Run([folder / "leaver.py"], cwd=folder, ranks=2).wait()
    assert "another rank ended early" in done.stdout, done.stderr


def test_a_reader_that_has_seen_enough_is_no_mistake():
    command = f"{sys.executable} -m unlazy list models | head -1 > /dev/null"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert found.stderr == ""
