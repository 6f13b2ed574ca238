"""Measures and what they observe: rows a picture, sums, and the ledger that joins them.

The law that every measure obeys: given the same traces, any split of the data over batches and
ranks gives the same conclusion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from unlazy import distributed
from unlazy.geometry import Viewed
from unlazy.tokens import Site, Trace

RESAMPLES = 200


@dataclass(frozen=True)
class Sum:
    """A quantity that adds up over batches and ranks, kept in float64 or int64."""

    value: Tensor


@dataclass(frozen=True)
class Some:
    """Rows of some images of the batch only: ``which`` (B,) bool, ``rows`` (k, ...)."""

    which: Tensor
    rows: Tensor


Observation = Mapping[str, Tensor | Sum | Some]


@dataclass(frozen=True)
class Batch:
    """What is known of the images of a trace besides their pixels.

    Attributes:
        indices: positions in the data set.
        pixels: (B, 3, height, width) uint8, as the model sees them.
        names: one a picture.
        labels: class indices, None where unknown.
        views: boxes and masks in viewed pixels.
    """

    indices: tuple[int, ...]
    pixels: Tensor
    names: tuple[str, ...]
    labels: tuple[int | None, ...]
    views: tuple[Viewed, ...]


@runtime_checkable
class Measure(Protocol):
    """A frozen dataclass whose fields are its parameters."""

    @property
    def name(self) -> str:
        """Key of its results."""
        ...

    @property
    def reads(self) -> frozenset[Site]:
        """The sites that it needs."""
        ...

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Rows (B, ...) a picture, rows of some pictures, or sums."""
        ...

    def conclude(self, seen: Seen) -> dict[str, float]:
        """Numbers about the whole data set."""
        ...


@dataclass(frozen=True)
class Seen:
    """All that a measure observed, in the order of the data set.

    Attributes:
        kept: key -> {index: row}.
        sums: key -> total.
        order: the indices that count, with repeats after ``resample``.
    """

    kept: Mapping[str, Mapping[int, np.ndarray]]
    sums: Mapping[str, np.ndarray]
    order: tuple[int, ...]
    _stacks: dict[str, _Stack] = field(default_factory=dict, repr=False, compare=False)

    def __contains__(self, key: str) -> bool:
        return key in self.kept or key in self.sums

    def rows(self, key: str) -> list[np.ndarray]:
        """One array a picture that has one."""
        rows = self.kept[key]
        return [rows[index] for index in self.order if index in rows]

    def one_grid(self, key: str) -> bool:
        """Whether all pictures have rows of one shape."""
        return self._stack(key).array is not None

    def stack(self, key: str) -> np.ndarray:
        """(n, ...) rows of the pictures that have one; they must have one shape."""
        stacked = self._stack(key)
        if stacked.array is None:
            raise ValueError(f"rows of {key} differ in shape: the pictures were of several sizes")
        places = [stacked.place[index] for index in self.order if index in stacked.place]
        return stacked.array[places]

    def flat(self, key: str) -> np.ndarray:
        """All rows joined into one vector."""
        if self.one_grid(key):
            return self.stack(key).ravel()
        return np.concatenate([row.ravel() for row in self.rows(key)])

    def mean(self, key: str) -> float:
        """Mean over the pictures of a row that is one number; pictures without one do not count."""
        rows = self.stack(key)
        counted = rows[~np.isnan(rows)]
        return float(counted.mean()) if counted.size else float("nan")

    def resample(self, rng: np.random.Generator) -> Seen:
        """As many pictures, drawn with replacement; sums stay those of the whole data set."""
        drawn = rng.choice(np.array(self.order), len(self.order))
        return Seen(self.kept, self.sums, tuple(drawn.tolist()), self._stacks)

    def _stack(self, key: str) -> _Stack:
        if key not in self._stacks:
            rows = self.kept[key]
            same = len({row.shape for row in rows.values()}) == 1
            array = np.stack(list(rows.values())) if same else None
            self._stacks[key] = _Stack({index: place for place, index in enumerate(rows)}, array)
        return self._stacks[key]


@dataclass(frozen=True)
class _Stack:
    """Rows of one key in one array, and where each index lies in it."""

    place: dict[int, int]
    array: np.ndarray | None


