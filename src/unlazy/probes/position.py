"""Where was a token? A linear head says it from the token alone.

Shape legend: B pictures, N = H * W tokens, S seeds; places count from 0, row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unlazy.finite import patch_norms
from unlazy.ledger import Batch, Observation, Seen, Sum
from unlazy.probes.bank import Heads
from unlazy.probes.groups import GROUPS, by_norm, difference, means, over_seeds, sums
from unlazy.probes.task import Plan
from unlazy.scores import entropy_share
from unlazy.tokens import FINAL, Site, Trace, block, norm_of

Target = Literal["expected", "head"]
SQUARED = 0.5  # weight of the squared distance in the loss


@dataclass(frozen=True)
class PositionTask:
    """Tokens after the last normalisation -> their place: cross-entropy + 0.5 squared error.

    The squared error is that of a row and a column, the mean of both, in patches: the paper does
    not say of what, and the highest place alone has no gradient.

    Source: *Do All Vision Transformers Need Registers?*, 3.3.

    Attributes:
        plan: how heads learn.
        grid: (H, W).
        target: ``expected``: row and column expected under the head's softmax; ``head``: those that
            two more outputs say, which leaves cross-entropy alone to the others.
    """

    plan: Plan
    grid: tuple[int, int]
    target: Target = "expected"
    name: str = "position"

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({FINAL})

    @property
    def outputs(self) -> int:
        return self._places + (2 if self.target == "head" else 0)

    @property
    def _places(self) -> int:
        return self.grid[0] * self.grid[1]

    def examples(self, trace: Trace, batch: Batch) -> tuple[Tensor, Tensor]:
        tokens = trace[FINAL]
        if tokens.grid != self.grid:
            raise ValueError(f"a grid of {tokens.grid} patches, not of {self.grid}")
        count, number = tokens.patches.shape[:2]
        places = torch.arange(number, device=tokens.patches.device)
        return tokens.patches.flatten(0, 1), places.repeat(count)

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        log = F.log_softmax(scores[..., : self._places], dim=-1)
        wanted = target.expand(log.shape[:-1])[..., None]
        entropy = -log.gather(-1, wanted)[..., 0]
        centres = coordinates(self.grid).to(log)
        said = scores[..., self._places :] if self.target == "head" else log.exp() @ centres
        apart = said - centres[target]
        return entropy + SQUARED * apart.square().mean(-1)

    def merit(self, scores: Tensor, target: Tensor) -> Tensor:
        return (scores[..., : self._places].argmax(-1) == target).float()


def coordinates(grid: tuple[int, int]) -> Float[Tensor, "N 2"]:
    """Row and column of each place.

    >>> coordinates((2, 2)).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    places = torch.arange(grid[0] * grid[1])
    return torch.stack([places // grid[1], places % grid[1]], dim=1).float()


def said(heads: Heads, trace: Trace) -> tuple[Tensor, Tensor]:
    """Whether the heads' highest place is the token's, and how far off it is: (S, B, N) each."""
    tokens = trace[FINAL]
    scores = heads(tokens.patches.flatten(0, 1)[None])[0]  # (S, B * N, N or more)
    highest = (
        scores[..., : tokens.patches.shape[1]].argmax(-1).unflatten(1, tokens.patches.shape[:2])
    )
    true = torch.arange(highest.shape[-1], device=highest.device)
    where = coordinates(tokens.grid).to(highest.device)
    return (highest == true).float(), (where[highest] - where).norm(dim=-1)


@dataclass(frozen=True)
class PositionErrors:
    """How often and how far the heads miss, for normal tokens and outliers.

    Rows: ``right`` and ``distance`` (S, 2), sums over tokens, and ``count`` (2,).
    Sum: ``places`` (2, N), how many tokens of each group lie where.

    Attributes:
        heads: of ``PositionTask``.
        least: norm from which a token is an outlier.
        grid: (H, W).
    """

    heads: Heads
    least: float
    grid: tuple[int, int]
    name: str = "position"

    @property
    def extremes(self) -> frozenset[str]:
        """Numbers of all pictures together."""
        alone = ("entropy", "majority", "distance_centre", "tokens")
        keys = {f"{key}_{group}" for key in alone for group in GROUPS} | {"distance_centre"}
        return frozenset(
            keys | {f"seed_sd_{key}_{group}" for key in ("top1", "distance") for group in GROUPS}
        )

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({FINAL, norm_of(block(-1))})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        groups = by_norm(patch_norms(trace, batch), self.least)
        right, distance = said(self.heads, trace)
        return {
            "right": sums(right, groups),
            "distance": sums(distance, groups),
            "count": groups.sum(2).T.float(),
            "places": Sum(groups.sum(1)),
        }

    def conclude(self, seen: Seen) -> dict[str, float]:
        right, distance = means(seen, "right", GROUPS), means(seen, "distance", GROUPS)
        found = over_seeds("top1", right) | over_seeds("distance", distance)
        found |= difference("top1", right) | difference("distance", distance)
        return found | self._without_model(seen.sums["places"])

    def _without_model(self, places: np.ndarray) -> dict[str, float]:
        """What always saying one place gives; places (2, N)."""
        where = coordinates(self.grid).double().numpy()
        off = np.linalg.norm(where - where.mean(axis=0), axis=1)
        found = {"distance_centre": float(off @ places.sum(axis=0) / max(places.sum(), 1))}
        for group, counts in zip(GROUPS, places, strict=True):
            total = int(counts.sum())
            found[f"tokens_{group}"] = float(total)
            if total:
                found[f"majority_{group}"] = float(counts.max() / total)
                found[f"entropy_{group}"] = entropy_share(counts)
                found[f"distance_centre_{group}"] = float(off @ counts / total)
        return found
