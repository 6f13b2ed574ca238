"""One benchmark of one model: measured, with its Record."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unlazy.backbones.base import Backbone
from unlazy.batches import Used
from unlazy.benchmarks.base import Benchmark, Fitting, Inputs, Published, unseen
from unlazy.benchmarks.sheet import Sheet
from unlazy.catalog import find, table
from unlazy.data.labelled import Labelled, check_same_classes
from unlazy.ledger import Estimate, Measure, estimates
from unlazy.measure import Measured
from unlazy.parts import Keep
from unlazy.report.lacking import check_pictures
from unlazy.report.passing import Passes, Passing
from unlazy.report.record import Record, record_of
from unlazy.settings import refuse_idle, used
from unlazy.traces import TraceFiles

OTHER_SPLIT = "other split"
"""What is noted of a figure on the same data set, but not on the same pictures."""


@dataclass(frozen=True)
class Outcome:
    """What came of a benchmark: its Record, and all rows for pages.

    Attributes:
        benchmark: that was run.
        record: numbers and circumstances.
        measured: rows of the evaluated pictures.
        sheet: pictures and curves for the page; empty where the benchmark has none.
        ids: index -> id of the evaluated pictures in the data's own JSON, where they have one.
    """

    benchmark: Benchmark
    record: Record
    measured: Measured
    sheet: Sheet
    ids: Mapping[int, int] = field(default_factory=dict)

    def compared(self) -> list[tuple[str, Estimate]]:
        """Headline, what else the model does, and baselines, as far as pictures allowed them."""
        head = self.benchmark.headline
        found = self.record.values.get(head.measure, {})
        own = ", ".join(each for each in (self.record.model["name"], head.how) if each)
        rows = [(own, head.key), *head.others, *head.baselines]
        return [(name, found[key].scaled(head.scale)) for name, key in rows if key in found]

    def published(self) -> list[Published]:
        """Published figures on the same data, else on another split of it, which is noted.

        On other data those of the first set in the list.
        """
        rows, source = self.benchmark.published, with_split(self.record.data["source"])
        same = [row for row in rows if with_split(row.data) == source]
        name = source.partition(":")[0]
        near = [_of_other_split(row) for row in rows if row.data.partition(":")[0] == name]
        return same or near or [row for row in rows if row.data == rows[0].data]

    def files(self) -> dict[str, bytes]:
        """What the benchmark writes beside the Record: name -> content."""
        make = getattr(self.benchmark, "files", None)
        return {} if make is None else make(self.measured, self.ids)

    def counted(self) -> int:
        """How many pictures the headline rests on."""
        head = self.benchmark.headline
        count = self.record.values.get(head.measure, {}).get(head.count)
        return self.record.data["n"] if count is None else round(count.value)


def with_split(name: str) -> str:
    """A data set's name with its split; a bare name means the one that is opened by default.

    >>> with_split("voc07"), with_split("voc07:test"), with_split("my photos")
    ('voc07:trainval', 'voc07:test', 'my photos')
    """
    if name not in table("data"):
        return name
    split = inspect.signature(find("data", name)).parameters.get("split")
    return f"{name}:{split.default}" if split and isinstance(split.default, str) else name


def _of_other_split(row: Published) -> Published:
    note = "; ".join(each for each in (OTHER_SPLIT, row.note) if each)
    return dataclasses.replace(row, note=note)


def check_needs(benchmark: Benchmark, evaluated: Any, training: Any, source: str) -> None:
    """Look at a few pictures before all are passed through a model.

    Raises:
        ValueError: as ``check_pictures``; there are none to learn from, or those are of other
            classes; a setting changes nothing.
    """
    refuse_idle(benchmark)
    if "training" in benchmark.needs and training is None:
        raise ValueError(f"{benchmark.name} learns from training pictures; give some")
    if benchmark.needs >= {"labels", "training"}:
        check_same_classes(benchmark.name, evaluated, training)
    check_pictures(benchmark, evaluated, source)


def run_benchmark(
    benchmark: Benchmark,
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
    traces: TraceFiles | None = None,
    fitting: Fitting = unseen,
) -> Outcome:
    """Run a benchmark; under torchrun all ranks take part and get the same.

    Args:
        benchmark: with its parameters.
        backbone: the model, as it is or fixed.
        evaluated: pictures that the numbers are about.
        training: labelled pictures, where the benchmark learns from some.
        source: what to call the data in the Record.
        batch_size: images a pass; None chooses by size.
        workers: decoding processes.
        seed: of the bootstrap.
        progress: called with numbers of finished pictures.
        keep: folder of what was observed so far, to go on from after a kill; the caller removes
            it once the Record is written.
        traces: of this model, to be read where they are there and kept where not; heads that learn
            in epochs see pictures changed each time and run the model.
        fitting: hears of the epochs of a classifier that is fitted on image vectors.

    Raises:
        ValueError: the pictures lack what the benchmark needs, or none could be used.
    """
    check_needs(benchmark, evaluated, training, source)
    about = {"benchmark": benchmark, "version": benchmark.version, "source": source}
    kept = None if keep is None else Keep(keep, about)
    if "labels" in benchmark.needs:
        evaluated = Labelled(evaluated)
        training = None if training is None else Labelled(training)
    passing = Passing(backbone, batch_size, workers, progress, traces, fitting)
    passes: Passes = {}
    inputs = passing.inputs(evaluated, training, kept, passes)
    measures = benchmark.measures(inputs)
    measured = inputs.look(evaluated, measures, benchmark.view(backbone.facts))
    values = {each.name: estimates(each, measured.seen[each.name], seed=seed) for each in measures}
    record = record_for(
        benchmark,
        inputs,
        measured,
        measures,
        values=values,
        source=source,
        seed=seed,
        learned=list(passes.values()),
    )
    sheet = sheet_of(benchmark, passing, inputs, measured)
    return Outcome(benchmark, record, measured, sheet, _own_ids(evaluated, measured))


def _own_ids(evaluated: Any, measured: Measured) -> dict[int, int]:
    """Index -> id of the pictures that have one in the data's own JSON."""
    of = getattr(evaluated, "image_id", None)
    return {} if of is None else {i: id_ for i in measured.names if (id_ := of(i)) is not None}


