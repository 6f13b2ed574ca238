"""One, two and three real gloo ranks give the same Record."""

import json
from pathlib import Path

import numpy as np

from warm import Run

PROGRAM = """
import json, sys
import timm, torch
from unlazy import distributed
from unlazy.backbones.timm import TimmViT
from unlazy.data.synthetic import Scenes
from unlazy.geometry import View
from unlazy.report.run import investigate

torch.manual_seed(0)
torch.set_num_threads(1)
model = timm.create_model(
    "vit_tiny_patch16_224", depth=2, embed_dim=48, num_heads=3, dynamic_img_size=True
)
backbone = TimmViT(model, name="tiny", weights="random")
with distributed.started():
    found = investigate(
        backbone, Scenes(count=7), source="scenes", view=View((64, 64)), shown=3, workers=0
    )
    if distributed.on_main():
        open(sys.argv[1], "w").write(found.record.to_json())
"""


def record(folder: Path, ranks: int) -> dict:
    program, out = folder / "program.py", folder / f"{ranks}.json"
    program.write_text(PROGRAM)
    done = Run([program, out], cwd=folder, ranks=ranks).wait()
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def numbers(found: dict) -> dict[str, float]:
    return {
        f"{measure} {key} {bound}": number
        for measure, values in found["values"].items()
        for key, estimate in values.items()
        for bound, number in estimate.items()
        if number is not None
    }


def test_any_number_of_ranks_gives_the_same_record(tmp_path):
    alone = record(tmp_path, 1)
    for ranks in (2, 3):
        together = record(tmp_path, ranks)
        assert together["environment"]["ranks"] == ranks
        for part in ("model", "data", "parameters", "verdict", "skipped"):
            assert together[part] == alone[part], part
        expected, found = numbers(alone), numbers(together)
        assert found.keys() == expected.keys()
        for key, number in expected.items():
            np.testing.assert_allclose(found[key], number, rtol=2e-5, atol=1e-6, err_msg=key)
