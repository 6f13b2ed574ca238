"""Object discovery: one object in each picture, without any label.

Source: the protocol of Siméoni et al., *Localizing Objects with Self-Supervised Transformers and no
Labels* (LOST): no resize, sides padded to whole patches, all boxes count, also difficult ones.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.discovery_methods import SITES, SPELLED, Method, Methods
from unlazy.benchmarks.discovery_sheet import contact_sheet
from unlazy.benchmarks.found_objects import FoundObjects
from unlazy.benchmarks.paper_a import TABLE_7, TABLE_10, TOKENCUT
from unlazy.benchmarks.sheet import Sheet
from unlazy.benchmarks.whole_picture import squashed, whole_view
from unlazy.discovery import coco_results
from unlazy.geometry import View
from unlazy.ledger import Measure
from unlazy.measure import Measured
from unlazy.tokens import Facts

DATA = {"voc07:trainval": "VOC07", "voc12:trainval": "VOC12", "coco20k": "COCO20k"}
FEWER = {"voc07:trainval", "voc12:trainval"}
"""Data that have fewer pictures with masks: those of their lists for segmentation."""
OTHER_PICTURES = "other pictures"
"""What is noted of a figure that is of all pictures, where fewer have masks."""
_A, _D = "A, Table 7", "Darcet et al., by LOST"
_FIGURES = (
    ("Selective Search", TABLE_7["SS"], _A, "no model"),
    ("EdgeBoxes", TABLE_7["EdgeBoxes"], _A, "no model"),
    ("ViT-S/16, DINO, by DINO-seg", TABLE_7["DINO-seg"], _A, ""),
    ("ViT-S/16, DINO, by LOST", TABLE_7["LOST"], _A, ""),
    ("ViT-S/16, DINO, by TokenCut", TOKENCUT, "TokenCut", "A leaves it out"),
    ("ViT-S/16 + LazyStrike, DINO, by patch score", TABLE_7["DINO (+LazyStrike)"], _A, ""),
    ("ViT-B/32, label", TABLE_10["Attention-Pool"][1:], "A, Table 10", ""),
    ("ViT-B/32 + mean pooling, label", TABLE_10["Mean-Pool"][1:], "A, Table 10", ""),
    ("ViT-B/32 + LazyStrike, K = 7, label", TABLE_10["M = 7"][1:], "A, Table 10", ""),
    ("DeiT-III", (11.7, 13.1, 10.7), _D, "values"),
    ("DeiT-III + registers", (27.1, 32.7, 25.1), _D, "values"),
    ("OpenCLIP", (38.8, 44.3, 31.0), _D, "values"),
    ("OpenCLIP + registers", (37.1, 42.0, 27.9), _D, "values"),
    ("DINOv2", (35.3, 40.2, 26.9), _D, "keys"),
    ("DINOv2 + registers", (55.4, 60.0, 42.0), _D, "keys"),
)


@dataclass(frozen=True)
class Discovery(Methods):
    """CorLoc: share of the pictures whose found box overlaps any true one by an IoU of 0.5.

    All methods see the same forward pass. Pictures without a box are counted, not used.

    Attributes:
        masks: open the data with masks, for the IoU of masks; of ``FEWER`` these are other pictures
            than those of published figures, which is noted.
        longest: pixels of the longer side above which pictures are made smaller; published figures
            have no such limit.
    """

    masks: bool = False
    longest: int | None = None
    name: ClassVar[str] = "discovery"
    version: ClassVar[int] = 2

    @property
    def published(self) -> tuple[Published, ...]:
        """CorLoc of the papers, of all pictures with boxes."""
        return tuple(
            Published(model, value, f"{source}, {spelled}", self._noted(note, data), data)
            for place, (data, spelled) in enumerate(DATA.items())
            for model, values, source, note in _FIGURES
            for value in values[place : place + 1]
        )

    def _noted(self, note: str, data: str) -> str:
        other = self.masks and data in FEWER
        return "; ".join(each for each in (OTHER_PICTURES if other else "", note) if each)

    @property
    def needs(self) -> frozenset[Need]:
        """Boxes; masks only where asked for."""
        return frozenset({"boxes", "masks"} if self.masks else {"boxes"})

    @property
    def headline(self) -> Headline:
        """The first method's CorLoc, or the patch score's where it is among them."""
        first, *others = sorted(self.methods, key=lambda each: each != "patch-score")
        return Headline(
            "discovery",
            f"corloc/{first}",
            how=SPELLED[first],
            count="pictures",
            others=tuple((f"the same model, {SPELLED[each]}", f"corloc/{each}") for each in others),
            baselines=(
                ("the whole picture", "corloc/whole_picture"),
                ("a centred box of half the sides", "corloc/centre_half"),
            ),
        )

    def view(self, facts: Facts) -> View:
        """The whole picture at its own size, padded."""
        return whole_view(facts, longest=self.longest)

    def measures(self, inputs: Inputs) -> Sequence[Measure]:
        """One pass for all methods that the model has the features for."""
        facts = inputs.backbone.facts
        return [FoundObjects(dataclasses.replace(self, methods=self.supported(facts)))]

    def notes(self, facts: Facts) -> tuple[str, ...]:
        """What is not as asked for, or not as in the papers."""
        missing: list[Method] = [each for each in self.methods if each not in self.supported(facts)]
        found = list(squashed(facts))
        if missing:
            streams = " or ".join(sorted({self.site(each).stream for each in missing}))
            found.append(f"{facts.name} has no {streams}: without {', '.join(missing)}")
        if "dino-seg" in self.supported(facts) and self.head is None:
            found.append(f"dino-seg: head {self.head_of(facts.heads)} of {facts.heads}, from 0")
        chosen = [each for each in self.supported(facts) if each not in SITES]
        if chosen and self.features != "key":
            plural = {"value": "values", "query": "queries"}[self.features]
            found.append(f"{' and '.join(chosen)}: on {plural} of the last block, not on keys")
        return tuple(found)

    def sheet(self, inputs: Inputs, measured: Measured) -> Sheet:
        """Misses and hits of the headline's method, with the boxes of all."""
        facts = inputs.backbone.facts
        methods = sorted(self.supported(facts), key=lambda each: each != "patch-score")
        seen = measured.seen["discovery"]
        return contact_sheet(inputs.evaluated, seen, self.view(facts), methods)

    def files(self, measured: Measured, own: Mapping[int, int]) -> dict[str, bytes]:
        """``discovery-boxes-<method>.json``: found boxes as COCO's results, a score of 1 each.

        ``image_id`` is that of the data's own JSON (``own``, by index), and pictures that it does
        not list are left out. Without a JSON it is the number that ends a file's name, as in COCO,
        where each name has one and no two are equal; else the place in the data set. ``file_name``
        says it in any case.
        """
        ids = own or _image_ids(measured.names)
        found = {}
        kept = measured.seen["discovery"].kept
        for method in self.methods:
            boxes = kept.get(f"box/{method}", {})
            rows = [
                row | {"file_name": measured.names[index]}
                for index in sorted(boxes.keys() & ids.keys())
                for row in coco_results([ids[index]], boxes[index][None], np.ones(1))
            ]
            if boxes:
                found[f"discovery-boxes-{method}.json"] = json.dumps(rows, indent=0).encode()
        return found


def _image_ids(names: dict[int, str]) -> dict[int, int]:
    """Index -> number in a COCO file, by the names alone."""
    numbers = {index: re.search(r"(\d+)(\.\w+)?$", name) for index, name in names.items()}
    ids = {index: int(number[1]) for index, number in numbers.items() if number}
    return ids if len(set(ids.values())) == len(names) else {index: index for index in names}
