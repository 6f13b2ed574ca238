"""What a table of a paper needs, what of it is here, and the command of each of its figures."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from unlazy.backbones.cached import is_cached
from unlazy.catalog import UnknownName, find, suggest, table
from unlazy.data.expected import EXPECTED, Expected, Found, look
from unlazy.report.numbers import flattened
from unlazy.report.tables.row import Local, NotHad, Pretrained, Row, Table, Trained
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
        missing: what keeps it from being run, and where that is had.
        stand_ins: what is not as in the paper; a figure with any is not comparable.
    """

    row: Row
    model: str
    data: str
    root: Path | None
    folder: Path
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
        if self.root is not None or _parts(self.data):
            words += ["--data", "ROOT" if self.root is None else str(self.root)]
        words += ["--on", self.data]
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
        model, lacking, other_model = _model(row, given)
        data = _data(row.data, choices.on)
        words = (model or row.model, row.benchmark, data, *row.settings)
        folder = folders.setdefault(words, _folder(choices.output, words, folders.values()))
        if not model:
            found.append(Planned(row, "", data, choices.root, folder, (lacking,)))
            continue
        needs, unbuilt = _needs(row)
        absent, partial = state(data, choices.root, masks="masks" in needs)
        learned = _training(data, needs)
        unlearned = state(learned, choices.root, masks=False)[0] if learned else ""
        instead = f"{data} instead of {row.data}" if data != row.data else ""
        found.append(
            Planned(
                *(row, model, data, choices.root, folder),
                missing=tuple(
                    each for each in (unbuilt, lacking, _file(row), absent, unlearned) if each
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
    return split if "training" in needs and _parts(split) else ""


def _file(row: Row) -> str:
    """What is missing of a file that a setting names; it is looked for in the current folder."""
    return f"{row.file}, from {row.where}" if row.file and not Path(row.file).is_file() else ""


def _model(row: Row, given: str | None) -> tuple[str, str, str]:
    """MODEL, what is missing of it, and what it is instead of the paper's."""
    origin = row.origin
    if given is not None:
        model, _, file = given.partition("=")
        if isinstance(origin, Local) and (model, Path(file).name) == (origin.model, origin.file):
            return given, "", ""
        if not isinstance(origin, Trained):
            return given, "" if file else _published(model), f"model {given}"
        other = _other_run(given, origin)
        if origin.step and not other:
            other = f"model {given}: whether it is the step {origin.step} is not checked"
        return given, "" if file else _published(model), other
    if isinstance(origin, NotHad):
        return "", origin.reason, ""
    if isinstance(origin, Pretrained):
        return origin.model, _published(origin.model), ""
    use = f'--model "{row.model}='
    if isinstance(origin, Local):
        return (
            f"{origin.model}={origin.file}",
            f'weights {origin.file}, from {origin.where}; then {use}{origin.model}=FILE"',
            "",
        )
    public = f"; the paper's weights: {origin.public}" if origin.public else ""
    train = f"train it ({origin.data}, takes GPUs): {origin.command}{public}"
    model = f"file:{origin.run}"
    if origin.step:
        reason = (
            f'{train}; then, of the kept steps, the one {origin.step}: {use}{model}/steps/STEP"'
        )
        return f"{model}/steps/STEP", reason, ""
    other = _other_run(model, origin)
    return model, f"{other}; {train}" if other else "", ""


def _published(model: str) -> str:
    """What is missing of published weights, and what fetches them."""
    try:
        here = is_cached(model)
    except ImportError as error:
        return str(error)
    return "" if here else f"published weights, not on this machine: unlazy doctor {model} fetches"


def _other_run(model: str, origin: Trained) -> str:
    """Why a MODEL is not the finished run of a recipe; "" if it is.

    Whatever of the recipe differs is named, but for what says only how a run runs.
    """
    scheme, _, folder = model.partition(":")
    files = [Path(folder) / name for name in ("recipe.json", "model.safetensors")]
    if scheme != "file" or not all(file.is_file() for file in files):
        return f"model {model} is no finished run of {origin.recipe}"
    wanted = override(find("recipes", origin.recipe)(), origin.words)
    asked, there = (
        {key: text for key, text in flattened(each) if key.partition(".")[0] not in ignored}
        for ignored in [{"name", *wanted.of_the_machine}]
        for each in (dataclasses.asdict(wanted), json.loads(files[0].read_text()))
    )
    other = [
        f"{key} {there.get(key, 'not said')} instead of {text}"
        for key, text in asked.items()
        if there.get(key) != text
    ]
    return f"model {model} is a run of other settings ({', '.join(other)})" if other else ""


def data_state(name: str, root: Path | None, *, masks: bool) -> tuple[str, str]:
    """What is missing of a data set, and what of it is there in part; "" for nothing.

    Data that are not among the known ones are taken as they are.

    Args:
        name: as ``--on`` takes it.
        root: their folder; None: not said.
        masks: whether they are needed with masks.
    """
    parts = _parts(name)
    if not parts:
        return "", ""
    part = next((each for each in parts if ("masks" in each.part) == masks), parts[0])
    if root is None:
        return f"data {part.name} {part.part} (give --data ROOT), from {part.where}", ""
    found = look(part, root)
    if found.missing:
        return f"data {part.name} {part.part}: {found.missing}; from {part.where}", ""
    return "", "" if found.complete else _in_part(found)


def _parts(name: str) -> list[Expected]:
    """What is known of a data set; more than one where no split is named, or masks are apart."""
    kind, _, split = name.partition(":")
    return [
        each
        for each in EXPECTED
        if each.name == kind and split in ("", each.part.partition(" ")[0])
    ]


def _in_part(found: Found) -> str:
    counts = (
        f"{found.counts.get(what, 0):,} of {count:,} {what}"
        for what, count in found.expected.counts.items()
    )
    return f"{found.expected.name} in part ({', '.join(counts)})"


def runnable(planned: Sequence[Planned]) -> list[Planned]:
    """One of each run that can be done: several figures may come from it."""
    return list({each.folder: each for each in planned if not each.missing}.values())
