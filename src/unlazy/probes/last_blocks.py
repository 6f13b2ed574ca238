"""The vector that DINO and DINOv2 train linear classifiers on.

Shape legend: B pictures, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unlazy.backbones.base import Backbone
from unlazy.tokens import FINAL, Site, Trace, block


@dataclass(frozen=True)
class LastBlocks:
    """CLS of the last blocks, each through the last normalisation; the mean patch of the last.

    Source: DINO's and DINOv2's ``eval_linear`` (``n_last_blocks``, ``avgpool``).

    Attributes:
        blocks: how many.
        mean: whether the mean patch of the last one is there.
        scale, shift: (D,) of the last normalisation; of one block, nothing.
        eps: of it.
    """

    blocks: int
    mean: bool
    scale: Float[Tensor, " D"]
    shift: Float[Tensor, " D"]
    eps: float

    @classmethod
    def of(cls, backbone: Backbone, blocks: int, *, mean: bool) -> LastBlocks:
        """Of a ViT.

        Raises:
            ValueError: it has no CLS, fewer blocks, or for several of them no LayerNorm behind.
        """
        facts, unit = backbone.facts, nn.LayerNorm(backbone.facts.dim)
        last = unit if blocks == 1 else backbone.final_norm()
        if (
            not facts.has_cls
            or not 1 <= blocks <= facts.depth
            or not isinstance(last, nn.LayerNorm)
        ):
            raise ValueError(
                f"{facts.name} has no class token, fewer than {blocks} blocks, or no LayerNorm"
                " behind them; use linear or register-heads, or blocks=1"
            )
        scale, shift = (
            (other if own is None else own).detach().float().cpu()
            for own, other in ((last.weight, unit.weight), (last.bias, unit.bias))
        )
        return cls(blocks, mean, scale, shift, last.eps)

    @property
    def reads(self) -> frozenset[Site]:
        """The last normalisation, and the blocks before the last."""
        return frozenset({FINAL, *(block(-place) for place in range(2, self.blocks + 1))})

    def __call__(self, trace: Trace) -> Float[Tensor, "B _"]:
        last = trace[FINAL]
        parts = [self._normal(trace, place) for place in range(self.blocks, 1, -1)]
        parts.append(_cls(last.cls))
        if self.mean:
            parts.append(last.patches.mean(1))
        return torch.cat([each.float() for each in parts], dim=1)

    def _normal(self, trace: Trace, place: int) -> Float[Tensor, "B D"]:
        tokens = _cls(trace[block(-place)].cls).float()
        scale, shift = (each.to(tokens.device) for each in (self.scale, self.shift))
        return F.layer_norm(tokens, scale.shape, scale, shift, self.eps)


def _cls(tokens: Tensor | None) -> Tensor:
    assert tokens is not None, "checked by LastBlocks.of"
    return tokens
