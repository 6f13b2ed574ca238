"""Which patches are outliers, from the distribution of their norms; no model has its own number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from unlazy import distributions
from unlazy.fixes.base import NothingToFix
from unlazy.ledger import Batch, Observation, Seen
from unlazy.scores import cutoff
from unlazy.tokens import Site, Trace, block, norm_of

FAR = 3.0
"""Medians: where the smaller of two modes is short, the others have a tail if it goes beyond."""
Rule = Literal["boundary", "p98", "given"]


@dataclass(frozen=True)
class PatchNorms:
    """L2 norms of the patches that leave the last block, and how far they stand out on the way.

    Rows: ``norm`` (H, W), and ``peak`` (depth,), the largest over the median norm at each block.
    """

    depth: int
    name: str = "patch_norms"
    resamples: ClassVar[int] = 0

    @property
    def reads(self) -> frozenset[Site]:
        """Norms at every block."""
        return frozenset(norm_of(block(layer)) for layer in range(self.depth))

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Rows a picture."""
        norms = [trace[norm_of(block(layer))].patches[..., 0] for layer in range(self.depth)]
        peaks = [each.amax(1) / each.median(1).values.clamp(min=1e-12) for each in norms]
        last = trace[norm_of(block(-1))]
        return {"norm": last.map()[..., 0].float(), "peak": torch.stack(peaks, 1).float()}

    def conclude(self, seen: Seen) -> dict[str, float]:
        """Median and largest norm at the last block."""
        norms = seen.flat("norm")
        return {"median": float(np.median(norms)), "max": float(norms.max())}


@dataclass(frozen=True)
class Outliers:
    """The cut-off above which a patch of the last block is an outlier, and what lies above it.

    Attributes:
        cutoff: a norm.
        rule: the boundary between two modes, the 98th percentile, or given by the user.
        kind: shape of the distribution.
        share: of patches above the cut-off.
        images, images_without: pictures with and without a patch above it.
        jump_at: block at whose output the largest norm over the median rises most.
    """

    cutoff: float
    rule: Rule
    kind: str
    share: float
    images: int
    images_without: int
    jump_at: int

    def sentence(self) -> str:
        """Which patches count, and in how many images."""
        rules = {
            "boundary": "the boundary between two modes",
            "p98": "the 98th percentile, since there is a tail but no second mode above",
            "given": "as given",
        }
        total = self.images + self.images_without
        return (
            f"Outliers have a norm above {self.cutoff:.4g} at the last block"
            f" ({rules[self.rule]}): {100 * self.share:.3g} % of the patches, in {self.images} of"
            f" {total} images; those without any were left out."
        )


def outliers(seen: Seen, *, given: float | None = None) -> Outliers:
    """Choose the cut-off from what ``PatchNorms`` observed.

    Two modes: the boundary between them, where the upper is the smaller. One mode with a long
    tail, or two of which the upper is the larger and reaches ``FAR`` medians: the 98th percentile
    (which labels 2 % of ANY model, so it is used only where there is a tail). Otherwise there are
    none.

    Source: *Do All Vision Transformers Need Registers?*, 3.2 (98th percentile); test-time
    registers as published set a number for each model by hand.

    Args:
        seen: of ``PatchNorms``.
        given: a cut-off to use instead.

    Raises:
        NothingToFix: one mode without a tail, or no patch above the given cut-off.
    """
    norms, rows = seen.flat("norm"), seen.rows("norm")
    shape = _shape(norms)
    far = float(norms.max() / max(np.median(norms), 1e-12))
    about = f"the norms of its patches are {shape.kind}, the largest {far:.2g} times the median"
    if given is not None:
        limit, rule = given, "given"
    elif shape.boundary is not None and (norms > shape.boundary).mean() < 0.5:
        limit, rule = shape.boundary, "boundary"
    elif shape.skewness > 0 and (shape.kind == "skewed" or (shape.kind == "bimodal" and far > FAR)):
        limit, rule = cutoff(norms, "p98"), "p98"
    else:
        raise NothingToFix(
            f"there are no outlier patches to fix: {about}."
            " To act on the highest norms all the same, give a cut-off (cutoff=NORM)"
        )
    if (norms > limit).mean() >= 0.5:
        raise NothingToFix(
            f"{100 * (norms > limit).mean():.3g} % of the patches have a norm above {limit:g},"
            f" which are no outliers: {about}; give a higher cut-off"
        )
    which = np.array([bool((row > limit).any()) for row in rows])
    if not which.any():
        raise NothingToFix(
            f"no patch has a norm above {limit:g}: {about}; give a cut-off below {norms.max():.4g}"
        )
    return Outliers(
        cutoff=float(limit),
        rule=rule,  # type: ignore[arg-type]
        kind=shape.kind,
        share=float((norms > limit).mean()),
        images=int(which.sum()),
        images_without=int((~which).sum()),
        jump_at=jump(seen.stack("peak")[which]),
    )


def jump(peaks: np.ndarray) -> int:
    """The block, from 0, at whose output the largest norm over the median rises by most.

    A rise is a ratio to the block before; the first block has none before it.

    Args:
        peaks: (n, depth), one row a picture.

    >>> jump(np.array([[1.5, 1.6, 8.0, 12.0]]))
    2
    """
    mean = peaks.astype(np.float64).mean(axis=0)
    rises = np.diff(np.log(mean), prepend=np.log(mean[:1]))
    return int(rises.argmax())


def _shape(norms: np.ndarray) -> distributions.Shape:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # threads of a mixture this small only wait for each other
        return distributions.shape(norms)
