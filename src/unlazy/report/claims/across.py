"""Claims that take several models: size (2) and registers (5)."""

from __future__ import annotations

from collections.abc import Sequence

from unlazy.benchmarks.probe import grid_of
from unlazy.ledger import Estimate
from unlazy.report.claims.answer import Answer, Statistic, Thresholds, Verdict, side
from unlazy.report.claims.evidence import Evidence, difference
from unlazy.report.claims.families import family, partner, relatives
from unlazy.report.claims.published import figures
from unlazy.report.claims.single import NO_GROUP, norm_statistics, peaks, presence, too_few
from unlazy.report.sentences import number


def millions(parameters: float) -> str:
    """A number of parameters in words.

    >>> millions(304_368_640.0), millions(1_200_000)
    ('304 M', '1.2 M')
    """
    found = parameters / 1e6
    return f"{found:.0f} M" if found >= 100 else f"{found:.2g} M"


def growth(one: Evidence, everyone: Sequence[Evidence], thresholds: Thresholds) -> Answer:
    """Claim 2: large models of a family have high norms, small ones have not.

    The paper judges feature maps by eye; that a family must have sizes on both sides of 300 M
    parameters, and the paired difference between its ends, are ours.
    """
    published = () if one.control else figures(one.facts.name, 2)
    sizes = relatives(one, everyone)
    small, large = sizes[0], sizes[-1]
    own = [Statistic("parameters", Estimate(float(one.parameters))), *norm_statistics(one)]
    whose = f"Family {family(one.facts.name)}: "
    if large.parameters < thresholds.apart * small.parameters:
        reason = f"{whose}one size only ({millions(one.parameters)}); give MODELs of other sizes."
        return Answer(2, "cannot tell", reason, tuple(own), published=published)
    rise = difference(
        large.row("norms", "peak_over_median"), small.row("norms", "peak_over_median")
    )
    if rise is not None:
        label = f"largest norm over the median, {large.label} minus {small.label}"
        own.append(Statistic(label, rise, 0.0))
    verdict, reason = _growth(sizes, side(rise, 0.0), thresholds)
    return Answer(2, verdict, whose + reason + _grids(sizes), tuple(own), published=published)


def _growth(
    sizes: Sequence[Evidence], rise: Verdict, thresholds: Thresholds
) -> tuple[Verdict, str]:
    """Verdict over the sizes of a family, smallest first; ``rise``: from its first to its last."""
    few = next((reason for each in sizes if (reason := too_few(each, thresholds))), "")
    if few:
        return "cannot tell", few
    listed = ", ".join(
        f"{each.label} ({millions(each.parameters)}): {_has(presence(each.values, thresholds))}"
        for each in sizes
    )
    moved = {
        "holds": "The largest norm over the median rises from the smallest to the largest.",
        "does not hold": "The largest norm over the median falls from the smallest to the largest.",
        "cannot tell": "From the smallest to the largest it neither rises nor falls for sure.",
    }[rise]
    said = f"{listed}. {moved}"
    large = [each for each in sizes if each.parameters > thresholds.large]
    if not large or len(large) == len(sizes):
        which = "none" if not large else "every one"
        return "cannot tell", f"{said} But {which} has more than {millions(thresholds.large)}."
    found = {id(each): presence(each.values, thresholds) for each in sizes}
    above = [found[id(each)] for each in large]
    below = [found[id(each)] for each in sizes if each not in large]
    if "none" in above:
        return "does not hold", f"{said} A model above {millions(thresholds.large)} has none."
    if "group" in below:
        return "does not hold", f"{said} Smaller ones have them too, so it is not large ones alone."
    if any(each in ("unsure", "tail") for each in above):
        return "cannot tell", f"{said} Not every large model surely has a separate group."
    if any(each != "none" for each in below):
        return "cannot tell", f"{said} Whether smaller ones have none is not sure."
    return rise if rise != "does not hold" else "cannot tell", said


def _grids(sizes: Sequence[Evidence]) -> str:
    """That models were seen on grids of different size; "" where they were not."""
    grids = sorted({grid_of(each.facts) for each in sizes})
    if len(grids) < 2:
        return ""
    listed = ", ".join(f"{height} x {width}" for height, width in grids)
    return (
        f" They were seen on grids of {listed} patches; the largest norm of more patches is larger"
        " anyhow."
    )


def _has(there: str) -> str:
    return {
        "group": "a separate group of high norms",
        "tail": "a long tail of norms",
        "none": "no high norms",
        "unsure": "unsure",
    }[there]


