"""The ``reproduce`` command."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unlazy.arguments import Output
from unlazy.bench_inputs import benchmark_data
from unlazy.cli_bench import run_all
from unlazy.cli_probe import run_together
from unlazy.earlier_records import identity_of, mark_measured, measured_before
from unlazy.inputs import Mistake, Options, Weights, backbone_of, device_of
from unlazy.report.energy import Energy


def reproduce(
    table: str,
    /,
    *,
    data: Annotated[Path | None, Parameter(help="Folder of the data, or around several.")] = None,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Print what can be run here and what is missing; stop.")
    ] = False,
    on: Annotated[
        str | None, Parameter(help="Data that stand in for the paper's: NAME or NAME:SPLIT.")
    ] = None,
    models: Annotated[
        list[str],
        Parameter(name="--model", negative="", help="NAME=MODEL: MODEL is the table's NAME."),
    ] = [],  # noqa: B006
    output: Output = Path("runs/reproduce"),
    batch_size: Annotated[int | None, Parameter(help="Images a forward pass.")] = None,
    workers: Annotated[int | None, Parameter(help="Decoding processes.")] = None,
    device: Annotated[str | None, Parameter(help="cpu, cuda, cuda:1, ...")] = None,
    throughput: Annotated[
        float | None,
        Parameter(
            help="With --dry-run: pictures a second of ViT-B/16 at 224 px, from which hours are"
            " estimated; default: timed here."
        ),
    ] = None,
    energy: Annotated[Energy, Parameter(name="*")] = Energy(),
) -> None:
    """Run what TABLE of a paper needs, as far as it is here: ours, paper, n and command.

    See `unlazy list tables`. Nothing is downloaded. A figure on other data or of another model than
    the paper's is marked as a stand-in.
    """
    from unlazy.catalog import find
    from unlazy.report.reproduce import Choices, plan
    from unlazy.report.reproduced import result, write_results
    from unlazy.report.write import claim

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise Mistake("reproduce is one process; run its commands under torchrun -m unlazy instead")
    wanted = find("tables", table)()
    planned = plan(wanted, Choices(data, on, _models(models), output))
    if dry_run:
        _tell_plan(wanted, planned)
        _tell_costs(planned, throughput, device, energy)
        return
    if throughput is not None or energy != Energy():
        raise Mistake("--throughput and energy are of the plan: add --dry-run")
    if data is None and on is None:
        raise Mistake(f"{table} needs --data FOLDER, or --dry-run")
    claim(output)
    options = Options(data=data, batch_size=batch_size, workers=workers, device=device)
    failed = _run_all(wanted, planned, options, output)
    results = [result(row, failed) for row in planned]
    _tell(wanted, results)
    print(f"\ntable: {write_results(wanted, results, output)}")


def _run_all(
    wanted: Any, planned: Sequence[Any], options: Options, output: Path
) -> dict[Path, str]:
    """Every run that can be done, with the table written after each; folder -> why it failed."""
    from unlazy.report.reproduce import runnable
    from unlazy.report.reproduced import result, write_results

    turns = runnable(planned)
    failed = {each.folder: "its turn has not come" for each in turns}
    for each in turns:
        print(f"\n{each.command}", flush=True)
        try:
            _run(each, options)
            del failed[each.folder]
        except (Mistake, ValueError, OSError, ImportError) as problem:
            failed[each.folder] = str(problem)
            print(f"not run: {problem}")
        write_results(wanted, [result(row, failed) for row in planned], output)
    return failed


def _run(planned: Any, options: Options) -> None:
    """Measure what a figure needs, unless the same was measured before: also for another table."""
    from unlazy import distributed
    from unlazy.catalog import find
    from unlazy.report.write import claim
    from unlazy.settings import override

    is_probe = planned.kind == "probe"
    table = "probes" if is_probe else "benchmarks"
    chosen = override(find(table, planned.row.benchmark)(), planned.row.settings)
    data = benchmark_data([chosen], planned.data, options.data)
    options = dataclasses.replace(options, size=planned.side)
    with distributed.started():
        claim(planned.folder)
        backbone = backbone_of(planned.model, Weights(), planned.side).to(device_of(options.device))
        known = identity_of(backbone, data, chosen, options)
        if measured_before(planned.record, known) is not None:
            print(f"measured before: {planned.record}")
            return
        planned.record.unlink(missing_ok=True)  # of other weights or data
        run = run_together if is_probe else run_all
        run([chosen], backbone, data, options, planned.folder)
        if known:
            mark_measured(planned.record, known)


def _models(words: Sequence[str]) -> dict[str, str]:
    """NAME=MODEL, of which only MODEL may have a further ``=``."""
    found = {}
    for word in words:
        name, equals, model = word.partition("=")
        if not (equals and name and model):
            raise Mistake(f'{word!r}: write --model "NAME=MODEL", NAME as the table has it')
        found[name] = model
    return found


def _tell_plan(wanted: Any, planned: Sequence[Any]) -> None:
    """What can be run, what not; then what is missing, each once."""
    from unlazy.report.reproduced import footnotes

    missing = list(dict.fromkeys(what for each in planned for what in each.missing))
    letters = {what: f"({_letter(place)})" for place, what in enumerate(missing)}
    print(wanted.title)
    for place, each in enumerate(planned, start=1):
        row = each.row
        paper = (
            "no figure" if row.paper is None else f"{row.paper:.{1 if row.scale is None else 2}f}"
        )
        state = "stand-in" if each.stand_ins else "ready"
        if each.missing:
            state = f"missing {' '.join(letters[what] for what in each.missing)}"
        fix = f", {row.fix}" if row.fix else ""
        print(f"\n{place}. {row.model}, {row.column}{fix}: paper {paper}: {state}")
        for what in each.stand_ins:
            print(f"   stand-in: {what}")
        if each.command:
            print(f"   {each.command}")
    if missing:
        print("\nMissing here:")
    for what, letter in letters.items():
        print(f"{letter} {what}")
    _tell_notes(wanted, footnotes(wanted))
    ready = sum(not each.missing for each in planned)
    print(f"\n{ready} of {len(planned)} figures can be measured here")


def _tell_costs(
    planned: Sequence[Any], throughput: float | None, device: str | None, energy: Energy
) -> None:
    """An estimate of each run, where its row says what passes through the model."""
    if throughput is not None and not throughput > 0:
        raise Mistake(f"--throughput is {throughput}; it must be above 0")
    if not any(each.row.pictures for each in planned):
        return
    from unlazy.report.cost import costs, measured_throughput

    chosen = device_of(device)
    source = "as given" if throughput else f"timed on this machine's {chosen}"
    rate = throughput or measured_throughput(chosen)
    print(f"\nEstimates, from {rate:.3g} pictures a second of ViT-B/16 at 224 px ({source}),")
    print("forward passes alone, in float32, other models by their operations:")
    found = costs(planned, rate)
    for each, cost in found:
        print(f"- {each.row.model}, {each.row.benchmark}: {cost.said(energy)}")
    print(f"all of them: {energy.said(sum(cost.hours for _, cost in found))}")
    if energy.power is None:
        print("energy takes --power KW; nothing is assumed")


def _letter(place: int) -> str:
    """a, b, ..., z, aa, ab, ...

    >>> _letter(0), _letter(27)
    ('a', 'ab')
    """
    more, last = divmod(place, 26)
    return (_letter(more - 1) if more else "") + chr(ord("a") + last)


def _tell(wanted: Any, results: Sequence[Any]) -> None:
    """The table, then a command a line, so that it can be pasted."""
    from rich.console import Console
    from rich.table import Table

    from unlazy.report.reproduced import BRACKETS, HEADINGS, cells, footnotes

    notes = footnotes(wanted)
    shown = Table(title=wanted.title, title_justify="left")
    kept = [place for place, name in enumerate(HEADINGS) if name not in ("fix", "95 % interval")]
    for place in kept:
        shown.add_column(HEADINGS[place], no_wrap=HEADINGS[place] != "model")
    for line in cells(results, notes):
        shown.add_row(*(line[place].replace("[", "\\[") for place in kept))
    print()
    Console().print(shown)
    print(BRACKETS)
    for place, each in enumerate(results, start=1):
        print(f"\n{place}. {each.planned.command or each.planned.row.model}")
        if not each.comparable:
            print(f"   {each.state}")
    _tell_notes(wanted, notes)


def _tell_notes(wanted: Any, notes: Sequence[str]) -> None:
    if notes:
        print("\nNotes:")
    for place, note in enumerate(notes, start=1):
        print(f"[{place}] {note}" + ("" if note in wanted.notes else _whose(wanted, note)))


def _whose(wanted: Any, note: str) -> str:
    models = dict.fromkeys(row.model for row in wanted.rows if note in row.notes)
    return f" ({', '.join(models)})"
