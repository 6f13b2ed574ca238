"""What is measured of a model before its claims are judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unlazy.backbones.base import Backbone
from unlazy.batches import none_usable
from unlazy.benchmarks.views import usual_view
from unlazy.ledger import Estimate, Measure, estimates
from unlazy.measure import measure
from unlazy.measures.attention import Attention
from unlazy.measures.blocks import BlockNorms
from unlazy.measures.labels import Labels
from unlazy.measures.neighbours import Neighbours
from unlazy.measures.norms import Norms, NormShape
from unlazy.parts import Keep
from unlazy.report.bench import Outcome
from unlazy.report.claims.answer import Thresholds
from unlazy.report.findings import Findings
from unlazy.report.record import record_of
from unlazy.report.sentences import Values, number
from unlazy.tokens import Facts

CLAIMS_VERSION = 5  # bump when any number or verdict could change
RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that verdicts about one model rest on.

    Attributes:
        findings: of one pass over the pictures, with its Record.
        parameters: of the model, all of them.
        outcomes: probe or benchmark -> what came of it.
        not_run: probe or benchmark -> why there is nothing.
        seconds: wall time of all that was measured, learning included, over all runs that it took.
    """

    findings: Findings
    parameters: int
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    not_run: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def label(self) -> str:
        """How the page calls the model."""
        return self.findings.label

    @property
    def facts(self) -> Facts:
        """Of the model."""
        return self.findings.facts

    @property
    def control(self) -> bool:
        """Whether the weights are random."""
        return self.facts.weights == "random"

    @property
    def values(self) -> Values:
        """Numbers of the pass."""
        return self.findings.record.values

    @property
    def pictures(self) -> int:
        """That were used."""
        return len(self.findings.measured.names)

    def row(self, measure: str, key: str) -> dict[int, float]:
        """Index of a picture -> one number of it; empty where it was not measured."""
        seen = self.findings.measured.seen.get(measure)
        rows = {} if seen is None else seen.kept.get(key, {})
        return {index: float(each) for index, each in rows.items()}


def measures_of(facts: Facts) -> list[Measure]:
    """What claims 1, 2, 3 and 5 rest on, as far as the model can be read for it."""
    candidates: list[Measure] = [
        *(Norms(), NormShape(), Attention(), Neighbours(), BlockNorms(facts.depth), Labels()),
    ]
    return [each for each in candidates if {site.stream for site in each.reads} <= facts.streams]


def observe(
    backbone: Backbone,
    dataset: Any,
    *,
    label: str,
    source: str,
    batch_size: int | None = None,
    workers: int = 0,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    keep: Path | None = None,
) -> Evidence:
    """One pass over the pictures; under torchrun all ranks take part and get the same.

    Args:
        backbone: the model.
        dataset: the pictures.
        label: how the page calls the model.
        source: what to call the pictures in the Record.
        batch_size: images a pass; None chooses by size.
        workers: decoding processes.
        seed: of the bootstrap.
        progress: called with numbers of finished pictures.
        keep: folder of what was observed so far, to go on from after a kill.

    Raises:
        ValueError: none of the pictures could be used.
    """
    measures, view = measures_of(backbone.facts), usual_view(backbone.facts)
    about = {"claims": CLAIMS_VERSION, "source": source}
    measured = measure(
        backbone,
        dataset,
        measures,
        view=view,
        batch_size=batch_size,
        workers=workers,
        progress=progress,
        keep=None if keep is None else Keep(keep, about),
    )
    if not measured.names:
        raise none_usable(measured.skipped)
    record = record_of(
        backbone,
        measured,
        benchmark={"name": "claims", "version": CLAIMS_VERSION},
        source=source,
        parameters={"view": view, "thresholds": Thresholds()}
        | {each.name: each for each in measures},
        values={
            each.name: estimates(each, measured.seen[each.name], seed=seed) for each in measures
        },
        seed=seed,
        problems=getattr(dataset, "problems", None),
    )
    by_name = {each.name: each for each in measures}
    findings = Findings(label, backbone.facts, record, by_name, measured, ())
    return Evidence(findings, sum(each.numel() for each in backbone.model.parameters()))


def lacking(found: Evidence, probe: str) -> str:
    """Why a probe of claim 4 cannot be run on these pictures; "" if it can."""
    if not {"final", "block"} <= found.facts.streams:
        return "this model's last patches cannot be read"
    if probe != "token-class":
        return ""
    classes = number(found.values, "labels", "classes", 0.0)
    return {0.0: "the pictures have no labels", 1.0: "all pictures are of one class"}.get(
        classes, ""
    )


def difference(
    first: Mapping[int, float], second: Mapping[int, float], *, seed: int = 0
) -> Estimate | None:
    """Mean of first minus second on the pictures that both have, resampled together.

    None where they have none in common; one picture has no interval.

    >>> difference({0: 2.0, 1: 4.0}, {0: 1.0, 1: 3.0, 2: 9.0})
    Estimate(value=1.0, low=1.0, high=1.0)
    """
    common = sorted(first.keys() & second.keys())
    pairs = np.array([first[index] - second[index] for index in common])
    pairs = pairs[~np.isnan(pairs)]
    if not pairs.size:
        return None
    if pairs.size < 2:
        return Estimate(float(pairs.mean()))
    rng = np.random.default_rng(seed)
    drawn = [pairs[rng.integers(pairs.size, size=pairs.size)].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(pairs.mean()), float(low), float(high))
