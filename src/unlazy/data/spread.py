"""Parts of a data set: evenly spread over it, or chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class Part:
    """What a part of a data set says as the whole does; None where that does not.

    Attributes:
        period: after how many pictures the labels repeat; 1 where they do not.
    """

    dataset: Any

    @property
    def classes(self) -> Any:
        """Names in the order of the labels."""
        return getattr(self.dataset, "classes", None)

    @property
    def wnids(self) -> Any:
        """WordNet ids in the order of the labels."""
        return getattr(self.dataset, "wnids", None)

    @property
    def problems(self) -> Any:
        """Name -> what was wrong with an annotation."""
        return getattr(self.dataset, "problems", None)

    @property
    def period(self) -> int:
        """As the whole has it: parts keep the order of its labels."""
        return getattr(self.dataset, "period", 1)


@dataclass(frozen=True)
class Spread(Part):
    """Every so-manieth picture of a data set, ``count`` or fewer.

    Where the labels of a data set repeat (its ``period``), every so-manieth of each label: else
    some labels would be left out.

    >>> part = Spread(range(10), 5)
    >>> [part[place] for place in range(len(part))]
    [0, 2, 4, 6, 8]
    """

    dataset: Any
    count: int

    def __len__(self) -> int:
        return min(self.count, len(self.dataset))

    def __getitem__(self, place: int) -> Any:
        if not 0 <= place < len(self):
            raise IndexError(f"index {place} of {len(self)} pictures")
        return self.dataset[self._index(place)]

    def name_of(self, place: int) -> str:
        """The name of a picture, readable or not."""
        return self.dataset.name_of(self._index(place))

    def _index(self, place: int) -> int:
        turn, label = divmod(place, self.period)
        sizes = (len(self.dataset), len(self))
        there, taken = (-(-(size - label) // self.period) for size in sizes)
        return label + self.period * (turn * there // taken)


@dataclass(frozen=True)
class Chosen(Part):
    """The pictures of a data set at ``indices``, in that order.

    >>> part = Chosen("abcd", [3, 1])
    >>> [part[place] for place in range(len(part))]
    ['d', 'b']
    """

    dataset: Any
    indices: Sequence[int]

    @property
    def period(self) -> int:
        """1: chosen pictures have labels in any order."""
        return 1

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> Any:
        return self.dataset[self.indices[place]]

    def name_of(self, place: int) -> str:
        """The name of a picture, readable or not."""
        return self.dataset.name_of(self.indices[place])
