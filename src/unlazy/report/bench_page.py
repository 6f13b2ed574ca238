"""The page of a bench run: headlines beside published figures, hits and misses, all numbers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlazy.catalog import summary
from unlazy.report import numbers, plots
from unlazy.report.bench import Outcome
from unlazy.report.meanings import interval, meaning, readable, title
from unlazy.report.numbers import Cell, Row, Table
from unlazy.report.page import fill
from unlazy.report.sheets import painted
from unlazy.whole_files import write_whole

SECTION = re.compile(
    r'<section class="benchmark" id="(?P<name>[^"]+)" data-record="(?P<mark>\w+)">.*?</section>',
    re.DOTALL,
)
"""One benchmark on a page; text in it is escaped, so nothing else can end it."""


@dataclass(frozen=True)
class Line:
    """A row of the comparison: measured by us, a baseline, or published."""

    name: str
    value: str
    interval: str
    pictures: str
    source: str
    role: str


def write_bench_page(outcomes: Sequence[Outcome], out: Path) -> Path:
    """Write ``index.html`` of one model's benchmarks into the folder ``out``; returns its path.

    What the page that is there shows of other benchmarks, whose Records are still those in the
    folder, stays on it, pictures included.

    Raises:
        OSError: the folder cannot be written; a page that was there stays.
    """
    path = out / "index.html"
    own = {each.benchmark.name for each in outcomes}
    earlier = [text for name, text in _earlier(path) if name not in own]
    write_whole(path, render(outcomes, earlier).encode())
    return path


def _earlier(page: Path) -> Iterator[tuple[str, str]]:
    """(benchmark, its section) of a page that was written before, as far as Records bear it out."""
    if not page.is_file():
        return
    for found in SECTION.finditer(page.read_text(encoding="utf-8", errors="replace")):
        record = page.with_name(f"{found['name']}.json")
        if (
            record.is_file()
            and _mark(record.read_text(encoding="utf-8", errors="replace")) == found["mark"]
        ):
            yield found["name"], found[0]


def _mark(record: str) -> str:
    """By which a section knows its Record."""
    return hashlib.sha256(record.encode()).hexdigest()


def render(outcomes: Sequence[Outcome], earlier: Sequence[str] = ()) -> str:
    """The page as text, with sections of an earlier page first."""
    first = outcomes[0].record
    content = {
        "kind": "bench",
        "first": "results",
        "title": str(first.model["name"]),
        "fix": first.fix,
        "random": first.model.get("weights") == "random",
        "earlier": earlier,
        "benchmarks": [_benchmark(each) for each in outcomes],
    }
    return fill("bench.html.j2", content)


def _benchmark(outcome: Outcome) -> dict[str, Any]:
    """One section of the page."""
    record, benchmark = outcome.record, outcome.benchmark
    plain = json.loads(record.to_json())
    parts = ("parameters", "data", "timing", "environment", "model")
    return {
        "name": benchmark.name,
        "mark": _mark(record.to_json()),
        "source": str(record.data["source"]),
        "version": benchmark.version,
        "about": summary(type(benchmark)),
        "percent": benchmark.headline.scale == 100,
        "lines": _lines(outcome),
        "published": bool(outcome.published()),
        "paper_a": any(row.source.startswith("A,") for row in outcome.published()),
        "paper_b": any(row.source.startswith("B,") for row in outcome.published()),
        "notes": record.verdict,
        "sheet": painted(outcome.sheet),
        "curves": plots.titled(outcome.sheet.curves, name=benchmark.name),
        "tables": _tables(outcome),
        "skipped": record.skipped,
        "problems": dict(record.data.get("problems", {})),
        "sections": [
            (part, numbers.flattened({k: v for k, v in plain[part].items() if k != "problems"}))
            for part in parts
        ],
    }


def _lines(outcome: Outcome) -> list[Line]:
    """Ours first, then baselines and published figures."""
    name, pictures = outcome.record.model["name"], str(outcome.counted())
    head = outcome.benchmark.headline
    text, baselines = head.text, dict(head.baselines)
    found = [
        Line(
            who,
            text(each.value),
            ""
            if each.low is None or each.high is None
            else f"{text(each.low)} to {text(each.high)}",
            pictures,
            "measured here",
            "baseline" if who in baselines else "ours",
        )
        for who, each in outcome.compared()
    ]
    if not found:
        found = [Line(name, "–", "", "0", "no picture allowed it", "ours")]
    for row in outcome.published():
        source = f"{row.source}, {row.data}" + (f" ({row.note})" if row.note else "")
        found.append(Line(row.model, text(row.value), "", "", source, "published"))
    return found


def _tables(outcome: Outcome) -> list[Table]:
    """Every number of the Record."""
    found = []
    for measure, values in outcome.record.values.items():
        rows = tuple(
            Row(key, meaning(measure, key), (Cell(readable(each.value), interval(each)),))
            for key, each in values.items()
        )
        found.append(Table(title(measure), rows))
    return found
