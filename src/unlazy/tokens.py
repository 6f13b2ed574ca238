"""Where to read in a vision transformer, and what comes back.

Shape legend: B images, N patches = H * W, D width, E supervised space, R further prefix tokens
(registers, a distillation token), A heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

STREAMS = ("embed", "block", "query", "key", "value", "attention", "neurons", "final", "shared")
LAYERED = ("block", "query", "key", "value", "attention", "neurons")


class Site(NamedTuple):
    """A place to read tokens from.

    Attributes:
        stream: one of ``STREAMS``.
        layer: block number from 0, negative from the end; 0 for streams without layers.
        norm: read the L2 norm of each token (width 1) instead of the token. The norm is taken
            while the model runs, so that reading every block costs no memory.
    """

    stream: str
    layer: int = 0
    norm: bool = False

    def __str__(self) -> str:
        text = f"{self.stream}({self.layer})" if self.stream in LAYERED else self.stream
        return f"norm of {text}" if self.norm else text


EMBED = Site("embed")
"""Patches right after the patch embedding, before any position is added."""
FINAL = Site("final")
"""Tokens after the last normalisation."""
SHARED = Site("shared")
"""Tokens in the space of ``Trace.image``: what supervision sees, for every token."""


def block(layer: int) -> Site:
    """Tokens that leave a block; ``block(-1)`` is BEFORE the last normalisation."""
    return Site("block", layer)


def query(layer: int) -> Site:
    """Queries as they enter the dot product (after any q-norm and rotation), heads joined."""
    return Site("query", layer)


def key(layer: int) -> Site:
    """Keys as they enter the dot product (after any k-norm and rotation), heads joined."""
    return Site("key", layer)


def value(layer: int) -> Site:
    """Values, heads joined."""
    return Site("value", layer)


def attention(layer: int) -> Site:
    """Attention of the CLS query to each token, one column a head (A columns instead of D).

    Without a CLS token: the mean over all queries, that is, the attention a token receives.
    All tokens together sum to 1 in each head.
    """
    return Site("attention", layer)


def neurons(layer: int) -> Site:
    """Hidden activations of a block's MLP, after its non-linearity."""
    return Site("neurons", layer)


def norm_of(site: Site) -> Site:
    """The L2 norm of each token at ``site``, reduced while the model runs.

    >>> str(norm_of(block(3)))
    'norm of block(3)'
    """
    return site._replace(norm=True)


@dataclass(frozen=True)
class Tokens:
    """The tokens of a batch, split by what they are.

    Attributes:
        patches: patch tokens in row-major order of the grid.
        grid: (H, W), with ``H * W == N``.
        cls: the class token, or None for a model without one.
        registers: prefix tokens other than CLS (registers, DeiT's distillation token); R may be 0.

    Raises:
        ValueError: the shapes do not fit each other.
    """

    patches: Float[Tensor, "B N D"]
    grid: tuple[int, int]
    cls: Float[Tensor, "B D"] | None
    registers: Float[Tensor, "B R D"]

    def __post_init__(self) -> None:
        height, width = self.grid
        if self.patches.ndim != 3 or self.patches.shape[1] != height * width:
            raise ValueError(
                f"patches of shape {tuple(self.patches.shape)} do not fill a {height}x{width} grid;"
                " are prefix tokens counted as patches?"
            )
        batch, _, dim = self.patches.shape
        if self.cls is not None and self.cls.shape != (batch, dim):
            raise ValueError(
                f"cls has shape {tuple(self.cls.shape)}, patches {tuple(self.patches.shape)}"
            )
        if self.registers.ndim != 3 or self.registers.shape[::2] != (batch, dim):
            raise ValueError(
                f"registers have shape {tuple(self.registers.shape)},"
                f" patches {tuple(self.patches.shape)}"
            )

    @classmethod
    def split(
        cls,
        tokens: Float[Tensor, "B T D"],
        grid: tuple[int, int],
        *,
        num_prefix: int = 0,
        has_cls: bool = False,
    ) -> Tokens:
        """Split a sequence [CLS, registers, patches] that has ``num_prefix`` prefix tokens.

        >>> Tokens.split(torch.zeros(2, 11, 8), (3, 2), num_prefix=5, has_cls=True).registers.shape
        torch.Size([2, 4, 8])
        """
        first = int(has_cls)
        return cls(
            patches=tokens[:, num_prefix:],
            grid=grid,
            cls=tokens[:, 0] if has_cls else None,
            registers=tokens[:, first:num_prefix],
        )

    def norms(self) -> Tokens:
        """The L2 norm of every token, as tokens of width 1, computed in at least float32."""

        def norm(tokens: Tensor) -> Tensor:
            return torch.linalg.vector_norm(
                tokens, dim=-1, keepdim=True, dtype=torch.promote_types(tokens.dtype, torch.float32)
            )

        return Tokens(
            patches=norm(self.patches),
            grid=self.grid,
            cls=None if self.cls is None else norm(self.cls),
            registers=norm(self.registers),
        )

    def map(self) -> Float[Tensor, "B H W D"]:
        """Patches laid out on their grid."""
        return self.patches.unflatten(1, self.grid)

    def sequence(self) -> Float[Tensor, "B T D"]:
        """All tokens again in one sequence: CLS, registers, patches."""
        prefix = [] if self.cls is None else [self.cls[:, None]]
        return torch.cat([*prefix, self.registers, self.patches], dim=1)


