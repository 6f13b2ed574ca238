"""Claim 4: what high-norm patches hold, read from the Records of probes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from unlazy.benchmarks.probe import grid_of
from unlazy.ledger import Estimate
from unlazy.report.claims.answer import Answer, Statistic, Thresholds, Verdict, side
from unlazy.report.claims.evidence import Evidence
from unlazy.report.claims.published import figures
from unlazy.report.claims.single import NO_GROUP, presence, too_few

PROBES = ("position", "pixels", "token-class")
POSITION_SHARE, POSITION_EPOCHS = 5, 10
"""Position is learned in epochs, each a pass through the model: from every fifth of the training
pictures that the others learn from in one pass, ten times; chosen by us, so that claims take
minutes. The paper takes all pictures and up to 30 epochs."""
FEWEST = 2
"""Training pictures that a probe needs: one to learn from, one held out."""
Held = Literal["less", "more", "unclear", "void", "missing"]
"""High-norm patches against the others: less of it, more, neither for sure, a test that says
nothing, or no test."""


def settings(probe: str, pictures: int) -> list[str]:
    """KEY=VALUE of a probe that learns from so many training pictures.

    >>> settings("pixels", 500), settings("position", 500), settings("position", 9)
    (['pictures=500'], ['pictures=100', 'epochs=10'], ['pictures=2', 'epochs=10'])
    """
    count = pictures // POSITION_SHARE if probe == "position" else pictures
    chosen = [f"pictures={max(FEWEST, count)}"]
    return [*chosen, f"epochs={POSITION_EPOCHS}"] if probe == "position" else chosen


def figure(evidence: Evidence, probe: str, key: str) -> Estimate | None:
    """A number of a probe's Record; None where it has none."""
    outcome = evidence.outcomes.get(probe)
    if outcome is None:
        return None
    found = (values.get(key) for values in outcome.record.values.values())
    return next((each for each in found if each is not None and each.value == each.value), None)


_MORE: dict[Verdict, Held] = {"holds": "more", "does not hold": "less", "cannot tell": "unclear"}
_LESS: dict[Verdict, Held] = {"holds": "less", "does not hold": "more", "cannot tell": "unclear"}


def position(evidence: Evidence, thresholds: Thresholds) -> Held:
    """What top-1 of the position says; void where high norms keep to the same places."""
    gain = figure(evidence, "position", "top1_outlier_minus_normal")
    if gain is None:
        return "missing"
    entropy = figure(evidence, "position", "entropy_outlier")
    count = figure(evidence, "position", "tokens_outlier")
    if count is not None and count.value < 2:  # one token is at one place
        return "void"
    if entropy is None or entropy.value < thresholds.fixed_places * _reachable(evidence):
        return "void"
    return _MORE[side(gain, 0.0)]


def _reachable(evidence: Evidence) -> float:
    """The entropy of the outliers' places, over that of all places, if no two shared one."""
    count, places = (
        figure(evidence, "position", "tokens_outlier"),
        math.prod(grid_of(evidence.facts)),
    )
    if count is None or count.value >= places:
        return 1.0
    return math.log(max(1.0, count.value)) / math.log(places)


def pixels(evidence: Evidence) -> Held:
    """What the error of reconstructed pixels says.

    The error also grows where pixels vary more, so the share of their variance that is told (R²)
    must say the same, else it is unclear. Void where the map tells nothing of either kind.
    """
    gain = figure(evidence, "pixels", "error_outlier_minus_normal")
    if gain is None:
        return "missing"
    told = (figure(evidence, "pixels", f"r2_{who}") for who in ("outlier", "normal"))
    if not any(side(each, 0.0) == "holds" for each in told):
        return "void"
    found = _LESS[side(gain, 0.0)]
    share = figure(evidence, "pixels", "r2_outlier_minus_normal")
    return found if found == _MORE[side(share, 0.0)] else "unclear"


def picture(evidence: Evidence, thresholds: Thresholds) -> Held:
    """What the accuracy of the picture's class says; void where it was not well tested."""
    gain = figure(evidence, "token-class", "outlier_minus_normal")
    if gain is None:
        return "missing"
    return "void" if untested(evidence, thresholds) else _MORE[side(gain, 0.0)]


def untested(evidence: Evidence, thresholds: Thresholds) -> str:
    """Why a class probe that was run says nothing; "" where it does, or was not run.

    That patches of one kind must tell the class more often than by chance, and than by naming the
    most frequent class, is ours: else nothing was learned that could differ.
    """
    if "token-class" not in evidence.outcomes:
        return ""
    found, least = figure(evidence, "token-class", "pictures"), int(thresholds.fewest_pictures)
    count = 0 if found is None else int(found.value)
    if count < least:
        return (
            f"{count} labelled pictures have a patch of the top 2 % and another; a verdict takes"
            f" {least} or more"
        )
    if figure(evidence, "token-class", "outlier_minus_normal") is None:
        return "nothing was learned of it"
    guess = max(
        each.value
        for name in ("chance", "majority")
        if (each := figure(evidence, "token-class", name)) is not None
    )
    known = (figure(evidence, "token-class", f"top1_{who}") for who in ("outlier", "normal"))
    if any(side(each, guess) == "holds" for each in known):
        return ""
    return f"no kind of patch tells it surely more often than a guess, {guess:.3g}"


