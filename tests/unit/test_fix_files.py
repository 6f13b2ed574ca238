"""A calibrated fix from the command line to a file and back as a model."""

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from planted import photos, plant
from unlazy.catalog import UnknownName, load_backbone
from unlazy.cli import main
from unlazy.fixes.files import read
from unlazy.fixes.settings import with_settings
from unlazy.fixes.test_time_registers import Neuron, TestTimeRegisters
from unlazy.tokens import block

MODEL = "timm:vit_tiny_patch16_224"
SIDE = 64


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A model with planted outliers, as a local file."""
    torch.manual_seed(0)
    backbone = load_backbone(MODEL, weights="random", size=SIDE)
    for layer in backbone.model.blocks[3:]:
        torch.nn.init.zeros_(layer.attn.proj.weight)  # fewer blocks that matter: faster to plant
    plant(backbone, backbone.normalise(photos(40, SIDE)), share=0.05)
    path = tmp_path_factory.mktemp("weights") / "planted.safetensors"
    save_file(backbone.model.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for index, pixels in enumerate(photos(40, SIDE)):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / f"{index:02}.png")
    return folder


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code or 0
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err + printed.out
    return code, printed.out, printed.err


def common(checkpoint):
    return ("--checkpoint", checkpoint, "--size", SIDE, "--workers", 0)


def test_calibrate_save_load_report_and_compare(capsys, checkpoint, pictures, tmp_path):
    out = tmp_path / "fix"
    code, printed, err = run(
        capsys,
        *("fix", "test-time-registers", MODEL, pictures, "-o", out, "--set", "neurons=2"),
        *common(checkpoint),
    )
    assert code == 0, err
    assert f"fixed:{out}" in printed
    assert "block 1" in printed
    saved = json.loads((out / "fix.json").read_text())
    assert saved["model"] == MODEL
    assert saved["parameters"]["neurons"] == len(saved["parameters"]["chosen"]) == 2
    record = json.loads((out / "record.json").read_text())
    assert record["fix"] == "test-time-registers"
    assert record["data"]["n"] == 40
    assert record["model"]["weights_hash"] == saved["weights_hash"]

    code, printed, err = run(capsys, "doctor", f"fixed:{out}")
    assert code == 0, err
    assert "1 registers" in printed

    page = tmp_path / "page"
    fixed = ("report", f"fixed:{out}", pictures, "-o", page, "--workers", 0)
    code, _, err = run(capsys, *fixed)
    assert code == 0, err
    record = json.loads((page / "record.json").read_text())
    assert record["fix"] == "test-time-registers"
    assert record["model"]["name"] == f"{MODEL} + test-time-registers"

    both = tmp_path / "both"
    code, _, err = run(
        capsys,
        *("report", MODEL, pictures, "--fix", out, "-o", both),
        *common(checkpoint),
    )
    assert code == 0, err
    records = {
        record["fix"]: record
        for record in (json.loads(path.read_text()) for path in both.glob("record-*.json"))
    }
    assert records.keys() == {None, "test-time-registers"}
    before, after = records[None], records["test-time-registers"]
    key = "max_over_median"
    assert before["values"]["norms"][key]["value"] > 5 * after["values"]["norms"][key]["value"]


@pytest.mark.parametrize("name", ["norm-clipping", "neighbour-median", "position-mean"])
def test_a_named_fix_is_calibrated_on_the_images_themselves(
    capsys, checkpoint, pictures, tmp_path, name
):
    out = tmp_path / "page"
    code, said, err = run(
        capsys,
        *("report", MODEL, pictures, "--fix", name, "-o", out),
        *common(checkpoint),
    )
    assert code == 0, err
    assert len(list(out.glob("record-*.json"))) == 2
    assert ("Outliers have a norm above" in said) == (name != "position-mean")


def test_tensors_come_back_as_they_were(capsys, checkpoint, pictures, tmp_path):
    out = tmp_path / "fix"
    code, _, err = run(
        capsys, "fix", "position-mean", MODEL, pictures, "-o", out, *common(checkpoint)
    )
    assert code == 0, err
    fix, made = read(out)
    assert fix.pattern.shape == (4, 4, 192)
    backbone = load_backbone(f"fixed:{out}")
    assert backbone.fingerprint() == made.weights_hash
    images = torch.randn(2, 3, SIDE, SIDE)
    direct = fix.apply(load_backbone(MODEL, weights=checkpoint, size=SIDE))
    with torch.no_grad():
        one, other = (each.trace(images, [block(-1)])[block(-1)] for each in (backbone, direct))
    assert torch.equal(one.patches, other.patches)
    again = ("fix", "norm-clipping", MODEL, pictures, "-o", out)
    assert run(capsys, *again, *common(checkpoint))[0] == 0  # nothing stays of the first
    assert read(out)[0].name == "norm-clipping"


def test_other_weights_are_refused(capsys, checkpoint, pictures, tmp_path):
    out = tmp_path / "fix"
    calibrate = ("fix", "norm-clipping", MODEL, pictures, "-o", out)
    assert run(capsys, *calibrate, *common(checkpoint))[0] == 0
    for arguments in (
        ("report", MODEL, pictures, "--fix", out, "--random", "--size", SIDE),
        ("doctor", f"fixed:{out}", "--random"),
    ):
        code, _, err = run(capsys, *arguments)
        assert code == 1
        assert "was calibrated on weights" in err
        assert "Calibrate again" in err


def test_mistakes_are_named(capsys, checkpoint, pictures, tmp_path):
    out = tmp_path / "fix"
    for arguments, words in (
        (("fix", "test-time-register", MODEL, pictures), "did you mean test-time-registers"),
        (("fix", "norm-clipping", MODEL, pictures, "--random"), "no outlier patches to fix"),
        (("fix", "norm-clipping", MODEL, pictures, "--set", "cutof=3"), "did you mean cutoff"),
        (("fix", "norm-clipping", MODEL, pictures, "--set", "cutoff=x"), "takes a number"),
        (("fix", "norm-clipping", "timm:test_resnet", pictures, "--random"), "plain ViTs"),
        (("doctor", f"fixed:{tmp_path}"), "holds no saved fix"),
        (("report", MODEL, pictures, "--fix", "nothing"), "none of the fixes is called 'nothing'"),
    ):
        size = () if arguments[0] == "doctor" else ("--size", SIDE, "-o", out)
        more = () if "--random" in arguments or arguments[0] == "doctor" else ("--random",)
        code, _, err = run(capsys, *arguments, *size, *more)
        assert code == 1, arguments
        assert words in err, err
    assert not (out / "fix.json").exists()


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "fix.json").write_text('{"version": 1, "fix": "norm-clipping"')
    with pytest.raises(ValueError, match="damaged"):
        read(tmp_path)
    (tmp_path / "fix.json").write_text('{"version": 1, "fix": "norm-clipping"}')
    with pytest.raises(ValueError, match="damaged"):
        read(tmp_path)
    (tmp_path / "fix.json").write_text('{"version": 9}')
    with pytest.raises(ValueError, match="version 9"):
        read(tmp_path)


def test_damaged_tensors_of_a_fix_are_named(capsys, checkpoint, pictures, tmp_path):
    out = tmp_path / "fix"
    given = ("fix", "position-mean", MODEL, pictures, "-o", out, *common(checkpoint))
    assert run(capsys, *given)[0] == 0
    file = out / "fix.safetensors"
    file.write_bytes(file.read_bytes()[:200])
    code, _, err = run(capsys, "doctor", f"fixed:{out}")
    assert (code, "is damaged" in err) == (1, True)


def test_a_fix_of_a_model_with_its_own_file_loads_from_any_folder(
    capsys, checkpoint, pictures, tmp_path, monkeypatch
):
    monkeypatch.chdir(checkpoint.parent)
    model, out = f"{MODEL}={checkpoint.name}", tmp_path / "fix"
    words = ("fix", "norm-clipping", model, pictures, "-o", out, "--size", SIDE, "--workers", 0)
    code, _, err = run(capsys, *words)
    assert code == 0, err
    monkeypatch.chdir(tmp_path)
    assert load_backbone(f"fixed:{out}").fix == "norm-clipping"


def test_settings_are_typed():
    fix = with_settings("test-time-registers", ["neurons=50", "value=released", "cutoff=30"])
    assert fix == TestTimeRegisters(neurons=50, value="released", cutoff=30.0)
    with pytest.raises(ValueError, match="one of neuron, released"):
        with_settings("test-time-registers", ["value=scalar"])
    with pytest.raises(UnknownName, match="KEY=VALUE"):
        with_settings("test-time-registers", ["chosen=3"])
    with pytest.raises(ValueError, match="at least 1"):
        with_settings("test-time-registers", ["neurons=0"])


def test_neurons_come_back_typed(tmp_path):
    from unlazy.fixes.files import Made, contents

    fix = TestTimeRegisters(chosen=(Neuron(1, 2, 3.0, 0.5),))
    for name, content in contents(fix, Made("timm:x", "random", "abc")).items():
        (tmp_path / name).write_bytes(content)
    assert read(tmp_path) == (fix, Made("timm:x", "random", "abc"))
