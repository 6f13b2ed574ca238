"""What a user of ``unlazy extract`` types, and mistakes."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from unlazy.catalog import load_backbone
from unlazy.cli import main
from unlazy.cli_extract import site_of
from unlazy.identity import model_identity
from unlazy.shards import Shards
from unlazy.tokens import EMBED, FINAL, SHARED, attention, block, key, norm_of

MODEL = "bundled:tiny-label"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index, width in enumerate((90, 64, 70)):
        pixels = rng.integers(0, 255, (70, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def run(capsys, photos, out, *more) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["extract", MODEL, str(photos), "-o", str(out), "--workers", "0", *map(str, more)])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err + printed.out
    return stop.value.code or 0, printed.out, printed.err


@pytest.mark.parametrize(
    "site", [EMBED, FINAL, SHARED, block(-1), key(3), attention(-1), norm_of(block(0))], ids=str
)
def test_a_site_is_read_as_it_is_printed(site):
    assert site_of(str(site)) == site


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("finl", "did you mean final"),
        ("blok(-1)", "did you mean block(-1)"),
        ("imag", "did you mean image"),
        ("block", "for example block(-1)"),
        ("final(2)", "write final instead"),
        ("block(6)", "use 0..5"),
        ("block(x)", "did you mean block(-1)"),
    ],
)
def test_unknown_sites_suggest_near_ones_and_leave_no_folder(capsys, photos, tmp_path, text, hint):
    code, _, err = run(capsys, photos, tmp_path / "out", "--sites", text)
    assert code == 1
    assert hint in err
    assert not (tmp_path / "out").exists()


def test_extract_stores_what_is_asked_for_and_says_so(capsys, photos, tmp_path):
    (photos / "text.jpg").write_text("no picture")
    words = ("--sites", "block(-1)", "norm of block(2)", "image", "--dtype", "bfloat16")
    code, out, err = run(capsys, photos, tmp_path / "out", *words)
    assert code == 0, err
    assert "block(-1).patches: 3 rows 8x8x128, bfloat16" in out
    assert "3 pictures in 1 shards" in out
    assert "skipped text.jpg: " in err
    shards = Shards(tmp_path / "out")
    assert shards.names == ("0.png", "1.png", "2.png")
    patches = shards.rows("norm of block(2).patches", shards.indices)
    assert patches.shape == (3, 8, 8, 1)
    assert patches.dtype == torch.bfloat16


def test_other_pictures_of_the_same_names_are_refused(capsys, photos, tmp_path):
    """As the folders of ImageNet-C, or frames of two videos."""
    other, out = tmp_path / "other", tmp_path / "out"
    shutil.copytree(photos, other)
    words = ("--sites", "image", "--dtype", "float32")
    assert run(capsys, photos, out, *words)[0] == 0
    assert run(capsys, other, out, *words)[0] == 0, "a copy is the same data"
    Image.effect_noise((64, 70), 50).save(other / "1.png")
    code, _, err = run(capsys, other, out, *words)
    assert code == 1
    assert f"data: source {photos}, now {other}" in " ".join(err.split())
    assert run(capsys, other, tmp_path / "new", *words)[0] == 0
    one, new = Shards(out), Shards(tmp_path / "new")
    assert one.names == new.names
    assert not torch.equal(one.row("image", 1), new.row("image", 1))


def test_a_repaired_picture_is_not_skipped_for_its_old_reason(capsys, photos, tmp_path):
    whole = (photos / "1.png").read_bytes()
    (photos / "1.png").write_bytes(whole[:1000])
    words = ("--sites", "image")
    assert run(capsys, photos, tmp_path / "out", *words)[0] == 0
    assert len(Shards(tmp_path / "out")) == 2
    (photos / "1.png").write_bytes(whole)
    code, _, err = run(capsys, photos, tmp_path / "out", *words)
    assert code == 1
    assert "other pictures or labels" in " ".join(err.split())
    shutil.rmtree(tmp_path / "out")
    code, said, _ = run(capsys, photos, tmp_path / "out", *words)
    assert (code, "skipped" in said) == (0, False)
    assert len(Shards(tmp_path / "out")) == 3


def test_a_model_that_computes_in_bfloat16_gives_nearly_the_same_and_is_told_apart(
    capsys, photos, tmp_path
):
    plain, low = tmp_path / "plain", tmp_path / "low"
    words = ("--sites", "final", "norm of block(-1)", "--dtype", "float32")
    assert run(capsys, photos, plain, *words)[0] == 0
    code, _, err = run(capsys, photos, low, *words, "--precision", "bfloat16")
    assert code == 0, err
    one, other = (Shards(each).rows("final.patches", [0, 1, 2]) for each in (plain, low))
    assert not torch.equal(one, other)
    assert (one - other).abs().mean() < 0.02 * one.abs().mean()
    assert Shards(low).manifest["runs_on"][2:] == ["autocast to bfloat16"]
    code, _, err = run(capsys, photos, plain, *words, "--precision", "bfloat16")
    assert code == 1
    assert "autocast to bfloat16" in err
    assert run(capsys, photos, low, *words, "--precision", "bfloat16")[0] == 0


def test_native_pictures_keep_their_own_grid(capsys, photos, tmp_path):
    out = tmp_path / "out"
    code, said, err = run(capsys, photos, out, "--sites", "final", "--fit", "native")
    assert code == 0, err
    assert "final.patches: 3 rows of their own shape" in said
    shapes = [tuple(Shards(out).row("final.patches", index).shape) for index in range(3)]
    assert shapes == [(9, 11, 128), (9, 8, 128), (9, 9, 128)]


def test_tokens_under_a_fix_are_other_tokens(capsys, photos, tmp_path):
    plain, fixed = tmp_path / "plain", tmp_path / "fixed"
    assert run(capsys, photos, plain, "--sites", "block(-1)")[0] == 0
    words = ("--sites", "block(-1)", "--fix", "position-mean")
    code, _, err = run(capsys, photos, fixed, *words)
    assert code == 0, err
    assert Shards(fixed).manifest["fix"] == "position-mean"
    one, other = (Shards(each).rows("block(-1).patches", [0, 1, 2]) for each in (plain, fixed))
    assert not torch.equal(one, other)
    code, _, err = run(capsys, photos, plain, *words)
    assert code == 1
    assert "fix: None, now position-mean" in err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--sites", "final", "--shown", 3), "do not apply"),
        (("--sites", "block(-1)", "block(5)"), "are the same place"),
        (("--sites", "final", "--dtype", "float8"), "float16"),
        (("--sites", "final", "--batch-size", 0), "at least 1"),
        ((), "--sites"),
    ],
)
def test_what_does_not_apply_is_refused(capsys, photos, tmp_path, words, hint):
    code, _, err = run(capsys, photos, tmp_path / "out", *words)
    assert code == 1
    assert hint in err
    assert not (tmp_path / "out").exists()


@torch.inference_mode()
def test_a_trace_computes_as_the_caller_does_unless_told_otherwise():
    backbone = load_backbone(MODEL)
    images = torch.randn(2, 3, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(backbone.trace(images).image, backbone.encode(images))
    plain = backbone.trace(images).image
    assert torch.equal(plain, backbone.encode(images))
    before = model_identity(backbone, about="")
    backbone.precision = torch.bfloat16
    assert not torch.equal(backbone.trace(images).image, plain)
    assert model_identity(backbone, about="") != before