class Trace(Mapping[Site, Tokens]):
    """What one forward pass left at the requested sites.

    Attributes:
        image: (B, E), the vector that supervision sees (CLS, pooled, or projected).
    """

    def __init__(self, image: Float[Tensor, "B E"], tokens: Mapping[Site, Tokens], depth: int):
        self.image = image
        self._tokens = dict(tokens)
        self._depth = depth

    def __getitem__(self, site: Site) -> Tokens:
        found = self._tokens.get(resolve(site, self._depth))
        if found is None:
            read = ", ".join(map(str, self._tokens)) or "nothing"
            raise KeyError(f"{site} was not traced; this trace holds {read}")
        return found

    def __iter__(self) -> Iterator[Site]:
        return iter(self._tokens)

    def __len__(self) -> int:
        return len(self._tokens)


CROP = 224 / 256
"""What evaluations on ImageNet show of the short side, where a model does not state another."""
SMALL = 128
"""Models of smaller sides, in pixels, are shown pictures whole."""


@dataclass(frozen=True)
class Facts:
    """What is known of a model before it runs.

    Attributes:
        name: as the user gave it.
        family: the adapter and kind of model, for grouping.
        dim: width of the final tokens.
        depth: number of blocks, over all stages.
        heads: attention heads of the last block; 0 without attention.
        patch: pixels per final patch (H, W); the total stride of a hierarchical model.
        multiple: image sides must be multiples of this, in pixels.
        mean, std: normalisation of RGB in [0, 1].
        size: native (H, W) in pixels.
        supervision: "label", "text", "self" or "none", as far as the name tells; else "unknown".
        has_cls: whether there is a class token.
        num_registers: prefix tokens other than CLS.
        weights: "random", "pretrained" or the checkpoint's file name.
        position: how position embeddings follow the image size.
        activation: the MLP's non-linearity.
        streams: what can be read.
        interpolation: how photographs are resized for this model.
        any_size: whether it takes other sides than its native ones.
        crop_pct: share of the short side that the model's own evaluation shows, of the middle.
        squashed: whether it squashes pictures to the shape of ``size`` first.
    """

    name: str
    family: str
    dim: int
    depth: int
    heads: int
    patch: tuple[int, int]
    multiple: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: tuple[int, int]
    supervision: str
    has_cls: bool
    num_registers: int
    weights: str
    position: str
    activation: str
    streams: frozenset[str] = frozenset(STREAMS)
    interpolation: str = "bicubic"
    any_size: bool = True
    crop_pct: float = CROP
    squashed: bool = False


def resolve(site: Site, depth: int) -> Site:
    """Count the layer from 0.

    >>> resolve(block(-1), 12).layer
    11

    Raises:
        ValueError: no such stream or layer.
    """
    if site.stream not in STREAMS:
        raise ValueError(f"unknown stream {site.stream!r}; use one of {', '.join(STREAMS)}")
    if site.stream not in LAYERED:
        return site
    if not -depth <= site.layer < depth:
        raise ValueError(
            f"{site.stream}({site.layer}) asked of a {depth}-layer backbone;"
            f" use 0..{depth - 1} or -{depth}..-1"
        )
    return site._replace(layer=site.layer % depth)
