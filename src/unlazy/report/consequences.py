"""The second half of the verdict: how sure it is, what it means, what to try."""

from __future__ import annotations

from unlazy.report.sentences import FEW_PICTURES, Sentence, Values, estimate, number, percent
from unlazy.tokens import Facts

STEADY = 0.9
"""Share of resamples that must repeat the verdict before it is called steady; chosen by us."""


def sureness(values: Values, kind: str, n: int) -> Sentence:
    """How far the verdict can be relied on, given the pictures."""
    pictures = f"All of this rests on {n} picture{'s' if n != 1 else ''}."
    agreement = number(values, "norm_shape", "agreement")
    steady = agreement == agreement and agreement >= STEADY
    if agreement == agreement:
        pictures += (
            f" When the pictures are drawn anew, {percent(agreement)} of the draws again call the"
            f" norms {kind}."
        )
    pictures += (
        " Intervals in the table cover 95 % of such draws; they say nothing about pictures of"
        " another kind."
    )
    if n < FEW_PICTURES:
        few = f" That is few: use {FEW_PICTURES} or more before you rely on it."
        return Sentence("How sure is this? Few pictures", pictures + few, "note")
    if agreement == agreement and not steady:
        return Sentence("How sure is this? The verdict wavers", pictures, "note")
    return Sentence("How sure is this?", pictures, "fine")


def _lazy(values: Values) -> bool:
    """Whether boxes show that the best patch is no better than a random one."""
    score = estimate(values, "patch_score", "point_in_box/cosine")
    if score is None:
        return False
    low = score.value if score.low is None else score.low
    return low <= number(values, "patch_score", "point_in_box/chance")


def _weak(values: Values) -> bool:
    """Whether the best patch finds boxes less often than always pointing at the centre."""
    score = estimate(values, "patch_score", "point_in_box/cosine")
    return score is not None and score.value < number(values, "patch_score", "point_in_box/centre")


def dense_use(values: Values, kind: str, n: int, found: bool) -> Sentence:
    """What the findings mean for tasks that read every patch."""
    title = "What this means for dense use"
    if found:
        shared = number(values, "attention", "iou_with_norm", 0.0)
        attention = " Attention maps show some of them as bright dots." if shared > 0 else ""
        return Sentence(
            title,
            "Segmentation, detection and object discovery read each patch as a description of its"
            " place; at high-norm patches that can fail. Cosine similarity hides their length"
            " but not their content." + attention,
            "warning",
        )
    if _lazy(values):
        return Sentence(
            title,
            "Norms look sound, but the vector of the whole picture does not point at the object."
            " Object discovery and zero-shot segmentation, which rank patches by it, are likely to"
            " mark background.",
            "note" if n < FEW_PICTURES else "warning",
        )
    if _weak(values):
        return Sentence(
            title,
            "Norms look sound. But the vector of the whole picture points at the object less often"
            " than the centre of the picture does: methods that rank patches by it (object"
            " discovery, zero-shot segmentation) may mark background here.",
            "note",
        )
    if kind == "unknown":
        return Sentence(title, "Norms were not measured, so nothing can be said.", "note")
    return Sentence(
        title,
        "Nothing found here speaks against using patch features for segmentation, detection or"
        " object discovery. How good they are is a matter of benchmarks, not of this page.",
        "fine",
    )


def advice(values: Values, facts: Facts, found: bool) -> Sentence:
    """What to try against what was found; nothing, where nothing was found."""
    title = "What to try"
    if not found and not _lazy(values) and not _weak(values):
        return Sentence(title, "Nothing was found that would need repair.", "fine")
    tries = []
    if found:
        tries.append("read features after the last normalisation, which evens out lengths")
        if "value" in facts.streams:
            tries.append("use the value features of the last block in place of its output")
        if facts.num_registers == 0:
            tries.append("use a model trained with registers, or add registers at test time")
    if _lazy(values) or _weak(values):
        tries.append("score patches by the centred cosine")
    tries.append("train with a pooling that does not let background stand for the picture")
    steps = "; ".join(tries)
    return Sentence(
        title,
        f"{steps[0].upper()}{steps[1:]}. Run this report again on the result: none of these is sure"
        " to help.",
        "note",
    )
