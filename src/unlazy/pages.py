"""Models measured on the same pictures, and the page that shows them side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unlazy.console import progress, tell
from unlazy.inputs import Mistake, Options, Weights, device_of, view_of, workers_of


def write_page(
    models: Iterable[tuple[str, Any]],
    dataset: Any,
    output: Path,
    options: Options,
    *,
    source: str,
    high_resolution: bool = False,
    trained_on: bool = False,
    beside: Mapping[str, Any] | None = None,
) -> None:
    """Measure each model (label, Backbone); write page, Records and maps; print the verdicts.

    ``beside`` has, by label, the ``Beside`` that the page shows too.

    With ``trained_on`` the models learned the classes of these pictures, and those that have a
    classifier are asked for them.

    Under torchrun every rank calls this, inside ``distributed.started()``.
    """
    from unlazy import distributed
    from unlazy.report.run import investigate
    from unlazy.report.write import write_report

    findings = []
    for label, backbone in models:
        backbone.to(device_of(options.device))
        with progress(label) as (bar, task):
            bar.update(task, total=len(distributed.shard(len(dataset))))
            found = investigate(
                backbone,
                dataset,
                source=source,
                view=view_of(backbone, options),
                shown=options.shown,
                high_resolution=high_resolution,
                trained_on=trained_on,
                batch_size=options.batch_size,
                workers=workers_of(options.workers),
                seed=options.seed,
                progress=lambda done, bar=bar, task=task: bar.update(task, advance=done),
            )
        more = () if beside is None else beside.get(label, ())
        findings.append(dataclasses.replace(found, label=label, beside=more))
    if distributed.on_main():
        tell(findings, write_report(findings, output))


def read_records(places: Sequence[Path], output: Path) -> list[Any]:
    """Records of claims and threshold sweeps that a page is to show, by place; before any work.

    Raises:
        Mistake: the page would replace some of them.
        ValueError: a place has none, or a damaged one.
    """
    if not places:
        return []
    from unlazy.report.records import read

    for place in places:
        folder = place if place.is_dir() else place.parent
        if folder.resolve() == output.resolve():
            raise Mistake(
                f"{output} holds the Records, which the report's own would replace; choose another"
                " folder with -o"
            )
    return read(places)


def records_of(
    found: Sequence[Any], backbone: Any, model: str, weights: Weights, options: Options
) -> tuple[Any, ...]:
    """Those of MODEL, which ``backbone`` is, with the command of each.

    Raises:
        ValueError: some are of other models only.
    """
    if not found:
        return ()
    from unlazy.report.records import of_model

    name = f"{model}={weights.checkpoint}" if weights.checkpoint else model
    words = [*(["--random"] if weights.random else [])]
    words += ["--size", str(options.size)] if options.size else []
    return of_model(found, backbone, model=name, options=words)
