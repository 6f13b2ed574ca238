"""Whether patch scores follow the object, and whether centring them helps."""

from __future__ import annotations

from typing import Literal

from unlazy.ledger import Estimate
from unlazy.report.sentences import (
    FEW_PICTURES,
    Level,
    Sentence,
    Values,
    estimate,
    number,
    percent,
)

State = Literal["untested", "avoided", "chance", "background", "centre", "followed"]
TITLES: dict[State, tuple[str, Level]] = {
    "avoided": ("Patch scores avoid the object: background stands for it", "warning"),
    "chance": ("Patch scores do not clearly find the object more often than chance", "warning"),
    "background": ("The best patch beats chance, but background scores higher", "warning"),
    "centre": ("Patch scores beat chance, but not pointing at the centre", "note"),
    "followed": ("Patch scores follow the object", "fine"),
}


def low(found: Estimate) -> float:
    """Lower end of the interval; the value itself where there is none."""
    return found.value if found.low is None else found.low


def high(found: Estimate) -> float:
    """Upper end of the interval; the value itself where there is none."""
    return found.value if found.high is None else found.high


def boxed(values: Values) -> int:
    """Pictures with boxes that patch scores were held against."""
    return round(number(values, "patch_score", "point_in_box/pictures", 0.0))


def object_state(values: Values) -> State:
    """What boxes say of the best patch, held against a random patch and the picture's centre.

    >>> object_state({})
    'untested'
    """
    score = estimate(values, "patch_score", "point_in_box/cosine")
    if score is None:
        return "untested"
    chance = number(values, "patch_score", "point_in_box/chance")
    if high(score) < chance:
        return "avoided"
    if low(score) <= chance:
        return "chance"
    area = estimate(values, "patch_score", "auc/cosine")
    if area is not None and high(area) < 0.5:
        return "background"
    if low(score) <= number(values, "patch_score", "point_in_box/centre"):
        return "centre"
    return "followed"


def object_sentence(values: Values) -> Sentence | None:
    """Where the best patch lies; None where patch scores were not measured."""
    if "patch_score" not in values:
        return None
    score = estimate(values, "patch_score", "point_in_box/cosine")
    if score is None:
        return Sentence(
            "Whether patch scores follow the object cannot be told",
            "The patch score says how much a patch resembles the vector of the whole picture. To"
            " tell whether the best patch lies on the object, pictures with boxes are needed;"
            " these have none. The drawn scenes of data:scenes have boxes.",
            "note",
        )
    count = boxed(values)
    chance = number(values, "patch_score", "point_in_box/chance")
    centre = number(values, "patch_score", "point_in_box/centre")
    pictures = f"the {count} pictures with boxes" if count != 1 else "the one picture with boxes"
    counts = (
        f"The patch most like the whole picture lies in an object's box in {share(score)} of"
        f" {pictures}. A random patch would in {percent(chance)}, always pointing at the centre in"
        f" {percent(centre)}."
    )
    area = estimate(values, "patch_score", "auc/cosine")
    if area is not None and high(area) < 0.5:
        counts += (
            f" Over all patches, one inside a box outscores one outside in only"
            f" {percent(area.value)} of pairs: on the whole, background scores higher."
        )
    title, level = TITLES[object_state(values)]
    if count < FEW_PICTURES:
        title, level = f"{title}; too few pictures with boxes to rely on", "note"
    return Sentence(title, counts, level)


def centring(values: Values) -> tuple[bool, str]:
    """Whether the centred cosine finds boxes more often here, and the numbers in words."""
    plain = estimate(values, "patch_score", "point_in_box/cosine")
    centred = estimate(values, "patch_score", "point_in_box/centred_cosine")
    gain = estimate(values, "patch_score", "point_in_box/centred_cosine_gain")
    if plain is None or centred is None or gain is None:
        return False, ""
    numbers = (
        f"the best patch lies in a box in {share(centred)} of the pictures, against {share(plain)}"
        f" by the plain cosine: {points(gain)}"
    )
    if low(gain) > 0:
        return True, numbers
    verb = "made it worse here" if high(gain) < 0 else "did not clearly help here"
    return False, f"Scoring patches by the centred cosine {verb}: {numbers}."


def share(found: Estimate) -> str:
    """A share with its interval.

    >>> share(Estimate(0.5, 0.4, 0.6))
    '50 % (interval 40 % to 60 %)'
    """
    if found.low is None or found.high is None:
        return percent(found.value)
    return f"{percent(found.value)} (interval {percent(found.low)} to {percent(found.high)})"


def points(found: Estimate) -> str:
    """A difference of shares in percentage points.

    >>> points(Estimate(0.075, -0.02, 0.13))
    '+7.5 points (interval -2.0 to +13.0)'
    """
    text = f"{100 * found.value:+.1f} points"
    if found.low is None or found.high is None:
        return text
    return f"{text} (interval {100 * found.low:+.1f} to {100 * found.high:+.1f})"
