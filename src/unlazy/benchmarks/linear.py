"""A linear classifier on frozen image vectors.

Source: DINO's linear evaluation (SGD, momentum 0.9, cosine, 100 epochs of batch 256), on vectors of
the middle of each picture instead of random crops, so that each picture passes the model once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlazy.benchmarks.base import Fitting, Headline, Inputs, Need, Published, unseen
from unlazy.benchmarks.classification import BASELINES, Accuracy, OnVectors
from unlazy.ledger import Measure

RATES = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Learning rates among which a tenth of the training pictures, held out, decides."""
HELD_OUT = 10
_PROTOCOL = "trained on random crops and flips, CLS of four blocks, best epoch on these pictures"


@dataclass(frozen=True)
class LinearProbe(OnVectors):
    """Top-1 of a linear classifier that is trained on frozen image vectors of unit length.

    The learning rate is chosen on a tenth of the training pictures; then all of them are used.
    DINO instead trains on random crops, of ViT-S on the CLS tokens of four blocks, and reports the
    best epoch on the evaluated pictures: figures of papers are some points higher for that.

    Attributes:
        bank: at most so many training pictures, evenly spread; None: all.
    """

    epochs: int = 100
    batch: int = 256
    bank: int | None = None
    seed: int = 0
    name: ClassVar[str] = "linear"
    version: ClassVar[int] = 2
    needs: ClassVar[frozenset[Need]] = frozenset({"labels", "training"})
    headline: ClassVar[Headline] = Headline("linear", "top1", baselines=BASELINES)
    published: ClassVar[tuple[Published, ...]] = (
        Published("DINO ViT-S/16, 300 epochs", 76.0, "DINO", _PROTOCOL),
        Published("DINO ViT-S/16, released", 77.0, "DINO", _PROTOCOL),
    )

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch) < 1 or (self.bank is not None and self.bank < 1):
            raise ValueError("epochs, batch and bank must be at least 1")

    def measures(self, inputs: Inputs) -> Sequence[Measure]:
        """Passes over the training pictures first, and trains on their vectors."""
        return [Accuracy(self.classifier(inputs), name="linear")]

    def classifier(self, inputs: Inputs) -> Callable[[Tensor], Tensor]:
        """Image vectors (B, E) -> scores (B, C), fitted to the training pictures in a pass."""
        seen = self.vectors(inputs)
        vectors = torch.from_numpy(seen.stack("vector")).float()
        labels = torch.from_numpy(seen.stack("label")).long()
        device = next(inputs.backbone.parameters()).device
        head = self.fit(vectors.to(device), labels.to(device), fitting=inputs.fitting)
        return lambda image: head(F.normalize(image.float(), dim=1))

    @torch.enable_grad()
    def fit(self, vectors: Tensor, labels: Tensor, *, fitting: Fitting = unseen) -> nn.Linear:
        """A classifier of vectors (n, E) and labels (n,); ``fitting`` hears of every epoch."""
        order = torch.randperm(len(labels), generator=_generator(self.seed)).to(labels.device)
        held, kept = order[::HELD_OUT], order[torch.arange(len(order)) % HELD_OUT != 0]
        classes = int(labels.max()) + 1
        total, done = self.epochs * (len(RATES) * bool(len(kept)) + 1), itertools.count(1)

        def tick() -> None:
            fitting(next(done), total)

        def right(rate: float) -> float:
            head = self._train(vectors[kept], labels[kept], classes, rate, tick)
            return float((head(vectors[held]).argmax(1) == labels[held]).double().mean())

        best = max(RATES, key=right) if len(kept) else RATES[0]
        return self._train(vectors, labels, classes, best, tick)

    def _train(
        self, vectors: Tensor, labels: Tensor, classes: int, rate: float, tick: Callable[[], None]
    ) -> nn.Linear:
        head = nn.Linear(vectors.shape[1], classes, device=vectors.device)
        nn.init.normal_(head.weight, std=0.01, generator=_generator(self.seed, head.weight.device))
        nn.init.zeros_(head.bias)
        optimizer = torch.optim.SGD(head.parameters(), lr=rate, momentum=0.9)
        steps = self.epochs * math.ceil(len(labels) / self.batch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        draws = _generator(self.seed)
        for _ in range(self.epochs):
            for part in torch.randperm(len(labels), generator=draws).split(self.batch):
                chosen = part.to(labels.device)
                loss = F.cross_entropy(head(vectors[chosen]), labels[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            tick()
        return head.requires_grad_(False)


def _generator(seed: int, device: torch.device | None = None) -> torch.Generator:
    return torch.Generator(device or "cpu").manual_seed(seed)
