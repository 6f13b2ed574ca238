"""Slow, literal transcriptions of published definitions."""

import math

import numpy as np


def patch_score_cosine(patches: np.ndarray, image: np.ndarray) -> list[float]:
    """Need More Than Registers, Eq. 3 (revision): cos(x_i, Q)."""
    found = []
    for patch in patches:
        dot = sum(float(a) * float(b) for a, b in zip(patch, image, strict=True))
        lengths = math.sqrt(sum(float(a) ** 2 for a in patch)) * math.sqrt(
            sum(float(b) ** 2 for b in image)
        )
        found.append(dot / lengths)
    return found


def low_pass(x: np.ndarray, kernel: str = "released") -> np.ndarray:
    """Public code: complex FFT over the channels, shifted, times a Gaussian, and back.

    ``centred`` moves the peak of the Gaussian onto the zero frequency of the shifted spectrum.
    """
    dim = x.shape[-1]
    start = -dim // 2 + 1 if kernel == "released" else -(dim // 2)
    places = np.arange(start, start + dim)
    gaussian = np.exp(-0.5 * (places / math.sqrt(dim)) ** 2)
    gaussian = gaussian / gaussian.max()
    spectrum = np.fft.fftshift(np.fft.fft(x.astype(np.float64), axis=-1), axes=-1)
    return np.fft.ifft(np.fft.ifftshift(spectrum * gaussian, axes=-1), axis=-1).real


def lazy_strike_scores(
    x: np.ndarray, reading: str = "released", kernel: str = "released", eps: float = 1e-6
) -> np.ndarray:
    """Scores (N, D) of Need More Than Registers, each as its source writes it."""
    low = low_pass(x, kernel)
    if reading == "released":  # public code
        return x / np.abs(low - x)
    if reading == "paper":  # revision, Eq. 4 to 7
        return low / (np.abs(low - x) + eps)
    if reading == "alg1":  # preprint, Algorithm 1, with the filtered signal in the difference
        return np.abs(x - low) / np.abs(x)
    assert reading == "token"  # whole tokens: released, averaged over channels
    return np.repeat((x / np.abs(low - x)).mean(axis=1, keepdims=True), x.shape[1], axis=1)


def lazy_strike_choice(scores: np.ndarray, keep: int) -> list[list[int]]:
    """For each channel the ``keep`` tokens of highest score; of equal ones the first."""
    tokens = range(len(scores))
    columns = scores.T.tolist()
    return [sorted(sorted(tokens, key=lambda i: -column[i])[:keep]) for column in columns]


def lazy_strike(x: np.ndarray, scores: np.ndarray, keep: int) -> list[float]:
    """Mean of the chosen values of each channel."""
    chosen = lazy_strike_choice(scores, keep)
    return [float(np.mean([x[i, channel] for i in kept])) for channel, kept in enumerate(chosen)]


def votes(scores: np.ndarray, keep: int) -> np.ndarray:
    """Count, channel by channel, the ``keep`` tokens with the highest score."""
    counts = np.zeros(len(scores), dtype=np.int64)
    for kept in lazy_strike_choice(scores, keep):
        for token in kept:
            counts[token] += 1
    return counts


def neighbour_similarity(grid: np.ndarray) -> np.ndarray:
    """Mean cosine to the neighbours above, below, left and right that exist."""
    rows, columns, _ = grid.shape
    found = np.zeros((rows, columns))
    for row in range(rows):
        for column in range(columns):
            here, alike = grid[row, column], []
            for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                if 0 <= row + down < rows and 0 <= column + right < columns:
                    there = grid[row + down, column + right]
                    alike.append(here @ there / np.linalg.norm(here) / np.linalg.norm(there))
            found[row, column] = np.mean(alike) if alike else 0.0
    return found
