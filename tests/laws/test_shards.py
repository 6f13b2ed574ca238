"""Token shards under real ranks and a real kill: the files of an undisturbed run, byte by byte."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from unlazy.cli import main

MODELS = """
import os, signal
import torch
from unlazy.backbones.trained import TrainedViT
from unlazy.backbones.vit import ViT
from unlazy.backbones.vit_config import ViTConfig

class Mortal(TrainedViT):
    seen = 0
    def encode(self, images):
        self.seen += len(images)
        if os.environ.get("DIES_AT") and self.seen > int(os.environ["DIES_AT"]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(images)

def one():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = ViTConfig(img_size=32, patch_size=16, embed_dim=24, depth=1, num_heads=2)
    return Mortal(ViT(config), name="tiny", weights="random")
"""
COUNT = 20
WORDS = ("--sites", "final", "image", "--batch-size", "2", "--workers", "0", "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures, one of which cannot be read, and what one undisturbed process makes of them."""
    path = tmp_path_factory.mktemp("shards")
    (path / "models.py").write_text(MODELS)
    (path / "photos").mkdir()
    for index in range(COUNT):
        pixels = np.random.default_rng(index).integers(0, 255, (32, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / "photos" / f"{index:02}.png")
    (path / "photos" / "05.png").write_bytes(b"no picture")
    assert here(path, "whole") == 0
    return path


def words(folder, out) -> list[str]:
    model, photos = f"{folder / 'models.py'}:one", str(folder / "photos")
    return ["extract", model, photos, *WORDS, "-o", str(folder / out)]


def here(folder, out) -> int:
    """Run in this process; the exit status."""
    with pytest.raises(SystemExit) as stop:
        main(words(folder, out))
    return stop.value.code or 0


def start(folder, out, *, ranks=1, dies_at=""):
    many = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}")
    return subprocess.run(
        [sys.executable, *(many if ranks > 1 else ()), "-m", "unlazy", *words(folder, out)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "DIES_AT": str(dies_at)},
        capture_output=True,
        text=True,
        timeout=240,
    )


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_two_ranks_write_what_one_writes(folder):
    run = start(folder, "two", ranks=2)
    assert run.returncode == 0, run.stderr
    assert "skipped 05.png" in run.stderr
    assert content(folder / "two") == content(folder / "whole")


def test_a_killed_run_goes_on_and_writes_what_an_undisturbed_one_writes(folder, capsys):
    run = start(folder, "killed", dies_at=11)
    assert run.returncode == -signal.SIGKILL
    written = sorted((folder / "killed").glob("shard-*.json"))
    assert 3 <= len(written) <= 5
    before = {path.with_suffix(".safetensors"): 0 for path in written}
    before = {path: path.stat().st_mtime_ns for path in before}
    assert here(folder, "killed") == 0
    assert content(folder / "killed") == content(folder / "whole")
    assert {path: path.stat().st_mtime_ns for path in before} == before, "made again"
    assert "19 pictures in 10 shards" in capsys.readouterr().out


def mounted(folder, size) -> bool:
    folder.mkdir()
    if os.geteuid() or not shutil.which("mount"):
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_a_disk_that_is_really_full_is_told_and_room_lets_the_run_go_on(folder, capsys):
    disk = folder / "disk"
    if not mounted(disk, "24k"):
        pytest.skip("this process may not mount a small file system")
    try:
        assert here(folder, "disk/out") == 1
        said = capsys.readouterr().err
        assert "No space left on device" in said
        assert "are still to be written there: make room" in said
        assert list((disk / "out").glob("shard-*.json"))
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        assert here(folder, "disk/out") == 0
        assert content(disk / "out") == content(folder / "whole")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
