"""Kinds of maps: where their rows are, what they mean, and how they are coloured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Kind:
    """A kind of map.

    Attributes:
        key: for file names.
        title: above the map.
        measure, row: where its rows are.
        meaning: one line for the legend.
        colours: of the scale.
        zero: whether the scale starts at 0.
        unit: what values are multiples of, so that models and grids compare. ``median``: of all
            patches of the model, in comparisons only; ``uniform``: one over the number of patches;
            ``mean``: of the picture's patches; empty: values are shown as they are.
    """

    key: str
    title: str
    measure: str
    row: str
    meaning: str
    colours: str = "viridis"
    zero: bool = False
    unit: Literal["", "median", "uniform", "mean"] = ""


NORM = Kind(
    "norm",
    "Norm",
    "norms",
    "before",
    "Length of each patch vector before the last normalisation. Single bright squares on plain"
    " background are what to look for.",
    unit="median",
)
ATTENTION = Kind(
    "attention",
    "Attention",
    "attention",
    "map",
    "How much the picture's vector attends to each patch in the last block, mean over heads, in"
    " multiples of uniform attention (one over the number of patches). A map in one even"
    " tone has no peak.",
    colours="magma",
    zero=True,
    unit="uniform",
)
KINDS = (
    NORM,
    ATTENTION,
    Kind(
        "score",
        "Patch score",
        "patch_score",
        "cosine",
        "Likeness (cosine) of each patch to the vector of the whole picture. It should be high on"
        " the object.",
    ),
    Kind(
        "centred_score",
        "Centred score",
        "patch_score",
        "centred_cosine",
        "The same after subtracting the picture's mean patch, which all patches share.",
    ),
    Kind(
        "votes",
        "Votes",
        "votes",
        "map",
        "In how many channels a patch is the most stable one (LazyStrike), over the mean of the"
        " picture. A diagnostic: votes look good on untrained networks too.",
        colours="magma",
        zero=True,
        unit="mean",
    ),
    Kind(
        "pca",
        "PCA colours",
        "pca",
        "tokens",
        "The first three principal components of all patches of the model's shown pictures, as red,"
        " green and blue: patches with like features have like colours.",
    ),
)
QKV = tuple(
    Kind(part, part.capitalize(), "qkv", part, f"Norm of the {part} vectors.", unit="median")
    for part in ("query", "key", "value")
)
BLOCK = Kind("block", "Norm", "blocks", "map", "", unit="median")
PLACES = Kind("places", "Share of the pictures", "norms", "", "", colours="magma", zero=True)
