"""The second half of the verdict: how sure it is, what it means, what to try."""

from __future__ import annotations

from unlazy.report.objects import boxed, centring, object_state
from unlazy.report.sentences import (
    FEW_PICTURES,
    OTHER_PATCHES,
    Sentence,
    Values,
    is_concentrated,
    number,
    percent,
)
from unlazy.tokens import Facts

STEADY = 0.9
"""Share of resamples that must repeat the verdict before it is called steady; chosen by us."""
WORDS = {
    "unimodal": "one group of norms",
    "skewed": "one group of norms with a tail",
    "bimodal": "two groups of norms",
    "constant": "norms that are all the same",
    "unknown": "too few patches",
}
DENSE = "What this means for dense use"


def sureness(values: Values, kind: str, n: int) -> Sentence:
    """How far the verdict can be relied on, given the pictures."""
    few = f" That is few: use {FEW_PICTURES} or more before you rely on it."
    if n == 1:
        return Sentence(
            "How sure is this? One picture only",
            f"All of this rests on 1 picture, so there are no intervals.{few}",
            "note",
        )
    pictures = f"All of this rests on {n} pictures."
    agreement = number(values, "norm_shape", "agreement")
    if agreement == agreement:
        pictures += (
            " When as many are drawn anew from these, with repeats,"
            f" {percent(agreement)} of the draws again give {WORDS[kind]}{_others(values)}."
        )
    pictures += (
        " Intervals in the table cover 95 % of such draws; they say nothing about pictures of"
        " another kind."
    )
    if n < FEW_PICTURES:
        return Sentence("How sure is this? Few pictures", pictures + few, "note")
    if agreement < STEADY:
        return Sentence("How sure is this? The verdict on norms wavers", pictures, "note")
    return Sentence("How sure is this?", pictures, "fine")


def _others(values: Values) -> str:
    """What the other draws give."""
    drawn = {
        words: number(values, "norm_shape", f"redrawn_{kind}", 0.0) for kind, words in WORDS.items()
    }
    others = [f"{percent(share)} give {words}" for words, share in drawn.items() if share > 0]
    return "".join(f", {other}" for other in others)


def dense_use(values: Values, kind: str, found: bool) -> Sentence:
    """What the findings mean for tasks that read every patch."""
    if found:
        shared = number(values, "attention", "iou_with_norm", 0.0)
        dots = is_concentrated(values) and shared > OTHER_PATCHES
        attention = " Attention maps show some of them as bright dots." if dots else ""
        return Sentence(
            DENSE,
            "Segmentation, detection and object discovery read each patch as a description of its"
            " place; at high-norm patches that can fail. Cosine similarity hides their length"
            " but not their content." + attention,
            "warning",
        )
    norms, sound = _norms(values, kind)
    state = object_state(values)
    if state != "untested" and boxed(values) < FEW_PICTURES:
        few = f" The pictures with boxes ({boxed(values)}) are too few to say whether patch scores"
        return Sentence(DENSE, f"{norms}{few} follow the object.", "note")
    if state in ("avoided", "chance", "background"):
        where = "does not clearly point at the object"
        if state == "background":
            where = "resembles background more than the object, over all patches"
        return Sentence(
            DENSE,
            f"{norms} But the vector of the whole picture {where}."
            " Object discovery and zero-shot segmentation, which rank patches by it, are likely to"
            " mark background on pictures like these.",
            "warning",
        )
    if state == "centre":
        return Sentence(
            DENSE,
            f"{norms} But the vector of the whole picture points at the object no more often than"
            " the centre of the picture does: methods that rank patches by it (object discovery,"
            " zero-shot segmentation) may mark background here.",
            "note",
        )
    if not sound:
        return Sentence(DENSE, norms, "note")
    text = (
        f"{norms} Nothing found here speaks against using patch features for segmentation,"
        " detection or object discovery. How good they are is a matter of benchmarks, not of this"
        " page."
    )
    if state == "untested":
        text += " Whether background stands for the object was not tested: that needs boxes."
    return Sentence(DENSE, text, "fine")


def _norms(values: Values, kind: str) -> tuple[str, bool]:
    """What norms without high-norm patches mean, and whether they are sound."""
    if kind == "unknown" and "norm_shape" in values:
        return "There are too few patches to say anything of the norms.", False
    if kind == "unknown":
        return "Norms were not measured, so nothing can be said of them.", False
    if kind == "bimodal":
        return "Norms form two groups; the maps show whether that matters to you.", False
    if number(values, "norms", "share_over_3median", 0.0) > 0:
        return "Some norms are high; the maps show whether these patches matter to you.", False
    return "The norms look sound.", True


def advice(values: Values, facts: Facts, kind: str, found: bool) -> Sentence:
    """What to try against what was found; nothing, where nothing was found."""
    title = "What to try"
    enough = boxed(values) >= FEW_PICTURES
    state = object_state(values) if enough else "untested"
    lazy = state in ("avoided", "chance", "background")
    tries = _against_high_norms(values, facts) if found else []
    helps, numbers = centring(values) if lazy or state == "centre" else (False, "")
    if helps:
        tries.append(f"score patches by the centred cosine ({numbers})")
    if found or lazy:
        tries.append(
            "train with a pooling that does not let background stand for the picture, such as"
            " LazyStrike"
        )
    if tries:
        steps = "; ".join(tries)
        end = " Run this report again on the result: none of these is sure to help."
        remark = f" {numbers}" if numbers and not helps else ""
        return Sentence(title, f"{steps[0].upper()}{steps[1:]}.{remark}{end}", "note")
    if state == "centre":
        clear = "Nothing was found that clearly needs repair."
        return Sentence(title, f"{clear} {numbers}".strip(), "fine")
    if kind == "unknown":
        return Sentence(title, "Nothing can be advised without a verdict on the norms.", "fine")
    if not _norms(values, kind)[1]:
        return Sentence(title, "Look at the maps; there is nothing yet to repair.", "fine")
    return Sentence(title, "Nothing was found that would need repair.", "fine")


def _against_high_norms(values: Values, facts: Facts) -> list[str]:
    """Ways around high-norm patches that this model allows."""
    before = number(values, "norms", "max_over_median")
    after = number(values, "norms", "max_over_median_after_norm")
    tries = []
    if after < before:
        tries.append(
            "read features after the last normalisation, where the largest norm is"
            f" {after:.3g} instead of {before:.3g} times the median"
        )
    if "value" in facts.streams:
        tries.append("use the value features of the last block in place of its output")
    if facts.num_registers == 0 and facts.heads:
        tries.append("use a model trained with registers, or add registers at test time")
    return tries
