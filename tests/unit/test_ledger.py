import json

import numpy as np
import pytest
import torch
from PIL import Image

from unlazy.data.sample import Sample, Unreadable
from unlazy.geometry import View
from unlazy.ledger import Estimate, Ledger, Some, Sum, estimates
from unlazy.measure import measure
from unlazy.report.record import Record
from unlazy.whole_files import write_whole


class Counting:
    """Mean brightness as a row, number of pictures as a sum."""

    name = "counting"
    reads = frozenset()
    extremes = frozenset({"darkest"})

    def observe(self, trace, batch):
        rows = batch.pixels.float().mean((1, 2, 3))
        which = torch.tensor([index == 2 for index in batch.indices])
        return {
            "brightness": rows,
            "count": Sum(torch.tensor(len(rows))),
            "third": Some(which, rows[which]),
        }

    def conclude(self, seen):
        rows = seen.stack("brightness")
        return {
            "mean": float(rows.mean()),
            "count": float(seen.sums["count"]),
            "darkest": float(rows.min()),
        }


class Grey:
    """Pictures of increasing brightness, two sizes, the second unreadable."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index == 1:
            raise Unreadable("made so")
        side = 32 if index % 2 else 48
        return Sample(Image.new("RGB", (side, side), (index * 10,) * 3), name=f"grey {index}")

    def name_of(self, index):
        return f"grey {index}"


@pytest.fixture(scope="module")
def backbone():
    import timm

    from unlazy.backbones.timm import TimmViT

    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224", depth=1, embed_dim=24, num_heads=2, dynamic_img_size=True
    )
    return TimmViT(model, name="tiny", weights="random")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_every_readable_picture_is_measured_once_in_order(backbone, workers, batch_size):
    view = View((1, 1), fit="native", multiple=(16, 16))
    finished = []
    found = measure(
        backbone,
        Grey(),
        [Counting()],
        view=view,
        workers=workers,
        batch_size=batch_size,
        progress=finished.append,
    )
    assert sum(finished) == len(Grey()), "the bar never reaches its end"
    seen = found.seen["counting"]
    assert seen.stack("brightness").tolist() == [0, 20, 30, 40, 50]
    assert seen.sums["count"] == 5
    assert [row.item() for row in seen.rows("third")] == [20]
    assert list(found.names.values()) == [f"grey {i}" for i in (0, 2, 3, 4, 5)]
    assert [(item.index, item.name, item.reason) for item in found.skipped] == [
        (1, "grey 1", "made so")
    ]


def test_weights_that_are_not_finite_stop_with_the_pictures_name(backbone):
    import copy

    broken = copy.deepcopy(backbone)
    with torch.no_grad():
        broken.model.norm.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="not finite for grey 0"):
        measure(broken, Grey(), [Counting()], view=View((32, 32)), batch_size=1)


def test_intervals_cover_the_mean_and_spare_extremes():
    ledger, rng = Ledger(), np.random.default_rng(0)
    rows = torch.tensor(rng.normal(5, 1, 100))
    ledger.add("counting", {"brightness": rows, "count": Sum(torch.tensor(100))}, range(100))
    ledger.indices.extend(range(100))
    found = estimates(Counting(), ledger.gather([Counting()])["counting"])
    assert found["darkest"].low is None
    width = found["mean"].high - found["mean"].low
    assert found["mean"].low < found["mean"].value < found["mean"].high
    assert 0.7 < width / (2 * 1.96 * 0.1) < 1.3


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_no_or_all_pictures_has_the_wilson_interval(share):
    from unlazy.benchmarks.classification import Accuracy

    rows = torch.full((20,), share)
    ledger, same = Ledger(), torch.zeros(20, dtype=torch.long)
    ledger.add("accuracy", {"correct": rows, "label": same, "of": same + 4}, range(20))
    ledger.indices.extend(range(20))
    top1 = estimates(
        Accuracy(lambda image: image), ledger.gather([Accuracy(torch.abs)])["accuracy"]
    )
    top1 = top1["top1"]
    far = 1.9599639845**2 / (
        20 + 1.9599639845**2
    )  # Wilson (1927): z^2 / (n + z^2) where none counts
    low, high = (0.0, far) if share == 0 else (1 - far, 1.0)
    assert (top1.value, top1.low, top1.high) == pytest.approx((share, low, high), abs=1e-9)


def test_rows_must_match_the_batch():
    with pytest.raises(ValueError, match="2 rows for 3 images"):
        Ledger().add("any", {"key": torch.zeros(2)}, [0, 1, 2])


def test_records_are_strict_json_and_written_whole(tmp_path):
    record = Record(
        model={"size": (64, 64)},
        benchmark={"name": "report", "version": 1},
        data={"n": 1},
        parameters={"view": View((8, 8)), "shown": frozenset({3, 1})},
        values={"a": {"b": Estimate(float("nan")), "c": Estimate(1 / 3, 0.25, float("inf"))}},
        timing={},
        environment={},
    )
    record.write(tmp_path / "record.json")
    found = json.loads((tmp_path / "record.json").read_text())
    assert found["values"]["a"]["b"]["value"] is None
    assert found["values"]["a"]["c"] == {"value": 0.333333, "low": 0.25, "high": None}
    assert found["parameters"]["shown"] == [1, 3]


def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path, monkeypatch):
    target = tmp_path / "record.json"
    target.write_text("old")

    def full(self, content):
        with open(self, "wb") as half:
            half.write(content[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(target), "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(target, b"new content")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
