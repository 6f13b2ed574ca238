"""The ``claims`` command."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unlazy.arguments import DataName, Output
from unlazy.bench_inputs import (
    KEPT,
    Data,
    check_options,
    is_training_split,
    recognised,
    training_split,
)
from unlazy.claim_inputs import gather
from unlazy.cli_bench import tell_problems
from unlazy.inputs import Mistake, Options, Weights, backbone_of, labels_of, named_data
from unlazy.report.energy import Energy


def claims(
    *models: Annotated[str, Parameter(help="MODEL, or MODEL=FILE with local weights.")],
    output: Output = Path("runs/claims"),
    on: DataName = None,
    pictures: Annotated[
        int,
        Parameter(
            help="At most so many, evenly spread, are looked at, and learned from; the paper: 5000."
        ),
    ] = 5000,
    random: Annotated[
        bool,
        Parameter(negative="", help="Also test each MODEL with random weights, as a control."),
    ] = False,
    energy: Annotated[Energy, Parameter(name="*")] = Energy(),
    options: Options = Options(),
) -> None:
    """Test the five claims of *Do All Vision Transformers Need Registers?* on each MODEL.

    A page with verdicts (holds, does not hold, cannot tell) and a Record of each model. Claim 2
    takes several sizes of a family, claim 5 the same model with and without registers.
    """
    from unlazy import distributed
    from unlazy.data.spread import Spread
    from unlazy.report.claims.judge import judge, write_records
    from unlazy.report.claims.page import write_claims
    from unlazy.report.write import claim, naming, suffixes

    if not models:
        raise Mistake("name a MODEL or more; `unlazy list models` has them")
    if pictures < 1:
        raise Mistake("--pictures must be at least 1")
    data = _data(on, options.data)
    few = Spread(data.opened[False], pictures)
    data = dataclasses.replace(data, opened={False: few})
    with distributed.started():
        if distributed.on_main():
            claim(output)
        made = _loaded(models, random, options)
        evidence, failed = gather(made, data, options, keep=output / KEPT / "claims")
        judged = judge(evidence)
        if not distributed.on_main():
            return
        with naming(output):
            names = suffixes([each.evidence.label for each in judged])
            write_records(judged, output, names, energy)
            page = write_claims(judged, output, energy, failed)
        shutil.rmtree(output / KEPT / "claims", ignore_errors=True)
        with suppress(OSError):  # it holds what a run of other commands observed
            (output / KEPT).rmdir()
        _tell(judged, energy, failed)
        print(f"\nRecords: {output}\npage: {page}")


def _data(on: str | None, root: Path | None) -> Data:
    """The pictures, and a training split where there is one."""
    if root is None and on is None:
        raise Mistake(
            "claims needs --data FOLDER (`unlazy list data` names what it knows), or for a folder"
            " of photographs --on images:FOLDER"
        )
    try:
        name = on or recognised(root) if root is not None else str(on)
    except Mistake as problem:
        raise Mistake(f"{problem}; for a folder of photographs: --on images:{root}") from None
    evaluated = named_data(name, root)
    learned = is_training_split(name, evaluated)
    return Data(name, {False: evaluated}, None if learned else training_split(name, root)[0])


def _loaded(models: Sequence[str], random: bool, options: Options) -> list[tuple[str, Any]]:
    """(label, Backbone) of each model, then those of the controls."""
    kinds = [Weights(), Weights(random=True)] if random else [Weights()]
    backbones, words = [], []
    for weights in kinds:
        for model in models:
            name = model if not weights.random else _without_file(model)
            backbones.append(backbone_of(name, weights, options.size))
            check_options(options, backbones[-1])
            words.append(name)
    labels = labels_of(words[: len(models)], backbones[: len(models)])
    labels += [f"{label}, random weights" for label in labels[: len(backbones) - len(models)]]
    return list(zip(labels, backbones, strict=True))


def _without_file(model: str) -> str:
    from unlazy.inputs import own_weights

    return own_weights(model)[0]


def _tell(judged: Sequence[Any], energy: Energy, failed: Mapping[str, str]) -> None:
    """Verdicts as a table, reasons below."""
    from rich.console import Console

    from unlazy.report.claims.answer import CLAIMS

    console = Console(highlight=False, emoji=False, markup=False, soft_wrap=True)
    for claim in CLAIMS:
        console.print(f"{claim.number}. {claim.title}")
    rows = {each.evidence.label: [one.verdict for one in each.answers] for each in judged}
    rows |= {label: ["not measured"] * len(CLAIMS) for label in failed}
    console.print(_table(rows, [f"claim {claim.number}" for claim in CLAIMS], console.width))
    for each in judged:
        console.print(f"\n{each.evidence.label}")
        for sentence in each.record(energy).verdict:
            console.print(f"- {sentence}")
    for label, reason in failed.items():
        console.print(f"\n{label}\n- not measured: {reason}")
    hours = sum(each.hours() for each in judged)
    console.print(f"\n{energy.said(hours)}")
    tell_problems([record for each in judged for record in each.records(energy).values()])


def _table(rows: Mapping[str, Sequence[str]], claims: Sequence[str], width: int) -> Any:
    """Verdicts by model; lines end between words, never within a name.

    Args:
        rows: label of a model -> its verdicts.
        claims: headings of these.
        width: of the terminal; long names reach beyond.
    """
    from rich.table import Table

    def longest(texts: Iterable[str]) -> int:
        return max(len(word) for text in texts for word in text.split())

    name = longest(rows)
    room = (width - name - len("||  ")) // len(claims) - len("|  ")
    least = longest(verdict for verdicts in rows.values() for verdict in verdicts)
    table = Table()
    table.add_column("model", min_width=name)
    for claim in claims:
        table.add_column(claim, max_width=max(least, room))
    for label, verdicts in rows.items():
        table.add_row(label, *verdicts)
    return table
