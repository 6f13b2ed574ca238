"""The ``probe`` command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unlazy.arguments import OUTPUT, DataName, FixName
from unlazy.bench_inputs import (
    KEPT,
    Data,
    benchmark_data,
    folder_of,
    run_several,
)
from unlazy.cli_bench import evaluated_model, finish, write_records
from unlazy.inputs import Mistake, Options, Weights


def probe(
    model: str,
    /,
    *probes: Annotated[str, Parameter(help="Names; see `unlazy list probes`.")],
    output: Annotated[
        Path | None,
        Parameter(name=OUTPUT, help="Default: runs/probe/MODEL, with the fix's name."),
    ] = None,
    on: DataName = None,
    fix: FixName = None,
    settings: Annotated[
        list[str],
        Parameter(
            name="--set",
            negative="",
            help="KEY=VALUE of every probe that uses KEY, e.g. pictures=none.",
        ),
    ] = [],  # noqa: B006
    tokens: Annotated[
        Path | None,
        Parameter(help="Keep the tokens that token-class learns from as shards in this folder."),
    ] = None,
    weights: Weights = Weights(),
    options: Options = Options(),
) -> None:
    """Train small models on MODEL's frozen tokens, and see what they say of other pictures.

    All probes share their forward passes. A Record each, published figures beside it; killed, the
    same command goes on. Also under torchrun -m unlazy probe.
    """
    from unlazy import distributed
    from unlazy.report.write import claim
    from unlazy.settings import chosen_of

    if not probes:
        raise Mistake("name a probe; `unlazy list probes` has them")
    names = list(dict.fromkeys(probes))
    chosen = chosen_of("probes", names, settings)
    if tokens is not None and not any(each.stores for each in chosen):
        raise Mistake("--tokens goes with token-class: the other probes keep no tokens")
    data = benchmark_data(chosen, on, options.data)
    folder = output or folder_of("probe", model, weights, fix)
    with distributed.started():
        backbone = evaluated_model(model, weights, data, options, fix=fix, output=folder)
        if tokens is not None and distributed.on_main():
            claim(tokens)
        run_together(chosen, backbone, data, options, folder, tokens=tokens)


def run_together(
    chosen: Sequence[Any],
    backbone: Any,
    data: Data,
    options: Options,
    output: Path,
    *,
    tokens: Path | None = None,
) -> None:
    """Run probes of one model; write and tell what came of them. On all ranks."""
    from unlazy import distributed

    keep = output / KEPT / "probes"
    outcomes = run_several(chosen, backbone, data, options, keep=keep, tokens=tokens)
    if distributed.on_main():
        for outcome in outcomes:
            write_records(outcome, output)
        finish(outcomes, output, ["probes"])