def content(evidence: Evidence, thresholds: Thresholds) -> Answer:
    """Claim 4: little local and much global information.

    Holds where position or pixels say less, neither says more, and the class says more.

    Intervals are over evaluated pictures, not over trainings of the probes.

    Source: the paper's claim 4 and Tables 1 to 3; that intervals of paired differences must
    exclude zero is ours.
    """
    published = () if evidence.control else figures(evidence.facts.name, 4)
    local = (position(evidence, thresholds), pixels(evidence))
    overall = picture(evidence, thresholds)
    told = _told(evidence, local, overall, untested(evidence, thresholds))
    label = decide(local, overall)
    statistics = tuple(_statistics(evidence))
    if not statistics:
        reason = _not_run(evidence) or "Not run: no probe was asked for."
        return Answer(4, "cannot tell", reason, published=published)
    notes = tuple(
        f"{name}: {note}"
        for name in PROBES
        if name in evidence.outcomes
        for note in evidence.outcomes[name].record.verdict
    )
    few, there = too_few(evidence, thresholds), presence(evidence.values, thresholds)
    if few or there in ("none", "unsure"):
        reason = f"{few or NO_GROUP[there]} {told}"
        return Answer(4, "cannot tell", reason, statistics, label, published, notes=notes)
    return Answer(4, label, told, statistics, label, published, notes=notes)


def decide(local: Sequence[Held], overall: Held) -> Verdict:
    """The verdict of both halves.

    >>> decide(("less", "less"), "more"), decide(("void", "less"), "more")
    ('holds', 'holds')
    >>> decide(("less", "less"), "less"), decide(("less", "more"), "more")
    ('does not hold', 'cannot tell')
    """
    less, more = "less" in local, "more" in local
    if overall == "less" or (more and not less):
        return "does not hold"
    return "holds" if less and not more and overall == "more" else "cannot tell"


def _told(evidence: Evidence, local: Sequence[Held], overall: Held, why: str) -> str:
    """What each test says, in words, and what was not run; ``why`` the class says nothing."""
    words = {
        "less": "hold less of {what} than the others",
        "more": "hold more of {what} than the others",
        "unclear": "differ from the others in {what} by no more than chance may",
    }
    void = {
        "their position": "keep to the same places, so that their position can be guessed",
        "their pixels": "and the others let the probe tell nothing of their pixels",
    }
    tests = [("their position", local[0]), ("their pixels", local[1])]
    if not why:
        tests.append(("the picture's class", overall))
    found = [
        void[what] if held == "void" else words[held].format(what=what)
        for what, held in tests
        if held != "missing"
    ]
    said = f"The top 2 % by norm {'; '.join(found)}." if found else ""
    lost = f"The picture's class could not be tested: {why}." if why else ""
    return " ".join(each for each in (said, lost, _not_run(evidence)) if each)


def _not_run(evidence: Evidence) -> str:
    """Which probes were not run and why, each reason once; "" where all were."""
    reasons: dict[str, list[str]] = {}
    for name, why in evidence.not_run.items():
        if name in PROBES:
            reasons.setdefault(why, []).append(name)
    return " ".join(f"Not run: {', '.join(names)} ({why})." for why, names in reasons.items())


_ROWS = (
    ("position", "top1_normal", "position: top-1 of other patches"),
    ("position", "top1_outlier", "position: top-1 of the top 2 %"),
    ("position", "top1_outlier_minus_normal", "position: top-1, top 2 % minus other patches"),
    ("position", "majority_outlier", "position: top-1 of always the top 2 %'s commonest place"),
    ("position", "entropy_outlier", "how evenly the top 2 % are spread over places, of 1"),
    ("position", "distance_normal", "position: distance in patches, other patches"),
    ("position", "distance_outlier", "position: distance in patches, top 2 %"),
    ("position", "distance_centre", "position: distance in patches, always the centre"),
    ("pixels", "error_normal", "pixels: squared error a patch, other patches"),
    ("pixels", "error_outlier", "pixels: squared error a patch, top 2 %"),
    ("pixels", "error_outlier_minus_normal", "pixels: squared error, top 2 % minus other patches"),
    ("pixels", "value_error_normal", "pixels: squared error a value, other patches"),
    ("pixels", "value_error_outlier", "pixels: squared error a value, top 2 %"),
    ("pixels", "r2_normal", "pixels: share of their variance told (R²), other patches"),
    ("pixels", "r2_outlier", "pixels: share of their variance told (R²), top 2 %"),
    ("pixels", "r2_outlier_minus_normal", "pixels: R², top 2 % minus other patches"),
    ("token-class", "top1_cls", "class: top-1 from the class token or mean"),
    ("token-class", "top1_normal", "class: top-1 from another patch"),
    ("token-class", "top1_outlier", "class: top-1 from a top-2 % patch"),
    ("token-class", "majority", "class: top-1 of always naming the most frequent one"),
    ("token-class", "outlier_minus_normal", "class: top-2 % patch minus another patch"),
    ("token-class", "cls_minus_outlier", "class: class token minus top-2 % patch"),
)


def _statistics(evidence: Evidence) -> list[Statistic]:
    """Numbers of all probes that were run."""
    rows = [(key, label, figure(evidence, probe, key)) for probe, key, label in _ROWS]
    return [
        Statistic(label, found, 0.0 if "_minus_" in key else None)
        for key, label, found in rows
        if found is not None
    ]
