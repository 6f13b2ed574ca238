"""The second eigenvector of a graph whose affinity has two values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Bool, Float
from torch import Tensor

_ROUNDS = ((torch.float32, 12), *[(torch.float64, 6)] * 3, (torch.float64, 36))
"""Precision and pairs of directions of each attempt; the next one starts where it ended."""
_ERROR = 1e-8  # of the vector: residual over the distance to the next eigenvalue


@dataclass(frozen=True)
class Graph:
    """A batch of graphs with affinity A: 1 or ``eps`` between valid patches, none to others.

    Attributes:
        joined: 1 where A is 1, else 0; zero in the rows of patches that are not valid.
        valid: which patches are on the picture.
        eps: the affinity of patches that are not joined.
    """

    joined: Float[Tensor, "B N N"]
    valid: Bool[Tensor, "B N"]
    eps: float

    @cached_property
    def neighbours(self) -> Float[Tensor, "B N"]:
        """Patches joined to each patch, itself included."""
        return self.joined.sum(2).double()  # exact in float32 below 2 ** 24 patches

    @cached_property
    def degree(self) -> Float[Tensor, "B N"]:
        """Row sums of A; 0 where not valid."""
        row = (1 - self.eps) * self.neighbours + self.eps * self.valid.sum(1, keepdim=True)
        return torch.where(self.valid, row, 0)

    @cached_property
    def uncut(self) -> Bool[Tensor, " B"]:
        """Whether all patches are joined, or none to another."""
        others = self.neighbours - self.joined.diagonal(dim1=1, dim2=2)
        all_others = self.valid.sum(1, keepdim=True) - 1
        none, every = others == 0, others == all_others
        return (none | ~self.valid).all(1) | (every | ~self.valid).all(1)


def second_eigenvector(graph: Graph) -> Float[Tensor, "B N"]:
    """The y of the second smallest mu in (D - A) y = mu D y, in float64; its sign is open.

    With z = D^1/2 y it is the second largest eigenvector of D^-1/2 A D^-1/2, whose first one,
    D^1/2 1, is known. It is sought in the Krylov space of two vectors that do not depend on the
    picture; two, so that a double eigenvalue shows. Single precision brings it near. A picture
    whose residual stays too large for the distance to the next eigenvalue is left to SciPy's
    ``eigh``, as in the public code.

    Zero where no cut is better than another, and where not valid.
    """
    count = graph.valid.shape[1]
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(2, count, generator=generator, dtype=torch.float64)
    rows = start.to(graph.degree.device) * graph.valid[:, None]
    sure = graph.uncut
    for dtype, pairs in _ROUNDS:
        rows, error = _approach(graph, rows.to(dtype), min(pairs, (count + 1) // 2))
        sure = graph.uncut | (error <= _ERROR)
        if dtype == torch.float64 and sure.all():
            break
    scale = torch.where(graph.valid, graph.degree.rsqrt(), 0)
    vector = torch.where(graph.uncut[:, None], 0, scale * rows[:, 0])
    for index in (~sure).nonzero().flatten().tolist():
        on = graph.valid[index]
        joined = graph.joined[index][on][:, on]
        vector[index, on] = dense_second_eigenvector(joined, graph.eps).to(vector.device)
    return vector


def dense_second_eigenvector(joined: Float[Tensor, "N N"], eps: float) -> Float[Tensor, " N"]:
    """By SciPy's dense solver of the generalised problem; of the order of N^3 operations."""
    affinity = np.where(joined.cpu().numpy() > 0, 1.0, eps)
    degrees = np.diag(affinity.sum(1))
    found = scipy.linalg.eigh(degrees - affinity, degrees, subset_by_index=[1, 2])[1]
    return torch.from_numpy(found[:, 0].copy())


def _approach(
    graph: Graph, rows: Float[Tensor, "B 2 N"], pairs: int
) -> tuple[Float[Tensor, "B 2 N"], Float[Tensor, " B"]]:
    """The two best vectors of the Krylov space of ``rows``, best first, and the first's error.

    Computed in the precision of ``rows``. Vectors are rows: the faster layout on a CPU.
    """
    joined = graph.joined.to(rows.dtype)
    scale = torch.where(graph.valid, graph.degree.rsqrt(), 0).to(rows.dtype)[:, None]
    basis = (graph.degree / graph.degree.sum(1, keepdim=True)).sqrt().to(rows.dtype)[:, None]
    images = basis[:, :0]
    for _ in range(pairs):
        rows = _orthonormal(rows, basis)
        basis = torch.cat([basis, rows], dim=1)
        scaled = scale * rows
        rows = (1 - graph.eps) * (scaled @ joined) + graph.eps * scaled.sum(2, keepdim=True)
        rows = scale * rows
        images = torch.cat([images, rows], dim=1)
    basis = basis[:, 1:]
    found = basis.square().sum(2) > 0  # the others are zero: nothing was left
    inner = basis @ images.mT - 2 * torch.diag_embed((~found).to(rows.dtype))
    values, vectors = torch.linalg.eigh(inner)
    best = vectors[:, :, -2:].mT.flip(1)  # (B, 2, pairs)
    rows = best @ basis
    residual = (best[:, :1] @ images)[:, 0] - values[:, -1:] * rows[:, 0]
    return rows, torch.linalg.vector_norm(residual, dim=1) / (values[:, -1] - values[:, -2])


def _orthonormal(
    rows: Float[Tensor, "B 2 N"], basis: Float[Tensor, "B c N"]
) -> Float[Tensor, "B 2 N"]:
    """Two unit rows outside of the basis and of each other; zero where nothing is left."""
    rows = rows - (rows @ basis.mT) @ basis
    if rows.dtype == torch.float64:  # what rounding left of the basis
        rows = rows - (rows @ basis.mT) @ basis
    first, second = rows.split(1, dim=1)
    first = _unit(first)
    return torch.cat([first, _unit(second - (second @ first.mT) * first)], dim=1)


def _unit(row: Float[Tensor, "B 1 N"]) -> Float[Tensor, "B 1 N"]:
    size = torch.linalg.vector_norm(row, dim=2, keepdim=True)
    return torch.where(size > 100 * torch.finfo(row.dtype).eps, row / size, 0)
