"""Classification of image vectors: by a head, or by the nearest labelled neighbours."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from unlazy.benchmarks.answers_sheet import answers_sheet
from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.known_classes import check_classes
from unlazy.benchmarks.paper_a import TABLE_10
from unlazy.benchmarks.sheet import Sheet
from unlazy.benchmarks.views import own_view, usual_view
from unlazy.data.spread import Spread
from unlazy.geometry import View
from unlazy.ledger import Batch, Measure, Observation, Seen
from unlazy.measure import Measured
from unlazy.metrics import guesses
from unlazy.tokens import Facts, Site, Trace

_LABEL = "A, ablation under label supervision"
TIE = 1e-6
"""Cosines count as multiples of this: their last digits depend on how pictures are batched."""
PAIRS = 2**27
"""Of queries and neighbours, that are compared at once: 1 GiB of ranks."""
PER_PICTURE = 5
"""Training pictures among which neighbours are sought, per evaluated one; chosen by us."""


BASELINES = (("a random class", "chance"), ("always the most frequent class", "majority"))
"""Of a headline that ``Accuracy`` measures: what needs no model."""


@dataclass(frozen=True)
class Accuracy:
    """Top-1 of ``classify``: image vectors (B, E) -> scores (B, C).

    Numbers in [0, 1]: ``top1``; ``chance``, 1 / C; ``majority``, the share of the pictures that the
    most frequent label has, which always naming that class reaches.
    """

    classify: Callable[[Tensor], Tensor]
    name: str = "accuracy"
    extremes: ClassVar[frozenset[str]] = frozenset({"chance", "majority"})

    @property
    def reads(self) -> frozenset[Site]:
        """Only the image vector."""
        return frozenset()

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Rows ``correct`` (1 where the highest score is the label's), ``told``, ``label``, ``of``.

        ``told`` is the class with the highest score, ``of`` the number of classes.
        """
        scores = self.classify(trace.image)  # (B, C)
        told, labels = scores.argmax(1), torch.tensor(batch.labels, device=scores.device)
        of = torch.full_like(told, scores.shape[1])
        return {"correct": (told == labels).float(), "told": told, "label": labels, "of": of}

    def conclude(self, seen: Seen) -> dict[str, float]:
        """``top1``, ``chance`` and ``majority``."""
        found = {"top1": seen.mean("correct")}
        return found | guesses(seen.stack("label"), seen.stack("of"))

    def proportions(self, seen: Seen) -> dict[str, int]:
        """``top1`` is a share of all pictures."""
        return {"top1": len(seen.order)}


