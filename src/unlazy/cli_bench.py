"""The ``bench`` command."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unlazy.arguments import OUTPUT, BenchmarkName, BenchmarkSettings, DataName, FixName
from unlazy.bench_inputs import (
    KEPT,
    Data,
    benchmark_data,
    check_options,
    folder_of,
    refuse_others,
    run_one,
)
from unlazy.console import progress, tell_fix
from unlazy.inputs import (
    Mistake,
    Options,
    Weights,
    backbone_of,
    device_of,
    fixed_of,
)


def bench(
    model: str,
    /,
    *benchmarks: BenchmarkName,
    output: Annotated[
        Path | None,
        Parameter(name=OUTPUT, help="Default: runs/bench/MODEL, with the fix's name."),
    ] = None,
    on: DataName = None,
    fix: FixName = None,
    settings: BenchmarkSettings = [],  # noqa: B006
    cache: Annotated[
        Path | None,
        Parameter(help="Folder for traces: what MODEL left of these pictures is read there again."),
    ] = None,
    weights: Weights = Weights(),
    options: Options = Options(),
) -> None:
    """Run benchmarks of MODEL on labelled data: a Record each, published figures beside it.

    Also under torchrun -m unlazy bench. A fix that is named is calibrated on the pictures.
    """
    from unlazy import distributed
    from unlazy.settings import chosen_of

    if not benchmarks:
        raise Mistake("name a benchmark; `unlazy list benchmarks` has them")
    chosen = chosen_of("benchmarks", benchmarks, settings)
    data = benchmark_data(chosen, on, options.data)
    folder = output or folder_of("bench", model, weights, fix)
    with distributed.started():
        backbone = evaluated_model(model, weights, data, options, fix=fix, output=folder)
        run_all(chosen, backbone, data, options, folder, cache=cache)


def evaluated_model(
    model: str, weights: Weights, data: Data, options: Options, *, fix: str | None, output: Path
) -> Any:
    """The model, under its fix if it has one, once the folder is found to take its Records.

    On all ranks. A fix that is named is calibrated on the pictures.
    """
    from unlazy import distributed
    from unlazy.report.write import claim

    if distributed.on_main():
        claim(output)
    backbone = backbone_of(model, weights, options.size).to(device_of(options.device))
    check_options(options, backbone)
    if distributed.on_main():
        refuse_others(output, backbone, fix)
    if fix is None:
        return backbone
    pictures = next(iter(data.opened.values()))
    return tell_fix(fixed_of(fix, backbone, pictures, [data.name], options, progress))


def run_all(
    chosen: Sequence[Any],
    backbone: Any,
    data: Data,
    options: Options,
    output: Path,
    *,
    cache: Path | None = None,
) -> None:
    """Run benchmarks of one model; write and tell what came of them. On all ranks."""
    from unlazy import distributed
    from unlazy.traces import TraceFiles

    outcomes, traces = [], None if cache is None else TraceFiles(cache, backbone)
    for each in chosen:
        kept = output / KEPT / each.name
        outcome = run_one(each, backbone, data, options, keep=kept, traces=traces)
        outcomes.append(outcome)
        if distributed.on_main():
            write_records(outcome, output)
    if distributed.on_main():
        finish(outcomes, output, [each.name for each in chosen])
        if traces is not None:
            print(f"traces: {traces.found} batches read, {traces.run} run; in {traces.folder}")


def write_records(outcome: Any, output: Path) -> None:
    """The Record of a benchmark, and what else it writes."""
    from unlazy.report.write import naming
    from unlazy.whole_files import write_whole

    with naming(output):
        output.mkdir(parents=True, exist_ok=True)
        outcome.record.write(output / f"{outcome.benchmark.name}.json")
        for file, content in outcome.files().items():
            write_whole(output / file, content)


def finish(outcomes: Sequence[Any], output: Path, kept: Sequence[str]) -> None:
    """Tell the numbers and write the page; then what was ``kept`` under these names can go."""
    from unlazy.report.bench_page import write_bench_page
    from unlazy.report.write import naming

    _tell(outcomes, output)
    with naming(output):
        print(f"page: {write_bench_page(outcomes, output)}")
    for name in kept:
        shutil.rmtree(output / KEPT / name, ignore_errors=True)
    with suppress(OSError):  # it holds what a run of other benchmarks observed
        (output / KEPT).rmdir()


def _tell(outcomes: Sequence[Any], output: Path) -> None:
    """Ours beside the published figures, as a table."""
    from rich.console import Console
    from rich.table import Table

    for outcome in outcomes:
        benchmark, rows = outcome.benchmark, outcome.compared()
        text = benchmark.headline.text
        table = Table(title=f"{benchmark.name}, version {benchmark.version}", title_justify="left")
        for heading in ("model", "value", "95 % interval", "n", "source"):
            table.add_column(heading)
        if not rows:
            table.add_row(outcome.record.model["name"], "-", "", "0", "no picture allowed it")
        for place, (name, found) in enumerate(rows):
            interval = "" if found.low is None else f"{text(found.low)} to {text(found.high)}"
            cells = (name, text(found.value), interval, str(outcome.counted()), "measured")
            table.add_row(*cells, style="" if place else "bold")
        for row in outcome.published():
            note = f" ({row.note})" if row.note else ""
            said = f"{row.source}, {row.data}{note}"
            table.add_row(row.model, text(row.value), "", "", said)
        Console().print(table)
        for note in outcome.record.verdict:
            Console().print(f"Note: {note}.", highlight=False)
    tell_problems([outcome.record for outcome in outcomes])
    print(f"Records: {output}")


def tell_problems(records: Sequence[Any]) -> None:
    """How much was wrong in the annotations, with an example; all of it is in the Records."""
    from unlazy.data.annotated import examples

    data = [record.data for record in records]
    problems = {name: why for each in data for name, why in each.get("problems", {}).items()}
    if problems:
        print(
            f"problems in the annotations of {data[0]['source']}: {len(problems):,}, all in the"
            f" Records, for example {examples(problems, 1)}"
        )
