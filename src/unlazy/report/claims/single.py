"""Claims that one model can answer: artifacts (1) and redundancy (3)."""

from __future__ import annotations

from typing import Literal

from unlazy.ledger import Estimate
from unlazy.report.claims.answer import Answer, Statistic, Thresholds, Verdict, side
from unlazy.report.claims.evidence import Evidence
from unlazy.report.claims.published import figures
from unlazy.report.sentences import Values, estimate, has_high_norms, kind_of, number, percent
from unlazy.scores import chance_overlap

Presence = Literal["group", "tail", "none", "unsure"]
"""High norms: a separate group, a long tail without one, none, or too uncertain to say."""

NO_GROUP: dict[Presence, str] = {
    "tail": "Norms have a long tail, but no separate group.",
    "none": "This model has no high-norm patches; 2 % lie above the 98th percentile in any model.",
    "unsure": "Whether there are high-norm patches depends on which pictures are drawn.",
}


def presence(values: Values, thresholds: Thresholds) -> Presence:
    """Whether there are high-norm patches at all, and how sure that is."""
    kind, share = kind_of(values), estimate(values, "norms", "share_over_3median")
    if kind == "unknown" or share is None or share.low is None or share.high is None:
        return "unsure"
    if has_high_norms(values, kind):
        agreement = number(values, "norm_shape", "agreement", 0.0)
        return "group" if agreement >= thresholds.sure else "unsure"
    if share.low >= thresholds.least_high:
        return "tail"
    return "none" if share.high < thresholds.surely_none else "unsure"


def too_few(evidence: Evidence, thresholds: Thresholds) -> str:
    """Why nothing is decided on so few pictures; "" where they are enough."""
    least = int(thresholds.fewest_pictures)
    if evidence.pictures >= least:
        return ""
    return f"There are {evidence.pictures} pictures; a verdict takes {least} or more."


def peaks(values: Values) -> Estimate | None:
    """Attention on the top 2 % of the patches, in even shares; None where it was not measured."""
    mass = estimate(values, "attention", "top_mass")
    return None if mass is None else mass.scaled(1 / number(values, "attention", "top_share"))


def norm_statistics(evidence: Evidence) -> list[Statistic]:
    """What is known of high norms."""
    values = evidence.values
    wanted = (
        ("norms", "max_over_median_per_image", "largest norm over the median, mean over pictures"),
        ("norm_shape", "tail", "99.9th percentile of the norms over the median"),
        ("norms", "share_over_3median", "share of the patches above three medians"),
    )
    rows = [(label, estimate(values, measure, key)) for measure, key, label in wanted]
    return [Statistic(label, found) for label, found in rows if found is not None]


def artifacts(evidence: Evidence, thresholds: Thresholds) -> Answer:
    """Claim 1: high norms and high attention are one thing.

    Source: the paper's claim 1 and Figure 2, which it judges by eye; the overlap with chance and
    its line are ours.
    """
    values, name = evidence.values, evidence.facts.name
    published = () if evidence.control else figures(name, 1)
    norms = norm_statistics(evidence)
    overlap = estimate(values, "attention", "iou_with_norm")
    if overlap is None:
        reason = "This model has no attention that could be read on the grid of its patches."
        return Answer(1, "cannot tell", reason, tuple(norms), published=published)
    grid = evidence.findings.measured.seen["attention"].stack("map").shape[1:]
    patches = grid[0] * grid[1]
    chance = chance_overlap(patches, max(1, round(thresholds.top_share * patches)))
    most = peaks(values) or Estimate(float("nan"))
    rank = estimate(values, "attention", "rank_correlation_with_norm")
    statistics = [
        Statistic("overlap (IoU) of top-norm and top-attention patches", overlap, chance),
        *([] if rank is None else [Statistic("rank correlation, norm and attention", rank, 0.0)]),
        Statistic("attention on the top 2 % over an even share", most, 1.0),
        *norms,
    ]
    line = max(chance, thresholds.majority_overlap)
    label = side(overlap, line)
    verdict, reason = _artifacts(evidence, thresholds, label, most)
    than = {
        "holds": "more than",
        "does not hold": "less than",
        "cannot tell": "not surely other than",
    }
    reason += (
        f" Norms are {kind_of(values)}. The overlap is {overlap.value:.2g}; by chance it is"
        f" {chance:.2g}"
        f" ({than[side(overlap, chance)]} chance)."
    )
    return Answer(1, verdict, reason, tuple(statistics), label, published)


def _artifacts(
    evidence: Evidence, thresholds: Thresholds, label: Verdict, most: Estimate
) -> tuple[Verdict, str]:
    """Verdict of claim 1 and why, from what the overlap says."""
    few = too_few(evidence, thresholds)
    if few:
        return "cannot tell", few
    there = presence(evidence.values, thresholds)
    if there == "group":
        said = {
            "holds": "There is a separate group of high norms, and most of the patches with the"
            " highest norm are those with the most attention.",
            "does not hold": "There is a separate group of high norms, but attention peaks at other"
            " patches, mostly.",
            "cannot tell": "There is a separate group of high norms; whether most of them are the"
            " patches with the most attention is too uncertain.",
        }
        return label, said[label]
    has_peaks = side(most, thresholds.concentrated) == "holds"
    if there != "unsure" and has_peaks and label == "does not hold":
        return label, (
            f"{NO_GROUP[there]} Attention has peaks all the same ({most.value:.3g} times an even"
            " share), and at other patches: these are high-attention, not high-norm."
        )
    return "cannot tell", NO_GROUP[there]


def redundancy(evidence: Evidence, thresholds: Thresholds) -> Answer:
    """Claim 3: high norms sit where patches resemble their neighbours.

    Source: the paper's claim 3 and Figure 3: cosine to the four neighbours after patch embedding.
    """
    values = evidence.values
    published = () if evidence.control else figures(evidence.facts.name, 3)
    wanted = (
        ("difference", "likeness to neighbours, top 2 % by norm minus the rest", 0.0),
        ("auc", "chance that a top-2 % patch is more like its neighbours than another", 0.5),
        ("redundant_ratio", "times likelier among the most uniform tenth", 1.0),
    )
    rows = [(label, estimate(values, "neighbours", key), at) for key, label, at in wanted]
    statistics = tuple(Statistic(label, each, at) for label, each, at in rows if each is not None)
    label = side(estimate(values, "neighbours", "difference"), 0.0)
    few, there = too_few(evidence, thresholds), presence(values, thresholds)
    if not statistics:
        missing = "embed" not in evidence.facts.streams
        reason = "This model's patch embedding cannot be read." if missing else NO_GROUP["none"]
        return Answer(3, "cannot tell", reason, published=published)
    said: dict[Verdict, str] = {
        "holds": "more like their neighbours than the rest",
        "does not hold": "less like their neighbours than the rest",
        "cannot tell": "no more and no less like their neighbours than the rest, as far as can be"
        " told",
    }
    told = f"The top 2 % by norm are {said[label]}."
    if few or there in ("none", "unsure"):
        return Answer(
            *(3, "cannot tell", f"{few or NO_GROUP[there]} {told}", statistics, label, published)
        )
    upper = percent(number(values, "norms", "share_over_3median", 0.0))
    return Answer(
        3, label, f"{told} {upper} lie above three medians.", statistics, label, published
    )
