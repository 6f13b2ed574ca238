"""An answer to a claim as pages show it: badge, reason, statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unlazy.report.claims.answer import Answer, Statistic, Verdict
from unlazy.report.meanings import interval, readable

SIGNS: dict[Verdict, tuple[str, str]] = {
    "holds": ("✓", "holds"),
    "does not hold": ("✗", "fails"),
    "cannot tell": ("?", "open"),
}
"""Sign and class of a verdict's badge; the words stand beside it."""


@dataclass(frozen=True)
class Badge:
    """A verdict as it is shown: never by its colour alone."""

    word: str
    sign: str
    tone: str
    flagged: bool


def badge(answer: Answer) -> Badge:
    """The badge of a verdict."""
    sign, tone = SIGNS[answer.verdict]
    return Badge(answer.verdict, sign, tone, bool(answer.flag))


def shown(answer: Answer, *, label: str, plot: str = "", plot_title: str = "") -> dict[str, Any]:
    """What the template's ``answer`` is given.

    Args:
        answer: of one model.
        label: how the page calls the model.
        plot: SVG below the statistics; "" for none.
        plot_title: its heading.
    """
    return {
        "label": label,
        "badge": badge(answer),
        "reason": answer.reason,
        "flag": answer.flag,
        "notes": answer.notes,
        "by_label": answer.by_label if answer.by_label != answer.verdict else None,
        "rows": [_row(each) for each in answer.statistics],
        "published": answer.published,
        "plot": plot,
        "plot_title": plot_title,
    }


def _row(one: Statistic) -> tuple[str, str, str, str]:
    none = "" if one.no_effect is None else readable(one.no_effect)
    return one.label, readable(one.found.value), interval(one.found), none
