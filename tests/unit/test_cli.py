"""What a user types, and mistakes: no traceback, nothing half-written, a way out in a message."""

import fcntl
import json
import os
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from unlazy.cli import main

MODEL = "timm:test_vit"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos" / "nested"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(3):
        pixels = rng.integers(0, 255, (70, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder.parent


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code or 0
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err + printed.out
    return code, printed.out, printed.err


def report(capsys, photos, out, *more, model=MODEL):
    return run(capsys, "report", model, photos, "-o", out, "--size", 64, "--workers", 0, *more)


def test_report_writes_page_record_and_maps(capsys, photos, tmp_path):
    out = tmp_path / "out"
    code, printed, _ = report(capsys, photos, out, "--random")
    assert code == 0
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "maps", "record.json"]
    record = json.loads((out / "record.json").read_text())
    assert record["data"]["n"] == 3
    assert record["model"]["weights"] == "random"
    assert "random" in record["verdict"][0].lower()
    assert record["verdict"][0] in printed
    assert "random" in (out / "index.html").read_text().lower()


def test_bad_pictures_are_named_and_the_others_processed(capsys, photos, tmp_path):
    (photos / "empty.jpg").touch()
    (photos / "text.jpg").write_text("no picture")
    good = (photos / "nested" / "0.png").read_bytes()
    (photos / "half.png").write_bytes(good[: len(good) // 2])
    Image.new("CMYK", (50, 40)).save(photos / "cmyk.jpg")
    Image.new("RGB", (1, 1)).save(photos / "one.png")
    out = tmp_path / "out"
    code, _, err = report(capsys, photos, out, "--random")
    assert code == 0
    record = json.loads((out / "record.json").read_text())
    assert record["data"]["n"] == 5
    assert {item["name"] for item in record["skipped"]} == {"empty.jpg", "text.jpg", "half.png"}
    assert all(item["reason"] for item in record["skipped"])
    page = (out / "index.html").read_text()
    assert all(name in page and name in err for name in ("empty.jpg", "text.jpg", "half.png"))


def test_a_page_shows_readable_pictures_even_if_the_first_ones_are_bad(capsys, photos, tmp_path):
    for index in range(4):
        (photos / f"{index}.jpg").touch()  # sorted before the nested folder
    out = tmp_path / "out"
    code, _, err = report(capsys, photos, out, "--random", "--shown", 2)
    assert code == 0, err
    record = json.loads((out / "record.json").read_text())
    assert (record["data"]["n"], record["data"]["skipped"]) == (3, 4)
    assert len(list((out / "maps").glob("*_photo.jpg"))) == 2


def test_a_page_shows_at_least_one_picture(capsys, photos, tmp_path):
    code, _, err = report(capsys, photos, tmp_path / "out", "--random", "--shown", 0)
    assert code == 1
    assert "at least one picture" in err


def test_foreign_files_in_the_output_stay_and_old_maps_go(capsys, photos, tmp_path):
    maps = tmp_path / "out" / "maps"
    maps.mkdir(parents=True)
    (maps / "thesis.txt").write_text("precious")
    (maps / "00099_old_norm.png").touch()
    code, _, err = report(capsys, photos, tmp_path / "out", "--random")
    assert code == 0, err
    assert (maps / "thesis.txt").read_text() == "precious"
    assert not (maps / "00099_old_norm.png").exists()


def test_an_output_inside_the_pictures_is_not_measured_again(capsys, photos):
    for _ in range(2):
        code, _, err = report(capsys, photos, photos / "out", "--random")
        assert code == 0, err
    assert json.loads((photos / "out" / "record.json").read_text())["data"]["n"] == 3


def test_names_that_are_not_utf8_are_shown_escaped(capsys, photos, tmp_path):
    odd = os.fsencode(photos) + b"/odd\xff.png"
    os.link(photos / "nested" / "0.png", odd)
    code, _, err = report(capsys, photos, tmp_path / "out", "--random")
    assert code == 0, err
    assert "odd" in (tmp_path / "out" / "index.html").read_text()


def test_only_bad_pictures_is_an_error_and_writes_nothing(capsys, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "empty.jpg").touch()
    code, _, err = report(capsys, tmp_path / "bad", tmp_path / "out", "--random")
    assert code == 1
    assert "empty.jpg" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("timm:test_vitt", "did you mean test_vit"),
        ("test_vit", "write timm:test_vit"),
        ("tim:test_vit", "did you mean timm"),
        ("bundled:tiny-lable", "did you mean tiny-label"),
        ("file:nowhere", "there is no folder nowhere"),
    ],
)
def test_unknown_models_suggest_near_ones(capsys, photos, tmp_path, model, hint):
    code, _, err = report(capsys, photos, tmp_path / "new" / "out", model=model)
    assert code == 1
    assert hint in err
    assert not (tmp_path / "new").exists()


def test_folder_without_pictures_and_missing_paths_are_named(capsys, tmp_path):
    (tmp_path / "none").mkdir()
    for path in (tmp_path / "none", tmp_path / "missing", tmp_path / "*.jpg"):
        code, _, err = report(capsys, path, tmp_path / "out", "--random")
        assert code == 1
        assert path.name in err


class Exploit:
    def __reduce__(self):
        return (os.system, ("touch exploited",))


@pytest.fixture
def checkpoints(tmp_path):
    import timm

    model = timm.create_model("test_vit")
    state = model.state_dict()
    other = timm.create_model("test_vit2").state_dict()
    save_file(state, tmp_path / "good.safetensors")
    save_file(other, tmp_path / "other.safetensors")
    torch.save(
        {"model": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "ddp.pth"
    )
    broken = dict(state)
    broken["norm.weight"] = broken["norm.weight"] * float("nan")
    save_file(broken, tmp_path / "nan.safetensors")
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Exploit()))
    (tmp_path / "text.pth").write_text("not weights")
    return tmp_path


