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
from unlazy.benchmarks.classification import Accuracy, Neighbours, Vectors, among
from unlazy.benchmarks.point_in_box import BoxHits
from unlazy.benchmarks.views import usual_view
from unlazy.data.spread import Spread
from unlazy.ledger import Seen
from unlazy.measure import measure
from unlazy.training import parallel
from unlazy.training.feeds import reading_workers
from unlazy.training.objective import Objective
from unlazy.training.recipe import Recipe

BOXES = [BoxHits(score=score, name=score) for score in ("cosine", "centred_cosine")]
SUBSETS = {"single": "point_in_box", "single_small25": "point_in_small_box"}


@dataclass
class Evaluation:
    """Top-1 (zero-shot for text, k-NN where nothing classifies), and the benchmark Point-in-Box.

    The latter over pictures with one box, all of them and those under 25 % of the area.

    Attributes:
        validation: pictures with labels.
        neighbours: training pictures with labels, for k-NN alone; None: without.
    """

    recipe: Recipe
    objective: Objective
    validation: Any
    neighbours: Any
    device: torch.device

    def __call__(self) -> dict[str, float]:
        """Evaluate the weights that the run would keep if it ended now; on every rank."""
        exports = self.objective.exports()
        model = ViT(self.recipe.model)
        model.load_state_dict(parallel.whole(exports["model"]))
        classes = self.objective.vectors().get("classes")
        backbone = TrainedViT(
            model,
            name=self.recipe.name,
            weights="",
            supervision=self.recipe.supervision,
            class_vectors=None if classes is None else classes["vectors"],
        ).to(self.device)
        pictures = Spread(self.validation, self.recipe.evaluate_images)
        answers = self._answers(backbone)
        seen = self._measure(backbone, pictures, [*BOXES, *answers.values()])
        top1 = {key: each.conclude(seen[each.name])["top1"] for key, each in answers.items()}
        return top1 | _pointing(seen)

    def _answers(self, backbone: TrainedViT) -> dict[str, Accuracy]:
        """What tells classes: its key in the log -> it; none where nothing knows them."""
        classify = backbone.classifier()
        if classify is not None:
            return {"top1": Accuracy(classify)}
        if self.neighbours is None:
            return {}
        bank = among(self.neighbours, self.recipe.evaluate_images)
        seen = self._measure(backbone, bank, [Vectors()])["vectors"]
        return {"knn": Accuracy(Neighbours.among(seen, self.device), name="knn")}

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
