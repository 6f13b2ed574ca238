"""What each number means, in one line for somebody who has not read the papers."""

from __future__ import annotations

import math

from unlazy.ledger import Estimate
from unlazy.report import probe_meanings
from unlazy.report.meanings_of_benchmarks import BENCHMARK_TITLES, small_boxes
from unlazy.report.meanings_of_benchmarks import MEANINGS as BENCHMARKS
from unlazy.report.probe_meanings import probe_meaning

TITLES = {
    "norms": "Norms (lengths of the patch vectors)",
    "norm_shape": "Distribution of the norms",
    "attention": "Attention",
    "patch_score": "Patch score (likeness of a patch to the whole picture)",
    "neighbours": "Likeness to neighbouring patches",
    "qkv": "Queries, keys and values of the last block",
    "blocks": "Norms block by block",
    "votes": "LazyStrike votes",
    "pca": "Principal components",
    "labels": "Labels of the pictures",
    **BENCHMARK_TITLES,
}

_NORMS = {
    "median": "half of the patches have a smaller norm, before the last normalisation",
    "p98": "98 % of the patches have a smaller norm; in any model 2 % lie above, so the line itself"
    " is no evidence",
    "max": "largest norm of any patch",
    "max_over_median": "largest norm over the median one; far above 3 means outliers",
    "max_over_median_per_image": "the same within each picture, mean over pictures",
    "max_over_median_after_norm": "the same after the last normalisation, which hides outliers",
    "largest_value": "largest single activation; a few channels often carry a high norm",
    "share_over_3median": "share of the patches whose norm exceeds three medians",
    "share_over_absolute": "share of the patches above a fixed norm that was set for DINOv2-g",
    "images_with_high_norm": "share of the pictures with at least one patch above three medians",
    "p98_position_entropy": "how evenly the top 2 % spread over places, from 0 (one place) to 1",
    "p98_most_common_position": "share of the top 2 % that sits at the most common position",
}
_SHAPE = {
    "is_unimodal": "verdict: one group of norms without a long tail",
    "is_skewed": "verdict: one group of norms with a long tail",
    "is_bimodal": "verdict: two groups of norms",
    "is_constant": "verdict: all norms are the same",
    "is_unknown": "verdict: too few patches to judge",
    "tokens": "patches whose norms were judged, over all pictures",
    "dip_p": "dip test: a small value speaks against one group",
    "bic_gain": "how much better two groups describe the norms than one, per patch; above 0.01"
    " counts",
    "ashman_d": "distance of the two groups in units of their width; above 2 they are distinct",
    "minor_share": "share of the patches in the smaller group",
    "valley": "density between the groups over that of the lower one; below 1 there is a gap",
    "skewness": "asymmetry of the norms; above 1 there is a long upper tail",
    "excess_kurtosis": "weight of the tails; 0 for a bell curve",
    "tail": "99.9th percentile of the norms over their median",
    "boundary": "the norm that divides the two groups",
    "share_above_boundary": "share of the patches above it; below one half the longer group is the"
    " smaller one",
    "agreement": "share of redrawn picture sets that give the same verdict",
    "redrawn_unimodal": "share of redrawn picture sets that give one group without a long tail",
    "redrawn_skewed": "share of redrawn picture sets that give one group with a long tail",
    "redrawn_bimodal": "share of redrawn picture sets that give two groups",
    "redrawn_constant": "share of redrawn picture sets whose norms are all the same",
    "redrawn_unknown": "share of redrawn picture sets with too few patches to judge",
}
_ATTENTION = {
    "prefix": "share of the attention that goes to the class token and registers, not to patches",
    "top_mass": "share of the patches' attention that the 2 % with the most get",
    "top_share": "how large a part of the patches these are: an even share of the attention",
    "max_over_median": "largest attention in a picture over the median one, mean over pictures",
    "iou_with_norm": "overlap of the 2 % with most attention and the 2 % with the highest norm: 1"
    " same patches, 0 none in common",
    "rank_correlation_with_norm": "do patches with higher norm get more attention? 1 always, 0 no"
    " relation, -1 the reverse",
}
_SCORE = {
    "mean_cosine": "mean likeness of patches to the whole picture, from -1 to 1",
    "spread_cosine": "how much that likeness differs between the patches of a picture",
    "max_cosine": "likeness of the best patch, mean over pictures",
    "norm_correlation": "do patches with higher norm score higher? from -1 to 1",
    "best_position_entropy": "how evenly best patches spread over places, from 0 (one place) to 1",
    "point_in_box/cosine": "share of the pictures whose best patch lies on the object",
    "point_in_box/dot": "the same with the dot product, which mixes likeness with norm",
    "point_in_box/centred_cosine": "the same after subtracting what all patches share",
    "point_in_box/centred_cosine_gain": "the centred cosine's share minus the cosine's, on the same"
    " pictures; above 0 centring helps",
    "point_in_box/pictures": "pictures with boxes that these shares were measured on",
    "point_in_box/chance": "the same for a random patch: the baseline to beat",
    "point_in_box/centre": "the same for always pointing at the centre: the baseline to beat",
    "auc/cosine": "chance that a patch on the object scores above one beside it; 0.5 is none",
    "auc/dot": "the same with the dot product",
    "auc/centred_cosine": "the same after subtracting what all patches share",
}
_NEIGHBOURS = {
    "mean": "mean likeness of a patch to its four neighbours, after patch embedding",
    "high_norm": "the same for the top 2 % by norm",
    "rest": "the same for all others",
    "difference": "top 2 % minus the rest; above 0 they sit in more uniform areas",
    "auc": "chance that a top-2 % patch is more like its neighbours than another; 0.5 is none",
    "redundant_ratio": "how many times more often the top 2 % lie in the most uniform tenth",
}
_PARTS = {
    "median": "median norm of the {part} vectors",
    "max_over_median": "largest norm of a {part} vector over the median one",
    "high_over_rest": "median {part} norm at the top 2 % by patch norm over that elsewhere",
}
_BLOCKS = {
    "first_block_max_over_median": "largest norm over the median after the first block",
    "last_block_max_over_median": "the same after the last block",
    "highest_max_over_median": "the same after the block where it is highest",
    "highest_at_block": "that block, counted from 0",
    "largest_rise_at_block": "the block, counted from 0, at which it rises most",
}
_VOTES = {
    "entropy": "how evenly channels spread their votes over patches: 0 one patch, 1 even",
    "top_patch_share": "share of the votes that the most voted patch gets",
    "patches_over_half_of_top": "share of the patches with more than half of its votes",
}
_PCA = {
    "variance_first": "share of the variance in the first component (shown pictures only)",
    "variance_first_three": "share of the variance in the first three",
}
_MEANINGS = {
    **BENCHMARKS,
    "small_boxes": small_boxes(_SCORE),
    "labels": {"pictures": "pictures with a label", "classes": "how many classes these are of"},
    "norms": _NORMS,
    "norm_shape": _SHAPE,
    "attention": _ATTENTION,
    "patch_score": _SCORE,
    "neighbours": _NEIGHBOURS,
    "qkv": {
        f"{part}_{key}": text.format(part=part)
        for part in ("query", "key", "value")
        for key, text in _PARTS.items()
    },
    "blocks": _BLOCKS,
    "votes": _VOTES,
    "pca": _PCA,
}


def meaning(measure: str, key: str) -> str:
    """One line on a number; empty for a measure from outside.

    >>> meaning("norms", "max")
    'largest norm of any patch'
    """
    return _MEANINGS.get(measure, {}).get(key, "") or probe_meaning(measure, key)


def title(measure: str) -> str:
    """Heading of a measure's numbers."""
    return (TITLES | probe_meanings.TITLES).get(measure, measure)


def readable(number: float) -> str:
    """Four significant digits, no exponent where it can be avoided.

    >>> readable(0.123456), readable(1234567.0), readable(3.0), readable(float("nan"))
    ('0.1235', '1234567', '3', 'not defined')
    """
    if not math.isfinite(number):
        return "not defined"
    if abs(number) >= 1000:
        return f"{number:.0f}" if abs(number) < 1e9 else f"{number:.3e}"
    return f"{number:.4g}"


def interval(found: Estimate) -> str:
    """The 95 % interval; empty where there is none.

    >>> interval(Estimate(1.0, 0.5, 2.0))
    '0.5 to 2'
    """
    if found.low is None or found.high is None:
        return ""
    return f"{readable(found.low)} to {readable(found.high)}"
