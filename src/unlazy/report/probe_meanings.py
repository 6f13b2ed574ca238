"""What each number of a probe means, in one line."""

from __future__ import annotations

TITLES = {
    "position": "Position: where a token was",
    "pixels": "Pixels under a token",
    "token_class": "Class of the picture, from one token",
    "register_heads": "Class of the picture, from CLS, mean patch and registers",
    "dino_linear": "Class of the picture, by a linear classifier as DINO trains it",
    "dinov2_linear": "Class of the picture, by a linear classifier as DINOv2 trains it",
    "threshold_sweep": "By threshold of the norm",
}
_GROUPS = {"normal": "normal tokens", "outlier": "outliers (the top 2 % by norm)"}
_TWO = {
    "top1": "share of the {group} whose place is named exactly",
    "distance": "mean distance of the named place from the true one for {group}, in patches",
    "majority": "share of the {group} that sit at their most common place: a baseline",
    "entropy": "how evenly {group} spread over places, from 0 (one place) to 1",
    "distance_centre": "mean distance of {group} from the centre: always naming it gives this",
    "tokens": "how many {group} there were",
    "error": "squared error of a whole patch, normalised pixels, mean over {group}",
    "root_error": "its root, for {group}",
    "value_error": "squared error of a single value, mean over {group}",
    "rgb_error": "the same of RGB values from 0 to 1, which compares models, mean over {group}",
    "r2": "share of the squared error of the mean patch that is explained, for {group}; 1 is all",
    "mean_patch_error": "error of always naming the mean training patch, for {group}: a baseline",
    "seed_sd_top1": "how much the top-1 of {group} differs between seeds (standard deviation)",
    "seed_sd_distance": "how much the distance of {group} differs between seeds",
    "seed_sd_error": "how much the error of {group} differs between seeds",
}
_BOTH = {
    f"{key}_{group}": text.format(group=words)
    for key, text in _TWO.items()
    for group, words in _GROUPS.items()
}
_POSITION = _BOTH | {
    "distance_centre": "mean distance of all tokens from the centre: the papers' baseline",
    "top1_outlier_minus_normal": "top-1 of outliers minus that of normal tokens, same heads",
    "distance_outlier_minus_normal": "distance of outliers minus that of normal tokens",
}
_PIXELS = _BOTH | {
    "error_outlier_minus_normal": "error of outliers minus that of normal tokens; above 0 they"
    " know less of their pixels",
    "r2_outlier_minus_normal": "R² of outliers minus that of normal tokens",
}
_KINDS = {
    "cls": "CLS (without one: the mean patch)",
    "normal": "a random normal token",
    "outlier": "a random outlier",
}
_TOKEN_CLASS = {
    **{
        f"{key}_{kind}": text.format(kind=words)
        for kind, words in _KINDS.items()
        for key, text in (
            ("top1", "share of the pictures whose class is told from {kind}"),
            ("seed_sd_top1", "how much that differs between seeds, from {kind}"),
        )
    },
    "outlier_minus_normal": "top-1 from outliers minus that from normal tokens, on the same"
    " pictures; above 0 outliers know more of the whole picture",
    "cls_minus_outlier": "top-1 from CLS minus that from outliers, on the same pictures",
    "cls_minus_normal": "top-1 from CLS minus that from normal tokens, on the same pictures",
    "pictures": "pictures with an outlier and a normal token, which all this is measured on",
}
_GUESSES = {
    "chance": "top-1 of a random class",
    "majority": "top-1 of always naming the most frequent class",
}
_TOKEN_CLASS |= _GUESSES
_TOKEN_CLASS["training_pictures"] = "training pictures with both, which was learned from"
_REGISTER_HEADS = {
    "top1_cls_mean": "share of the pictures whose class is told from CLS and the mean patch",
    "top1_cls_mean_registers": "the same with registers beside them",
    "top1_mean_registers": "the same from the mean patch and registers, without CLS",
    "top1_pretrained": "the same by the head that was given",
    "registers_gain": "what registers add to CLS and mean patch, on the same pictures",
} | _GUESSES
_REGISTER_HEADS |= {
    f"seed_sd_{key}": f"how much {key} differs between seeds (standard deviation)"
    for key in _REGISTER_HEADS
    if key.startswith("top1")
}
_LINEAR = {
    "top1_linear": "share of the pictures whose class is told",
    "seed_sd_top1_linear": "how much that differs between seeds (standard deviation)",
} | _GUESSES
_SWEEP = {
    "top1": "share of the tokens whose place is named exactly",
    "distance": "mean distance of the named place from the true one, in patches",
    "error": "squared error of a whole patch",
    "entropy": "how evenly the tokens spread over places, from 0 (one place) to 1",
    "tokens": "how many tokens there were",
    "seed_sd_top1": "how much the top-1 differs between seeds (standard deviation)",
    "seed_sd_distance": "how much the distance differs between seeds",
    "seed_sd_error": "how much the error differs between seeds",
}
_MEANINGS = {
    "position": _POSITION,
    "pixels": _PIXELS,
    "token_class": _TOKEN_CLASS,
    "register_heads": _REGISTER_HEADS,
    "dino_linear": _LINEAR,
    "dinov2_linear": _LINEAR,
}


def probe_meaning(measure: str, key: str) -> str:
    """One line on a number of a probe; empty for others.

    >>> probe_meaning("threshold_sweep", "top1/top5")
    'share of the tokens whose place is named exactly, among the highest 5 % by norm'
    """
    if measure != "threshold_sweep":
        return _MEANINGS.get(measure, {}).get(key, "")
    what, _, which = key.partition("/")
    if which.startswith("decile"):
        among = f"tenth number {which.removeprefix('decile')} by norm, from the lowest"
    else:
        among = f"the highest {which.removeprefix('top')} % by norm"
    return f"{_SWEEP[what]}, among {among}" if what in _SWEEP else ""
