"""DINO's weighted k-NN, one picture at a time; ties as stated."""

import math

import numpy as np


def votes(
    vectors: np.ndarray,
    labels: list[int],
    query: np.ndarray,
    *,
    k: int,
    temperature: float,
    tie: float,
) -> list[float]:
    """Of each class: the sum of exp(cosine / temperature) over its pictures among the k nearest.

    Of cosines that round to the same multiple of ``tie`` the one of the lower index is nearer.
    """
    ranked = []
    for index, vector in enumerate(vectors):
        dot = sum(float(a) * float(b) for a, b in zip(vector, query, strict=True))
        lengths = [math.sqrt(sum(float(a) ** 2 for a in each)) for each in (vector, query)]
        cosine = dot / (lengths[0] * lengths[1])
        ranked.append((-round(cosine / tie), index, cosine))
    found = [0.0] * (max(labels) + 1)
    for _, index, cosine in sorted(ranked)[:k]:
        found[labels[index]] += math.exp(cosine / temperature)
    return found
