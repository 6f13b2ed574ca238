"""The class of a picture, said from one of its tokens.

Shape legend: n pictures, S seeds, D width, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from unlazy import distributed
from unlazy.ledger import Batch, Observation, Seen, Some
from unlazy.metrics import guesses
from unlazy.probes.bank import Bank, Heads
from unlazy.probes.chosen import KINDS, UNKNOWN, chosen_tokens, labels_of
from unlazy.probes.groups import over_seeds
from unlazy.probes.stream import held_out
from unlazy.probes.task import Lesson, Plan
from unlazy.tokens import FINAL, Site, Trace, block, norm_of


def cross_entropy(scores: Float[Tensor, "*heads n C"], target: Int64[Tensor, " n"]) -> Tensor:
    """Of each example, for each head."""
    wanted = target.expand(scores.shape[:-1])[..., None]
    return -F.log_softmax(scores, dim=-1).gather(-1, wanted)[..., 0]


def certainty(scores: Float[Tensor, "*heads n C"], target: Int64[Tensor, " n"]) -> Tensor:
    """Cross-entropy below 0: higher is better, and it ranks heads that are right equally often.

    What rate and epoch are chosen by: few pictures have an outlier, and of a few dozen held-out
    ones, top-1 is the same for many heads, or differs by chance.
    """
    return -cross_entropy(scores, target)


def correct(scores: Float[Tensor, "*heads n C"], target: Int64[Tensor, " n"]) -> Tensor:
    """1 where the highest score is the target's."""
    return (scores.argmax(-1) == target).float()


def fit(
    tokens: Mapping[int, np.ndarray],
    labels: Mapping[int, int],
    plan: Plan,
    lesson: Lesson,
    *,
    seeds: int,
    device: torch.device,
    name: str,
) -> Heads:
    """A linear classifier for each seed's tokens; ranks share every batch.

    Args:
        tokens: picture -> (1 or S, D), for all seeds the same token or one each; in memory or in
            files: those of a batch are looked up when it is its turn.
        labels: picture -> class, of those to learn from.
        plan: how classifiers learn; its ``seeds`` are 1, those of the tokens count.
        lesson: batch and order.
        seeds: S.
        device: where to learn.
        name: what to call the classifiers.

    Raises:
        ValueError: a classifier that learns with no rate.
    """
    pictures, truth = list(labels), torch.tensor(list(labels.values()))
    first = tokens[pictures[0]]
    held, used = held_out(len(pictures), lesson.seed)
    bank = Bank(plan, inputs=seeds, dim=first.shape[1], outputs=int(truth.max()) + 1, device=device)

    def examples(places: Sequence[int]) -> tuple[Tensor, Tensor]:
        """(S, n, D), (n,) of this rank's of them."""
        mine = [places[place] for place in distributed.shard(len(places))]
        rows = np.empty((len(mine), *first.shape), first.dtype)
        for row, place in zip(rows, mine, strict=True):
            row[:] = tokens[pictures[place]]
        return torch.from_numpy(rows).transpose(0, 1).expand(seeds, -1, -1), truth[mine]

    def rounds(order: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(order), lesson.batch):
            yield examples(order[start : start + lesson.batch])

    steps = math.ceil(len(used) / lesson.batch)
    while not bank.done:
        order = np.random.default_rng([lesson.seed, bank.epoch]).permutation(used).tolist()
        for step, (features, target) in enumerate(rounds(order)):
            bank.learn(features, target, cross_entropy)
            bank.step((bank.epoch + step / steps) / plan.epochs)
        for features, target in rounds(held):
            bank.examine(features, target, certainty)
        bank.close()
    return bank.heads(name)


@dataclass(frozen=True)
class TokenClass:
    """How often each kind of token tells the class of its picture, on the same pictures.

    Rows, of the pictures with a label, an outlier and a normal token: ``right`` (3, S), in the
    order of ``KINDS``; ``label``, and ``of``, how many classes.

    Attributes:
        heads: kind -> classifiers (S, 1, D, C); empty where none could learn.
        least: norm from which a token is an outlier.
        seeds: how many tokens of a kind are drawn.
        training: pictures that the classifiers learned from.
        classes: of these.
    """

    heads: Mapping[str, Heads]
    least: float
    seeds: int
    training: int = 0
    classes: int = 0
    name: str = "token_class"

    @property
    def extremes(self) -> frozenset[str]:
        """Numbers of all pictures together."""
        return frozenset(
            {"pictures", "training_pictures", "chance", "majority"}
            | {f"seed_sd_top1_{kind}" for kind in KINDS}
        )

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({FINAL, norm_of(block(-1))})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        if not self.heads:
            return {}
        which, tokens = chosen_tokens(trace, batch, least=self.least, seeds=self.seeds)
        truth = labels_of(batch).to(which.device)
        known = truth != UNKNOWN
        right = []
        for kind in KINDS:
            rows = tokens[kind].expand(-1, self.seeds, -1).transpose(0, 1)  # (S, k, D)
            right.append(correct(self.heads[kind](rows)[:, 0], truth[which]).T)
        rows = torch.stack(right, dim=1)  # (k, 3, S)
        tested = which & known
        of = torch.full_like(truth, self.heads["cls"].weight.shape[-1])
        return {
            "right": Some(tested, rows[known[which]]),
            "label": Some(tested, truth[tested]),
            "of": Some(tested, of[tested]),
        }

    def conclude(self, seen: Seen) -> dict[str, float]:
        rows = seen.rows("right") if "right" in seen else []
        if not rows:
            return {"pictures": 0.0, "training_pictures": float(self.training)}
        mean = np.asarray(np.mean(rows, axis=0, dtype=np.float64))  # (3, S)
        right = {kind: mean[place] for place, kind in enumerate(KINDS)}
        top1 = {kind: float(each.mean()) for kind, each in right.items()}
        return over_seeds("top1", right) | {
            "outlier_minus_normal": top1["outlier"] - top1["normal"],
            "cls_minus_outlier": top1["cls"] - top1["outlier"],
            "cls_minus_normal": top1["cls"] - top1["normal"],
            "pictures": float(len(rows)),
            "training_pictures": float(self.training),
            **guesses(seen.stack("label"), seen.stack("of")),
        }
