"""The pixels under a token, said from the token alone: in closed form, or by gradient descent.

Shape legend: B pictures, N tokens, n examples, D width, S seeds, O = 3 * height * width values of a
token's pixels, that is, of its whole footprint where the model is hierarchical. Pixels are
normalised as the model's input is, so errors of models with another normalisation do not compare;
``rgb_error`` and ``r2`` do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unlazy.finite import check_finite, patch_norms
from unlazy.ledger import Batch, Observation, Seen, Sum
from unlazy.probes.bank import Heads
from unlazy.probes.groups import GROUPS, by_norm, difference, means, over_seeds, sums
from unlazy.probes.task import Plan
from unlazy.tokens import FINAL, Site, Tokens, Trace, block, norm_of

SINGULAR = 1e-10
"""Of correlations, directions below this share of the widest one count as none: rounding of float32
leaves 1e-14 of the direction that a last normalisation takes away."""


@dataclass(frozen=True)
class Patches:
    """How pixels are cut and normalised.

    Attributes:
        size: (height, width) of a token's pixels.
        mean, std: of RGB in [0, 1].
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def values(self) -> int:
        """How many a token has."""
        return 3 * self.size[0] * self.size[1]

    @property
    def variances(self) -> Float[Tensor, " O"]:
        """Squared normalised error -> squared error of RGB in [0, 1], for each value."""
        return torch.tensor(self.std).square().repeat_interleave(self.size[0] * self.size[1])

    def under(self, tokens: Tokens, batch: Batch) -> Float[Tensor, "n O"]:
        """The pixels of each token of a batch, on the device of the tokens."""
        pixels = batch.pixels.to(tokens.patches.device).float() / 255
        mean, std = (pixels.new_tensor(each)[:, None, None] for each in (self.mean, self.std))
        cut = cut_out((pixels - mean) / std, self.size)  # (B, N, O)
        if cut.shape[1] != tokens.patches.shape[1]:
            raise ValueError(f"{cut.shape[1]} patches of {self.size} pixels for {tokens.grid}")
        return cut.flatten(0, 1)


def cut_out(
    images: Float[Tensor, "B 3 height width"], size: tuple[int, int]
) -> Float[Tensor, "B N O"]:
    """Images as patches, row by row; values of a patch by channel, row and column.

    >>> cut_out(torch.arange(12.0).view(1, 3, 2, 2), (1, 2)).tolist()
    [[[0.0, 1.0, 4.0, 5.0, 8.0, 9.0], [2.0, 3.0, 6.0, 7.0, 10.0, 11.0]]]
    """
    rows = images.unflatten(2, (-1, size[0])).unflatten(4, (-1, size[1]))
    return rows.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


@dataclass(frozen=True)
class PixelTask:
    """Tokens after the last normalisation -> their pixels, by the mean squared error of values.

    Source: *Do All Vision Transformers Need Registers?*, 3.3.
    """

    plan: Plan
    patches: Patches
    name: str = "pixels"

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({FINAL})

    @property
    def outputs(self) -> int:
        return self.patches.values

    def examples(self, trace: Trace, batch: Batch) -> tuple[Tensor, Tensor]:
        tokens = trace[FINAL]
        return tokens.patches.flatten(0, 1), self.patches.under(tokens, batch)

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        return (scores - target).square().mean(-1)

    def merit(self, scores: Tensor, target: Tensor) -> Tensor:
        return -self.loss(scores, target)


@dataclass(frozen=True)
class NormalEquations:
    """Sums from which the best linear map of tokens to pixels follows, in float64; one pass.

    Sums: ``xx`` (D + 1, D + 1) and ``xy`` (D + 1, O), of tokens with a 1 behind; with
    ``tokens=False`` only that 1, for the mean patch.
    """

    patches: Patches
    tokens: bool = True
    name: str = "normal_equations"

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({FINAL})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        tokens = trace[FINAL]
        check_finite(tokens.patches, batch.names, "tokens")
        seen = tokens.patches.flatten(0, 1).double()
        with_one = torch.cat([seen if self.tokens else seen[:, :0], seen.new_ones(len(seen), 1)], 1)
        pixels = self.patches.under(tokens, batch).double()
        return {"xx": Sum(with_one.T @ with_one), "xy": Sum(with_one.T @ pixels)}

    def conclude(self, seen: Seen) -> dict[str, float]:
        return {}


