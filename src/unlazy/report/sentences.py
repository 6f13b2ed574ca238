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
LEAST_HIGH = 0.002
"""Least share of high-norm patches: a tenth of the 2 % that the papers look at, and the smallest
group that ``distributions`` accepts, one patch in 500; chosen by us."""
CONCENTRATED = 10.0
"""Attention is concentrated if the top 2 % of the patches (at least one) get this many times an
even share: 20 % of it on 2 % of the patches. Below ten patches none can; chosen by us."""
OTHER_PATCHES = 0.1
"""Intersection over union up to which high-norm and high-attention patches are different ones;
chosen by us."""


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
    """Whether a group of patches stands apart by norms far above the others.

    The norms form two groups; the longer group is the smaller one, and holds ``LEAST_HIGH`` of the
    patches or more; and at least half of it lies above three medians. So neither a stray patch nor
    a few short vectors among long ones count, and ``boundary``, where the density between the
    groups is lowest, draws the line instead of the 98th percentile, above which 2 % of the tokens
    of any model lie. The rule is ours; three medians are Darcet et al.'s reproductions'.

    >>> above = {"norm_shape": {"share_above_boundary": Estimate(0.02)}}
    >>> has_high_norms(above | {"norms": {"share_over_3median": Estimate(0.02)}}, "bimodal")
    True
    >>> has_high_norms(above | {"norms": {"share_over_3median": Estimate(0.0001)}}, "bimodal")
    False
    """
    above = number(values, "norm_shape", "share_above_boundary", 0.0)
    far = number(values, "norms", "share_over_3median", 0.0)
    return kind == "bimodal" and LEAST_HIGH <= above < 0.5 and far >= above / 2


def is_concentrated(values: Values) -> bool:
    """Whether the patches with most attention get ``CONCENTRATED`` times an even share."""
    mass = number(values, "attention", "top_mass")
    return mass >= CONCENTRATED * number(values, "attention", "top_share")


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
