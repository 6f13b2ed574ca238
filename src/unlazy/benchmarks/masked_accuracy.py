"""Top-1 while a growing share of the patches is hidden. Shape legend: S shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from unlazy.backbones.base import Backbone
from unlazy.ledger import Batch, Observation, Seen
from unlazy.scores import Score, patch_score
from unlazy.tokens import SHARED, Site, Trace

Fill = Literal["mean", "black", "grey", "blur"]
ORDERS = ("highest", "lowest", "random")
SHARES = tuple(k / 7 for k in range(8))
"""Of the patches: 0, 28, ..., 196 of 196 in the paper's figure."""


@dataclass(frozen=True)
class MaskedAccuracy:
    """Top-1 with a growing share of the patches hidden in the input, in three orders.

    Patches are scored once, on the whole picture. Rows ``highest``, ``lowest``, ``random``
    (S,): 1 where the class is still found, for each share; ``told`` (S,), the class that is told
    with the highest hidden; ``label``, the true one; ``of``, the number of classes. Numbers:
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
        images = self.backbone.normalise(batch.pixels)
        labels = torch.tensor(batch.labels, device=images.device)
        scores = self.scores(trace)
        orders = {
            "highest": scores.argsort(dim=1, descending=True, stable=True),
            "lowest": scores.argsort(dim=1, stable=True),
            "random": self._random(batch.indices, scores.shape[1]).to(images.device),
        }
        classes = self._classes(trace.image)
        clean = classes.argmax(1)
        found = {"of": torch.full_like(labels, classes.shape[1]), "label": labels}
        for name, order in orders.items():
            columns = []
            for share in self.shares:
                count = round(share * scores.shape[1])
                if count == 0:
                    columns.append(clean)
                    continue
                masked = self.hide(images, batch, order[:, :count], trace[SHARED].grid)
                columns.append(self._classes(self.backbone.encode(masked)).argmax(1))
            told = torch.stack(columns, dim=1)  # (B, S)
            found[name] = (told == labels[:, None]).float()
            if name == "highest":
                found["told"] = told
        return found

    def scores(self, trace: Trace) -> Float[Tensor, "B N"]:
        """Of the patches, against the image vector."""
        patches = trace[SHARED].patches
        return patch_score(patches.float(), trace.image.float(), score=self.score)

    def hide(
        self,
        images: Float[Tensor, "B 3 height width"],
        batch: Batch,
        which: Int[Tensor, "B K"],
        grid: tuple[int, int],
    ) -> Float[Tensor, "B 3 height width"]:
        """The normalised ``images`` of a batch without the patches at ``which``."""
        hidden = torch.zeros(len(which), grid[0] * grid[1], dtype=torch.bool, device=which.device)
        hidden.scatter_(1, which, True)
        filling = self._filling(batch.pixels, grid).to(images)
        return torch.where(_pixels(hidden, grid, images), filling, images)

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

    def _classes(self, image: Tensor) -> Float[Tensor, "B C"]:
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
