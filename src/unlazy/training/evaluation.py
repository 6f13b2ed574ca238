"""Evaluations during training: how well the image vector serves, and where its patches point.

The same pictures each time, evenly spread over the validation split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlazy.backbones.trained import TrainedViT
from unlazy.backbones.vit import ViT
from unlazy.geometry import View
from unlazy.ledger import Batch, Observation, Seen
from unlazy.measure import measure
from unlazy.measures.patch_score import PatchScore
from unlazy.tokens import Site, Trace
from unlazy.training import parallel
from unlazy.training.feeds import reading_workers
from unlazy.training.objective import Objective
from unlazy.training.recipe import Recipe
from unlazy.training.text import Text, class_vectors

NEIGHBOURS, TEMPERATURE = 20, 0.07  # of DINO's k-NN evaluation
PER_PICTURE = 5  # training pictures among which neighbours are sought, per evaluated one
NUMBERS = ("cosine", "centred_cosine", "chance", "centre")


@dataclass(frozen=True)
class Accuracy:
    """Top-1 of ``classify``: image vectors (B, E) -> scores (B, C)."""

    classify: Callable[[Tensor], Tensor]
    name: str = "accuracy"

    @property
    def reads(self) -> frozenset[Site]:
        """Only the image vector."""
        return frozenset()

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Row ``correct``: 1 where the highest score is the label's."""
        labels = torch.tensor(batch.labels, device=trace.image.device)
        return {"correct": (self.classify(trace.image).argmax(1) == labels).float()}

    def conclude(self, seen: Seen) -> dict[str, float]:
        """``top1``, in [0, 1]."""
        return {"top1": seen.mean("correct")}


@dataclass(frozen=True)
class Vectors:
    """The image vectors themselves, with labels."""

    name: str = "vectors"

    @property
    def reads(self) -> frozenset[Site]:
        """Only the image vector."""
        return frozenset()

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Rows ``vector`` (E,), of unit length, and ``label``."""
        return {"vector": F.normalize(trace.image, dim=1), "label": torch.tensor(batch.labels)}

    def conclude(self, seen: Seen) -> dict[str, float]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class Some:
    """Every so-manieth picture of a data set, ``count`` or fewer."""

    dataset: Any
    count: int

    def __len__(self) -> int:
        return min(self.count, len(self.dataset))

    def __getitem__(self, place: int) -> Any:
        return self.dataset[self._index(place)]

    def name_of(self, place: int) -> str:
        """The name of a picture, readable or not."""
        return self.dataset.name_of(self._index(place))

    def _index(self, place: int) -> int:
        return place * len(self.dataset) // len(self)


@dataclass
class Evaluation:
    """Top-1 (zero-shot for text, k-NN for self supervision) and Point-in-Box.

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
        backbone = TrainedViT(
            model, name=self.recipe.name, weights="", supervision=self.recipe.supervision
        ).to(self.device)
        pictures = Some(self.validation, self.recipe.evaluate_images)
        measures: list[Any] = [PatchScore()]
        measures.append(Vectors() if self._by_neighbours else Accuracy(self._head(model, exports)))
        seen = self._measure(backbone, pictures, measures)
        scores = PatchScore().conclude(seen["patch_score"])
        found = {
            f"point_in_box/{key}": scores[f"point_in_box/{key}"]
            for key in NUMBERS
            if f"point_in_box/{key}" in scores
        }
        if not self._by_neighbours:
            return Accuracy(lambda x: x).conclude(seen["accuracy"]) | found
        among = Some(self.training, PER_PICTURE * len(pictures))
        bank = self._measure(backbone, among, [Vectors()])["vectors"]
        return {"knn": knn(bank, seen["vectors"])} | found

    @property
    def _by_neighbours(self) -> bool:
        return self.recipe.supervision == "self"

    def _head(self, model: ViT, exports: dict[str, nn.Module]) -> Callable[[Tensor], Tensor]:
        if not isinstance(self.objective, Text):
            return model.head
        classes = class_vectors(exports["text"], self.objective.tokens)
        return lambda image: F.normalize(image, dim=1) @ classes.T

    def _measure(
        self, backbone: TrainedViT, pictures: Some, measures: list[Any]
    ) -> dict[str, Seen]:
        view = View(backbone.facts.size, resize=_short_side(self.recipe.model.img_size))
        workers = 0 if self.recipe.hold else reading_workers(self.recipe)
        found = measure(backbone, pictures, measures, view=view, batch_size=256, workers=workers)
        return found.seen


def _short_side(size: int) -> int | None:
    """The usual 256 pixels for 224; small pictures are shown whole."""
    return round(size * 256 / 224) if size >= 128 else None


def knn(bank: Seen, queries: Seen) -> float:
    """Top-1 of weighted nearest neighbours, in [0, 1].

    Source: the k-NN evaluation of DINO: 20 neighbours by cosine, each with exp(cosine / 0.07).
    """
    vectors, labels = torch.from_numpy(bank.stack("vector")), torch.tensor(bank.stack("label"))
    similar = torch.from_numpy(queries.stack("vector")) @ vectors.T
    cosine, nearest = similar.topk(min(NEIGHBOURS, len(vectors)), dim=1)
    votes = torch.zeros(len(similar), int(labels.max()) + 1)
    votes.scatter_add_(1, labels[nearest], (cosine / TEMPERATURE).exp())
    return float((votes.argmax(1) == torch.tensor(queries.stack("label"))).double().mean())
