"""One token of each kind of a picture: CLS, a random normal one, a random outlier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from unlazy.finite import check_finite, patch_norms
from unlazy.ledger import Batch, Observation, Seen, Some
from unlazy.probes.groups import by_norm
from unlazy.tokens import FINAL, Site, Tokens, Trace, block, norm_of

KINDS = ("cls", "normal", "outlier")
UNKNOWN = -1
"""Label of a picture without one."""


@dataclass(frozen=True)
class Chosen:
    """Tokens after the last normalisation, of the pictures that have outliers and normal tokens.

    Rows, of these pictures only: ``cls`` (1, D), or the mean of all patches for a model without
    CLS; ``normal`` and ``outlier`` (S, D), for each of S seeds a token drawn by a hash of seed and
    index, so that any split over batches and ranks draws the same; ``label``.

    Attributes:
        least: norm, before the last normalisation, from which a token is an outlier.
        seeds: how many tokens of a kind are drawn.
    """

    least: float
    seeds: int = 1
    name: str = "chosen"
    resamples: ClassVar[int] = 0

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({FINAL, norm_of(block(-1))})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        which, tokens = chosen_tokens(trace, batch, least=self.least, seeds=self.seeds)
        found = {kind: Some(which, rows) for kind, rows in tokens.items()}
        return {**found, "label": Some(which, labels_of(batch)[which.cpu()])}

    def conclude(self, seen: Seen) -> dict[str, float]:
        return {"pictures": float(len(seen.rows("label")) if "label" in seen else 0)}


@dataclass(frozen=True)
class AnyToken:
    """Tokens after the last normalisation, drawn among all patches of each picture, of any norm.

    Rows: ``any`` (S, D), drawn as ``Chosen`` draws; ``label``.

    Attributes:
        seeds: how many tokens are drawn.
    """

    seeds: int = 1
    name: str = "any_token"
    resamples: ClassVar[int] = 0

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({FINAL})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        patches = trace[FINAL].patches.float()
        check_finite(patches, batch.names, "tokens")
        among = torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)
        return {"any": drawn(patches, among, batch.indices, self.seeds), "label": labels_of(batch)}

    def conclude(self, seen: Seen) -> dict[str, float]:
        return {"pictures": float(len(seen.order))}


def drawn(
    patches: Float[Tensor, "k N D"],
    among: Bool[Tensor, "k N"],
    indices: Sequence[int],
    seeds: int,
    *,
    salt: int = 0,
) -> Float[Tensor, "k S D"]:
    """For each seed, one of the patches that are True in each row, which must have some."""
    rows = torch.arange(len(indices), device=patches.device)[:, None]
    places = [draw(among, indices, seed=2 * seed + salt) for seed in range(seeds)]
    return patches[rows, torch.stack(places, dim=1)]


def chosen_tokens(
    trace: Trace, batch: Batch, *, least: float, seeds: int
) -> tuple[Bool[Tensor, " B"], dict[str, Float[Tensor, "k _ D"]]]:
    """Which pictures have both kinds of tokens, and kind -> tokens (k, 1 or S, D) of these."""
    tokens = trace[FINAL]
    patches = tokens.patches.float()
    normal, outlier = by_norm(patch_norms(trace, batch), least)
    which = normal.any(1) & outlier.any(1)
    indices = [index for index, has in zip(batch.indices, which.tolist(), strict=True) if has]
    found = {"cls": whole(tokens).float()[which][:, None]}
    for salt, (kind, among) in enumerate((("normal", normal), ("outlier", outlier))):
        found[kind] = drawn(patches[which], among[which], indices, seeds, salt=salt)
    names = [name for name, has in zip(batch.names, which.tolist(), strict=True) if has]
    for kind, each in found.items():
        check_finite(each, names, f"{kind} tokens")
    return which, found


def labels_of(batch: Batch) -> Int64[Tensor, " B"]:
    """Class indices; ``UNKNOWN`` where there is none, or it is hidden behind a negative one."""
    labels = [UNKNOWN if each is None else max(each, UNKNOWN) for each in batch.labels]
    return torch.tensor(labels, dtype=torch.long)


def whole(tokens: Tokens) -> Float[Tensor, "B D"]:
    """CLS, or the mean patch of a model that has none."""
    return tokens.patches.mean(1) if tokens.cls is None else tokens.cls


def draw(among: Bool[Tensor, "k N"], indices: Sequence[int], *, seed: int) -> Int64[Tensor, " k"]:
    """One place of those that are True in each row, which must have some.

    >>> draw(torch.tensor([[False, True, False]]), [7], seed=0).tolist()
    [1]
    """
    numbers = torch.from_numpy(hashes(seed, indices).astype(np.int64)).to(among.device)
    rank = numbers % among.sum(1)  # of the one to take; 2^62 numbers make the bias nothing
    return (among.cumsum(1) == rank[:, None] + 1).int().argmax(1)


def hashes(seed: int, indices: Sequence[int]) -> np.ndarray:
    """A number in [0, 2^62) for each index, by the mixing steps of SplitMix64.

    Source: Steele, Lea and Flood, *Fast Splittable Pseudorandom Number Generators* (2014).
    """
    mixed = np.array(indices, dtype=np.uint64) + np.uint64(seed * 0x632BE59BD9B4E019 % 2**64)
    for _ in range(2):
        mixed = mixed + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return mixed >> np.uint64(2)