@dataclass
class Ledger:
    """Collects observations of one rank; ``gather`` joins those of all ranks."""

    kept: dict[str, dict[str, dict[int, np.ndarray]]] = field(default_factory=dict)
    sums: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    indices: list[int] = field(default_factory=list)

    def add(self, measure: str, observed: Observation, indices: Sequence[int]) -> None:
        """Take in what one measure observed on one batch."""
        kept, sums = self.kept.setdefault(measure, {}), self.sums.setdefault(measure, {})
        for key, found in observed.items():
            if isinstance(found, Sum):
                value = found.value.detach().cpu()
                value = value.double() if value.is_floating_point() else value.long()
                sums[key] = np.asarray(sums[key] + value.numpy() if key in sums else value.numpy())
                continue
            owners = list(indices)
            if isinstance(found, Some):
                which = found.which.tolist()
                rows = found.rows
                owners = [index for index, chosen in zip(indices, which, strict=True) if chosen]
            else:
                rows = found
            if len(rows) != len(owners):
                raise ValueError(f"{measure}: {key} has {len(rows)} rows for {len(owners)} images")
            arrays = rows.detach().cpu().numpy()
            kept.setdefault(key, {}).update(zip(owners, map(np.asarray, arrays), strict=True))

    def join(self, other: Ledger) -> None:
        """Take in what another ledger holds, of other pictures."""
        for measure, keys in other.kept.items():
            for key, rows in keys.items():
                self.kept.setdefault(measure, {}).setdefault(key, {}).update(rows)
        for measure, found in other.sums.items():
            sums = self.sums.setdefault(measure, {})
            for key, value in found.items():
                sums[key] = np.asarray(sums[key] + value if key in sums else value)
        self.indices.extend(other.indices)

    def gather(self, measures: Sequence[Measure]) -> dict[str, Seen]:
        """Join all ranks; every rank gets the same."""
        whole = Ledger()
        for kept, sums, indices in distributed.gather((self.kept, self.sums, self.indices)):
            whole.join(Ledger(kept, sums, indices))
        order = tuple(sorted(whole.indices))
        return {
            each.name: Seen(whole.kept.get(each.name, {}), whole.sums.get(each.name, {}), order)
            for each in measures
        }


@dataclass(frozen=True)
class Estimate:
    """A number with the 95 % interval of resampling whole images; None where it has none."""

    value: float
    low: float | None = None
    high: float | None = None

    def scaled(self, factor: float) -> Estimate:
        """The same in another unit.

        >>> Estimate(0.5, 0.25).scaled(100.0)
        Estimate(value=50.0, low=25.0, high=None)
        """
        low, high = (None if each is None else each * factor for each in (self.low, self.high))
        return Estimate(self.value * factor, low, high)


def wilson(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of ``count`` independent pictures.

    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference.

    >>> [round(end, 3) for end in wilson(0.0, 10)]
    [0.0, 0.278]
    """
    from scipy.stats import binomtest

    found = binomtest(round(share * count), count).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def estimates(each: Measure, seen: Seen, *, seed: int = 0) -> dict[str, Estimate]:
    """What a measure concludes, with percentile bootstrap intervals over images.

    A measure's ``resamples`` (0: no interval at all) and ``extremes`` (numbers, such as maxima and
    entropies, for which resampling gives no valid interval) may say otherwise. Where none of the
    pictures counts, or all do, every resample is alike: a number that ``proportions(seen)`` of the
    measure names, with how many pictures it is a share of, then has the Wilson interval (1927).
    """
    values = each.conclude(seen)
    proportions = getattr(each, "proportions", None)
    counts: Mapping[str, int] = {} if proportions is None else proportions(seen)
    turns = getattr(each, "resamples", RESAMPLES)
    extremes: frozenset[str] = getattr(each, "extremes", frozenset())
    if turns == 0 or len(seen.order) < 2:
        return {key: Estimate(number) for key, number in values.items()}
    rng = np.random.default_rng(seed)
    drawn = [each.conclude(seen.resample(rng)) for _ in range(turns)]
    found = {}
    for key, number in values.items():
        if key in extremes:
            found[key] = Estimate(number)
            continue
        if key in counts and number in (0.0, 1.0):
            found[key] = Estimate(number, *wilson(number, counts[key]))
            continue
        numbers = np.array([row.get(key, np.nan) for row in drawn])
        numbers = numbers[~np.isnan(numbers)]
        low, high = np.quantile(numbers, [0.025, 0.975]) if numbers.size else (np.nan, np.nan)
        found[key] = Estimate(number, float(low), float(high))
    return found
