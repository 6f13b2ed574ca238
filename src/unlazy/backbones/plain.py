"""What all plain ViTs share: one sequence [prefix, patches] and softmax attention over it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from unlazy.backbones.base import Backbone, Call, patch_tokens
from unlazy.tokens import EMBED, FINAL, SHARED, Site, Tokens

QUERY_CHUNK = 256  # queries whose attention rows are held at once by CLS-less models


class Projections(NamedTuple):
    """Queries, keys and values as they enter the dot product, heads apart.

    The logits are ``scale * q @ k^T``; ``mask``, if there is one, is True where a query may look.
    """

    q: Float[Tensor, "B A T d"]
    k: Float[Tensor, "B A T d"]
    v: Float[Tensor, "B A T d"]
    scale: float
    mask: Bool[Tensor, "T T"] | None = None


def received_attention(
    q: Tensor, k: Tensor, *, scale: float, mask: Tensor | None = None
) -> Float[Tensor, "B A T"]:
    """Attention that each key receives, mean over the queries; in chunks, never all pairs.

    Sums to 1 over the keys.

    >>> received_attention(torch.zeros(1, 1, 3, 2), torch.zeros(1, 1, 4, 2), scale=1.0).tolist()
    [[[0.25, 0.25, 0.25, 0.25]]]
    """
    total = torch.zeros_like(k[..., 0], dtype=torch.float32)
    for start in range(0, q.shape[2], QUERY_CHUNK):
        rows = slice(start, start + QUERY_CHUNK)
        logits = (q[:, :, rows] * scale) @ k.transpose(-2, -1)
        if mask is not None:
            logits = logits.masked_fill(~mask[rows], -torch.inf)
        total += logits.softmax(dim=-1, dtype=torch.float32).sum(dim=2)
    return total / q.shape[2]


def cls_attention(
    q: Tensor, k: Tensor, *, scale: float, mask: Tensor | None = None
) -> Float[Tensor, "B A T"]:
    """The attention row of the first query: one row, never all pairs."""
    logits = (q[:, :, :1] * scale) @ k.transpose(-2, -1)
    if mask is not None:
        logits = logits.masked_fill(~mask[:1], -torch.inf)
    return logits.softmax(dim=-1, dtype=torch.float32)[:, :, 0]


def split_heads(
    joined: Float[Tensor, "B T three_D"], heads: int
) -> tuple[Float[Tensor, "B A T d"], Float[Tensor, "B A T d"], Float[Tensor, "B A T d"]]:
    """q, k and v of a layer that gives all three at once."""
    q, k, v = joined.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return q, k, v


def in_projected(attn: Any, inputs: Float[Tensor, "B T D"]) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v of ``nn.MultiheadAttention``, or of a module that keeps its weights as it does."""
    joined = F.linear(inputs, attn.in_proj_weight, attn.in_proj_bias)
    return split_heads(joined, attn.num_heads)


class PlainViT(Backbone):
    """A ViT whose blocks keep one sequence of tokens and one grid.

    A family's ``locate`` names the patch embedding for ``EMBED``, the module whose output ``final``
    and ``shared`` take for those two sites, the block, and for ``neurons`` the MLP's last layer.
    """

    @abstractmethod
    def projections(self, call: Call) -> Projections:
        """q, k, v of the call of the module that ``locate(query(i))`` names."""

    def embedded(self, output: Tensor) -> Float[Tensor, "B N D"]:
        """Patches from the patch embedding's output; a convolution's is (B, D, H, W)."""
        return output.flatten(2).transpose(1, 2) if output.ndim == 4 else output

    def final(self, tokens: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """The tokens after the last norm."""
        return tokens

    def shared(self, tokens: Float[Tensor, "B T D"]) -> Float[Tensor, "B T E"]:
        """The tokens in the space of the image vector."""
        return tokens

    def read(self, site: Site, call: Call) -> Tokens:
        if site == EMBED:
            return patch_tokens(self.embedded(call.output), self.grid(call.size))
        if site.stream == "neurons":
            return self.split(call.args[0], call)
        if site == FINAL:
            return self.split(self.final(call.output), call)
        if site == SHARED:
            return self.split(self.shared(call.output), call)
        if site.stream == "block":
            return self.split(call.output, call)
        return self.read_attention(site, call)

    def split(self, tokens: Float[Tensor, "B T D"], call: Call) -> Tokens:
        """Split a whole sequence of this model."""
        facts = self.facts
        return Tokens.split(
            tokens,
            self.grid(call.size),
            num_prefix=facts.has_cls + facts.num_registers,
            has_cls=facts.has_cls,
        )

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Patches along the height and the width of an image of ``size`` pixels."""
        return size[0] // self.facts.patch[0], size[1] // self.facts.patch[1]

    def read_attention(self, site: Site, call: Call) -> Tokens:
        """Query, key, value and attention sites."""
        if "projections" not in call.memo:
            call.memo["projections"] = self.projections(call)
        found: Projections = call.memo["projections"]
        if site.stream == "attention":
            row = cls_attention if self.facts.has_cls else received_attention
            weights = row(found.q, found.k, scale=found.scale, mask=found.mask)
            return self.split(weights.transpose(1, 2), call)
        part = {"query": found.q, "key": found.k, "value": found.v}[site.stream]
        return self.split(part.transpose(1, 2).flatten(2), call)

    def mix(self, found: Projections) -> Float[Tensor, "B T D"]:
        """softmax(scale q k^T) v with heads joined: for checks, holds all pairs."""
        logits = found.scale * found.q @ found.k.transpose(-2, -1)
        if found.mask is not None:
            logits = logits.masked_fill(~found.mask, -torch.inf)
        weights = logits.softmax(dim=-1)
        return (weights @ found.v).transpose(1, 2).flatten(2)