@dataclass(frozen=True)
class Vectors:
    """The image vectors themselves, with labels; ``Neighbours`` makes a k-NN classifier of them."""

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
class Neighbours:
    """Votes of the nearest labelled pictures: image vectors (B, E) -> scores (B, C).

    Source: DINO's evaluation: 20 neighbours by cosine, each with the weight exp(cosine / 0.07).
    It leaves ties open; here, of cosines that round to the same multiple of ``TIE``, the lower
    index is the nearer.

    Attributes:
        vectors: (n, E), of unit length, on the device of the vectors that will be asked about.
        labels: (n,) class indices, there too.
        count: neighbours that vote; all of them where there are fewer.
    """

    vectors: Tensor
    labels: Tensor
    count: int = 20
    temperature: float = 0.07

    @classmethod
    def among(cls, seen: Seen, device: torch.device) -> Neighbours:
        """The pictures that ``Vectors`` saw, kept on a device."""
        vectors, labels = np.asarray(seen.stack("vector")), np.asarray(seen.stack("label"))
        bank = torch.from_numpy(vectors).float(), torch.from_numpy(labels).long()
        return cls(bank[0].to(device), bank[1].to(device))

    def __call__(self, image: Tensor) -> Tensor:
        """Weighted votes (B, C)."""
        queries = F.normalize(image.float(), dim=1).split(max(1, PAIRS // len(self.vectors)))
        return torch.cat([self._votes(part) for part in queries])

    def _votes(self, queries: Tensor) -> Tensor:
        device, bank = queries.device, len(self.vectors)
        cosine = queries @ self.vectors.T  # (B, n)
        order = (cosine / TIE).round().long() * bank - torch.arange(bank, device=device)
        which = order.topk(min(self.count, bank), dim=1).indices  # no two are equal
        votes = torch.zeros(len(queries), int(self.labels.max()) + 1, device=device)
        weights = (cosine.gather(1, which) / self.temperature).exp()
        return votes.scatter_add_(1, self.labels[which], weights)


def among(training: Any, evaluated: int) -> Spread:
    """The training pictures whose ``Vectors`` serve as neighbours of so many others."""
    return Spread(training, PER_PICTURE * evaluated)


class Told:
    """A benchmark whose headline is of ``Accuracy``: its view, and its pictures."""

    headline: ClassVar[Headline]

    def view(self, facts: Facts) -> View:
        """The middle of the picture: 256 to 224 pixels."""
        return usual_view(facts)

    def sheet(self, inputs: Inputs, measured: Measured) -> Sheet:
        """Misses and hits, with the class that was told and the true one."""
        seen = measured.seen[self.headline.measure]
        return answers_sheet(inputs.evaluated, seen, self.view(inputs.backbone.facts))


class OnVectors(Told):
    """A benchmark whose classifier comes of the image vectors of training pictures.

    Attributes:
        bank: at most so many of them, evenly spread; None: all.
    """

    bank: int | None

    def learns_from(self, training: Any) -> Any:
        """The training pictures that a pass goes over first."""
        return training if self.bank is None else Spread(training, self.bank)

    def vectors(self, inputs: Inputs) -> Seen:
        """What ``Vectors`` sees of the training pictures, in a pass of its own."""
        training, view = self.learns_from(inputs.training), self.view(inputs.backbone.facts)
        return inputs.look(training, [Vectors()], view).seen["vectors"]


@dataclass(frozen=True)
class KNN(OnVectors):
    """Top-1 of the nearest labelled training pictures.

    Source: DINO's evaluation; 20 neighbours are reported there, of 10, 20, 100 and 200.

    Attributes:
        neighbours: that vote.
        bank: at most so many training pictures, evenly spread, are sought among; None: all.
    """

    neighbours: int = 20
    temperature: float = 0.07
    bank: int | None = None
    name: ClassVar[str] = "knn"
    version: ClassVar[int] = 2
    needs: ClassVar[frozenset[Need]] = frozenset({"labels", "training"})
    headline: ClassVar[Headline] = Headline("knn", "top1", baselines=BASELINES)
    published: ClassVar[tuple[Published, ...]] = (
        Published("DINO ViT-S/16, 300 epochs", 73.3, "DINO"),
        Published("DINO ViT-S/16, released", 74.5, "DINO"),
    )

    def __post_init__(self) -> None:
        if self.neighbours < 1 or (self.bank is not None and self.bank < 1):
            raise ValueError("neighbours and bank must be at least 1")
        if self.temperature <= 0:
            raise ValueError("temperature must be above 0")

    def measures(self, inputs: Inputs) -> Sequence[Measure]:
        """Passes over the training pictures first, for their vectors."""
        seen = self.vectors(inputs)
        votes = Neighbours.among(seen, next(inputs.backbone.parameters()).device)
        votes = dataclasses.replace(votes, count=self.neighbours, temperature=self.temperature)
        return [Accuracy(votes, name="knn")]


@dataclass(frozen=True)
class Classification(Told):
    """Top-1 by the classifier that the model was trained with: its head, or its class names."""

    name: ClassVar[str] = "classification"
    version: ClassVar[int] = 3
    needs: ClassVar[frozenset[Need]] = frozenset({"labels"})
    headline: ClassVar[Headline] = Headline("accuracy", "top1", baselines=BASELINES)
    published: ClassVar[tuple[Published, ...]] = (
        Published("ViT-B/16, label", 81.1, "torchvision, IMAGENET1K_V1"),
        Published("ViT-B/32, CLS", TABLE_10["Attention-Pool"].imagenet, _LABEL),
        Published("ViT-B/32, LazyStrike, 1 patch", TABLE_10["M = 1"].imagenet, _LABEL),
        Published("ViT-B/32, LazyStrike, all = mean", TABLE_10["M = 49 (Full)"].imagenet, _LABEL),
    )

    def view(self, facts: Facts) -> View:
        """The model's own."""
        return own_view(facts)

    def measures(self, inputs: Inputs) -> Sequence[Measure]:
        """One pass.

        Raises:
            ValueError: the model has no classifier, or the data are of other classes.
        """
        classify = inputs.backbone.classify
        check_classes(inputs)
        return [Accuracy(classify)]