def solved(seen: Seen) -> Heads:
    """The linear map with the least squared error, float64; of several, that of least correlations.

    Args:
        seen: by ``NormalEquations``.
    """
    xx, xy = (torch.from_numpy(np.asarray(seen.sums[key])) for key in ("xx", "xy"))
    count = xx[-1, -1]
    mean, target = xx[-1, :-1] / count, xy[-1] / count  # (D,), (O,)
    spread = xx[:-1, :-1] / count - torch.outer(mean, mean)
    shared = xy[:-1] / count - torch.outer(mean, target)
    scale = spread.diagonal().clamp(min=0).sqrt()
    inverse = torch.where(scale > 0, 1 / scale, 0.0)
    correlations = spread * torch.outer(inverse, inverse)
    back = torch.linalg.pinv(correlations, rtol=SINGULAR, hermitian=True)
    weight = inverse[:, None] * (back @ (inverse[:, None] * shared))
    bias = target - mean @ weight
    return Heads(weight[None, None], bias[None, None], examples=(int(count), 0))


def mean_patch(seen: Seen) -> np.ndarray:
    """(O,) of the pictures that ``NormalEquations`` saw."""
    return seen.sums["xy"][-1] / seen.sums["xx"][-1, -1]


@dataclass(frozen=True)
class PixelErrors:
    """How far the heads' pixels are off, for normal tokens and outliers.

    Rows: ``error`` (S, 2), ``rgb`` (S, 2) and ``spread`` (2,), sums over tokens of the squared
    error of a whole patch, of the same in RGB from 0 to 1, and of the mean patch's error; ``count``
    (2,).

    Attributes:
        heads: tokens -> pixels.
        least: norm from which a token is an outlier.
        patches: how pixels are cut.
        mean: (O,), the mean patch of the training pictures.
    """

    heads: Heads
    least: float
    patches: Patches
    mean: np.ndarray
    name: str = "pixels"

    @property
    def extremes(self) -> frozenset[str]:
        """Numbers of all pictures together."""
        keys = ("tokens", "seed_sd_error")
        return frozenset(f"{key}_{group}" for key in keys for group in GROUPS)

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({FINAL, norm_of(block(-1))})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        groups = by_norm(patch_norms(trace, batch), self.least)
        shape = groups.shape[1:]
        true = self.patches.under(trace[FINAL], batch)
        mean = torch.from_numpy(self.mean).to(true)
        squared = squared_values(self.heads, trace, true)
        return {
            "error": sums(squared.sum(-1).unflatten(1, shape), groups),
            "rgb": sums((squared @ self.patches.variances.to(squared)).unflatten(1, shape), groups),
            "spread": sums((true - mean).square().sum(-1).unflatten(0, shape), groups),
            "count": groups.sum(2).T.float(),
        }

    def conclude(self, seen: Seen) -> dict[str, float]:
        error, spread = means(seen, "error", GROUPS), means(seen, "spread", GROUPS)
        rgb = means(seen, "rgb", GROUPS)
        found = over_seeds("error", error) | difference("error", error)
        for place, group in enumerate(GROUPS):
            found[f"tokens_{group}"] = float(seen.stack("count")[:, place].sum())
        for group, each in error.items():
            whole = float(np.mean(each))
            found[f"root_error_{group}"] = whole**0.5
            found[f"value_error_{group}"] = whole / self.patches.values
            found[f"rgb_error_{group}"] = float(np.mean(rgb[group])) / self.patches.values
            found[f"mean_patch_error_{group}"] = float(spread[group])
            if spread[group] > 0:
                found[f"r2_{group}"] = 1 - whole / float(spread[group])
        if {"r2_normal", "r2_outlier"} <= found.keys():
            found["r2_outlier_minus_normal"] = found["r2_outlier"] - found["r2_normal"]
        return found


def squared_errors(
    heads: Heads, trace: Trace, true: Float[Tensor, "n O"]
) -> Float[Tensor, "S B N"]:
    """Of each token, summed over its values."""
    return squared_values(heads, trace, true).sum(-1).unflatten(1, trace[FINAL].patches.shape[:2])


def squared_values(
    heads: Heads, trace: Trace, true: Float[Tensor, "n O"]
) -> Float[Tensor, "S n O"]:
    """Squared errors of single values."""
    return (heads(trace[FINAL].patches.flatten(0, 1)[None])[0] - true).square()
