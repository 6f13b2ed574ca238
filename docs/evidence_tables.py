"""What the scripts that write evidence pages share: tables, and the verdict on norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shape(values: dict[str, Any]) -> str:
    """The verdict on the distribution of norms, of the values of a Record or card."""
    keys = values["norm_shape"]
    return next((key.removeprefix("is_") for key in keys if key.startswith("is_")), "unknown")
