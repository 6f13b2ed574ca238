"""What the verdict is made of: sentences, and the numbers they are based on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from unlazy.ledger import Estimate

Level = Literal["fine", "note", "warning"]
Values = Mapping[str, Mapping[str, Estimate]]

FEW_PICTURES = 30
"""Below this many pictures the page says that they are few; chosen by us."""


@dataclass(frozen=True)
class Sentence:
    """One finding: a title, what it means, and how much it should worry the reader."""

    title: str
    text: str
    level: Level


def kind_of(values: Values) -> str:
    """The verdict on the distribution of norms: "bimodal", ..., or "unknown" if not measured.

    >>> kind_of({"norm_shape": {"is_skewed": Estimate(1.0)}})
    'skewed'
    """
    shape = values.get("norm_shape", {})
    return next((key[3:] for key in shape if key.startswith("is_")), "unknown")


def has_high_norms(values: Values, kind: str) -> bool:
    """Whether some patches stand apart: norms in two groups, with patches above three medians.

    The 98th percentile plays no part, since it labels 2 % of the tokens of any model.

    >>> has_high_norms({"norms": {"share_over_3median": Estimate(0.02)}}, "bimodal")
    True
    """
    return kind == "bimodal" and number(values, "norms", "share_over_3median", 0.0) > 0


def estimate(values: Values, measure: str, key: str) -> Estimate | None:
    """A number of the Record; None where it was not measured or is NaN."""
    found = values.get(measure, {}).get(key)
    return found if found is not None and found.value == found.value else None


def number(values: Values, measure: str, key: str, default: float = float("nan")) -> float:
    """Its value; ``default`` where it was not measured or is NaN."""
    found = estimate(values, measure, key)
    return default if found is None else found.value


def percent(share: float) -> str:
    """A share as text, with enough digits to be told from zero.

    >>> percent(0.25), percent(0.0132), percent(0.00004), percent(0.0)
    ('25 %', '1.3 %', '0.004 %', '0 %')
    """
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.2g} %"
