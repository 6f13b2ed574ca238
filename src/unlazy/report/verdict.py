"""The findings in words, for somebody who has not read the papers."""

from __future__ import annotations

from unlazy.report.consequences import advice, dense_use, sureness
from unlazy.report.sentences import (
    FEW_PICTURES,
    Sentence,
    Values,
    estimate,
    has_high_norms,
    kind_of,
    number,
    percent,
)
from unlazy.tokens import Facts

__all__ = ["Sentence", "kind_of", "norm_sentence", "verdict"]

CONCENTRATED = 0.2
"""Attention is concentrated if 2 % of the patches get this share of it; chosen by us."""
SAME_PATCHES, OTHER_PATCHES = 0.5, 0.1
"""Intersection over union of high-norm and high-attention patches; chosen by us."""
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
    sentences = [
        _random(facts),
        norm_sentence(values, kind),
        _attention(values, found),
        _object(values, n),
        _redundancy(values, found),
        _depth(values, found),
        _places(values, found, n),
        sureness(values, kind, n),
    ]
    if facts.weights != "random":  # what nobody will use needs no advice
        sentences += [dense_use(values, kind, n, found), advice(values, facts, found)]
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
    found = has_high_norms(values, kind)
    if "norms" not in values:
        return None
    ratio = number(values, "norms", "max_over_median")
    share = number(values, "norms", "share_over_3median", 0.0)
    largest = f"The longest patch vector is {ratio:.3g} times as long as the median one"
    above = f"{percent(share)} of the patches exceed three times the median"
    if found:
        pictures = number(values, "norms", "images_with_high_norm", 0.0)
        return Sentence(
            "This model has high-norm patches",
            "Before the last normalisation, the lengths (norms) of the patch vectors fall into"
            f" two groups. {largest}; {above}, and {percent(pictures)} of the pictures have such"
            " a patch. Vectors like these often hold information about the whole picture in place"
            " of what can be seen at their position.",
            "warning",
        )
    if kind == "bimodal":
        return Sentence(
            "Norms form two groups, but not far apart",
            f"{largest}, and no patch exceeds three times the median. That is no outlier in the"
            " sense of the papers; look at the maps to see what the two groups are.",
            "note",
        )
    if kind == "skewed" or share > 0:
        return Sentence(
            "Norms have a long tail, but no separate group of high-norm patches",
            f"{largest}, and {above}. The lengths (norms) of the patch vectors run on without a"
            " gap, so that any line between ordinary and high is drawn by choice.",
            "note",
        )
    return Sentence(
        "No high-norm patches were found",
        f"The lengths (norms) of the patch vectors form one group. {largest}.",
        "fine",
    )


def _attention(values: Values, found: bool) -> Sentence | None:
    mass = number(values, "attention", "top_mass")
    if mass != mass:
        return None
    gets = f"On average, the 2 % of the patches with most attention get {percent(mass)} of all"
    gets += " attention that goes to patches."
    if mass < CONCENTRATED:
        return Sentence("Attention is spread over many patches", gets, "fine")
    same = number(values, "attention", "iou_with_norm")
    if not found or same != same:
        which = "Compare the attention map with the photo: on objects this can be meant so."
    elif same >= SAME_PATCHES:
        which = f"These are mostly the high-norm patches (overlap {same:.2f} of 1)."
    elif same <= OTHER_PATCHES:
        which = f"These are other patches than the high-norm ones (overlap {same:.2f} of 1)."
    else:
        which = f"Some of these are high-norm patches (overlap {same:.2f} of 1)."
    return Sentence(
        "Attention is concentrated on few patches",
        f"{gets} {which}",
        "warning" if found else "note",
    )


def _object(values: Values, n: int) -> Sentence | None:
    if "patch_score" not in values:
        return None
    score = estimate(values, "patch_score", "point_in_box/cosine")
    if score is None:
        return Sentence(
            "Whether patch scores follow the object cannot be told",
            "The patch score says how much a patch resembles the vector of the whole picture. To"
            " tell whether the best patch lies on the object, pictures with boxes are needed;"
            " these have none.",
            "note",
        )
    chance = number(values, "patch_score", "point_in_box/chance")
    centre = number(values, "patch_score", "point_in_box/centre")
    low = score.value if score.low is None else score.low
    high = score.value if score.high is None else score.high
    counts = (
        f"The patch most like the whole picture lies in the object's box in {percent(score.value)}"
        f" of the pictures with boxes (interval {percent(low)} to {percent(high)}). A random"
        f" patch would in {percent(chance)}, always pointing at the centre in {percent(centre)}."
    )
    auc = estimate(values, "patch_score", "auc/cosine")
    below = auc is not None and (auc.value if auc.high is None else auc.high) < 0.5
    if auc is not None and below:
        counts += (
            f" Over all patches, one inside the box outscores one outside in only"
            f" {percent(auc.value)} of pairs: on the whole, background scores higher."
        )
    if high < chance:
        title, level = "Patch scores avoid the object: background stands for it", "warning"
    elif low <= chance:
        title, level = "Patch scores do not follow the object better than chance", "warning"
    elif below:
        title, level = "The best patch beats chance, but background scores higher", "warning"
    elif low <= centre:
        title, level = "Patch scores beat chance, but not pointing at the centre", "note"
    else:
        title, level = "Patch scores follow the object", "fine"
    if n < FEW_PICTURES:
        title, level = f"{title}; too few pictures to rely on", "note"
    return Sentence(title, counts, level)


def _redundancy(values: Values, found: bool) -> Sentence | None:
    area = estimate(values, "neighbours", "auc")
    if not found or area is None:
        return None
    told = (
        f"In {percent(area.value)} of all pairs, the high-norm patch resembles its neighbours more"
        " than the other patch resembles its own (50 % would be no difference)."
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
    rise = number(values, "blocks", "largest_rise_at_block")
    if not found or rise != rise:
        return None
    first = number(values, "blocks", "first_block_max_over_median")
    highest = number(values, "blocks", "highest_max_over_median")
    return Sentence(
        f"High norms rise most at block {rise:.0f}",
        f"Blocks count from 0. The largest norm of a picture is {first:.3g} times the median after"
        f" the first block, and {highest:.3g} times at its highest. Features from before that"
        " block do not have these patches.",
        "note",
    )


def _places(values: Values, found: bool, n: int) -> Sentence | None:
    entropy = number(values, "norms", "p98_position_entropy")
    if not found or n < FEW_PICTURES or entropy != entropy or entropy >= SAME_PLACES:
        return None
    return Sentence(
        "High norms sit at the same places in every picture",
        f"Their places are far from evenly spread (evenness {entropy:.2f} of 1). That points to the"
        " position embedding or the model's border handling rather than to picture content.",
        "note",
    )
