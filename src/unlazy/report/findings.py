"""Findings: all that a page needs to know of one model on one set of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unlazy.ledger import Measure
from unlazy.measure import Measured
from unlazy.report.record import Record
from unlazy.tokens import Facts


@dataclass(frozen=True)
class Beside:
    """A Record that another command wrote of the same model.

    Attributes:
        path: its file.
        record: as it was written.
        command: line for a shell that measures it again.
        others: the models that were judged with it, if any.
    """

    path: Path
    record: Record
    command: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """One column of a page.

    Attributes:
        label: how the page calls this model.
        facts: of the model.
        record: the numbers, as written to ``record.json``.
        measures: name -> measure, as it was run.
        measured: what the measures saw.
        shown: indices of the pictures on the page, in order, readable ones only.
        high: the same at high resolution (norms and attention only), if it was asked for.
        beside: Records of claims and threshold sweeps, which the page shows too.
    """

    label: str
    facts: Facts
    record: Record
    measures: Mapping[str, Measure]
    measured: Measured
    shown: tuple[int, ...]
    high: Findings | None = None
    beside: tuple[Beside, ...] = ()
