"""Two real gloo ranks give the Record and the boxes of one, in object discovery."""

import json
from pathlib import Path

import numpy as np

from planted_blocks import MODEL, save_model, save_pictures
from warm import Run

PICTURES = {(90, 70): (64, 32, 90, 70), (84, 75): (16, 16, 48, 32), (64, 64): (0, 16, 32, 48)}


def bench(out: Path, ranks: int, *given: object) -> dict[str, dict[str, float]]:
    words = ("bench", *given, "-o", out, "--workers", "0")
    done = Run(words, cwd=out.parent, ranks=ranks).wait()
    assert done.returncode == 0, done.stderr
    record = json.loads((out / "discovery.json").read_text())
    assert record["environment"]["ranks"] == ranks
    return record["values"]["discovery"]


def test_two_ranks_find_what_one_finds(tmp_path):
    weights, data = save_model(tmp_path / "m.safetensors"), save_pictures(tmp_path / "d", PICTURES)
    given = (f"{MODEL}={weights}", "discovery", "--on", "box-folder", "--data", data)
    given = (*given, "--set", "share=0.999")  # at 0.6 rounding decides between equal patches
    alone, both = (bench(tmp_path / str(ranks), ranks, *given) for ranks in (1, 2))
    assert alone.keys() == both.keys()
    for key, each in alone.items():
        for bound, number in each.items():
            if number is None:
                assert both[key][bound] is None
            else:
                np.testing.assert_allclose(both[key][bound], number, atol=1e-6, err_msg=key)
    for file in sorted((tmp_path / "1").glob("discovery-boxes-*.json")):
        assert (tmp_path / "2" / file.name).read_bytes() == file.read_bytes(), file.name
