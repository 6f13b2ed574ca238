"""What is kept of training: read back as it was, or not at all."""

import pytest
import torch

from unlazy.batches import Skipped
from unlazy.probes.kept import Kept

STATES = {"position": {"weights": [torch.arange(600.0)], "epoch": 3, "merit": torch.ones(2)}}
SKIPPED = [Skipped(4, "picture 4", "it is broken")]


@pytest.fixture
def kept(tmp_path):
    found = Kept(tmp_path / "learned-1.pt")
    found.write(3, STATES, SKIPPED)
    return found


def test_what_was_kept_is_read(kept):
    epoch, states, skipped = kept.read()
    assert (epoch, skipped) == (3, SKIPPED)
    assert torch.equal(states["position"]["weights"][0], torch.arange(600.0))
    kept.write(4, STATES, [])
    assert kept.read()[0] == 4
    assert [path.name for path in kept.path.parent.iterdir()] == [kept.path.name]


def test_a_file_of_any_other_length_is_none(kept):
    """torch.load alone says OSError, RuntimeError or EOFError, by the length."""
    whole = kept.path.read_bytes()
    for length in (*range(0, len(whole), 97), len(whole) - 1, len(whole) - 30):
        kept.path.write_bytes(whole[:length])
        with pytest.warns(UserWarning, match=r"learned-1\.pt is damaged and not used"):
            assert kept.read() == (0, {}, [])
        assert not kept.path.exists()
    kept.path.write_bytes(whole + b"0")
    with pytest.warns(UserWarning, match="damaged"):
        assert kept.read() == (0, {}, [])


def test_a_bit_that_flipped_is_noticed(kept):
    whole = kept.path.read_bytes()
    for place in (0, 31, 32, len(whole) // 2, len(whole) - 1):
        harmed = bytearray(whole)
        harmed[place] ^= 1
        kept.path.write_bytes(harmed)
        with pytest.warns(UserWarning, match="damaged"):
            assert kept.read() == (0, {}, [])


def test_where_it_cannot_be_kept_the_epoch_before_stays(kept, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match=r"what was learned.*the same command goes on"):
        kept.write(4, STATES, [])
    monkeypatch.undo()
    assert kept.read()[0] == 3