def registers(one: Evidence, everyone: Sequence[Evidence], thresholds: Thresholds) -> Answer:
    """Claim 5: with registers, high norms and peaks of attention go, and accuracy stays.

    Source: the paper's claim 5, Figure 5 and Table 4; nearest neighbours stand for its trained
    heads, and the loss that still counts as none is ours.
    """
    published = () if one.control else figures(one.facts.name, 5)
    other = partner(one, everyone)
    if other is None:
        reason = (
            "There is no pair: give the same MODEL with and without registers (names that differ in"
            " reg4, registers or with-registers only)."
        )
        return Answer(5, "cannot tell", reason, published=published)
    bare, full = (other, one) if one.facts.num_registers else (one, other)
    norms = difference(full.row("norms", "peak_over_median"), bare.row("norms", "peak_over_median"))
    focus = difference(full.row("attention", "top_mass"), bare.row("attention", "top_mass"))
    accuracy = _accuracy(full, bare)
    rows = (
        ("largest norm over the median", norms),
        ("share of attention on the top 2 % of the patches", focus),
        ("top-1 of nearest neighbours", accuracy),
    )
    statistics = tuple(
        Statistic(f"{label}, with registers minus without", each, 0.0)
        for label, each in rows
        if each is not None
    )
    kept = (_attention(bare, full, focus, thresholds), _harm(bare, full, accuracy, thresholds))
    verdict, reason = _registers(bare, full, norms, kept, thresholds)
    names = f"{full.label} against {bare.label}: "
    return Answer(5, verdict, names + reason, statistics, published=published)


def _accuracy(full: Evidence, bare: Evidence) -> Estimate | None:
    """Difference of nearest neighbours' top-1; None where there is none, or one class only."""
    if any(number(each.values, "labels", "classes", 0.0) < 2 for each in (full, bare)):
        return None
    rows = []
    for each in (full, bare):
        if "knn" not in each.outcomes:
            return None
        kept = each.outcomes["knn"].measured.seen["knn"].kept["correct"]
        rows.append({index: float(hit) for index, hit in kept.items()})
    return difference(rows[0], rows[1])


def _registers(
    bare: Evidence,
    full: Evidence,
    norms: Estimate | None,
    others: Sequence[tuple[Verdict, str]],
    thresholds: Thresholds,
) -> tuple[Verdict, str]:
    """Verdict on a pair, and why; ``others``: what attention and accuracy say."""
    few = too_few(bare, thresholds) or too_few(full, thresholds)
    if few:
        return "cannot tell", few
    before, after = (presence(each.values, thresholds) for each in (bare, full))
    if before in ("none", "unsure"):
        return "cannot tell", f"without registers there is nothing to remove. {NO_GROUP[before]}"
    lower = side(norms, 0.0) == "does not hold"
    if not lower and after in ("group", "tail"):
        return "does not hold", f"with registers there is {_has(after)}, and norms are no lower."
    if not lower or after != "none":
        return (
            "cannot tell",
            f"norms are {'lower' if lower else 'not surely lower'}: {_has(after)}.",
        )
    found: list[Verdict] = [verdict for verdict, _ in others]
    worst: tuple[Verdict, ...] = ("does not hold", "cannot tell", "holds")
    least: Verdict = min(found, key=worst.index)
    return least, f"high norms are gone; {'; '.join(said for _, said in others)}."


def _attention(
    bare: Evidence, full: Evidence, focus: Estimate | None, thresholds: Thresholds
) -> tuple[Verdict, str]:
    """Whether peaks of attention are lower with registers, or were not there to be removed."""
    if focus is None:
        return "cannot tell", "attention was not compared (it could not be read of both)"
    moved, line = side(focus, 0.0), thresholds.concentrated
    before, after = (side(peaks(each.values), line) for each in (bare, full))
    if moved == "does not hold":
        return "holds", "attention is less concentrated"
    if before == after == "does not hold":
        return "holds", "attention was not concentrated, and is not"
    if moved == "holds" and after == "holds":
        return "does not hold", "attention is more concentrated"
    return "cannot tell", "whether attention is less concentrated is too uncertain"


def _harm(
    bare: Evidence, full: Evidence, accuracy: Estimate | None, thresholds: Thresholds
) -> tuple[Verdict, str]:
    """Whether accuracy stays."""
    if accuracy is None:
        why = full.not_run.get("knn") or bare.not_run.get("knn") or "the pictures are of one class"
        return "cannot tell", f"accuracy was not compared ({why})"
    harm = side(accuracy, -thresholds.harm)
    said = {
        "holds": f"accuracy is no lower by more than {100 * thresholds.harm:.0f} point",
        "does not hold": "accuracy is lower",
        "cannot tell": "whether accuracy is lower is too uncertain",
    }
    return harm, said[harm]
