"""Several probes of one model: they learn together, then one pass over the evaluated pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from unlazy.backbones.base import Backbone
from unlazy.batches import Used
from unlazy.benchmarks.probe import Probe, prepare, shared_view
from unlazy.data.labelled import Labelled
from unlazy.ledger import Measure, estimates
from unlazy.parts import Keep
from unlazy.report.bench import Outcome, check_needs, record_for, sheet_of
from unlazy.report.passing import Passes, Passing


def run_probes(
    probes: Sequence[Probe],
    backbone: Backbone,
    evaluated: Any,
    training: Any | None = None,
    *,
    source: str,
    batch_size: int | None = None,
    workers: int = 0,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    keep: Path | None = None,
    tokens: Path | None = None,
) -> list[Outcome]:
    """Run probes; under torchrun all ranks take part and get the same.

    Times in the Records are of the pass that all probes share. Where one of them needs labels,
    pictures without one are skipped, for all of them.

    Args:
        probes: with their parameters and distinct names.
        backbone: the model, as it is or fixed.
        evaluated: pictures that the numbers are about.
        training: pictures to learn from.
        source: what to call the data in the Record.
        batch_size: images a pass; None chooses by size.
        workers: decoding processes.
        seed: of the bootstrap.
        progress: called with numbers of finished pictures.
        keep: folder of what was learned and observed so far, to go on from after a kill; the
            caller removes it once the Records are written.
        tokens: folder that gets, as shards, the tokens that ``token-class`` learns from; what is
            there of the same model and pictures is not made again. None: they are in memory.

    Raises:
        ValueError: the pictures lack what a probe needs, or none could be used.
    """
    for probe in probes:
        check_needs(probe, evaluated, training, source)
    versions = tuple((probe, probe.version) for probe in probes)
    kept = None if keep is None else Keep(keep, {"probes": versions, "source": source})
    if any("labels" in probe.needs for probe in probes):
        evaluated = Labelled(evaluated)
        training = None if training is None else Labelled(training)
    passing = Passing(backbone, batch_size, workers, progress, tokens=tokens)
    passes: Passes = {}
    inputs = passing.inputs(evaluated, training, kept, passes)
    judges = prepare(probes, inputs)
    together: dict[str, Measure] = {each.name: each for several in judges for each in several}
    measured = inputs.look(evaluated, list(together.values()), shared_view(backbone.facts))
    outcomes = []
    for probe, measures in zip(probes, judges, strict=True):
        values = {
            each.name: estimates(each, measured.seen[each.name], seed=seed) for each in measures
        }
        record = record_for(
            probe,
            inputs,
            measured,
            measures,
            values=values,
            source=source,
            seed=seed,
            learned=_of_lesson(passes, probe),
        )
        sheet = sheet_of(probe, passing, inputs, measured)
        outcomes.append(Outcome(probe, record, measured, sheet))
    return outcomes


def _of_lesson(passes: Passes, probe: Probe) -> list[Used]:
    """The training pictures of a probe, whichever probes ran beside it."""
    wanted = probe.lesson.pictures
    return [passes[wanted]] if "training" in probe.needs and wanted in passes else []
