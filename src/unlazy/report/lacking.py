"""Whether pictures come with what a benchmark needs, before all are passed through a model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from unlazy.benchmarks.base import Benchmark
from unlazy.data.annotated import examples
from unlazy.data.sample import Sample, Unreadable
from unlazy.data.spread import Spread

LOOKED_AT, FURTHER = 16, 256
"""Pictures of data without counts that are looked at for what the benchmark needs; the latter only
where none of the former has it."""
OF_PICTURES = {"boxes", "masks", "labels"}
"""What pictures come with, of what a benchmark may need."""


def check_pictures(benchmark: Benchmark, evaluated: Any, source: str) -> None:
    """Ask what the pictures that are to be evaluated come with.

    The data's own ``counts`` tell it of all pictures; where they do not, some are looked at.

    Raises:
        ValueError: none of them has what the benchmark needs.
    """
    problems = getattr(evaluated, "problems", None)
    why = f"; for example {examples(problems)}" if problems else ""
    for need in sorted(benchmark.needs & OF_PICTURES):
        if lacking := _lacking(need, evaluated, source):
            raise ValueError(f"{benchmark.name} needs {need}; {lacking} has any{why}")


def _lacking(need: str, evaluated: Any, source: str) -> str:
    """Which pictures all lack it, in words; "" where one has it, or none can be read."""
    counts, total = getattr(evaluated, "counts", None), len(evaluated)
    if isinstance(counts, Mapping) and need in counts:
        return "" if counts[need] else f"none of the {total:,} pictures of {source}"
    looked_at = 0
    for most in sorted({min(LOOKED_AT, total), min(FURTHER, total)}):
        looked_at = 0
        for place in range(len(part := Spread(evaluated, most))):
            with suppress(Unreadable):
                if _comes_with(need, part[place]):
                    return ""
                looked_at += 1
    return f"none of {looked_at:,} pictures of {source} looked at" if looked_at else ""


def _comes_with(need: str, sample: Sample) -> bool:
    """Whether a picture has it; an empty list of boxes says that there is no object."""
    if need == "labels":
        return sample.label is not None and sample.label >= 0
    if need == "boxes":
        return sample.boxes is not None and len(sample.boxes) > 0
    return sample.mask is not None
