"""What the ``claims`` command measures of each model, before anything is judged."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from unlazy.bench_inputs import Data, run_one, run_several
from unlazy.console import progress
from unlazy.inputs import Mistake, Options, device_of, workers_of

NO_TRAINING = "there is no training split beside these pictures"
NO_LABELS_NEEDED = ("position", "pixels")
HALVES = (
    "there is no training split beside these pictures: every second one was learned from, the"
    " others were evaluated"
)


def gather(
    made: list[tuple[str, Any]], data: Data, options: Options, *, keep: Path
) -> tuple[list[Any], dict[str, str]]:
    """Evidence of each (label, Backbone), on all ranks; a Backbone is freed after its turn.

    Nearest neighbours are sought for models of which one with, or without, registers is there too.
    A model that cannot be measured does not end the others; under torchrun if no rank can.

    Returns:
        the evidence; label -> why a model was not measured.

    Raises:
        Mistake: none could be measured.
    """
    from torch.cuda import OutOfMemoryError

    from unlazy import distributed
    from unlazy.report.claims.families import are_pair
    from unlazy.report.write import slug

    facts = [backbone.facts for _, backbone in made]
    evidence, failed = [], {}
    for place, own in enumerate(facts):
        label, backbone = made.pop(0)
        paired, folder = any(are_pair(own, other) for other in facts), keep / slug(label)
        try:
            evidence.append(_measured(label, backbone, data, options, folder, paired=paired))
        except (Mistake, ValueError, OutOfMemoryError) as problem:
            if not distributed.all_failed(f"claims/{place}"):
                raise Mistake(f"{label}: {problem}") from problem
            failed[label] = str(problem)
    if not evidence:
        said = "; ".join(f"{label}: {reason}" for label, reason in failed.items())
        raise Mistake(f"no model could be measured: {said}")
    return evidence, failed


def _measured(
    label: str, backbone: Any, data: Data, options: Options, keep: Path, *, paired: bool
) -> Any:
    """All that is measured of one model."""
    from unlazy.report.claims.clock import running

    backbone.to(device_of(options.device))
    with running(_notes(label, backbone, data, keep)) as clock:
        found = _observed(label, backbone, data, options, keep / "pass")
        outcomes, not_run = _probed(found, backbone, data, options, keep / "probes")
        if paired:
            outcome, reason = _neighbours(label, backbone, data, options, keep / "knn")
            outcomes |= {} if outcome is None else {"knn": outcome}
            not_run |= {"knn": reason} if reason else {}
    return dataclasses.replace(found, outcomes=outcomes, not_run=not_run, seconds=clock.seconds)


def _notes(label: str, backbone: Any, data: Data, keep: Path) -> Path | None:
    """The file of the seconds that this model took on these pictures; of the main rank alone."""
    from unlazy import distributed
    from unlazy.identity import Unidentified, model_identity

    if not distributed.on_main():
        return None
    try:
        about = (label, data.name, len(data.opened[False]))
        return keep / f"seconds-{model_identity(backbone, about=about)[:16]}"
    except Unidentified:
        return None


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
    """Outcomes of claim 4's probes, and why some were not run, or could not learn.

    Without a training split, those that need no labels learn from every second picture and are
    asked about the others; their Records say so.
    """
    from unlazy.catalog import find
    from unlazy.report.claims.content import FEWEST, PROBES, settings
    from unlazy.report.claims.evidence import lacking
    from unlazy.settings import override

    not_run = {name: reason for name in PROBES if (reason := lacking(found, name))}
    halved = data.training is None
    if halved:
        data, without = _halves(data), set(PROBES) - set(NO_LABELS_NEEDED)
        few = len(data.training) < FEWEST
        not_run |= dict.fromkeys(PROBES if few else without, NO_TRAINING)
    count = len(data.training if halved else data.opened[False])
    chosen = [
        override(find("probes", name)(), settings(name, count))
        for name in PROBES
        if name not in not_run
    ]
    if not chosen:
        return {}, not_run
    outcomes, failed = _run(found.label, chosen, backbone, data, options, keep)
    return {each.benchmark.name: _told(each, halved) for each in outcomes}, not_run | failed


def _run(
    label: str, chosen: list[Any], backbone: Any, data: Data, options: Options, keep: Path
) -> tuple[list[Any], dict[str, str]]:
    """Outcomes of probes, and why others failed: in one go or, where that fails, one by one."""
    from unlazy import distributed

    try:
        return run_several(chosen, backbone, data, options, label=label, keep=keep), {}
    except ValueError as problem:  # too few pictures, norms out of range: other claims still stand
        names = [each.name for each in chosen]
        if not distributed.all_failed(f"claims/{label}/{'+'.join(names)}"):
            raise
        if len(chosen) == 1:
            return [], {names[0]: str(problem)}
    alone = [_run(label, [each], backbone, data, options, keep) for each in chosen]
    outcomes = [outcome for done, _ in alone for outcome in done]
    return outcomes, {name: why for _, failed in alone for name, why in failed.items()}


def _halves(data: Data) -> Data:
    """Every second picture to learn from, the others to evaluate."""
    from unlazy.data.spread import Chosen

    pictures = data.opened[False]
    learned, asked = (Chosen(pictures, range(first, len(pictures), 2)) for first in (1, 0))
    return Data(data.name, {False: asked}, learned)


def _told(outcome: Any, halved: bool) -> Any:
    """The outcome, with what it learned from where there was no training split."""
    if not halved:
        return outcome
    record = dataclasses.replace(outcome.record, verdict=(*outcome.record.verdict, HALVES))
    return dataclasses.replace(outcome, record=record)


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
