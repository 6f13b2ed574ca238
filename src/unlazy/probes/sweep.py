"""A frozen probe over thresholds: what tokens know, as fewer and higher norms count as outliers.

Shape legend: B pictures, N tokens, K sets of tokens, S seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unlazy.finite import patch_norms
from unlazy.ledger import Batch, Observation, Seen, Sum
from unlazy.probes.bank import Heads
from unlazy.probes.chosen import UNKNOWN, drawn, labels_of
from unlazy.probes.groups import means, sums
from unlazy.probes.norm_counts import Quantiles
from unlazy.probes.pixels import PixelErrors, squared_errors
from unlazy.probes.position import PositionErrors, said
from unlazy.probes.token_class import correct
from unlazy.scores import entropy_share
from unlazy.tokens import FINAL, Site, Trace, block, norm_of

DECILES = 10


@dataclass(frozen=True)
class RankSet:
    """The tokens whose norm lies in a range of ranks among their own picture's.

    Attributes:
        name: such as ``top5``, the highest 5 %, or ``decile1``, the lowest tenth.
        low, high: shares of the picture's tokens; those above ``low``, without those above
            ``high``.
        share: of all tokens, that the set should have; less where norms are alike, more where a
            picture has few tokens: the highest, unless others equal it.
    """

    name: str
    low: float
    high: float
    share: float

    def members(self, norms: Float[Tensor, "B N"]) -> Bool[Tensor, "B N"]:
        """Which tokens it has.

        >>> norms = torch.tensor([[1.0, 2.0, 3.0], [9.0, 8.0, 7.0]])
        >>> RankSet("top40", 0.6, 1.0, 0.4).members(norms).tolist()
        [[False, False, True], [True, False, False]]
        """
        return _above(norms, self.low) & ~_above(norms, self.high)


def _above(norms: Float[Tensor, "B N"], share: float) -> Bool[Tensor, "B N"]:
    """Which norms are above the quantile ``share`` of their picture; all above 0, none above 1."""
    if share <= 0 or share >= 1:
        return torch.full_like(norms, share <= 0, dtype=torch.bool)
    place = int(round(share * (norms.shape[1] - 1), 6))
    return norms > norms.kthvalue(place + 1, dim=1, keepdim=True).values


@dataclass(frozen=True)
class NormSet:
    """The tokens whose norm lies in a range.

    Attributes:
        name: as of a ``RankSet``.
        low, high: norms, half-open.
        share: of all tokens, that the set should have; less where norms are alike.
    """

    name: str
    low: float
    high: float
    share: float

    def members(self, norms: Float[Tensor, "B N"]) -> Bool[Tensor, "B N"]:
        """Which tokens it has."""
        return (norms >= self.low) & (norms < self.high)


Sets = tuple[NormSet | RankSet, ...]


def rank_sets(shares: tuple[float, ...]) -> tuple[RankSet, ...]:
    """Everything, the nested sets of the highest ``shares``, and the tenths of all tokens.

    Source: *Do All Vision Transformers Need Registers?*, B.2.2, from the top 50 % to the top 2 %.
    """
    nested = [
        RankSet(f"top{100 * share:g}", 1 - share, 1.0, share)
        for share in sorted({1.0, *shares}, reverse=True)
    ]
    tenths = [
        RankSet(f"decile{place + 1}", place / DECILES, (place + 1) / DECILES, 1 / DECILES)
        for place in range(DECILES)
    ]
    return (*nested, *tenths)


def norm_sets(norms: Quantiles, shares: tuple[float, ...]) -> tuple[NormSet, ...]:
    """The same, cut at quantiles of all pictures together."""
    return tuple(
        NormSet(
            each.name,
            norms.above(each.low),
            math.inf if each.high == 1 else norms.above(each.high),
            each.share,
        )
        for each in rank_sets(shares)
    )


def members(norms: Float[Tensor, "B N"], sets: Sets) -> Bool[Tensor, "K B N"]:
    """Which tokens each set has."""
    return torch.stack([each.members(norms) for each in sets])


def of_all_pictures(sets: Sets) -> frozenset[str]:
    """Numbers that a single picture has not."""
    return frozenset(
        f"{key}/{each.name}" for key in ("entropy", "tokens", *SPREADS) for each in sets
    )


SAID = ("top1", "distance", "error")
SPREADS = tuple(f"seed_sd_{key}" for key in SAID)


class BySet:
    """What sweeps conclude, whatever is asked of the tokens of their sets."""

    sets: Sets

    @property
    def extremes(self) -> frozenset[str]:
        """Numbers of all pictures together."""
        return of_all_pictures(self.sets)

    def conclude(self, seen: Seen) -> dict[str, float]:
        return conclusions(seen, [each.name for each in self.sets])


@dataclass(frozen=True)
class Sweep(BySet):
    """What the heads of a position or pixel probe say of each set of tokens.

    Rows: sums over a set's tokens, (S, K), of ``top1`` and ``distance``, or of ``error``; ``count``
    (K,). Sum: ``places`` (K, N).

    Attributes:
        judge: with the heads.
        sets: of tokens.
    """

    judge: PositionErrors | PixelErrors
    sets: Sets
    name: str = "threshold_sweep"

    @property
    def reads(self) -> frozenset[Site]:
        return self.judge.reads

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        groups = members(patch_norms(trace, batch), self.sets)
        found = {key: sums(each, groups) for key, each in self._values(trace, batch).items()}
        return {**found, "count": groups.sum(2).T.float(), "places": Sum(groups.sum(1))}

    def _values(self, trace: Trace, batch: Batch) -> dict[str, Tensor]:
        if isinstance(self.judge, PositionErrors):
            return dict(zip(("top1", "distance"), said(self.judge.heads, trace), strict=True))
        true = self.judge.patches.under(trace[FINAL], batch)
        return {"error": squared_errors(self.judge.heads, trace, true)}


@dataclass(frozen=True)
class ClassSweep(BySet):
    """How often one token of each set tells the class of its picture.

    A token a seed is drawn from each set that a labelled picture has tokens of. Rows: ``top1``
    (S, K), 1 where it is right; ``count`` (K,), 1 where the set has a token. Sum: ``places``
    (K, N).

    Attributes:
        heads: classifiers (S, 1, D, C) of tokens of any norm.
        sets: of tokens.
        seeds: S.
    """

    heads: Heads
    sets: Sets
    seeds: int
    name: str = "threshold_sweep"

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({FINAL, norm_of(block(-1))})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        groups = members(patch_norms(trace, batch), self.sets)  # (K, B, N)
        patches, truth = trace[FINAL].patches.float(), labels_of(batch).to(groups.device)
        known, right, counts = truth != UNKNOWN, [], []
        for group in groups:
            which = group.any(1) & known
            picked = [
                place for place, has in zip(batch.indices, which.tolist(), strict=True) if has
            ]
            column = patches.new_zeros(len(truth), self.seeds)
            if picked:
                tokens = drawn(patches[which], group[which], picked, self.seeds).transpose(0, 1)
                column[which] = correct(self.heads(tokens)[:, 0], truth[which]).T
            right.append(column)
            counts.append(which.float())
        found = {"top1": torch.stack(right, dim=2), "count": torch.stack(counts, dim=1)}
        return {**found, "places": Sum(groups.sum(1))}


def conclusions(seen: Seen, names: Sequence[str]) -> dict[str, float]:
    """``VALUE/SET`` for each set that has tokens.

    Args:
        seen: by ``Sweep``.
        names: of its sets.
    """
    found = {}
    for key in SAID:
        if key in seen:
            for name, each in means(seen, key, names).items():
                found[f"{key}/{name}"] = float(each.mean())
                if each.size > 1:
                    found[f"seed_sd_{key}/{name}"] = float(each.std(ddof=1))
    for name, places in zip(names, seen.sums["places"], strict=True):
        found[f"tokens/{name}"] = float(places.sum())
        if places.sum():
            found[f"entropy/{name}"] = entropy_share(places)
    return found
