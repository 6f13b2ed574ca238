"""Masked classification: what a model loses when its highest, lowest or random patches are hidden.

Source: *Vision Transformers Need More Than Registers*, Figure 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from unlazy.backbones.base import Backbone
from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.classification import check_classes, usual_view
from unlazy.benchmarks.linear import LinearProbe
from unlazy.benchmarks.paper_a import FIGURE_2
from unlazy.benchmarks.sheet import Curve, Sheet
from unlazy.geometry import View
from unlazy.ledger import Batch, Measure, Observation, Seen
from unlazy.measure import Measured
from unlazy.scores import Score, patch_score
from unlazy.tokens import SHARED, Facts, Site, Trace

Fill = Literal["mean", "black", "grey", "blur"]
ORDERS = ("highest", "lowest", "random")
SHARES = tuple(k / 7 for k in range(8))
"""Of the patches: 0, 28, ..., 196 of 196 in the paper's figure."""


@dataclass(frozen=True)
class MaskedAccuracy:
    """Top-1 with a growing share of the patches hidden in the input, in three orders.

    Patches are scored once, on the whole picture. Rows ``highest``, ``lowest``, ``random``
    (S,): 1 where the class is still found, for each share; ``of``, the number of classes. Numbers:
    for each order ``ORDER/PERCENT``, of which ``ORDER/0`` is the whole picture's, and
    ``ORDER/area``, that under the curve by the trapezoid rule; ``chance``, 1 / the number of
    classes.

    Attributes:
        backbone: that sees the masked pictures.
        classify: image vectors (B, E) -> scores (B, C); None: the backbone's own classifier.
        fill: what hides a patch: ``mean`` (zero after normalisation), ``black``, ``grey`` (127), or
            ``blur`` (the picture itself, blurred by the length of a patch).
        seed: of the random order.
    """

    backbone: Backbone
    classify: Callable[[Tensor], Tensor] | None = None
    score: Score = "cosine"
    fill: Fill = "mean"
    shares: tuple[float, ...] = SHARES
    seed: int = 0
    name: str = "masked_classification"
    extremes: ClassVar[frozenset[str]] = frozenset({"chance"})

    @property
    def reads(self) -> frozenset[Site]:
        """Patches in the space of the image vector."""
        return frozenset({SHARED})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """One pass for each order and share."""
        tokens = trace[SHARED]
        scores = patch_score(tokens.patches.float(), trace.image.float(), score=self.score)
        images = self.backbone.normalise(batch.pixels)
        filling = self._filling(batch.pixels, tokens.grid).to(images)
        labels = torch.tensor(batch.labels, device=images.device)
        orders = {
            "highest": scores.argsort(dim=1, descending=True, stable=True),
            "lowest": scores.argsort(dim=1, stable=True),
            "random": self._random(batch.indices, scores.shape[1]).to(images.device),
        }
        classes = self._scores(trace.image)
        clean = (classes.argmax(1) == labels).float()
        found = {"of": torch.full_like(labels, classes.shape[1])}
        for name, order in orders.items():
            columns = []
            for share in self.shares:
                count = round(share * scores.shape[1])
                if count == 0:
                    columns.append(clean)
                    continue
                hidden = torch.zeros_like(scores, dtype=torch.bool)
                hidden.scatter_(1, order[:, :count], True)
                masked = torch.where(_pixels(hidden, tokens.grid, images), filling, images)
                columns.append(self._correct(self.backbone.encode(masked), labels))
            found[name] = torch.stack(columns, dim=1)
        return found

    def conclude(self, seen: Seen) -> dict[str, float]:
        """Top-1 in [0, 1] at each share, the area under it, and chance."""
        found = {}
        for name, curve in mean_curves(seen).items():
            keys = [f"{name}/{share * 100:.0f}" for share in self.shares]
            found |= dict(zip(keys, curve.tolist(), strict=True))
            found[f"{name}/area"] = area(curve, self.shares)
        return found | {"chance": float((1 / seen.stack("of")).mean())}

    def proportions(self, seen: Seen) -> dict[str, int]:
        """Top-1 at each share of the patches is a share of all pictures."""
        percent = [f"{share * 100:.0f}" for share in self.shares]
        return {f"{order}/{each}": len(seen.order) for order in ORDERS for each in percent}

    def _correct(self, image: Tensor, labels: Tensor) -> Float[Tensor, " B"]:
        return (self._scores(image).argmax(1) == labels).float()

    def _scores(self, image: Tensor) -> Float[Tensor, "B C"]:
        return (self.classify or self.backbone.classify)(image)

    def _random(self, indices: Sequence[int], patches: int) -> Tensor:
        """An order a picture, the same whatever its batch."""
        rows = [np.random.default_rng([self.seed, each]).permutation(patches) for each in indices]
        return torch.from_numpy(np.stack(rows))

    def _filling(self, pixels: Tensor, grid: tuple[int, int]) -> Tensor:
        """Normalised images (B or 1, 3, H, W) from which hidden patches are taken."""
        if self.fill == "mean":
            return torch.zeros(1, 3, 1, 1)
        if self.fill == "blur":
            length = pixels.shape[-1] / grid[1]
            return self.backbone.normalise(
                gaussian_blur(pixels, [2 * round(length) + 1] * 2, [length])
            )
        value = 0 if self.fill == "black" else 127
        return self.backbone.normalise(torch.full((1, 3, 1, 1), value, dtype=torch.uint8))