def test_local_weights_load_with_prefixes(capsys, photos, checkpoints, tmp_path):
    hashes = set()
    for name in ("good.safetensors", "ddp.pth"):
        code, _, err = report(
            capsys, photos, tmp_path / name[:3], "--checkpoint", checkpoints / name
        )
        assert code == 0, err
        record = json.loads((tmp_path / name[:3] / "record.json").read_text())
        assert record["model"]["weights"] == name
        hashes.add(record["model"]["weights_hash"])
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("other.safetensors", "39 more). Nothing was loaded"),
        ("nan.safetensors", "norm.weight"),
        ("evil.pth", "evil.pth"),
        ("text.pth", "text.pth"),
        ("absent.pth", "absent.pth"),
    ],
)
def test_bad_checkpoints_are_refused(
    capsys, photos, checkpoints, tmp_path, name, hint, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, _, err = report(capsys, photos, tmp_path / "out", "--checkpoint", checkpoints / name)
    assert code == 1
    assert hint in err
    assert not (tmp_path / "exploited").exists()
    assert not (tmp_path / "out" / "index.html").exists()


def test_sizes_that_the_model_cannot_take_name_the_nearest(capsys, photos, tmp_path):
    code, _, err = run(
        capsys, "report", MODEL, photos, "-o", tmp_path / "out", "--random", "--size", 65
    )
    assert code == 1
    assert "nearest is 64x64" in err


def test_an_output_that_cannot_be_written_is_named_before_any_work(capsys, photos, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = report(capsys, photos, tmp_path / "file" / "out", "--random")
    assert code == 1
    assert "cannot write to" in err


def test_a_disk_that_fills_up_leaves_nothing_behind(capsys, photos, tmp_path, monkeypatch):
    from unlazy.report.record import Record

    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Record, "write", full)
    code, _, err = report(capsys, photos, tmp_path / "out", "--random")
    assert code == 1
    assert f"cannot write to {tmp_path / 'out'}: No space left" in err
    assert not (tmp_path / "out").exists()


def test_compare_sets_two_models_side_by_side(capsys, photos, tmp_path):
    out = tmp_path / "out"
    code, _, err = run(
        capsys, "compare", MODEL, "timm:test_vit2", photos, "-o", out, "--random", "--workers", 0
    )
    assert code == 0, err
    names = {path.name for path in out.iterdir()}
    assert {"index.html", "record-timm-test_vit.json", "record-timm-test_vit2.json"} <= names


def test_compare_takes_a_checkpoint_for_each_model(capsys, photos, checkpoints, tmp_path):
    out = tmp_path / "out"
    state = load_file(checkpoints / "good.safetensors")
    (tmp_path / "later").mkdir()
    shifted = {key: value + 0.1 for key, value in state.items()}
    save_file(shifted, tmp_path / "later" / "good.safetensors")
    models = [f"{MODEL}={tmp_path / file}" for file in ("good.safetensors", "ddp.pth")]
    models.append(f"{MODEL}={tmp_path / 'later' / 'good.safetensors'}")
    code, printed, err = run(capsys, "compare", *models, photos, "-o", out, "--workers", 0)
    assert code == 0, err
    records = {
        path.name: json.loads(path.read_text())["model"] for path in out.glob("record-*.json")
    }
    names = ("good.safetensors", "ddp.pth", "good.safetensors-2")
    assert set(records) == {f"record-timm-test_vit-{name}.json" for name in names}
    hashes = {name: records[f"record-timm-test_vit-{name}.json"]["weights_hash"] for name in names}
    assert hashes[names[0]] == hashes[names[1]] != hashes[names[2]]
    page = (out / "index.html").read_text()
    for label in ("=good.safetensors", "=ddp.pth", "=good.safetensors (2)"):
        assert f"{MODEL}{label}" in page
        assert f"{MODEL}{label}" in printed


def test_the_same_model_twice_keeps_both_records(capsys, photos, tmp_path):
    out = tmp_path / "out"
    code, _, err = run(
        capsys, "compare", MODEL, MODEL, photos, "-o", out, "--random", "--workers", 0
    )
    assert code == 0, err
    assert {path.name for path in out.glob("record-*")} == {
        "record-timm-test_vit.json",
        "record-timm-test_vit-2.json",
    }


@pytest.mark.parametrize(
    ("model", "more", "hint"),
    [
        (f"{MODEL}=absent.pth", (), "there is no checkpoint absent.pth"),
        (f"{MODEL}=good.safetensors", ("--random",), "exclude each other"),
        (f"{MODEL}=good.safetensors", ("--checkpoint", "ddp.pth"), "give one of them"),
        ("mine.py:build=good.safetensors", (), "let it load good.safetensors itself"),
    ],
)
def test_weights_asked_for_in_two_ways_are_refused(
    capsys, photos, checkpoints, tmp_path, monkeypatch, model, more, hint
):
    monkeypatch.chdir(checkpoints)
    code, _, err = report(capsys, photos, tmp_path / "out", *more, model=model)
    assert code == 1
    assert hint in err


def test_an_equals_sign_in_a_runs_folder_is_part_of_its_name(capsys, photos, tmp_path):
    code, _, err = report(capsys, photos, tmp_path / "out", model="file:runs/lr=0.1/last")
    assert code == 1
    assert "there is no checkpoint 0.1/last" in err
    (tmp_path / "lr=0.1").mkdir()
    code, _, err = report(capsys, photos, tmp_path / "out", model=f"file:{tmp_path}/lr=0.1")
    assert code == 1
    assert "recipe.json is missing" in err


def test_a_misspelt_second_model_ends_before_the_first_is_measured(
    capsys, photos, tmp_path, monkeypatch
):
    def never(*_, **__):
        raise AssertionError("measured")

    monkeypatch.setattr("unlazy.report.run.investigate", never)
    out = tmp_path / "out"
    code, _, err = run(capsys, "compare", MODEL, "timm:test_vitt", photos, "-o", out, "--random")
    assert code == 1
    assert "did you mean test_vit" in err
    assert not out.exists()


def test_leftovers_of_a_killed_run_go_and_those_of_a_live_one_stay(capsys, photos, tmp_path):
    from unlazy.report.write import PART

    out = tmp_path / "out"
    for name in ("dead", "alive"):
        (out / f"{PART}{name}" / "maps").mkdir(parents=True)
    (out / f"{PART}dead" / "index.html").touch()
    opened = os.open(out / f"{PART}alive", os.O_RDONLY)
    fcntl.flock(opened, fcntl.LOCK_EX)  # as a run holds it that is writing
    code, _, err = report(capsys, photos, out, "--random")
    os.close(opened)
    assert code == 0, err
    assert [path.name for path in out.glob(".*")] == [f"{PART}alive"]


def test_compare_needs_two_models_and_pictures(capsys, photos):
    code, _, err = run(capsys, "compare", MODEL, photos)
    assert code == 1
    assert "two or more models" in err


def test_doctor_passes_on_a_real_model(capsys):
    code, out, _ = run(capsys, "doctor", MODEL, "--random")
    assert code == 0
    assert "FAILED" not in out
    assert "rebuild the" in out


def test_native_sizes_are_bucketed(capsys, photos, tmp_path):
    Image.new("RGB", (40, 90), "red").save(photos / "tall.png")
    code, _, err = run(
        capsys, "report", MODEL, photos, "-o", tmp_path / "out", "--random", "--fit", "native"
    )
    assert code == 0, err
    assert json.loads((tmp_path / "out" / "record.json").read_text())["data"]["n"] == 4
