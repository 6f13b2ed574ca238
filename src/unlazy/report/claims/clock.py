"""Seconds spent on a model, over all runs that it took."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unlazy.whole_files import write_whole

SECONDS = 10.0  # between two notes: at most so much of a killed run is not counted


class Clock:
    """Runs from now on, after what earlier runs noted in a file.

    Attributes:
        path: of the file; None: nothing is noted.
        earlier: seconds of the runs before.
    """

    def __init__(self, path: Path | None) -> None:
        self.path, self.earlier, self._started = path, 0.0, time.perf_counter()
        if path is not None and path.is_file():
            with suppress(ValueError):  # damaged: those seconds are lost
                self.earlier = float(path.read_text())

    @property
    def seconds(self) -> float:
        """Of this run and those before."""
        return self.earlier + time.perf_counter() - self._started

    def note(self) -> None:
        """For the next run, should this one be killed; where there is no room it counts less."""
        if self.path is not None:
            with suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self.path, repr(self.seconds).encode())


@contextmanager
def running(path: Path | None) -> Iterator[Clock]:
    """A clock that notes its seconds every ``SECONDS`` and at the end."""
    clock, ended = Clock(path), threading.Event()

    def notes() -> None:
        while not ended.wait(SECONDS):
            clock.note()

    thread = threading.Thread(target=notes, daemon=True)
    thread.start()
    try:
        yield clock
    finally:
        ended.set()
        thread.join()
        clock.note()
