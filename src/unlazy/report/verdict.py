"""The findings in words, for somebody who has not read the papers."""

from __future__ import annotations

from unlazy.distributions import FEWEST
from unlazy.report.consequences import advice, dense_use, sureness
from unlazy.report.objects import object_sentence
from unlazy.report.sentences import (
    CONCENTRATED,
    FEW_PICTURES,
    LEAST_HIGH,
    OTHER_PATCHES,
    Sentence,
    Values,
    estimate,
    has_high_norms,
    is_concentrated,
    kind_of,
    number,
    percent,
)
from unlazy.tokens import Facts

__all__ = ["Sentence", "kind_of", "norm_sentence", "verdict"]

SAME_PATCHES = 0.5
"""Intersection over union from which high-norm and high-attention patches are mostly the same;
chosen by us."""
HIGH = 3.0
"""Medians above which a norm is high, as in ``share_over_3median``."""
SAME_PLACES = 0.6
"""Normalised entropy below which high norms keep to the same places; chosen by us."""


def verdict(values: Values, facts: Facts, kind: str, n: int) -> tuple[Sentence, ...]:
    """What was found, how sure that is, what it means and what to try.

    Args:
        values: measure -> number -> estimate, as in a Record; measures may be missing.
        facts: of the model.
        kind: of the distribution of norms, see ``kind_of``.
        n: pictures that were used.
    """
    found = has_high_norms(values, kind)
    sentences: list[Sentence | None] = [
        _random(facts),
        norm_sentence(values, kind),
        _attention(values, found),
        object_sentence(values),
        _redundancy(values, found),
        _depth(values, found),
        _places(values, found, n),
        sureness(values, kind, n),
    ]
    if facts.weights != "random":  # what nobody will use needs no advice
        sentences += [dense_use(values, kind, found), advice(values, facts, kind, found)]
    return tuple(sentence for sentence in sentences if sentence is not None)


def _random(facts: Facts) -> Sentence | None:
    if facts.weights != "random":
        return None
    return Sentence(
        "The weights of this model are random",
        "It was never trained. Nothing below says anything about the trained model; this page"
        " only shows that the measurements run, and what they give without any training.",
        "warning",
    )


def norm_sentence(values: Values, kind: str) -> Sentence | None:
    """What the norms show; None where they were not measured."""
    if "norms" not in values:
        return None
    if kind == "unknown":
        tokens = number(values, "norm_shape", "tokens", 0.0)
        return Sentence(
            "Too few patches to judge the norms",
            f"There are {tokens:.0f} patches over all pictures; {FEWEST} are the least for a"
            " distribution. Use more or larger pictures.",
            "note",
        )
    share = number(values, "norms", "share_over_3median", 0.0)
    largest = (
        "The longest patch vector is"
        f" {number(values, 'norms', 'max_over_median'):.3g} times as long as the median one"
    )
    exceed = f"{percent(share)} of the patches exceed" if share else "no patch exceeds"
    above = f"{largest}; {exceed} three times the median."
    if kind == "bimodal":
        return _two_groups(values, above)
    if share > 0:
        return Sentence(
            "Norms have a long tail, but no separate group of high-norm patches",
            f"{above} The lengths (norms) of the patch vectors run on, or too few stand apart to"
            " make a group, so that any line between ordinary and high is drawn by choice.",
            "note",
        )
    if kind == "skewed":
        return Sentence(
            "No high-norm patches were found, though norms have a tail",
            f"{above} The lengths (norms) of the patch vectors form one group that reaches further"
            " up than down.",
            "fine",
        )
    return Sentence(
        "No high-norm patches were found",
        f"The lengths (norms) of the patch vectors form one group. {above}",
        "fine",
    )


