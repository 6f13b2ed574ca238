"""Kept parts of a pass: used by the same pass alone, and never wrong."""

import dataclasses
import errno
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

from unlazy import parts
from unlazy.backbones.timm import TimmViT
from unlazy.benchmarks.probe_registers import RegisterHeads
from unlazy.data.annotated import Annotated, Entry, Problems, objects_of
from unlazy.data.sample import Sample, Unreadable
from unlazy.fixes.baselines import NeighbourMedian, NormClipping
from unlazy.geometry import View
from unlazy.identity import Unidentified, described
from unlazy.ledger import Some, Sum
from unlazy.measure import measure
from unlazy.measures.norms import Norms
from unlazy.parts import Files, Keep
from unlazy.tokens import FINAL

NATIVE = View((32, 32), fit="native", multiple=(16, 16))


class Killed(BaseException):
    """Stands for the end of the process."""


class Pictures:
    """Twelve pictures of two sizes, of which the fourth cannot be read."""

    def __init__(self, name="picture", dies_at=None, boxes="these"):
        self.name, self.dies, self.boxes, self.asked = name, [dies_at], [boxes], []

    def __len__(self):
        return 12

    def name_of(self, index):
        return f"{self.name} {index}"

    def fingerprint(self):
        return self.boxes[0]

    def __getitem__(self, index):
        self.asked.append(index)
        if index in self.dies:
            raise Killed
        if index == 3:
            raise Unreadable("it is broken")
        pixels = np.random.default_rng(index).integers(0, 255, (32, 32 + 16 * (index % 2), 3))
        box = np.array([[0, 0, 9, 9], [500, 500, 501, 501]], np.float32)
        return Sample(Image.fromarray(pixels.astype(np.uint8)), self.name_of(index), boxes=box)


@dataclasses.dataclass(frozen=True)
class Totals:
    """A sum, and rows of some pictures."""

    factor: float = 1.0
    name: str = "totals"
    reads = frozenset({FINAL})

    def observe(self, trace, batch):
        which = torch.tensor([index % 3 == 0 for index in batch.indices])
        rows = self.factor * trace.image.float()[which]
        return {"images": Sum(torch.tensor(len(batch.indices))), "some": Some(which, rows)}

    def conclude(self, seen):
        return {"images": float(seen.sums["images"])}


def backbone(seed=0):
    torch.manual_seed(seed)
    options = {"depth": 1, "embed_dim": 24, "num_heads": 2, "img_size": 32}
    model = timm.create_model("vit_tiny_patch16_224", dynamic_img_size=True, **options)
    return TimmViT(model, name="tiny", weights="random")


@pytest.fixture(autouse=True)
def a_file_after_every_batch(monkeypatch):
    monkeypatch.setattr(parts, "SECONDS", 0.0)
    monkeypatch.setattr(parts, "SHARE", 0.0)


def run(pictures, folder=None, model=None, *, measures=None, view=NATIVE, about=None):
    keep = None if folder is None else Keep(folder, about or {})
    given = measures or [Norms(), Totals()]
    return measure(model or backbone(), pictures, given, view=view, batch_size=2, keep=keep)


def killed(folder):
    with pytest.raises(Killed):
        run(Pictures(dies_at=9), folder)
    assert len(list(folder.rglob("*.npz"))) == 3


def same(found, expected):
    found, expected = (
        dataclasses.replace(each, seconds=0.0, forward_seconds=0.0) for each in (found, expected)
    )
    for name, seen in expected.seen.items():
        other = found.seen[name]
        assert other.order == seen.order
        assert other.kept.keys() == seen.kept.keys()
        for key, rows in seen.kept.items():
            assert other.kept[key].keys() == rows.keys()
            for index, row in rows.items():
                np.testing.assert_array_equal(other.kept[key][index], row, strict=True)
        for key, total in seen.sums.items():
            np.testing.assert_array_equal(other.sums[key], total, strict=True)
    assert dataclasses.replace(found, seen={}) == dataclasses.replace(expected, seen={})


def test_a_pass_goes_on_from_what_is_kept_bit_by_bit(tmp_path):
    killed(tmp_path)
    pictures = Pictures()
    found = run(pictures, tmp_path)
    same(found, run(Pictures()))
    assert found.boxes == (22, 11)
    assert 0 not in pictures.asked
    assert sorted(pictures.asked) == list(dict.fromkeys(sorted(pictures.asked)))
    again = Pictures()
    same(run(again, tmp_path), found)
    assert again.asked == []


