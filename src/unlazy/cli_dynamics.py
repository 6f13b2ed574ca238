"""The ``dynamics`` command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unlazy.console import progress
from unlazy.inputs import Mistake, Options, benchmark_data, device_of


def dynamics(
    run: Path,
    /,
    *benchmarks: Annotated[str, Parameter(help="Names; see `unlazy list benchmarks`.")],
    output: Annotated[Path, Parameter(name=["-o", "--output"])] = Path("runs/dynamics"),
    on: Annotated[
        str | None,
        Parameter(help="The data set: NAME or NAME:SPLIT; default: what DATA is recognised as."),
    ] = None,
    settings: Annotated[
        list[str], Parameter(name="--set", help="KEY=VALUE of every benchmark, e.g. rule=center.")
    ] = [],  # noqa: B006
    options: Options = Options(),
) -> None:
    """Run benchmarks over training: on every model that RUN kept (keep_every), and one plot.

    Started again, it goes on where it was.
    """
    from unlazy import distributed
    from unlazy.catalog import find, load_backbone
    from unlazy.report.bench import run_benchmark
    from unlazy.report.dynamics import kept_models, write_plot
    from unlazy.report.run import default_workers
    from unlazy.report.write import claim
    from unlazy.settings import override

    if not benchmarks:
        raise Mistake("name a benchmark; `unlazy list benchmarks` has them")
    models = kept_models(run)
    chosen = [override(find("benchmarks", name)(), settings) for name in benchmarks]
    name, opened, training = benchmark_data(chosen, on, options.data)
    workers = default_workers() if options.workers is None else options.workers
    records: dict[str, list[tuple[int, Any]]] = {each.name: [] for each in chosen}
    with distributed.started():
        if distributed.on_main():
            claim(output)
            output.mkdir(parents=True, exist_ok=True)
        for step, folder in models.items():
            backbone = load_backbone(f"file:{folder}").to(device_of(options.device))
            for each in chosen:
                path = output / f"{each.name}-{step:08d}.json"
                evaluated = opened["masks" in each.needs]
                found = _finished(path, backbone, each, name)
                if found is None:
                    with progress(f"{each.name}, step {step:,}") as (bar, task):
                        bar.update(task, total=len(distributed.shard(len(evaluated))))
                        outcome = run_benchmark(
                            each,
                            backbone,
                            evaluated,
                            training,
                            source=name,
                            batch_size=options.batch_size,
                            workers=workers,
                            seed=options.seed,
                            progress=lambda n, bar=bar, task=task: bar.update(task, advance=n),
                        )
                    if distributed.on_main():
                        outcome.record.write(path)
                    found = json.loads(outcome.record.to_json())
                records[each.name].append((step, found))
        if distributed.on_main():
            print(f"plot: {write_plot(chosen, records, output)}")


def _finished(path: Path, backbone: Any, benchmark: Any, source: str) -> Any:
    """The Record of an earlier run of the same, if it is there."""
    if not path.is_file():
        return None
    found = json.loads(path.read_text())
    same = (
        found["model"]["weights_hash"] == backbone.fingerprint(),
        found["benchmark"]["version"] == benchmark.version,
        found["data"]["source"] == source,
        found["parameters"][benchmark.name] == json.loads(json.dumps(vars(benchmark))),
    )
    return found if all(same) else None
