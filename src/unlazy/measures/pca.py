"""Joint principal components of the patches of a few pictures, as colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from unlazy.ledger import Batch, Observation, Seen, Some
from unlazy.tokens import FINAL, Site, Trace


@dataclass(frozen=True)
class PCA:
    """PCA fitted jointly on all patches of the pictures in ``shown``.

    The first three components become red, green and blue, each scaled so that its 2nd and 98th
    percentile are 0 and 1 (single extreme patches would otherwise decide). Signs are fixed: on
    each principal axis the entry of largest magnitude is positive.

    Rows: ``tokens`` (H, W, D) of the shown pictures, after the last normalisation.

    Source: recipe of DINOv2 and CRATE; *Vision Transformers Need More Than Registers* shows such
    maps without stating one. Deviation: these hide as background what lies on one side of the first
    component. Here nothing is hidden, since that component can as well tell picture from picture,
    and would then hide whole pictures.
    """

    shown: frozenset[int] = frozenset()
    name: str = "pca"
    resamples: ClassVar[int] = 0

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({FINAL})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        which = torch.tensor([index in self.shown for index in batch.indices])
        if not which.any():
            return {}
        final = trace[FINAL].map()
        return {"tokens": Some(which, final[which.to(final.device)].float())}

    def conclude(self, seen: Seen) -> dict[str, float]:
        if "tokens" not in seen:
            return {}
        tokens = np.concatenate([row.reshape(-1, row.shape[-1]) for row in seen.rows("tokens")])
        spectrum, _ = _principal(tokens - tokens.mean(0))
        total = max(float(spectrum.sum()), 1e-12)
        return {
            "variance_first": float(spectrum[0]) / total,
            "variance_first_three": float(spectrum[:3].sum()) / total,
        }

    def colours(self, seen: Seen) -> list[np.ndarray]:
        """One (H, W, 3) map in [0, 1] a shown picture."""
        rows = seen.rows("tokens")
        parts = components(np.concatenate([row.reshape(-1, row.shape[-1]) for row in rows]), 3)
        colours = np.stack([_unit(part) for part in parts.T], axis=1)
        ends = np.cumsum([row.shape[0] * row.shape[1] for row in rows])[:-1]
        return [
            part.reshape(*row.shape[:2], 3)
            for part, row in zip(np.split(colours, ends), rows, strict=True)
        ]


def components(tokens: np.ndarray, count: int) -> np.ndarray:
    """(n, count) projections on the leading principal axes, with a fixed sign.

    >>> components(np.array([[0.0, 0.0], [3.0, 0.0]]), 1).ravel().tolist()
    [-1.5, 1.5]
    """
    centred = tokens - tokens.mean(0)
    axes = _principal(centred)[1][:count]
    largest = np.abs(axes).argmax(axis=1)
    signs = np.sign(axes[np.arange(len(axes)), largest])
    projected = centred @ (axes * np.where(signs == 0, 1, signs)[:, None]).T
    missing = count - projected.shape[1]
    return np.pad(projected, ((0, 0), (0, missing))) if missing > 0 else projected


def _principal(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances in descending order and axes (D, D) as rows: by the D x D covariance."""
    exact = centred.astype(np.float64)
    variances, axes = np.linalg.eigh(exact.T @ exact)
    return variances[::-1].clip(min=0), axes.T[::-1]


def _unit(values: np.ndarray) -> np.ndarray:
    low, high = np.quantile(values, [0.02, 0.98])
    return ((values - low) / (high - low)).clip(0, 1) if high > low else np.full(values.shape, 0.5)
