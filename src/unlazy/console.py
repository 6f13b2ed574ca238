"""What a user sees in the terminal: progress, the verdict, mistakes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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

    A signal that is ignored, as in a shell's background jobs, stays ignored.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def stop(number: int, frame: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)
        raise Stopped(number)

    for number in numbers:
        if before[number] != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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


def complain(problem: BaseException) -> None:
    """One line in red, no traceback; of several ranks, the first tells it."""
    from rich.console import Console

    from unlazy import distributed

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if distributed.first_to_speak():
        console.print(f"unlazy: {problem}", style="red", markup=False)
