"""The class of a picture from CLS, the mean patch and registers, put side by side.

Shape legend: B pictures, D width, R registers, S seeds, C classes.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unlazy.ledger import Batch, Observation, Seen, Some
from unlazy.metrics import guesses
from unlazy.probes.bank import Heads
from unlazy.probes.chosen import UNKNOWN, labels_of
from unlazy.probes.groups import over_seeds
from unlazy.probes.task import Plan
from unlazy.probes.token_class import certainty, correct, cross_entropy
from unlazy.tokens import FINAL, Site, Tokens, Trace

Variant = Literal["cls_mean", "cls_mean_registers", "mean_registers"]
VARIANTS: tuple[Variant, ...] = ("cls_mean", "cls_mean_registers", "mean_registers")
PRETRAINED = "pretrained"
"""A head that was loaded, on [CLS ; mean patch]."""


def joined(tokens: Tokens, variant: str) -> Float[Tensor, "B _"]:
    """[CLS ; mean patch ; registers], or the parts that the variant names; D numbers each.

    Source: DINOv2's head of one layer takes [CLS ; mean patch], 2 D wide.
    """
    parts = [] if variant.startswith("mean") else [tokens.cls]
    parts.append(tokens.patches.mean(1))
    if variant.endswith("registers"):
        parts.append(tokens.registers.flatten(1))
    return torch.cat([each for each in parts if each is not None], dim=1)


def width(variant: str, dim: int, registers: int) -> int:
    """How wide a variant is.

    >>> [width(each, 384, 4) // 384 for each in VARIANTS]
    [2, 6, 5]
    """
    names = variant.split("_")
    return dim * (("cls" in names) + 1 + registers * ("registers" in names))


@runtime_checkable
class Vector(Protocol):
    """A frozen dataclass: one vector a picture, from its trace."""

    @property
    def reads(self) -> frozenset[Site]:
        """The sites that it needs."""
        ...

    def __call__(self, trace: Trace) -> Float[Tensor, "B _"]:
        """The vectors."""
        ...


@dataclass(frozen=True)
class Joined:
    """``joined`` tokens after the last normalisation."""

    variant: Variant

    @property
    def reads(self) -> frozenset[Site]:
        """The last normalisation."""
        return frozenset({FINAL})

    def __call__(self, trace: Trace) -> Float[Tensor, "B _"]:
        return joined(trace[FINAL], self.variant)


@dataclass(frozen=True)
class VectorTask:
    """A vector of a picture -> its class."""

    name: str
    plan: Plan
    vector: Vector
    outputs: int

    @property
    def reads(self) -> frozenset[Site]:
        return self.vector.reads

    def examples(self, trace: Trace, batch: Batch) -> tuple[Tensor, Tensor]:
        features, labels = self.vector(trace), labels_of(batch)
        for label, name in zip(labels.tolist(), batch.names, strict=True):
            if label >= self.outputs:
                raise ValueError(
                    f"training picture {name} has class {label}, the data name {self.outputs}"
                )
        known = (labels != UNKNOWN).to(features.device)
        return features[known], labels.to(features.device)[known]

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(scores, target)

    def merit(self, scores: Tensor, target: Tensor) -> Tensor:
        return certainty(scores, target)


@dataclass(frozen=True)
class VectorClass:
    """How often each head tells the class.

    Rows of labelled pictures: ``right/VARIANT`` (S,), ``label``, and ``of``, how many classes.

    Attributes:
        heads: variant -> what was learned.
        vectors: variant -> of what.
    """

    heads: Mapping[str, Heads]
    vectors: Mapping[str, Vector]
    name: str = "register_heads"

    @property
    def extremes(self) -> frozenset[str]:
        """Numbers of all pictures together."""
        return frozenset({"chance", "majority", *(f"seed_sd_top1_{each}" for each in self.heads)})

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset().union(*(each.reads for each in self.vectors.values()))

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        truth = labels_of(batch).to(trace.image.device)
        known, found = truth != UNKNOWN, {}
        for variant, heads in self.heads.items():
            scores = heads(self.vectors[variant](trace)[None])[0]  # (S, B, C)
            found[f"right/{variant}"] = Some(known, correct(scores, truth).T[known])
            found["of"] = Some(known, torch.full_like(truth, scores.shape[-1])[known])
        return {**found, "label": Some(known, truth[known])}

    def conclude(self, seen: Seen) -> dict[str, float]:
        right = {
            variant: seen.stack(f"right/{variant}").mean(axis=0, dtype=np.float64)  # (S,)
            for variant in self.heads
            if seen.rows(f"right/{variant}")
        }
        found = over_seeds("top1", right)
        plain, more = (f"top1_{each}" for each in VARIANTS[:2])
        if plain in found and more in found:
            found["registers_gain"] = found[more] - found[plain]
        return found | (guesses(seen.stack("label"), seen.stack("of")) if found else {})


def load_head(path: Path, *, dim: int, classes: int) -> Heads:
    """DINOv2's own classifier of one layer: a Linear on [CLS ; mean patch].

    Args:
        path: such as ``dinov2_vits14_linear_head.pth``.
        dim: width of the model's tokens.
        classes: of the data.

    Raises:
        ValueError: the file is no such classifier, or of a model of another width, or of another
            number of classes.
    """
    if not path.is_file():
        raise ValueError(f"there is no head {path}")
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        weight, bias = state["weight"].float(), state["bias"].float()
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as problem:
        raise ValueError(
            f"{path} is no head of DINOv2: it needs a weight and a bias ({problem})"
        ) from problem
    if weight.ndim != 2 or weight.shape[1] != 2 * dim or bias.shape != weight.shape[:1]:
        raise ValueError(
            f"{path} has a weight of {tuple(weight.shape)} and a bias of {tuple(bias.shape)}; this"
            f" model needs (classes, {2 * dim}), the head of one layer ('linear_head', not"
            " 'linear4_head') of a model of its width"
        )
    if len(weight) != classes:
        raise ValueError(
            f"{path} knows {len(weight)} classes, the data have {classes}; leave out head=FILE, or"
            " take the data that it learned from"
        )
    return Heads(weight.T[None, None].contiguous(), bias[None, None])
