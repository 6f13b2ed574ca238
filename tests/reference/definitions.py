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


def lazy_strike_scores_released(x: np.ndarray) -> np.ndarray:
    """Public code: shifted complex FFT over channels, Gaussian, inverse; x / |x_low - x|."""
    dim = x.shape[-1]
    places = np.arange(-dim // 2 + 1, dim // 2 + 1)
    kernel = np.exp(-0.5 * (places / math.sqrt(dim)) ** 2)
    kernel = kernel / kernel.max()
    spectrum = np.fft.fftshift(np.fft.fft(x.astype(np.float64), axis=-1), axes=-1)
    low = np.fft.ifft(np.fft.ifftshift(spectrum * kernel, axes=-1), axis=-1).real
    return x / np.abs(low - x)


def votes(scores: np.ndarray, keep: int) -> np.ndarray:
    """Count, channel by channel, the ``keep`` tokens with the highest score."""
    counts = np.zeros(scores.shape[0], dtype=np.int64)
    for channel in range(scores.shape[1]):
        for token in sorted(range(len(scores)), key=lambda i: -scores[i, channel])[:keep]:
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
