"""What a report shows of Records that other commands wrote: claims and threshold sweeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unlazy.benchmarks.probe_sweep import WORDS, asked, curves, sets_of
from unlazy.ledger import Estimate
from unlazy.report import plots
from unlazy.report.claims.answer import answers_of
from unlazy.report.claims.shown import shown
from unlazy.report.findings import Beside, Findings
from unlazy.report.meanings import interval, readable
from unlazy.report.numbers import Cell
from unlazy.report.records import CLAIMS, SWEEP


@dataclass(frozen=True)
class SweepTable:
    """Numbers of a sweep by set of tokens: ``groups`` of (set, a cell a heading)."""

    headings: tuple[str, ...]
    groups: tuple[tuple[tuple[str, tuple[Cell, ...]], ...], ...]


def claims(several: Sequence[Findings]) -> list[dict[str, Any]]:
    """Every Record of claims, with its answers as the template's ``answer`` takes them."""
    return [
        {
            **_origin(label, each),
            "answers": [
                (claim, shown(answer, label=label))
                for claim, answer in answers_of(each.record.benchmark["claims"])
            ],
        }
        for label, each in _of(several, CLAIMS)
    ]


def sweeps(several: Sequence[Findings]) -> list[dict[str, Any]]:
    """Every Record of a threshold sweep: its plots, its table and what is said of it."""
    found = []
    for turn, (label, each) in enumerate(_of(several, SWEEP)):
        values = each.record.values["threshold_sweep"]
        drawn = curves({key: one.value for key, one in values.items()})
        found.append(
            {
                **_origin(label, each),
                "curves": plots.titled(drawn, name=f"sweep{turn}"),
                "table": table(values),
                "notes": each.record.verdict,
            }
        )
    return found


def table(values: Mapping[str, Estimate]) -> SweepTable:
    """Numbers ``VALUE/SET`` of a sweep, a set a row: nested ones, then tenths by norm."""
    nested, tenths = sets_of(values)
    wanted = (asked(values), "distance", "entropy", "tokens")
    keys = [key for key in wanted if any(name.startswith(f"{key}/") for name in values)]
    last = max(tenths.values(), default=0)
    ends = {1: ", lowest norms", last: ", highest norms"}
    rows = (
        [
            ("all tokens" if top == 100 else f"highest {top:g} %", name)
            for name, top in nested.items()
        ],
        [(f"tenth {place}{ends.get(place, '')}", name) for name, place in tenths.items()],
    )
    return SweepTable(
        tuple((WORDS | {"tokens": "tokens"})[key] for key in keys),
        tuple(
            tuple(
                (said, tuple(_cell(values, f"{key}/{name}") for key in keys))
                for said, name in group
            )
            for group in rows
        ),
    )


def _cell(values: Mapping[str, Estimate], key: str) -> Cell:
    found = values.get(key)
    return Cell() if found is None else Cell(readable(found.value), interval(found))


def _of(several: Sequence[Findings], kind: str) -> Iterator[tuple[str, Beside]]:
    """(label of the model, Record) of one kind."""
    for findings in several:
        for each in findings.beside:
            if each.record.benchmark["name"] == kind:
                yield findings.label, each


def _origin(label: str, one: Beside) -> dict[str, Any]:
    """On what a Record was measured, and how it is measured again."""
    data = one.record.data
    return {
        "label": label,
        "pictures": data["n"],
        "skipped": data.get("skipped", 0),
        "training": data.get("training", {}).get("n"),
        "source": str(data["source"]),
        "file": f"{one.path.parent.name}/{one.path.name}",
        "version": one.record.benchmark["version"],
        "others": one.others,
        "command": one.command,
    }