def record_for(
    benchmark: Benchmark,
    inputs: Inputs,
    measured: Measured,
    measures: Sequence[Measure],
    *,
    values: dict[str, dict[str, Estimate]],
    source: str,
    seed: int,
    learned: Sequence[Used] = (),
) -> Record:
    """The Record of a benchmark whose measures saw the evaluated pictures."""
    backbone = inputs.backbone
    notes, remarks = (getattr(benchmark, name, None) for name in ("notes", "remarks"))
    said = () if notes is None else notes(backbone.facts)
    return record_of(
        backbone,
        measured,
        benchmark={
            "name": benchmark.name,
            "version": benchmark.version,
            "headline": dataclasses.asdict(benchmark.headline),
            "published": [dataclasses.asdict(each) for each in benchmark.published],
        },
        source=source,
        parameters={"view": benchmark.view(backbone.facts), benchmark.name: used(benchmark)},
        values=values,
        seed=seed,
        verdict=(*said, *(() if remarks is None else remarks(measures, values))),
        problems=getattr(inputs.evaluated, "problems", None),
        learned=learned,
    )


def sheet_of(benchmark: Benchmark, passing: Passing, inputs: Inputs, measured: Measured) -> Sheet:
    """Pictures and curves for the page, looked at again where need be."""
    few = passing.quietly().inputs(inputs.evaluated, inputs.training, None)
    sheet = getattr(benchmark, "sheet", None)
    return Sheet() if sheet is None else sheet(few, measured)