def _two_groups(values: Values, above: str) -> Sentence:
    """What norms in two groups mean."""
    upper = number(values, "norm_shape", "share_above_boundary")
    boundary = number(values, "norm_shape", "boundary")
    if has_high_norms(values, "bimodal"):
        pictures = number(values, "norms", "images_with_high_norm", 0.0)
        return Sentence(
            "This model has high-norm patches",
            "Where the last block ends, the lengths (norms) of the patch vectors fall into two"
            f" groups, and {percent(upper)} of the patches belong to the longer one (norms above"
            f" {boundary:.3g}). {above} {percent(pictures)} of the pictures have such a patch."
            " Vectors like these were found to hold information about the whole picture in place"
            " of what can be seen at their position.",
            "warning",
        )
    if upper >= 0.5:
        return Sentence(
            "Norms form two groups, the smaller one short",
            f"{percent(1 - upper)} of the patches are shorter than the others (norms below"
            f" {boundary:.3g}). {above} That is no group of high-norm patches; look at the maps to"
            " see what the short ones are.",
            "note",
        )
    return Sentence(
        "Norms form two groups, but not far apart",
        f"{percent(upper)} of the patches belong to the longer group (norms above {boundary:.3g})."
        f" {above} A group of high-norm patches would hold {percent(LEAST_HIGH)} of all patches or"
        " more, half of them above three medians; look at the maps to see what these two are.",
        "note",
    )


def _attention(values: Values, found: bool) -> Sentence | None:
    mass = number(values, "attention", "top_mass")
    top = number(values, "attention", "top_share")
    if mass != mass or top != top:
        return None
    gets = (
        f"On average, the {percent(top)} of the patches with most attention get {percent(mass)} of"
        f" all attention that goes to patches: {mass / top:.2g} times an even share."
    )
    if CONCENTRATED * top > 1:
        return Sentence(
            "Too few patches to tell whether attention is concentrated",
            f"{gets} On so few patches that is no sign of anything.",
            "note",
        )
    if not is_concentrated(values):
        return Sentence("Attention is spread over many patches", gets, "fine")
    same = number(values, "attention", "iou_with_norm")
    if not found or same != same:
        which = "Look at the map: on objects this is as it should be, on background it is not."
    elif same >= SAME_PATCHES:
        which = f"These are mostly the patches with the highest norms (overlap {same:.2f} of 1)."
    elif same <= OTHER_PATCHES:
        which = f"These are other patches than the high-norm ones (overlap {same:.2f} of 1)."
    else:
        which = f"Some of these are high-norm patches (overlap {same:.2f} of 1)."
    return Sentence(
        "Attention is concentrated on few patches",
        f"{gets} {which}",
        "warning" if found else "note",
    )


def _redundancy(values: Values, found: bool) -> Sentence | None:
    area = estimate(values, "neighbours", "auc")
    if not found or area is None:
        return None
    told = (
        f"Of a patch among the 2 % with the highest norms and another patch, the first resembles"
        f" its neighbours more in {percent(area.value)} of all pairs (50 % would be no difference)."
    )
    if area.value > 0.5 and (area.low is None or area.low > 0.5):
        title = "High-norm patches sit in redundant areas"
        told += " Such areas (sky, walls, grass) carry little of their own, which is where models"
        told += " were found to store other information."
    elif area.value < 0.5 and (area.high is None or area.high < 0.5):
        title = "High-norm patches sit in detailed areas rather than redundant ones"
    else:
        title = "High-norm patches are not clearly in redundant areas"
    return Sentence(title, told, "note")


def _depth(values: Values, found: bool) -> Sentence | None:
    """Where norms grow; nothing about where high norms begin, which one rise does not show."""
    rise = number(values, "blocks", "largest_rise_at_block")
    highest = number(values, "blocks", "highest_max_over_median", 0.0)
    if not found or rise != rise or highest < HIGH:
        return None
    first = number(values, "blocks", "first_block_max_over_median")
    at = number(values, "blocks", "highest_at_block")
    return Sentence(
        f"The largest norms rise most at block {rise:.0f}",
        f"Blocks count from 0. The largest norm of a picture is, on average, {first:.3g} times the"
        f" median after the first block and {highest:.3g} times at its highest, block {at:.0f}."
        " The plot of norms block by block shows whether earlier blocks are free of high norms.",
        "note",
    )


def _places(values: Values, found: bool, n: int) -> Sentence | None:
    entropy = number(values, "norms", "p98_position_entropy")
    if not found or n < FEW_PICTURES or entropy != entropy or entropy >= SAME_PLACES:
        return None
    return Sentence(
        "High norms keep to the same places",
        f"Over all pictures, the 2 % of the patches with the highest norms are far from evenly"
        f" spread (evenness {entropy:.2f} of 1). That may come from the position embedding, from"
        " the model's handling of borders, or from pictures that are all composed alike.",
        "note",
    )
