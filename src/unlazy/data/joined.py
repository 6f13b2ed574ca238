"""Several data sets as one."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from unlazy.data.sample import Sample


class Joined:
    """The pictures of several data sets, one after the other.

    >>> joined = Joined([["a", "b"], ["c"]])
    >>> len(joined), joined[2]
    (3, 'c')
    """

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = list(parts)
        self._ends = list(accumulate(len(part) for part in self.parts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Sample:
        part, local = self._find(index)
        return part[local]

    def name_of(self, index: int) -> str:
        """The name of a picture, readable or not."""
        part, local = self._find(index)
        return getattr(part, "name_of", str)(local)

    def _find(self, index: int) -> tuple[Any, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} of {len(self)} pictures")
        place = bisect.bisect_right(self._ends, index)
        return self.parts[place], index - (self._ends[place - 1] if place else 0)
