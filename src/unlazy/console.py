"""What a user sees in the terminal: progress, the verdict, mistakes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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


def complain(problem: Exception) -> None:
    """One line in red, no traceback."""
    from rich.console import Console

    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"unlazy: {problem}", style="red", markup=False
    )
