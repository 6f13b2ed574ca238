"""What a user sees in the terminal: progress, the verdict, mistakes."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from io import RawIOBase
from pathlib import Path
from typing import Any, NoReturn

STOPS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 1.0  # seconds until a signal is heard
GRACE = 8.0  # seconds until what is open is closed
_heard = threading.Event()


class Stopped(KeyboardInterrupt):
    """Ctrl-C or a polite kill.

    Attributes:
        status: the exit status that shells expect, 128 + the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__("interrupted" if number == signal.SIGINT else "terminated")
        self.status = 128 + number


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGINT and SIGTERM raise Stopped once, so that what is open is closed; a second one kills.

    Python hears a signal only between two operations, and one may take minutes; what it raises then
    is lost where that falls into a ``__del__``. Where a signal is not heard in ``PATIENCE``, or the
    process goes on for ``GRACE``, a second thread ends it and its decoders.
    A signal that is ignored, as in a shell's background jobs, stays ignored.
    """
    _teach_children()
    _heard.clear()
    before = {number: signal.getsignal(number) for number in STOPS}
    with _bells() as bells:
        threading.Thread(target=_watch, args=(bells,), daemon=True).start()
        for number in STOPS:
            if before[number] != signal.SIG_IGN:
                signal.signal(number, _stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _stop(number: int, frame: object) -> None:
    _heard.set()
    for each in STOPS:
        signal.signal(each, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # torch's raises where a decoder ends first
    raise Stopped(number)


@cache
def _teach_children() -> None:
    """Forked decoders leave Ctrl-C to their parent and do not ring its bells; said once."""

    def forked() -> None:
        if signal.getsignal(signal.SIGINT) is _stop:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    os.register_at_fork(after_in_child=forked)


def leave(stop: Stopped) -> NoReturn:
    """Say why, and end without Python's own goodbye to all libraries, which takes seconds."""
    complain(stop)
    for decoder in multiprocessing.active_children():
        decoder.kill()
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(stop.status)


@contextmanager
def _bells() -> Iterator[int]:
    """A file that gives the number of each signal at once, and 0 in the end."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(before)
        os.write(writing, bytes(1))
        os.close(writing)


def _watch(bells: int) -> None:
    """End the process at a signal that the main thread does not hear, or does not obey."""
    with open(bells, "rb", buffering=0) as file:
        while number := file.read(1)[0]:
            if number not in STOPS:
                continue
            if not _heard.wait(PATIENCE) or not _ends(file):
                leave(Stopped(number))
            return


def _ends(bells: RawIOBase) -> bool:
    """Whether the last bell, 0, rings within ``GRACE``; decoders that end ring too."""
    end = time.monotonic() + GRACE
    while select.select([bells], [], [], max(0.0, end - time.monotonic()))[0]:
        if not (bells.read(1) or b"\0")[0]:
            return True
    return False


@contextmanager
def progress(description: str) -> Iterator[tuple[Any, Any]]:
    """A progress bar on the main rank's terminal, on stderr."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from unlazy import distributed

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not distributed.on_main()) as bar:
        yield bar, bar.add_task(description, total=None)


def tell(findings: Sequence[Any], page: Path) -> None:
    """The verdict and where the page is."""
    for found in findings:
        if len(findings) > 1:
            print(f"\n{found.label}")
        for sentence in found.record.verdict:
            print(f"- {sentence}")
        for item in found.measured.skipped:
            print(f"skipped {item.name}: {item.reason}", file=sys.stderr)
    print(f"\npage: {page}")


def tell_fix(fixed: Any) -> Any:
    """What the calibration of a model's fix found; returns the model."""
    from unlazy import distributed

    if distributed.on_main():
        print(f"\n{fixed.fix}")
        for sentence in fixed.fix_settings.summary():
            print(f"- {sentence}")
    return fixed


def plain_warnings() -> None:
    """Warnings in one line, without the place in the source code."""
    warnings.formatwarning = lambda message, *_, **__: f"unlazy: {message}\n"


def complain(problem: BaseException) -> None:
    """One line in red, no traceback; of several ranks, the first tells it."""
    from rich.console import Console

    from unlazy import distributed

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if distributed.first_to_speak():
        console.print(f"unlazy: {problem}", style="red", markup=False)
