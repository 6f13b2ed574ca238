"""Ours beside the paper's: figures out of Records, as Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlazy.report.reproduce import Planned
from unlazy.report.tables.row import Table
from unlazy.whole_files import write_whole

HEADINGS = ("", "model", "fix", "column", "ours", "95 % interval", "paper", "n", "state")
BRACKETS = "A figure of the paper in brackets is of other data, more data or another model."


@dataclass(frozen=True)
class Result:
    """A figure of the table after its run.

    Attributes:
        planned: what it is.
        ours, low, high: in the paper's unit; None where it was not measured.
        n: pictures that it rests on.
        reason: why it was not measured; "" if it was.
    """

    planned: Planned
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    reason: str = ""

    @property
    def comparable(self) -> bool:
        """Measured, and nothing stands in for what the paper has."""
        return self.ours is not None and not self.planned.stand_ins

    @property
    def state(self) -> str:
        """In words."""
        if self.ours is None:
            return f"not run: {self.reason}"
        stand_ins = self.planned.stand_ins
        return f"stand-in: {'; '.join(stand_ins)}" if stand_ins else "measured"


def result(planned: Planned, failed: Mapping[Path, str]) -> Result:
    """A figure out of its Record; ``failed`` has why runs gave none as yet, by folder."""
    if planned.missing:
        return Result(planned, reason="; ".join(planned.missing))
    if planned.folder in failed:
        return Result(planned, reason=failed[planned.folder])
    record = json.loads(planned.record.read_text())
    head = record["benchmark"]["headline"]
    values = record["values"].get(head["measure"], {})
    found = values.get(planned.row.key or head["key"])
    if found is None or found["value"] is None:
        return Result(planned, reason="no picture allowed it")
    scale = head["scale"] if planned.row.scale is None else planned.row.scale
    low, value, high = (
        None if found[key] is None else found[key] * scale for key in ("low", "value", "high")
    )
    counted = values.get(head["count"])
    n = record["data"]["n"] if counted is None else round(counted["value"])
    return Result(planned, value, low, high, n)


def footnotes(table: Table) -> list[str]:
    """Of the table, then of its rows, each once; a note's number is its place, from 1."""
    notes = [*table.notes, *(note for row in table.rows for note in row.notes)]
    return list(dict.fromkeys(notes))


def cells(results: Sequence[Result], notes: Sequence[str]) -> list[tuple[str, ...]]:
    """Lines under ``HEADINGS``; the paper's figure is in brackets where it is not comparable."""
    lines = []
    for place, each in enumerate(results, start=1):
        row = each.planned.row
        digits = 1 if row.scale is None else 2
        ours = "–" if each.ours is None else f"{each.ours:.{digits}f}"
        interval = "" if each.low is None else f"{each.low:.{digits}f} to {each.high:.{digits}f}"
        paper = "–" if row.paper is None else f"{row.paper:.{digits}f}"
        if each.ours is not None and not each.comparable:
            paper = f"({paper})"
        marks = "".join(f"[{notes.index(note) + 1}]" for note in row.notes)
        state = "stand-in" if each.planned.stand_ins else "measured"
        state = "not run" if each.ours is None else state
        lines.append(
            (
                *(str(place), f"{row.model} {marks}".strip(), row.fix, row.column, ours),
                *(interval, paper, "" if each.n is None else str(each.n), state),
            )
        )
    return lines


def as_markdown(table: Table, results: Sequence[Result]) -> str:
    """Table, commands, what was not run or stands in, and footnotes."""
    notes = footnotes(table)
    lines = [f"# {table.title}", "", _line([*HEADINGS, "command"])]
    lines.append(_line(["---"] * (len(HEADINGS) + 1)))
    for line, each in zip(cells(results, notes), results, strict=True):
        command = each.planned.command
        lines.append(_line([*line, f"`{command}`" if command else "–"]))
    lines += ["", BRACKETS]
    odd = [
        f"{place}. {each.planned.row.model}, {each.planned.row.column}: {each.state}"
        for place, each in enumerate(results, start=1)
        if not each.comparable
    ]
    if odd:
        lines += ["", "Not measured, or not as in the paper:", "", *odd]
    if notes:
        lines += ["", "Notes:", ""]
        lines += [f"[{place}] {note}  " for place, note in enumerate(notes, start=1)]
    return "\n".join([*lines, ""])


def as_json(table: Table, results: Sequence[Result]) -> dict[str, Any]:
    """The same for programs; paths of Records as they were given."""
    notes = footnotes(table)
    rows = []
    for each in results:
        planned, row = each.planned, each.planned.row
        rows.append(
            {
                **{"model": row.model, "fix": row.fix, "column": row.column},
                **{"ours": each.ours, "low": each.low, "high": each.high, "n": each.n},
                **{"paper": row.paper, "comparable": each.comparable, "state": each.state},
                **{"benchmark": row.benchmark, "settings": list(row.settings), "key": row.key},
                **{"data": row.data, "on": planned.data, "ran": planned.model},
                "command": planned.command,
                "record": None if each.ours is None else str(planned.record),
                "notes": [notes.index(note) + 1 for note in row.notes],
            }
        )
    return {"table": table.name, "title": table.title, "rows": rows, "notes": notes}


def write_results(table: Table, results: Sequence[Result], out: Path) -> Path:
    """``TABLE.md`` and ``TABLE.json`` in a folder; returns the first."""
    out.mkdir(parents=True, exist_ok=True)
    page = out / f"{table.name}.md"
    write_whole(page, as_markdown(table, results).encode())
    content = json.dumps(as_json(table, results), indent=1, ensure_ascii=False)
    write_whole(page.with_suffix(".json"), content.encode())
    return page


def _line(parts: Sequence[str]) -> str:
    return "| " + " | ".join(part.replace("|", "\\|") for part in parts) + " |"
