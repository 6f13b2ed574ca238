"""The pictures of a data set that have a label, and whether labels of two mean the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from unlazy.data.sample import Sample, Unreadable
from unlazy.data.spread import Part


@dataclass(frozen=True)
class Labelled(Part):
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


def check_same_classes(name: str, evaluated: Any, training: Any) -> None:
    """That a label means the same in both data sets, as far as they say what labels mean.

    Args:
        name: of what learns classes.
        evaluated: pictures that the numbers are about.
        training: pictures to learn from.

    Raises:
        ValueError: both have WordNet ids (``wnids``), or else names (``classes``), that differ.
    """
    for field in ("wnids", "classes"):
        asked, learned = (getattr(each, field, None) for each in (evaluated, training))
        if not asked or not learned:
            continue
        if not (first := difference(learned, asked, "in training")):
            return
        raise ValueError(
            f"{name} learns labels that mean something else in the evaluated pictures: there are"
            f" {len(learned)} {field} in training and {len(asked)} here; {first}"
        )


def difference(known: Sequence[str], here: Sequence[str], where: str) -> str:
    """The first label that means something else, in words; "" where none does.

    >>> difference(["cat", "dog"], ["cat", "fish"], "there")
    "label 1 is 'dog' there and 'fish' here"
    >>> difference(["cat", "dog"], ["cat"], "there")
    "label 1 is 'dog' there and missing here"
    """
    for place, pair in enumerate(zip_longest(known, here)):
        one, other = ("missing" if each is None else repr(each) for each in pair)
        if one != other:
            return f"label {place} is {one} {where} and {other} here"
    return ""
