"""Tables of numbers: those of every measure with what they mean, and those of a Record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unlazy.report.findings import Findings
from unlazy.report.meanings import interval, meaning, readable, title

GLANCE = {
    "accuracy": ("top1",),
    "norms": ("max_over_median", "share_over_3median"),
    "attention": ("top_mass",),
    "patch_score": tuple(
        f"point_in_box/{key}" for key in ("cosine", "centred_cosine", "chance", "centre")
    ),
}
"""The numbers that head a comparison."""


@dataclass(frozen=True)
class Cell:
    """A number and its interval as text."""

    value: str = ""
    interval: str = ""


@dataclass(frozen=True)
class Row:
    """One number of every model."""

    key: str
    meaning: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """All numbers of one measure."""

    title: str
    rows: tuple[Row, ...]


def tables(several: Sequence[Findings]) -> tuple[Table, ...]:
    """All numbers, one column a model, with what each means."""
    return tuple(table for table in _every_table(several) if table.rows)


def glance(several: Sequence[Findings]) -> Table:
    """The few numbers that tell models apart at first sight."""
    rows = tuple(
        row
        for measure in GLANCE
        for row in _table(several, measure, GLANCE[measure]).rows
        if any(cell.value for cell in row.cells)
    )
    return Table("At a glance", rows)


def _every_table(several: Sequence[Findings]) -> Iterator[Table]:
    measures = dict.fromkeys(name for each in several for name in each.record.values)
    for measure in measures:
        columns = (each.record.values.get(measure, {}) for each in several)
        keys = dict.fromkeys(key for column in columns for key in column)
        yield _table(several, measure, keys)


def _table(several: Sequence[Findings], measure: str, keys: Iterable[str]) -> Table:
    columns = [each.record.values.get(measure, {}) for each in several]
    rows = tuple(
        Row(key, meaning(measure, key), tuple(_cell(column.get(key)) for column in columns))
        for key in keys
    )
    return Table(title(measure), rows)


def _cell(estimate: Any) -> Cell:
    return Cell() if estimate is None else Cell(readable(estimate.value), interval(estimate))


def flattened(value: Any, path: str = "") -> list[tuple[str, str]]:
    """A nested mapping as (dotted path, text), in order.

    >>> flattened({"a": {"b": 1, "c": [2, 3]}})
    [('a.b', '1'), ('a.c', '2, 3')]
    """
    if isinstance(value, Mapping):
        pairs = ((f"{path}.{key}" if path else str(key), item) for key, item in value.items())
        return [row for name, item in pairs for row in flattened(item, name)]
    if isinstance(value, list | tuple):
        return [(path, ", ".join(str(item) for item in value))]
    return [(path, "none" if value is None else str(value))]
