"""What the evidence pages share: tables, guarded sentences, templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def markdown(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shape(values: Mapping[str, Any]) -> str:
    """The verdict on the distribution of norms, of the values of a Record or card."""
    keys = values["norm_shape"]
    return next((key.removeprefix("is_") for key in keys if key.startswith("is_")), "unknown")


def holds(condition: bool, sentence: str) -> str:
    """A sentence that the Records bear out.

    Raises:
        ValueError: they do not (any more).
    """
    if not condition:
        raise ValueError(f"the Records contradict: {sentence}")
    return sentence


def render(template: Path, tools: Mapping[str, Callable[..., Any]]) -> str:
    """A page of a Jinja template, which may call ``tools``."""
    import jinja2

    made = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True)
    return made.from_string(template.read_text()).render(**tools) + "\n"
