"""What a table of a paper needs, what of it is here, and the command of each of its figures."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from unlazy.catalog import UnknownName, find, suggest, table
from unlazy.report.missing import data_state, missing_file, model_of, parts_of
from unlazy.report.tables.row import Row, Table
from unlazy.report.write import slug
from unlazy.settings import override


@dataclass(frozen=True)
class Choices:
    """What a user has and wants.

    Attributes:
        root: folder of the data; None: not said.
        on: data set that stands in for the paper's; None: none does.
        models: name in the paper -> MODEL that stands in for it.
        output: folder of Records and table.
    """

    root: Path | None = None
    on: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    output: Path = Path("runs/reproduce")


@dataclass(frozen=True)
class Planned:
    """A figure of the paper, as it can be had here.

    Attributes:
        row: of the table.
        model: MODEL; "" where there is none.
        data: as ``--on`` takes it.
        root: folder of the data, or None.
        folder: of its Record; figures of one run share it.
        side: of the pictures in pixels; None: the model's own.
        missing: what keeps it from being run, and where that is had.
        stand_ins: what is not as in the paper; a figure with any is not comparable.
    """

    row: Row
    model: str
    data: str
    root: Path | None
    folder: Path
    side: int | None = None
    missing: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()

    @property
    def record(self) -> Path:
        """File of its Record."""
        return self.folder / f"{self.row.benchmark}.json"

    @property
    def kind(self) -> Literal["bench", "probe"]:
        """The command that runs it."""
        return "probe" if self.row.benchmark in table("probes") else "bench"

    @property
    def command(self) -> str:
        """Line for a shell; "" where there is no model."""
        if not self.model:
            return ""
        words = ["unlazy", self.kind, self.model, self.row.benchmark]
        if self.root is not None or parts_of(self.data):
            words += ["--data", "ROOT" if self.root is None else str(self.root)]
        words += ["--on", self.data]
        if self.side is not None:
            words += ["--size", str(self.side)]
        for each in self.row.settings:
            words += ["--set", each]
        return shlex.join([*words, "-o", str(self.folder)])


def plan(wanted: Table, choices: Choices) -> list[Planned]:
    """Every figure of a table, in its order. Nothing is run and no network is used.

    Raises:
        UnknownName: a model stands in for one that the table has not.
    """
    known = {row.model for row in wanted.rows}
    for name in choices.models:
        if name not in known:
            raise UnknownName(f"{wanted.name} has no model {name!r}; {suggest(name, known)}")
    state = cache(data_state)  # pictures are counted once
    folders: dict[tuple[str, ...], Path] = {}
    found = []
    for row in wanted.rows:
        given = choices.models.get(row.model)
        model, lacking, other_model = model_of(row, given)
        data = _data(row.data, choices.on)
        side = row.side if given is None else None
        sized = () if side is None else (f"{side}px",)
        words = (model or row.model, row.benchmark, data, *sized, *row.settings)
        folder = folders.setdefault(words, _folder(choices.output, words, folders.values()))
        if not model:
            found.append(Planned(row, "", data, choices.root, folder, missing=(lacking,)))
            continue
        needs, unbuilt = _needs(row)
        absent, partial = state(data, choices.root, needs=needs & {"boxes", "masks"})
        learned = _training(data, needs)
        unlearned = state(learned, choices.root, needs=frozenset())[0] if learned else ""
        instead = f"{data} instead of {row.data}" if data != row.data else ""
        found.append(
            Planned(
                *(row, model, data, choices.root, folder, side),
                missing=tuple(
                    each
                    for each in (unbuilt, lacking, missing_file(row), absent, unlearned)
                    if each
                ),
                stand_ins=tuple(each for each in (other_model, instead, partial) if each),
            )
        )
    return found


def _folder(output: Path, words: Sequence[str], taken: Iterable[Path]) -> Path:
    """For a run's Record: named after it, with a number where another run's looks alike."""
    plain, taken = output / "records" / slug("-".join(words)), set(taken)
    tries = (plain, *(plain.with_name(f"{plain.name}-{turn}") for turn in range(2, len(taken) + 2)))
    return next(each for each in tries if each not in taken)


def _data(wanted: str, on: str | None) -> str:
    """The data that were chosen; a bare name of the row's own data means the row's split."""
    return wanted if on in (None, wanted.partition(":")[0]) else str(on)


def _needs(row: Row) -> tuple[frozenset[str], str]:
    """What its benchmark or probe needs, and why it cannot be run, if so."""
    kind = next((each for each in ("benchmarks", "probes") if row.benchmark in table(each)), "")
    if not kind:
        return frozenset(), f"benchmark {row.benchmark}: not built"
    return override(find(kind, row.benchmark)(), row.settings).needs, ""


def _training(data: str, needs: frozenset[str]) -> str:
    """The split to learn from; "" where nothing learns, or the data have no known one."""
    split = f"{data.partition(':')[0]}:train"
    return split if "training" in needs and parts_of(split) else ""


def runnable(planned: Sequence[Planned]) -> list[Planned]:
    """One of each run that can be done: several figures may come from it."""
    return list({each.folder: each for each in planned if not each.missing}.values())
