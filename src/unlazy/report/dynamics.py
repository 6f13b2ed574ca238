"""Benchmarks over the models that a run kept while it trained.

Source: *Vision Transformers Need More Than Registers*, Figure 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unlazy.benchmarks.base import Benchmark
from unlazy.catalog import UnknownName
from unlazy.whole_files import write_whole


def kept_models(run: Path) -> dict[int, Path]:
    """Step -> folder of each model that a run kept, in order.

    Raises:
        UnknownName: it kept none.
    """
    found = {int(each.name): each for each in sorted(run.glob("steps/????????"))}
    whole = {step: each for step, each in found.items() if (each / "model.safetensors").is_file()}
    if not whole:
        raise UnknownName(
            f"{run} kept no models while it trained; train with keep_every=N (steps) to have them"
        )
    return whole


def write_plot(
    benchmarks: Sequence[Benchmark],
    records: Mapping[str, Sequence[tuple[int, Mapping[str, Any]]]],
    out: Path,
) -> Path:
    """Each benchmark's headline, with its interval, and its baselines over the steps, as SVG.

    Args:
        benchmarks: in the order of the plots.
        records: benchmark -> (step, Record as JSON).
        out: an existing folder.
    """
    import io

    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(benchmarks), figsize=(5 * len(benchmarks), 3.4), layout="constrained", squeeze=False
    )
    for benchmark, axis in zip(benchmarks, axes[0], strict=True):
        head = benchmark.headline
        rows = [
            (step, record["values"].get(head.measure, {}))
            for step, record in records[benchmark.name]
        ]
        for name, key in (("", head.key), *head.baselines):
            points = [(step, values[key]) for step, values in rows if key in values]
            if not points:
                continue
            steps = [step for step, _ in points]
            values = [each["value"] * head.scale for _, each in points]
            if name:
                axis.plot(steps, values, linestyle=":", label=name)
                continue
            axis.plot(steps, values, marker="o", markersize=3, label=benchmark.name)
            ends = [
                [each[end] * head.scale for _, each in points if each.get(end) is not None]
                for end in ("low", "high")
            ]
            if len(ends[0]) == len(ends[1]) == len(steps):
                axis.fill_between(steps, *ends, alpha=0.2)
        axis.set(title=f"{benchmark.name} ({head.key})", xlabel="step")
        axis.legend(frameon=False, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    write_whole(out / "dynamics.svg", buffer.getvalue())
    return out / "dynamics.svg"
