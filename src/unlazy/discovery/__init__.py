"""Object discovery: from the features of a picture to one object, without any label.

Four methods on the same trace, each for a batch of pictures on one grid. Shape legend: B pictures,
H x W patches, D width, A heads. ``valid`` marks the patches that lie on the picture; the others
are padding: never foreground, and in no mean, degree or affinity.
"""

from unlazy.discovery.coarse import Rule, coarse_mask
from unlazy.discovery.coco import coco_results
from unlazy.discovery.dino_seg import dino_seg
from unlazy.discovery.lost import lost
from unlazy.discovery.objects import (
    Component,
    Objects,
    boxes_in_pixels,
    component_at,
    masks_in_pixels,
)
from unlazy.discovery.patch_score import by_patch_score
from unlazy.discovery.tokencut import tokencut

__all__ = [
    "Component",
    "Objects",
    "Rule",
    "boxes_in_pixels",
    "by_patch_score",
    "coarse_mask",
    "coco_results",
    "component_at",
    "dino_seg",
    "lost",
    "masks_in_pixels",
    "tokencut",
]
