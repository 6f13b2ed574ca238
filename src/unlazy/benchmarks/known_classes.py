"""Whether a model's own classifier has the classes of the data."""

from __future__ import annotations

import torch

from unlazy.benchmarks.base import Inputs
from unlazy.data.imagenet_labels import are_wnids
from unlazy.data.labelled import difference

LEARNING = (
    "use knn or linear, which learn the classes of data that have a training split"
    " (masked-classification: with --set head=linear)"
)


def check_classes(inputs: Inputs) -> None:
    """That the classifier has the classes of the data, in their order, as far as both tell.

    Raises:
        ValueError: it has none, another number, or others.
    """
    backbone = inputs.backbone
    device = next(backbone.parameters()).device
    with torch.inference_mode():
        size = backbone.facts.size
        vector = backbone.encode(torch.zeros(1, 3, *size, device=device))
        known = backbone.classify(vector).shape[1]
    classes = getattr(inputs.evaluated, "classes", None)
    if classes and len(classes) != known:
        raise ValueError(
            f"{backbone.facts.name} knows {known} classes, the data have {len(classes)}; {LEARNING}"
        )
    own = list(backbone.label_names or ())
    lists = (getattr(inputs.evaluated, field, None) or () for field in ("wnids", "classes"))
    for given in lists:
        if not own or not given or are_wnids(own) != are_wnids(given):
            continue  # ids and names do not compare
        mine, theirs = ([each.partition(",")[0] for each in names] for names in (own, given))
        if first := difference(mine, theirs, "there"):
            raise ValueError(
                f"{backbone.facts.name} means other classes by its {len(own)} labels than the"
                f" {len(given)} of the data: {first}; {LEARNING}"
            )
