"""Literal, one picture at a time: published definitions of object discovery, ties as stated.

Maps are (H, W); keys (H, W, D); a box is (left, top, right, bottom) in patches, half-open.
"""

import numpy as np
import torch
from scipy import ndimage
from scipy.linalg import eigh

TIE = 1e-6


def tight_box(mask: np.ndarray) -> list[int]:
    if not mask.any():
        return [0, 0, 0, 0]
    rows, columns = np.where(mask)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def part_with(foreground: np.ndarray, seed: int) -> np.ndarray:
    labels, _ = ndimage.label(foreground)
    number = labels.flat[seed]
    return (labels == number) & (number > 0)


def largest_part(foreground: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(foreground)
    sizes = [int((labels == number).sum()) for number in range(1, count + 1)]
    return labels == 1 + int(np.argmax(sizes)) if sizes else np.zeros_like(foreground)


def by_patch_score(
    scores: np.ndarray, *, k: float = 1, ddof: int = 1, rule: str = "argmax"
) -> np.ndarray:
    """Need More Than Registers: above mean + k std; component by name."""
    scores = scores.astype(np.float64)
    spread = scores.std(ddof=ddof) if scores.size > ddof else 0.0
    foreground = scores > scores.mean() + k * spread
    return part_with(foreground, scores.argmax()) if rule == "argmax" else largest_part(foreground)


def keep_mass(attention: np.ndarray, share: float = 0.6) -> np.ndarray:
    """DINO: sort, cumulate, keep what lies above 1 - share, undo the sorting."""
    flat = attention.ravel().astype(np.float64)
    order = np.argsort(flat, kind="stable")
    cumulated = np.cumsum(flat[order] / flat.sum())
    undo = np.argsort(order, kind="stable")
    return (cumulated > 1 - share)[undo].reshape(attention.shape)


def dino_seg(attention: np.ndarray, *, share: float = 0.6) -> np.ndarray:
    """The largest component of what is kept."""
    return largest_part(keep_mass(attention, share))


def dino_seg_released(attention: np.ndarray, *, share: float = 0.6) -> np.ndarray:
    """LOST's public code: sizes of the labels 0 .. max - 1, of which 0 is the background."""
    labels, _ = ndimage.label(keep_mass(attention, share))
    sizes = [int((labels == number).sum()) for number in range(labels.max())]
    chosen = int(np.argmax(sizes[1:])) + 1 if len(sizes) > 1 else 0
    return labels == chosen


def lost(keys: np.ndarray, *, potentials: int = 100) -> np.ndarray:
    """LOST, section 3; in the keys' precision; equal degrees by reading order."""
    height, width, dim = keys.shape
    flat = torch.from_numpy(keys).reshape(height * width, dim)
    affinity = flat @ flat.T
    others = affinity.clone()
    others.fill_diagonal_(0)
    degree = (others > 0).sum(dim=1)
    lowest = torch.argsort(degree, stable=True)
    seed = lowest[0]
    first = lowest[:potentials]
    similar = first[affinity[seed, first] > 0]
    correlation = affinity[similar].sum(dim=0).reshape(height, width)
    return part_with((correlation > 0).numpy(), int(seed))


def tokencut_vector(keys: np.ndarray, *, tau: float = 0.2, eps: float = 1e-5) -> np.ndarray:
    """The second eigenvector of (D - A) y = mu D y, by SciPy's dense solver."""
    height, width, dim = keys.shape
    flat = torch.from_numpy(keys).reshape(height * width, dim)
    flat = torch.nn.functional.normalize(flat, dim=1)
    affinity = np.where((flat @ flat.T).numpy() > tau, 1.0, eps)
    degrees = np.diag(affinity.sum(axis=1))
    _, vectors = eigh(degrees - affinity, degrees, subset_by_index=[1, 2])
    return vectors[:, 0]


def tokencut(keys: np.ndarray, *, tau: float = 0.2, eps: float = 1e-5) -> np.ndarray:
    """Split at the mean; the seed is the first of the largest |y|; a patch at the mean is out."""
    vector = tokencut_vector(keys, tau=tau, eps=eps)
    largest = np.abs(vector).max()
    seed = int(np.argmax(np.abs(vector) >= (1 - TIE) * largest))
    away = vector - vector.sum() / len(vector)
    if away[seed] < 0:
        away = -away
    return part_with((away > TIE * largest).reshape(keys.shape[:2]), seed)


def jaccard(found: np.ndarray, truth: np.ndarray, void: np.ndarray) -> float:
    """Pixel by pixel."""
    both = either = 0
    for one, other, out in zip(found.ravel(), truth.ravel(), void.ravel(), strict=True):
        both += int(one and other and not out)
        either += int((one or other) and not out)
    return both / either if either else float("nan")
