"""Models measured on the same pictures, and the page that shows them side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unlazy.console import progress, tell
from unlazy.inputs import Options, device_of, view_of, workers_of


def write_page(
    models: Iterable[tuple[str, Any]],
    dataset: Any,
    output: Path,
    options: Options,
    *,
    source: str,
    high_resolution: bool = False,
    trained_on: bool = False,
) -> None:
    """Measure each model (label, Backbone); write page, Records and maps; print the verdicts.

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
        findings.append(dataclasses.replace(found, label=label))
    if distributed.on_main():
        tell(findings, write_report(findings, output))
