"""The ``dynamics`` command."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from unlazy.arguments import BenchmarkName, BenchmarkSettings, DataName, Output
from unlazy.bench_inputs import (
    KEPT,
    Data,
    benchmark_data,
    check_options,
    run_one,
)
from unlazy.earlier_records import identity_of, mark_measured, measured_before
from unlazy.inputs import Mistake, Options, device_of


def dynamics(
    run: Path,
    /,
    *benchmarks: BenchmarkName,
    output: Output = Path("runs/dynamics"),
    on: DataName = None,
    settings: BenchmarkSettings = [],  # noqa: B006
    options: Options = Options(),
) -> None:
    """Run benchmarks over training: on every model that RUN kept (keep_every), and one plot.

    Started again, it goes on where it was.
    """
    from unlazy import distributed
    from unlazy.catalog import load_backbone
    from unlazy.report.dynamics import kept_models, write_plot
    from unlazy.report.write import claim
    from unlazy.settings import chosen_of

    if not benchmarks:
        raise Mistake("name a benchmark; `unlazy list benchmarks` has them")
    models = kept_models(run)
    chosen = chosen_of("benchmarks", benchmarks, settings)
    data = benchmark_data(chosen, on, options.data)
    records: dict[str, list[tuple[int, Any]]] = {each.name: [] for each in chosen}
    with distributed.started():
        if distributed.on_main():
            claim(output)
            output.mkdir(parents=True, exist_ok=True)
        for step, folder in models.items():
            backbone = load_backbone(f"file:{folder}").to(device_of(options.device))
            check_options(options, backbone)
            for each in chosen:
                found = _record(each, backbone, data, options, step=step, output=output)
                records[each.name].append((step, found))
        if distributed.on_main():
            print(f"plot: {write_plot(chosen, records, output)}")


def _record(
    benchmark: Any, backbone: Any, data: Data, options: Options, *, step: int, output: Path
) -> Any:
    """The Record of a benchmark after a step, measured unless it was before; on all ranks."""
    from unlazy import distributed

    path = output / f"{benchmark.name}-{step:08d}.json"
    known = identity_of(backbone, data, benchmark, options)
    found = measured_before(path, known)
    if found is not None:
        return found
    label = f"{benchmark.name}, step {step:,}"
    kept = output / KEPT / path.stem
    outcome = run_one(benchmark, backbone, data, options, label=label, keep=kept)
    if distributed.on_main():
        outcome.record.write(path)
        mark_measured(path, known)
        shutil.rmtree(kept, ignore_errors=True)
        with suppress(OSError):  # it holds what a run of other benchmarks observed
            kept.parent.rmdir()
    return json.loads(outcome.record.to_json())