def mean_curves(seen: Seen) -> dict[str, Float[np.ndarray, " S"]]:
    """Top-1 in [0, 1] at each share, of each order."""
    stacks = {name: np.asarray(seen.stack(name), dtype=np.float64) for name in ORDERS}
    return {name: stack.mean(axis=0) for name, stack in stacks.items()}


def area(curve: Float[np.ndarray, " S"], shares: Sequence[float] = SHARES) -> float:
    """What lies under top-1 over the share of the patches, by the trapezoid rule.

    >>> area(np.array([1.0, 0.0]), (0.0, 1.0))
    0.5
    """
    return float(np.trapezoid(curve, shares))


def _pixels(hidden: Tensor, grid: tuple[int, int], images: Tensor) -> Tensor:
    """Hidden patches (B, N) as pixels (B, 1, H, W)."""
    rows, columns = (side // count for side, count in zip(images.shape[-2:], grid, strict=True))
    flat = hidden.unflatten(1, grid)[:, None]
    return flat.repeat_interleave(rows, dim=2).repeat_interleave(columns, dim=3)


@dataclass(frozen=True)
class MaskedClassification:
    """Top-1 while patches of high, low or no score are hidden.

    A lazy model keeps its accuracy when its highest patches go: they are background. The paper
    does not say what hides a patch; ``mean`` follows its code.

    Attributes:
        head: who tells the class: ``model``, its own classifier, as in the paper; ``linear``, the
            benchmark ``linear``'s, for models without one or with other classes than the data's.
    """

    score: Score = "cosine"
    fill: Fill = "mean"
    head: Literal["model", "linear"] = "model"
    name: ClassVar[str] = "masked-classification"
    version: ClassVar[int] = 3
    headline: ClassVar[Headline] = Headline(
        "masked_classification",
        "highest/71",
        baselines=(
            ("random patches hidden", "random/71"),
            ("lowest patches hidden", "lowest/71"),
            ("nothing hidden", "highest/0"),
            ("a random class", "chance"),
        ),
    )
    published: ClassVar[tuple[Published, ...]] = (
        Published("ViT-B/16, nothing hidden", FIGURE_2["nothing masked"], "A, Figure 2"),
        *(
            Published(
                f"ViT-B/16, {which} 70 %",
                FIGURE_2[f"{which} 70 % masked"],
                "A, Figure 2",
                "read off; order inferred",
            )
            for which in ("highest", "random", "lowest")
        ),
    )

    @property
    def needs(self) -> frozenset[Need]:
        """Labels; a linear head also learns from training pictures."""
        return frozenset({"labels", "training"} if self.head == "linear" else {"labels"})

    def view(self, facts: Facts) -> View:
        """The middle of the picture: 256 to 224 pixels."""
        return usual_view(facts)

    def learns_from(self, training: Any) -> Any:
        """The training pictures that a linear head is fitted to."""
        return LinearProbe().learns_from(training)

    def measures(self, inputs: Inputs) -> Sequence[Measure]:
        """One pass over the pictures, 22 forwards each; a linear head is fitted before.

        Raises:
            ValueError: the model has no classifier, or the data are of other classes.
        """
        classify = None
        if self.head == "linear":
            classify = LinearProbe().classifier(inputs)
        else:
            check_classes(inputs)
        return [MaskedAccuracy(inputs.backbone, classify, self.score, self.fill)]

    def notes(self, facts: Facts) -> tuple[str, ...]:
        """Whose classes these are, where they are not the model's."""
        if self.head == "model":
            return ()
        linear = LinearProbe()
        return (
            "classes are told by a linear classifier on frozen image vectors, fitted to the"
            f" training pictures as in linear {linear.version} ({linear.epochs} epochs of"
            f" {linear.batch}); published figures are of the models' own classifiers",
        )

    def sheet(self, inputs: Inputs, measured: Measured) -> Sheet:
        """Top-1 over the share of masked patches, and the area under each curve."""
        lines = []
        for order, curve in mean_curves(measured.seen["masked_classification"]).items():
            points = tuple(
                zip((100 * each for each in SHARES), (100 * curve).tolist(), strict=True)
            )
            lines.append((f"{order} ({100 * area(curve):.1f})", points))
        title = "Top-1 as patches are masked, by their score; in brackets the area under the curve"
        return Sheet(curves=(Curve(title, "patches masked (%)", "top-1 (%)", tuple(lines)),))
