"""From a model and pictures to findings: one pass, all measures, one Record."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from unlazy.backbones.base import Backbone
from unlazy.batches import none_usable
from unlazy.benchmarks.classification import Accuracy
from unlazy.data.sample import Unreadable
from unlazy.geometry import View
from unlazy.ledger import Measure, estimates
from unlazy.measure import Measured, check_view, measure
from unlazy.measures.attention import Attention
from unlazy.measures.blocks import BlockNorms
from unlazy.measures.neighbours import Neighbours
from unlazy.measures.norms import Norms, NormShape
from unlazy.measures.patch_score import PatchScore
from unlazy.measures.pca import PCA
from unlazy.measures.pictures import Pictures
from unlazy.measures.qkv import QKVNorms
from unlazy.measures.votes import Votes
from unlazy.report.findings import Findings
from unlazy.report.record import Record, record_of
from unlazy.report.verdict import Sentence, kind_of, verdict
from unlazy.tokens import Facts

REPORT_VERSION = 1  # bump when any number of a report could change
HIGH_RESOLUTION = 800  # pixels; 798 for patch 14


def standard_measures(facts: Facts, shown: frozenset[int]) -> list[Measure]:
    """Everything that a report measures and that this model can be read for."""
    candidates: list[Measure] = [
        Pictures(shown),
        Norms(),
        NormShape(),
        Attention(),
        PatchScore(),
        Neighbours(),
        QKVNorms(),
        BlockNorms(facts.depth, shown),
        Votes(),
        PCA(shown),
    ]
    return [each for each in candidates if {site.stream for site in each.reads} <= facts.streams]


def high_measures(facts: Facts, shown: frozenset[int]) -> list[Measure]:
    """What is looked at again at high resolution."""
    candidates: list[Measure] = [Pictures(shown), Norms(), NormShape(), Attention()]
    return [each for each in candidates if {site.stream for site in each.reads} <= facts.streams]


def evenly(count: int, wanted: int) -> frozenset[int]:
    """``wanted`` indices spread over ``count`` pictures.

    >>> sorted(evenly(10, 3))
    [0, 4, 9]
    """
    if wanted >= count:
        return frozenset(range(count))
    if wanted < 2:
        return frozenset(range(wanted))
    return frozenset((place * (count - 1)) // (wanted - 1) for place in range(wanted))


def spread(dataset: Any, wanted: int) -> frozenset[int]:
    """Which pictures a page shows: evenly spread, each part of a joined data set its share.

    >>> sorted(spread(range(10), 3))
    [0, 4, 9]
    """
    parts = getattr(dataset, "parts", [dataset])
    found, start = set(), 0
    for place, part in enumerate(parts):
        share = wanted * (place + 1) // len(parts) - wanted * place // len(parts)
        found |= {start + index for index in evenly(len(part), share)}
        start += len(part)
    return frozenset(found)


def readable(dataset: Any, chosen: frozenset[int]) -> frozenset[int]:
    """The same pictures, each one that cannot be read replaced by the next that can."""
    found: set[int] = set()
    bad: set[int] = set()
    for index in sorted(chosen):
        for other in (*range(index, len(dataset)), *range(index)):
            if other in found or other in bad:
                continue
            try:
                dataset[other]
            except Unreadable:
                bad.add(other)
            else:
                found.add(other)
                break
    return frozenset(found)


def high_size(facts: Facts) -> tuple[int, int]:
    """About 800 pixels, a multiple of what the model takes."""
    rows, columns = facts.multiple
    return HIGH_RESOLUTION // rows * rows, HIGH_RESOLUTION // columns * columns


def high_view(view: View, facts: Facts) -> View:
    """The same look at about 800 pixels.

    Native sizes are squashed to it: a second look at them would show nothing new.
    """
    size = high_size(facts)
    if view.fit == "native":
        return dataclasses.replace(view, fit="squash", size=size, longest=None)
    larger = min(size) / min(view.size)
    resize = None if view.resize is None else round(view.resize * larger)
    return dataclasses.replace(view, size=size, resize=resize)


def investigate(
    backbone: Backbone,
    dataset: Any,
    *,
    source: str,
    view: View,
    shown: int = 8,
    high_resolution: bool = False,
    trained_on: bool = False,
    batch_size: int | None = None,
    workers: int = 1,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Findings:
    """Measure a model on pictures, once, and conclude.

    Args:
        backbone: the model.
        dataset: the pictures.
        source: what to call the pictures in the Record.
        view: how pictures become input.
        shown: how many pictures the page shows, evenly spread over the data set.
        high_resolution: also look at norms and attention of the shown pictures at 800 px.
        trained_on: the labels are classes that the model learned: measure its top-1 too.
        batch_size: images a pass; None chooses by size.
        workers: decoding processes.
        seed: of the bootstrap.
        progress: called with numbers of finished pictures.

    Raises:
        ValueError: no picture could be used, or the model cannot take the view.
    """
    if shown < 1:
        raise ValueError(f"shown is {shown}; a page shows at least one picture")
    check_view(backbone, view)  # before the work, not after it
    if high_resolution:
        check_view(backbone, high_view(view, backbone.facts))
    chosen = readable(dataset, spread(dataset, shown))
    run = _Run(backbone, source, view, batch_size, workers, seed)
    measures = standard_measures(backbone.facts, chosen)
    if trained_on and backbone.classifier() is not None:
        measures.append(Accuracy(backbone.classify))
    low = run.findings(dataset, measures, chosen, progress)
    if not high_resolution:
        return low
    some = [dataset[index] for index in low.shown]
    again = dataclasses.replace(run, view=high_view(view, backbone.facts))
    everything = frozenset(range(len(some)))
    high = again.findings(some, high_measures(backbone.facts, everything), everything, None)
    return dataclasses.replace(low, high=high)


@dataclasses.dataclass(frozen=True)
class _Run:
    backbone: Backbone
    source: str
    view: View
    batch_size: int | None
    workers: int
    seed: int

    def findings(
        self,
        dataset: Any,
        measures: Sequence[Measure],
        shown: frozenset[int],
        progress: Callable[[int], None] | None,
    ) -> Findings:
        """One pass and what follows from it."""
        measured = measure(
            self.backbone,
            dataset,
            measures,
            view=self.view,
            batch_size=self.batch_size,
            workers=self.workers,
            progress=progress,
        )
        if not measured.names:
            raise none_usable(measured.skipped)
        return Findings(
            label=self.backbone.facts.name,
            facts=self.backbone.facts,
            record=self.record(measures, measured),
            measures={each.name: each for each in measures},
            measured=measured,
            shown=tuple(index for index in sorted(shown) if index in measured.names),
        )

    def record(self, measures: Sequence[Measure], measured: Measured) -> Record:
        """Numbers, parameters and circumstances of one pass."""
        with ThreadPoolExecutor(2) as pool:  # numpy works without the interpreter's lock
            concluded = pool.map(
                lambda each: estimates(each, measured.seen[each.name], seed=self.seed), measures
            )
            values = {each.name: found for each, found in zip(measures, concluded, strict=True)}
        sentences = verdict(values, self.backbone.facts, kind_of(values), len(measured.names))
        return record_of(
            self.backbone,
            measured,
            benchmark={"name": "report", "version": REPORT_VERSION},
            source=self.source,
            parameters={"view": self.view} | {each.name: each for each in measures},
            values=values,
            seed=self.seed,
            verdict=tuple(_joined(sentence) for sentence in sentences),
        )


def _joined(sentence: Sentence) -> str:
    end = "" if sentence.title.endswith(("?", "!", ".")) else "."
    return f"{sentence.title}{end} {sentence.text}"
