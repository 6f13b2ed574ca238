"""The pictures of a data set that have a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unlazy.data.sample import Sample, Unreadable


@dataclass(frozen=True)
class Labelled:
    """A data set for what needs labels: a picture without one is skipped, and named.

    Negative labels stand for hidden ones, as in the test splits of Hugging Face ``datasets``.
    """

    dataset: Any

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        if sample.label is None or sample.label < 0:
            raise Unreadable("it has no label")
        return sample

    def name_of(self, index: int) -> str:
        """The name of a picture, readable or not."""
        return getattr(self.dataset, "name_of", str)(index)

    @property
    def classes(self) -> Any:
        """Names in the order of the labels; None where the data have none."""
        return getattr(self.dataset, "classes", None)

    @property
    def problems(self) -> Any:
        """Name -> what was wrong with an annotation; None where the data do not say."""
        return getattr(self.dataset, "problems", None)
