"""What the ``claims`` command measures of each model, before anything is judged."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from unlazy.bench_inputs import Data, run_one, run_several
from unlazy.console import progress
from unlazy.inputs import Options, device_of, workers_of

NO_TRAINING = "there is no training split beside these pictures"


def gather(made: list[tuple[str, Any]], data: Data, options: Options, *, keep: Path) -> list[Any]:
    """Evidence of each (label, Backbone), on all ranks; a Backbone is freed after its turn.

    Nearest neighbours are sought for models of which one with, or without, registers is there too.
    """
    from unlazy.report.claims.families import are_pair

    facts = [backbone.facts for _, backbone in made]
    evidence = []
    for place, own in enumerate(facts):
        label, backbone = made.pop(0)
        started = time.perf_counter()
        backbone.to(device_of(options.device))
        folder = keep / str(place)
        found = _observed(label, backbone, data, options, folder / "pass")
        outcomes, not_run = _probed(found, backbone, data, options, folder / "probes")
        if any(are_pair(own, other) for other in facts):
            outcome, reason = _neighbours(label, backbone, data, options, folder / "knn")
            outcomes |= {} if outcome is None else {"knn": outcome}
            not_run |= {"knn": reason} if reason else {}
        seconds = time.perf_counter() - started
        evidence.append(
            dataclasses.replace(found, outcomes=outcomes, not_run=not_run, seconds=seconds)
        )
    return evidence


def _observed(label: str, backbone: Any, data: Data, options: Options, keep: Path) -> Any:
    """The pass that claims 1, 2, 3 and 5 rest on."""
    from unlazy import distributed
    from unlazy.report.claims.evidence import observe

    pictures = data.opened[False]
    with progress(label) as (bar, task):
        bar.update(task, total=len(distributed.shard(len(pictures))))
        return observe(
            backbone,
            pictures,
            label=label,
            source=data.name,
            batch_size=options.batch_size,
            workers=workers_of(options.workers),
            seed=options.seed,
            progress=lambda done: bar.update(task, advance=done),
            keep=keep,
        )


def _probed(
    found: Any, backbone: Any, data: Data, options: Options, keep: Path
) -> tuple[dict[str, Any], dict[str, str]]:
    """Outcomes of claim 4's probes, and why some were not run."""
    from unlazy.catalog import find
    from unlazy.report.claims.content import PROBES, settings
    from unlazy.report.claims.evidence import lacking
    from unlazy.settings import override

    if data.training is None:
        return {}, dict.fromkeys(PROBES, NO_TRAINING)
    not_run = {name: reason for name in PROBES if (reason := lacking(found, name))}
    count = len(data.opened[False])
    chosen = [
        override(find("probes", name)(), settings(name, count))
        for name in PROBES
        if name not in not_run
    ]
    outcomes = run_several(chosen, backbone, data, options, label=found.label, keep=keep)
    return {each.benchmark.name: each for each in outcomes}, not_run


def _neighbours(
    label: str, backbone: Any, data: Data, options: Options, keep: Path
) -> tuple[Any, str]:
    """Nearest neighbours among a part of the training pictures, or why they were not sought."""
    from unlazy.benchmarks.classification import KNN, PER_PICTURE

    if data.training is None:
        return None, NO_TRAINING
    chosen = KNN(bank=PER_PICTURE * len(data.opened[False]))
    try:
        return run_one(chosen, backbone, data, options, label=f"{label}: knn", keep=keep), ""
    except ValueError as problem:  # pictures without labels
        return None, str(problem)
