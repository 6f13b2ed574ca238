"""Coarse segmentation: a map of patches, thresholded, against the objects' pixels.

Source: DINO's evaluation of attention maps (Jaccard on VOC12 val); the variant of CRATE, appendix
B.3; Table 6 of *Vision Transformers Need More Than Registers*, whose threshold is not published.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.coarse_overlap import Map, Overlap, Threshold
from unlazy.benchmarks.coarse_sheet import contact_sheet
from unlazy.benchmarks.paper_a import TABLE_6
from unlazy.benchmarks.sheet import Sheet
from unlazy.benchmarks.whole_picture import squashed, whole_view
from unlazy.geometry import View
from unlazy.ledger import Measure
from unlazy.measure import Measured
from unlazy.tokens import Facts

_DINO, _CRATE = "DINO, attention's best head, VOC12 val", "CRATE, attention's best head by class"
_A, _OPEN = "A, Table 6, patch score, VOC12", "threshold not published"


@dataclass(frozen=True)
class CoarseSegmentation:
    """Mean Jaccard index of thresholded maps with the objects' pixels; void pixels do not count.

    - ``mass60``: the highest values that hold 60 % of the sum, as DINO has it for attention;
      scores, which may be negative, are first scaled to [0, 1] in each picture.
    - ``top60``: the highest 60 % of the patches.
    - ``mean-std``: more than one standard deviation above the mean.
    - ``crate``: as ``top60``, but for each class the best head, at the resolution of patches; mean
      over a picture's classes.

    The best of several heads gains from their number alone: compare maps of as many heads.

    Attributes:
        map: ``patch-score``, or ``attention``, of which the best head counts, picture by picture.
        short_side: pixels to which pictures are scaled; None: their own. Papers do not say it.
        longest: pixels of the longer side above which they are made smaller still.
    """

    rule: Threshold = "mass60"
    map: Map = "patch-score"
    short_side: int | None = 480
    longest: int | None = None
    name: ClassVar[str] = "coarse-segmentation"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[Need]] = frozenset({"masks"})
    headline: ClassVar[Headline] = Headline(
        "coarse_segmentation",
        "jaccard",
        count="pictures",
        baselines=(
            ("every pixel", "every_pixel"),
            ("a centred box of half the sides", "centre_half"),
        ),
    )

    @property
    def published(self) -> tuple[Published, ...]:
        """CRATE's for its variant; else DINO's and A's, which are on one scale."""
        if self.rule == "crate":
            return tuple(
                Published(model, value, _CRATE, data="voc12:val")
                for model, value in (
                    ("ViT-S/8, label", 14.1),
                    ("ViT-B/8, label", 19.2),
                    ("ViT-S/8, DINO", 27.0),
                    ("ViT-B/8, DINO", 27.3),
                    ("CRATE-S/8, label", 23.9),
                )
            )
        rows = (
            Published("ViT-S/16, random weights", 22.0, _DINO),
            Published("ViT-S/16, label", 27.3, _DINO),
            Published("ViT-S/16, DINO", 45.9, _DINO),
            Published("ViT-S/8, random weights", 21.8, _DINO),
            Published("ViT-S/8, label", 23.7, _DINO),
            Published("ViT-S/8, DINO", 44.7, _DINO),
            *(
                Published(model.replace("(+LazyStrike)", "+ LazyStrike"), value, _A, _OPEN)
                for model, value in TABLE_6.items()
            ),
        )
        return tuple(dataclasses.replace(row, data="voc12:val") for row in rows)

    def view(self, facts: Facts) -> View:
        """The whole picture, padded."""
        return whole_view(facts, resize=self.short_side, longest=self.longest)

    def measures(self, inputs: Inputs) -> Sequence[Measure]:
        """One pass.

        Raises:
            ValueError: attention of a model without any.
        """
        facts = inputs.backbone.facts
        if self.map == "attention" and "attention" not in facts.streams:
            raise ValueError(f"{facts.name} has no attention; use map=patch-score")
        return [Overlap(self.map, self.rule)]

    def notes(self, facts: Facts) -> tuple[str, ...]:
        """What is not as in the papers."""
        return squashed(facts)

    def sheet(self, inputs: Inputs, measured: Measured) -> Sheet:
        """Pictures of the lowest and of the highest Jaccard index, with their masks."""
        seen = measured.seen["coarse_segmentation"]
        overlap = Overlap(self.map, self.rule)
        return contact_sheet(inputs, seen, self.view(inputs.backbone.facts), overlap)
