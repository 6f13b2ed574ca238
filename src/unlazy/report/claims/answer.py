"""What came of testing a claim, and the thresholds that decide it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from unlazy.ledger import Estimate
from unlazy.report.record import read_estimate
from unlazy.report.sentences import CONCENTRATED, FEW_PICTURES, LEAST_HIGH
from unlazy.report.verdict import SAME_PLACES

Verdict = Literal["holds", "does not hold", "cannot tell"]
PAPER = "Do All Vision Transformers Need Registers?"


def _stated(value: float, meaning: str, source: str) -> Any:
    return field(default=value, metadata={"meaning": meaning, "source": source})


@dataclass(frozen=True)
class Thresholds:
    """Lines that verdicts are drawn at; ``stated`` has them with meaning and source.

    The rule of a separate group of high norms is that of ``sentences.has_high_norms``.
    """

    fewest_pictures: float = _stated(
        FEW_PICTURES, "below so many pictures nothing is decided", "ours"
    )
    top_share: float = _stated(
        0.02, "the part of the patches that is labelled high, in any model", "the paper, 3.3"
    )
    least_high: float = _stated(
        LEAST_HIGH, "least share of high-norm patches for there to be any", "ours"
    )
    surely_none: float = _stated(
        LEAST_HIGH / 2, "share of patches above three medians below which there are none", "ours"
    )
    sure: float = _stated(
        0.95, "share of redrawn picture sets that must see two groups of norms too", "ours"
    )
    concentrated: float = _stated(
        CONCENTRATED, "times an even share of attention on the top patches: peaks", "ours"
    )
    majority_overlap: float = _stated(
        1 / 3, "overlap (IoU) above which two sets of one size share most patches", "ours"
    )
    apart: float = _stated(
        1.5, "times as many parameters from which two models are two sizes", "ours"
    )
    large: float = _stated(300e6, "parameters above which a model is large", "the paper, claim 2")
    fixed_places: float = _stated(
        SAME_PLACES, "entropy of places below which a position can be guessed", "ours"
    )
    harm: float = _stated(
        0.01, "loss of accuracy with registers that still counts as no harm", "ours"
    )

    def stated(self) -> list[tuple[str, float, str, str]]:
        """(name, value, meaning, source) of each."""
        return [
            (each.name, getattr(self, each.name), each.metadata["meaning"], each.metadata["source"])
            for each in dataclasses.fields(self)
        ]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper: its sentence, and how it is tested here."""

    number: int
    title: str
    test: str


CLAIMS = (
    Claim(
        1,
        "High-norm patches are the artifacts of attention and feature maps",
        "Is there a separate group of high norms at all, and are the 2 % of the patches with the"
        " highest norm those with the most attention, more often than by chance? The 98th"
        " percentile labels 2 % of the patches of any model: that is a label, no evidence.",
    ),
    Claim(
        2,
        "Large models (over 300 M parameters) develop high-norm patches",
        "Over several sizes of a family: does the largest norm over the median rise with size, and"
        " do the large models alone have a separate group of high norms? One size cannot tell.",
    ),
    Claim(
        3,
        "High-norm patches arise where the picture is redundant",
        "After patch embedding, are they more like their four neighbours than other patches are?",
    ),
    Claim(
        4,
        "High-norm patches hold little local and much global information",
        "Linear probes on frozen patches: position and pixels (local) and the picture's class"
        " (global), for high-norm patches against the others. Where high norms keep to the same"
        " places, a position can be guessed and says nothing.",
    ),
    Claim(
        5,
        "Registers remove the artifacts and do no harm",
        "A model with registers against the same one without, on the same pictures: largest norm,"
        " concentration of attention, and accuracy of nearest neighbours.",
    ),
)


@dataclass(frozen=True)
class Statistic:
    """A number that a verdict rests on.

    Attributes:
        label: in words.
        found: with its 95 % interval over pictures, where it has one.
        no_effect: the value that it would have without an effect; None where there is none.
    """

    label: str
    found: Estimate
    no_effect: float | None = None


@dataclass(frozen=True)
class Figure:
    """A figure that the paper reports of this model, in the paper's unit."""

    label: str
    value: str
    source: str


@dataclass(frozen=True)
class Answer:
    """What came of one claim for one model.

    Attributes:
        claim: its number.
        verdict: in a word.
        reason: in a sentence or two.
        statistics: that it rests on.
        by_label: what the top 2 % by norm alone would say, whether high norms exist or not; None
            where that is not asked.
        published: what the paper has of the model.
        flag: what random weights say of it; "" if nothing.
        notes: how it was measured, where a reader must know.
    """

    claim: int
    verdict: Verdict
    reason: str
    statistics: tuple[Statistic, ...] = ()
    by_label: Verdict | None = None
    published: tuple[Figure, ...] = ()
    flag: str = ""
    notes: tuple[str, ...] = ()


def answers_of(claims: Sequence[Mapping[str, Any]]) -> tuple[tuple[Claim, Answer], ...]:
    """The claims in a Record's ``benchmark``, each as it was then, with its answer.

    Raises:
        ValueError: they are not the five with a verdict each, or a part of one is missing.
    """
    try:
        found = tuple((_claim(each), _answer(each)) for each in claims)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a claim lacks a part: {error!r}") from error
    if [claim.number for claim, _ in found] != [claim.number for claim in CLAIMS]:
        raise ValueError(f"these are not the claims 1 to {len(CLAIMS)}, in order")
    if odd := {answer.verdict for _, answer in found} - set(get_args(Verdict)):
        raise ValueError(f"{odd.pop()!r} is no verdict")
    return found


def _claim(one: Mapping[str, Any]) -> Claim:
    return Claim(one["claim"], one["title"], one["test"])


def _answer(one: Mapping[str, Any]) -> Answer:
    statistics = tuple(
        Statistic(each["label"], read_estimate(each["found"]), each["no_effect"])
        for each in one["statistics"]
    )
    published = tuple(
        Figure(each["label"], each["value"], each["source"]) for each in one["published"]
    )
    return Answer(
        *(one["claim"], one["verdict"], one["reason"], statistics, one["by_label"], published),
        *(one["flag"], tuple(one["notes"])),
    )


def side(found: Estimate | None, line: float) -> Verdict:
    """Whether an interval lies above a line, below it, or neither.

    Where all pictures have the same number, redrawing them moves nothing: an interval without width
    knows no uncertainty, and cannot tell.

    >>> side(Estimate(0.3, 0.1, 0.5), 0.0), side(Estimate(0.3, -0.1, 0.5), 0.0)
    ('holds', 'cannot tell')
    >>> side(Estimate(1.0, 1.0, 1.0), 0.0)
    'cannot tell'
    """
    if found is None or found.low is None or found.high is None:
        return "cannot tell"
    if math.isclose(found.low, found.high):
        return "cannot tell"
    if found.low > line:
        return "holds"
    return "does not hold" if found.high < line else "cannot tell"
