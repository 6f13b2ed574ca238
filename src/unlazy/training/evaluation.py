"""Evaluations during training: how well the image vector serves, and where its patches point.

The same pictures each time, evenly spread over the validation split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from unlazy.backbones.trained import TrainedViT
from unlazy.backbones.vit import ViT
from unlazy.benchmarks.classification import Accuracy, Neighbours, Vectors, among, usual_view
from unlazy.benchmarks.point_in_box import BoxHits
from unlazy.data.spread import Spread
from unlazy.ledger import Seen
from unlazy.measure import measure
from unlazy.training import parallel
from unlazy.training.feeds import reading_workers
from unlazy.training.objective import Objective
from unlazy.training.recipe import Recipe
from unlazy.training.text import Text, class_vectors

BOXES = [BoxHits(score=score, name=score) for score in ("cosine", "centred_cosine")]
SUBSETS = {"single": "point_in_box", "single_small25": "point_in_small_box"}


@dataclass
class Evaluation:
    """Top-1 (zero-shot for text, k-NN for self supervision), and the benchmark Point-in-Box.

    The latter over pictures with one box, all of them and those under 25 % of the area.

    Attributes:
        validation, training: data sets with labels; the latter for k-NN alone.
    """

    recipe: Recipe
    objective: Objective
    validation: Any
    training: Any
    device: torch.device

    def __call__(self) -> dict[str, float]:
        """Evaluate the weights that the run would keep if it ended now; on every rank."""
        exports = self.objective.exports()
        model = ViT(self.recipe.model)
        model.load_state_dict(parallel.whole(exports["model"]))
        vectors = None
        if isinstance(self.objective, Text):
            vectors = class_vectors(exports["text"], self.objective.tokens)
        backbone = TrainedViT(
            model,
            name=self.recipe.name,
            weights="",
            supervision=self.recipe.supervision,
            class_vectors=vectors,
        ).to(self.device)
        pictures = Spread(self.validation, self.recipe.evaluate_images)
        classify = backbone.classifier()
        accuracy = self._knn(backbone) if classify is None else Accuracy(classify)
        seen = self._measure(backbone, pictures, [*BOXES, accuracy])
        top1 = accuracy.conclude(seen[accuracy.name])["top1"]
        return {"knn" if classify is None else "top1": top1} | _pointing(seen)

    def _knn(self, backbone: TrainedViT) -> Accuracy:
        bank = among(self.training, self.recipe.evaluate_images)
        seen = self._measure(backbone, bank, [Vectors()])["vectors"]
        return Accuracy(Neighbours.among(seen), name="knn")

    def _measure(
        self, backbone: TrainedViT, pictures: Spread, measures: list[Any]
    ) -> dict[str, Seen]:
        view = usual_view(backbone.facts)
        workers = 0 if self.recipe.hold else reading_workers(self.recipe)
        found = measure(backbone, pictures, measures, view=view, batch_size=256, workers=workers)
        return found.seen


def _pointing(seen: Mapping[str, Seen]) -> dict[str, float]:
    found = {}
    for hits in BOXES:
        numbers = hits.conclude(seen[hits.name])
        for subset, told in SUBSETS.items():
            names = {hits.score: "hit", "chance": "chance", "centre": "centre"}
            found |= {
                f"{told}/{name}": numbers[f"{subset}/{key}"]
                for name, key in names.items()
                if f"{subset}/{key}" in numbers
            }
    return found
