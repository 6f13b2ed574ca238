"""Seconds of a model over several runs."""

import time

from unlazy.report.claims import clock


def test_seconds_of_a_killed_run_count(tmp_path, monkeypatch):
    path = tmp_path / "kept" / "seconds"
    monkeypatch.setattr(clock, "SECONDS", 0.01)
    with clock.running(path):
        time.sleep(0.1)
        assert float(path.read_text()) > 0.05, "noted while it runs: a kill has no end"
    with clock.running(path) as again:
        assert again.seconds >= 0.1
        assert again.earlier > 0.05


def test_a_damaged_or_missing_note_counts_as_none(tmp_path):
    path = tmp_path / "seconds"
    path.write_text("0.1x")
    with clock.running(path) as found:
        assert found.earlier == 0
    with clock.running(None) as found:
        assert found.earlier == 0