@pytest.mark.parametrize(
    "other",
    [
        {"model": backbone(1)},
        {"model": NormClipping(cutoff=1.0).apply(backbone())},
        {"view": View((32, 32))},
        {"measures": [Norms(), Totals(2.0)]},
        {"about": {"benchmark": "another"}},
        {"pictures": Pictures("other")},
        {"pictures": Pictures(boxes="others")},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_another_pass_kept_is_not_used(tmp_path, other):
    killed(tmp_path)
    pictures = other.pop("pictures", Pictures())
    found = run(pictures, tmp_path, **other)
    assert pictures.asked == list(range(12))
    other.pop("about", None)
    same(found, run(pictures, **other))


def test_fixes_of_other_calibrations_are_told_apart(tmp_path):
    for fix in (NormClipping(cutoff=1.0), NormClipping(cutoff=2.0), NeighbourMedian(cutoff=1.0)):
        run(Pictures(), tmp_path, fix.apply(backbone()))
        run(Pictures(), tmp_path, fix.apply(backbone()))  # the same one is known again
    assert len(list(tmp_path.iterdir())) == 3


def test_a_damaged_file_is_told_and_measured_again(tmp_path):
    killed(tmp_path)
    first = min(tmp_path.rglob("*.npz"))
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 255
    first.write_bytes(content)
    min(tmp_path.rglob("*.npz")).with_name("cut.half").write_bytes(b"PK")
    with pytest.warns(UserWarning, match="is damaged and not used"):
        found = run(Pictures(), tmp_path)
    same(found, run(Pictures()))
    assert not list(tmp_path.rglob("*.half"))


def test_pictures_that_two_files_hold_count_once(tmp_path):
    killed(tmp_path)
    first = min(tmp_path.rglob("*.npz"))
    first.with_name("000000099-0.npz").write_bytes(first.read_bytes())
    same(run(Pictures(), tmp_path), run(Pictures()))


def test_a_full_disk_is_told_and_leaves_what_is_there(tmp_path, monkeypatch):
    killed(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.npz")}

    def full(path, content):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match=r"No space left.*goes on"):
            run(Pictures(), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    same(run(Pictures(), tmp_path), run(Pictures()))


def test_files_come_at_intervals(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(parts, "SECONDS", 10.0)
    monkeypatch.setattr(parts, "SHARE", 50.0)
    monkeypatch.setattr(parts.time, "perf_counter", lambda: now[0])
    files = Files(tmp_path)
    now[0] = 9.9
    assert not files.due()
    now[0] = 10.1
    assert files.due()
    monkeypatch.setattr(parts, "_packed", lambda part: now.__setitem__(0, 11.1) or b"")
    files.write(parts.Part(names={0: "one"}))  # takes a second
    now[0] = 60.0
    assert not files.due(), "writing would take more than a fiftieth of the time"
    now[0] = 61.2
    assert files.due()


def test_values_that_differ_are_described_differently():
    def scaled(by):
        return lambda x: x * by

    torch.manual_seed(0)
    layers = nn.Linear(2, 2), nn.Linear(2, 2)
    values = [1, True, "1", None, [1], (1, 2), {"a": 1}, {"a": 2}, 1.5, np.float32(1.5)]
    values += [np.zeros(2), np.zeros((2, 1)), torch.zeros(2), torch.ones(2), *layers]
    values += [scaled(1), scaled(2), partial(max, 1), partial(max, 2), max, Totals(), Totals(2)]
    found = [repr(described(each)) for each in values]
    assert len(set(found)) == len(values)
    assert described(scaled(1)) == described(scaled(1))


def test_what_cannot_be_told_apart_is_not_resumed_and_that_is_said(tmp_path):
    with pytest.raises(Unidentified):
        described(object())
    measures = [Totals(factor=1.0, name="totals"), Norms()]
    object.__setattr__(measures[0], "factor", Opaque())
    with pytest.warns(UserWarning, match=r"cannot be resumed: it depends on a .*Opaque"):
        run(Pictures(), tmp_path, measures=measures)
    assert not list(tmp_path.iterdir())


def test_a_file_that_a_setting_names_is_known_by_its_content(tmp_path):
    probe = RegisterHeads(head=tmp_path / "head.pth")
    absent, found = described(probe), []
    for content in (b"one", b"two", b"one"):
        (tmp_path / "head.pth").write_bytes(content)
        found.append(described(probe))
    assert found[0] == found[2] != found[1] != absent


def test_a_corrected_box_makes_other_data(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")

    def fingerprint(right, label=0):
        entry = Entry(tmp_path / "a.png", objects=objects_of([((1, 1, right, 9), label)]))
        return Annotated(tmp_path, ["thing"], [entry], Problems()).fingerprint()

    assert fingerprint(9) == fingerprint(9)
    assert len({fingerprint(9), fingerprint(10), fingerprint(9, -1)}) == 3


class Opaque:
    def __mul__(self, other):
        return other
