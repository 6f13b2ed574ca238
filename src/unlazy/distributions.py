"""Is a distribution of token norms unimodal, skewed or bimodal? Statistics and a verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Kind = Literal["unimodal", "skewed", "bimodal", "constant", "unknown"]
FEWEST = 8  # tokens; below this no distribution is judged
DIP_TOKENS = 5_000  # the dip's p-value is meaningless for very many, dependent tokens
RESAMPLES = 20
VARIANCE_FLOOR = 1e-8  # of log-norms, added to that of each Gaussian


@dataclass(frozen=True)
class Thresholds:
    """When norms count as bimodal or skewed.

    Bimodal: (dip p < ``dip_p`` and Ashman D > ``ashman_with_dip``), or (BIC gain per token >
    ``bic_gain`` and Ashman D > ``ashman`` and a density valley between the modes); either with a
    minor mode of at least ``minor`` and of at least ``minor_tokens`` tokens. Otherwise skewed above
    ``skewness``, else unimodal.

    The second rule exists because the dip of two well separated modes is about half the minor
    mode's weight: at 5,000 tokens it cannot see modes below about 1.3 %. ``minor_tokens`` keeps a
    stray token or two from being a mode; five is Cochran's least expected count.
    """

    dip_p: float = 0.05
    ashman_with_dip: float = 2.0
    bic_gain: float = 0.01
    ashman: float = 3.0
    minor: float = 0.002
    minor_tokens: float = 5.0
    skewness: float = 1.0


@dataclass(frozen=True)
class Shape:
    """What was found about a distribution of norms.

    Attributes:
        kind: the verdict; "unknown" below 8 tokens, and then all statistics are NaN.
        tokens: how many norms there were.
        dip_p: p-value of Hartigan's dip test on at most 5,000 tokens.
        bic_gain: BIC of one Gaussian minus BIC of two, on log-norms, per token.
        ashman_d: separation of the two Gaussians; above 2 they are distinct.
        minor_share: weight of the smaller Gaussian.
        valley: density between the modes over the lower mode's density; below 1 there is a valley.
        skewness, excess_kurtosis: of the raw norms.
        tail: 99.9th percentile over the median.
        boundary: the norm between the two modes, where the density is lowest, if bimodal.
        share_above_boundary: share of all norms above it, if bimodal.
    """

    kind: Kind
    tokens: int
    dip_p: float
    bic_gain: float
    ashman_d: float
    minor_share: float
    valley: float
    skewness: float
    excess_kurtosis: float
    tail: float
    boundary: float | None = None
    share_above_boundary: float | None = None


def shape(norms: np.ndarray, *, thresholds: Thresholds = Thresholds(), seed: int = 0) -> Shape:
    """Statistics and verdict for norms of any shape; non-finite values are refused.

    Source: *Do All Vision Transformers Need Registers?* labels the distributions by eye; the
    statistics are Hartigan & Hartigan 1985 (dip), Ashman et al. 1994 (D); the rule is ours.

    Raises:
        ValueError: some values are not finite.
    """
    import diptest
    from scipy import stats

    flat = np.asarray(norms, dtype=np.float64).ravel()
    broken = int((~np.isfinite(flat)).sum())
    if broken:
        raise ValueError(f"{broken} of {flat.size} norms are not finite; leave these out")
    if flat.size < FEWEST:
        return Shape("unknown", flat.size, *[float("nan")] * 8)
    if np.ptp(flat) <= 1e-9 * max(1.0, abs(float(flat.mean()))):
        return Shape("constant", flat.size, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0)
    some = flat
    if flat.size > DIP_TOKENS:
        some = np.random.default_rng(seed).choice(flat, DIP_TOKENS, replace=False)
    dip_p = float(diptest.diptest(some)[1])
    logs = np.log(np.maximum(some, 1e-12))
    gain, ashman, minor, valley, between = _two_modes(logs, seed)
    boundary = float(np.exp(between))
    skewness = float(stats.skew(flat))
    enough = minor >= thresholds.minor and minor * some.size >= thresholds.minor_tokens
    by_dip = dip_p < thresholds.dip_p and ashman > thresholds.ashman_with_dip
    by_mixture = gain > thresholds.bic_gain and ashman > thresholds.ashman and valley < 1
    kind: Kind = "unimodal"
    if enough and (by_dip or by_mixture):
        kind = "bimodal"
    elif skewness > thresholds.skewness:
        kind = "skewed"
    return Shape(
        kind=kind,
        tokens=flat.size,
        dip_p=dip_p,
        bic_gain=gain,
        ashman_d=ashman,
        minor_share=minor,
        valley=valley,
        skewness=skewness,
        excess_kurtosis=float(stats.kurtosis(flat)),
        tail=float(np.quantile(flat, 0.999) / max(np.median(flat), 1e-12)),
        boundary=boundary if kind == "bimodal" else None,
        share_above_boundary=float((flat > boundary).mean()) if kind == "bimodal" else None,
    )


def redraws(rows: list[np.ndarray], *, seed: int = 0) -> dict[Kind, float]:
    """Verdict -> share of the resamples of whole images (with replacement) that give it.

    Those that none gives are left out; the most frequent comes first.
    """
    rng = np.random.default_rng(seed)
    flat = [np.asarray(row).ravel() for row in rows]
    kinds: list[Kind] = []
    for turn in range(RESAMPLES):
        drawn = rng.integers(len(flat), size=len(flat))
        sampled = np.concatenate([flat[index] for index in drawn])
        kinds.append(shape(sampled, seed=seed + turn + 1).kind)
    return {kind: count / RESAMPLES for kind, count in Counter(kinds).most_common()}


def _two_modes(logs: np.ndarray, seed: int) -> tuple[float, float, float, float, float]:
    """BIC gain per token, Ashman D, minor weight, valley depth, log boundary."""
    from sklearn.mixture import GaussianMixture

    column = logs[:, None]
    spread = logs.var() + VARIANCE_FLOOR
    one_bic = len(logs) * (np.log(2 * np.pi * spread) + logs.var() / spread)
    one_bic += 2 * np.log(len(logs))
    # Starting one mode in the extreme tail finds rare high norms that k-means would miss.
    middle, top = float(np.median(logs)), float(np.quantile(logs, 0.995))
    starts = [None, np.array([[middle], [top]])]
    mixtures = [
        GaussianMixture(2, means_init=start, random_state=seed, reg_covar=VARIANCE_FLOOR)
        for start in starts
    ]
    fits: list[Any] = [mixture.fit(column) for mixture in mixtures]
    two_bic, two = min(((fit.bic(column), fit) for fit in fits), key=lambda pair: pair[0])
    gain = float((one_bic - two_bic) / len(logs))
    order = np.argsort(two.means_[:, 0])
    means, weights = two.means_[order, 0], two.weights_[order]
    variances = two.covariances_[order, 0, 0]
    ashman = float(np.sqrt(2) * (means[1] - means[0]) / np.sqrt(variances.sum()))
    between = np.linspace(means[0], means[1], 201)
    density = np.exp(two.score_samples(between[:, None]))
    lowest = int(density.argmin())
    valley = float(density[lowest] / max(min(density[0], density[-1]), 1e-300))
    return gain, ashman, float(weights.min()), valley, float(between[lowest])
