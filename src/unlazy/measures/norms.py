"""L2 norms of patch tokens before and after the last normalisation, and where high ones sit."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlazy import distributions
from unlazy.finite import patch_norms
from unlazy.ledger import Batch, Observation, Seen
from unlazy.scores import Cutoff, cutoff, entropy_share, median, quantile
from unlazy.tokens import FINAL, Site, Trace, block, norm_of


@dataclass(frozen=True)
class Norms:
    """Norms of the patches that leave the last block, which the last normalisation hides.

    Rows: ``before`` and ``after`` (H, W), ``largest_value`` (largest absolute activation).

    Source: *Vision Transformers Need More Than Registers*, Fig. 6 (layer unstated there);
    *Do All Vision Transformers Need Registers?*, 3.2 (98th percentile, before the last norm).
    Training-free cut-offs at three medians and at 150 follow Darcet et al. and reproductions.

    Attributes:
        absolute: the fixed cut-off; 150 was set by hand for DINOv2-g.
    """

    absolute: float = 150.0
    name: str = "norms"
    extremes: ClassVar[frozenset[str]] = frozenset(
        {
            "max",
            "max_over_median",
            "max_over_median_after_norm",
            "largest_value",
            "p98_position_entropy",
            "p98_most_common_position",
        }
    )

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({block(-1), norm_of(FINAL)})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        last = trace[block(-1)]
        norms = last.norms().map()[..., 0]
        flat = norms.flatten(1)
        peak = flat.amax(1)
        return {
            "before": norms,
            "after": trace[norm_of(FINAL)].map()[..., 0].float(),
            "peak": peak,
            "peak_over_median": peak / flat.median(dim=1).values.clamp(min=1e-12),
            "largest_value": last.patches.abs().amax(dim=(1, 2)).float(),
        }

    def conclude(self, seen: Seen) -> dict[str, float]:
        before, after = seen.flat("before"), seen.flat("after")
        middle = max(median(before), 1e-12)
        found = {
            "median": middle,
            "p98": quantile(before, 0.98),
            "max": float(before.max()),
            "max_over_median": float(before.max()) / middle,
            "max_over_median_per_image": seen.mean("peak_over_median"),
            "max_over_median_after_norm": float(after.max() / max(median(after), 1e-12)),
            "largest_value": float(seen.stack("largest_value").max()),
            "share_over_3median": float((before > 3 * middle).mean()),
            "share_over_absolute": float((before > self.absolute).mean()),
            "images_with_high_norm": float((seen.stack("peak") > 3 * middle).mean()),
        }
        places = self.outlier_map(seen, "p98")
        if places is not None:
            found["p98_position_entropy"] = entropy_share(places)
            found["p98_most_common_position"] = float(places.max() / max(places.sum(), 1e-12))
        return found

    def outlier_map(self, seen: Seen, rule: Cutoff) -> np.ndarray | None:
        """(H, W) share of pictures with a high-norm patch at each place; None for mixed grids."""
        if not seen.one_grid("before"):
            return None
        rows = seen.stack("before")
        return (rows > cutoff(rows.ravel(), rule, absolute=self.absolute)).mean(axis=0)


@dataclass(frozen=True)
class NormShape:
    """Verdict on the distribution of norms: unimodal, skewed or bimodal; see ``distributions``.

    ``agreement`` is the share of resamples of whole pictures with the same verdict, and
    ``redrawn_*`` the shares of the others; one picture has neither.

    Raises:
        ValueError: the patches of a picture are not finite.
    """

    name: str = "norm_shape"
    resamples: ClassVar[int] = 0

    @property
    def reads(self) -> frozenset[Site]:
        return frozenset({norm_of(block(-1))})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        return {"norm": patch_norms(trace, batch)}

    def conclude(self, seen: Seen) -> dict[str, float]:
        found = self.shape(seen)
        numbers = {
            key: float(number)
            for key, number in vars(found).items()
            if key != "kind" and number is not None and math.isfinite(number)
        }
        rows = seen.rows("norm")
        if found.kind != "unknown" and len(rows) > 1:
            with _one_thread():
                drawn = distributions.redraws(rows)
            numbers["agreement"] = drawn.pop(found.kind, 0.0)
            numbers |= {f"redrawn_{kind}": share for kind, share in drawn.items()}
        return {f"is_{found.kind}": 1.0, **numbers}

    def shape(self, seen: Seen) -> distributions.Shape:
        """The statistics with the verdict in words."""
        with _one_thread():
            return distributions.shape(seen.flat("norm"))


def _one_thread() -> AbstractContextManager:
    """For mixtures of 5,000 points, whose threads would only wait for each other.

    On a busy machine they wait for many seconds; and they add up in an order that varies.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)
