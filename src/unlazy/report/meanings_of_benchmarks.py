"""What each number of a benchmark means, in one line for somebody who has not read the papers."""

from __future__ import annotations

from collections.abc import Mapping

from unlazy.benchmarks.masked_accuracy import SHARES

BENCHMARK_TITLES = {
    "point_in_box": "Point-in-Box",
    "small_boxes": "Point-in-Box of small objects",
    "other_maps": "Point-in-Box of other maps",
    "accuracy": "Classification",
    "knn": "Nearest neighbours",
    "linear": "Linear classifier",
    "zero_shot": "Zero-shot classification",
    "masked_classification": "Masked classification",
    "discovery": "Object discovery",
    "coarse_segmentation": "Coarse segmentation",
}
_SUBSETS = {
    "all": "pictures with a box in view",
    "single": "pictures with one box",
    "single_small25": "pictures with one box, under a quarter of their area",
}
_BOX_HITS = {
    "pictures": "how many {subset}",
    "hit": "share of the {subset} whose highest-scoring patch lies on a box",
    "chance": "the same for a random patch: the baseline to beat",
    "centre": "the same for always pointing at the centre: the baseline to beat",
    "auc": "chance that a patch on the box scores above one beside it; 0.5 is none",
}
_FINDERS = {
    "patch-score": "by patch score",
    "dino-seg": "by one head's attention (DINO-seg)",
    "lost": "by LOST",
    "tokencut": "by TokenCut",
}
_FOUND = {
    "corloc/{name}": "share of the pictures whose box, found {words}, overlaps a true one by an IoU"
    " of at least 0.5",
    "mask_iou/{name}": "overlap of the mask found {words} with the object that fits best",
    "no_object/{name}": "pictures with a box in which nothing was found {words}: misses",
    "all_of_it/{name}": "share of the pictures of which all was taken {words}",
}
_SIMPLE = {
    "corloc/whole_picture": "the same for always taking the whole picture: the baseline to beat",
    "corloc/centre_half": "the same for a centred box of half the sides: a baseline",
    "mask_iou/whole_picture": "the same for always taking the whole picture: the baseline to beat",
    "mask_iou/centre_half": "the same for a centred box of half the sides: a baseline",
    "pictures": "pictures with a box, which CorLoc is measured on",
    "pictures_without_box": "pictures without one, which do not count",
    "pictures_with_masks": "pictures with masks, which the overlap of masks is measured on",
}
_COARSE = {
    "jaccard": "overlap (IoU) of the thresholded map with the objects, mean over pictures",
    "every_pixel": "the same for taking every pixel: the floor",
    "centre_half": "the same for a centred box of half the sides: a baseline",
    "pictures": "pictures with an object, which this is measured on",
    "pictures_without_object": "pictures without a mask or an object in it, which do not count",
}
_ORDERS = {
    "highest": "those that are most like the whole picture",
    "lowest": "those that are least like the whole picture",
    "random": "patches drawn at random",
}
_MASKED = {
    f"{order}/{share * 100:.0f}": f"share of the pictures whose class is still found with"
    f" {share * 100:.0f} % of the patches masked, {words}"
    for order, words in _ORDERS.items()
    for share in SHARES
} | {
    f"{order}/area": f"area under the curve of these shares, {words} masked first"
    for order, words in _ORDERS.items()
}
_NEEDS_NO_MODEL = {
    "chance": "the same for naming classes at random, 1 / their number: the baseline to beat",
    "majority": "the same for always naming the most frequent class: the baseline to beat",
}


def small_boxes(words: Mapping[str, str]) -> dict[str, str]:
    """Of Point-in-Box on small objects alone, from the words on all pictures."""
    small = "; pictures whose box covers less than a quarter of them"
    return {key: text + small for key, text in words.items()} | {"n": f"how many there are{small}"}


MEANINGS: dict[str, Mapping[str, str]] = {
    "discovery": _SIMPLE
    | {
        key.format(name=name): text.format(words=words)
        for name, words in _FINDERS.items()
        for key, text in _FOUND.items()
    },
    "coarse_segmentation": _COARSE,
    "point_in_box": {
        f"{subset}/{key}": text.format(subset=words)
        for subset, words in _SUBSETS.items()
        for key, text in _BOX_HITS.items()
    },
    "knn": _NEEDS_NO_MODEL
    | {"top1": "share of the pictures whose class the nearest training pictures vote for"},
    "accuracy": _NEEDS_NO_MODEL
    | {"top1": "share of the pictures whose class the model's own classifier finds"},
    "linear": _NEEDS_NO_MODEL
    | {"top1": "share of the pictures whose class a trained linear classifier finds"},
    "zero_shot": _NEEDS_NO_MODEL
    | {"top1": "share of the pictures whose class has the name that is most alike"},
    "masked_classification": _MASKED | {"chance": _NEEDS_NO_MODEL["chance"]},
    "other_maps": {
        "point_in_box/attention": "share of the pictures whose most attended patch lies on the"
        " object",
        "point_in_box/votes": "share of the pictures whose most voted patch lies on the object",
    },
}
