"""Two real gloo ranks give the Records of one, in every benchmark, and the boxes of discovery."""

import json
from pathlib import Path

import numpy as np

from planted_blocks import MODEL, save_model, save_pictures
from planted_classes import save_classes
from planted_runs import save_run
from unlazy.backbones.vit import ViTConfig
from warm import Run

PICTURES = {(90, 70): (64, 32, 90, 70), (84, 75): (16, 16, 48, 32), (64, 64): (0, 16, 32, 48)}
CONFIG = ViTConfig(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=2)
TRAINED = ("classification", "knn", "linear", "masked-classification", "point-in-box")


def bench(out: Path, ranks: int, *given: object) -> dict[str, dict]:
    """Benchmark -> its Record."""
    words = ("bench", *given, "-o", out, "--workers", "0")
    done = Run(words, cwd=out.parent, ranks=ranks).wait()
    assert done.returncode == 0, done.stderr
    records = {path.stem: json.loads(path.read_text()) for path in out.glob("*.json")}
    found = {name: record for name, record in records.items() if "environment" in record}
    assert all(record["environment"]["ranks"] == ranks for record in found.values())
    return found


def compare(alone: dict[str, dict], both: dict[str, dict]) -> None:
    assert alone.keys() == both.keys()
    for name, record in alone.items():
        for part in ("model", "data", "parameters", "skipped"):
            assert both[name][part] == record[part], (name, part)
        for measure, numbers in record["values"].items():
            assert both[name]["values"][measure].keys() == numbers.keys()
            for key, each in numbers.items():
                found = both[name]["values"][measure][key]
                for bound, number in each.items():
                    if number is None:
                        assert found[bound] is None
                    else:
                        np.testing.assert_allclose(found[bound], number, atol=1e-6, err_msg=key)


def test_two_ranks_find_what_one_finds(tmp_path):
    weights, data = save_model(tmp_path / "m.safetensors"), save_pictures(tmp_path / "d", PICTURES)
    given = (f"{MODEL}={weights}", "discovery", "--on", "box-folder", "--data", data)
    given = (*given, "--set", "share=0.999")  # at 0.6 rounding decides between equal patches
    compare(*(bench(tmp_path / str(ranks), ranks, *given) for ranks in (1, 2)))
    files = sorted((tmp_path / "1").glob("discovery-boxes-*.json"))
    assert files
    for file in files:
        assert (tmp_path / "2" / file.name).read_bytes() == file.read_bytes(), file.name


def test_two_ranks_give_the_records_of_one(tmp_path, few):
    model, data = save_run(tmp_path / "run", CONFIG), save_classes(tmp_path / "data")
    jobs = {"trained": (*TRAINED, "--data", data), "masks": ("coarse-segmentation", "--on", few)}
    for name, words in jobs.items():
        given = (f"file:{model}", *words)
        found = [bench(tmp_path / f"{name}{ranks}", ranks, *given) for ranks in (1, 2)]
        assert found[0]
        compare(*found)
