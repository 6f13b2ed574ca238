"""The ``probe`` command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unlazy.bench_inputs import (
    Data,
    benchmark_data,
    check_options,
    folder_of,
    refuse_others,
    run_several,
)
from unlazy.cli_bench import KEPT, finish, write_records
from unlazy.console import progress
from unlazy.inputs import Mistake, Options, Weights, backbone_of, device_of, fixed_of


def probe(
    model: str,
    /,
    *probes: Annotated[str, Parameter(help="Names; see `unlazy list probes`.")],
    output: Annotated[
        Path | None,
        Parameter(name=["-o", "--output"], help="Default: runs/probe/MODEL, with the fix's name."),
    ] = None,
    on: Annotated[
        str | None,
        Parameter(help="The data set: NAME or NAME:SPLIT; default: what DATA is recognised as."),
    ] = None,
    fix: Annotated[
        str | None, Parameter(help="MODEL under a fix: its name, or a saved one's folder.")
    ] = None,
    settings: Annotated[
        list[str],
        Parameter(name="--set", help="KEY=VALUE of every probe that has KEY, e.g. pictures=none."),
    ] = [],  # noqa: B006
    weights: Weights = Weights(),
    options: Options = Options(),
) -> None:
    """Train small models on MODEL's frozen tokens, and see what they say of other pictures.

    All probes share their forward passes. A Record each, published figures beside it; killed, the
    same command goes on. Also under torchrun -m unlazy probe.
    """
    from unlazy import distributed
    from unlazy.catalog import find
    from unlazy.report.write import claim
    from unlazy.settings import override_all

    if not probes:
        raise Mistake("name a probe; `unlazy list probes` has them")
    names = list(dict.fromkeys(probes))
    chosen = override_all([find("probes", name)() for name in names], settings)
    data = benchmark_data(chosen, on, options.data)
    evaluated = next(iter(data.opened.values()))
    folder = output or folder_of("probe", model, weights, fix)
    with distributed.started():
        if distributed.on_main():
            claim(folder)
        backbone = backbone_of(model, weights, options.size).to(device_of(options.device))
        check_options(options, backbone)
        if distributed.on_main():
            refuse_others(folder, backbone, fix)
        if fix is not None:
            backbone = fixed_of(fix, backbone, evaluated, [data.name], options, progress)
        run_together(chosen, backbone, data, options, folder)


def run_together(
    chosen: Sequence[Any], backbone: Any, data: Data, options: Options, output: Path
) -> None:
    """Run probes of one model; write and tell what came of them. On all ranks."""
    from unlazy import distributed

    outcomes = run_several(chosen, backbone, data, options, keep=output / KEPT / "probes")
    if distributed.on_main():
        for outcome in outcomes:
            write_records(outcome, output)
        finish(outcomes, output, ["probes"])
