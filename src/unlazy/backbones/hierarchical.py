"""Hierarchical transformers of timm, with stages and no class token: PVT v2; Swin v2 in ``swin``.

Blocks are numbered over all stages, and each site has the grid of its own stage: the last stage's
grid is ``size / facts.patch``. Without a class token, attention is the attention received.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from unlazy.backbones.base import Backbone, Call, patch_tokens, trained_head
from unlazy.backbones.plain import Projections, received_attention
from unlazy.backbones.timm import preprocessing, supervision
from unlazy.tokens import EMBED, FINAL, SHARED, Facts, Site, Tokens

ATTENTION = ("query", "key", "value", "attention")


class Hierarchical(Backbone):
    """A model of stages: every block leaves patches only, on a grid that shrinks by stage."""

    def __init__(
        self, model: nn.Module, *, name: str, weights: str, size: tuple[int, int], position: str
    ) -> None:
        found: Any = model
        stages = self.stages(model)
        stride = self.stem_stride(model) * 2 ** (len(stages) - 1)
        last = stages[-1].blocks[-1]
        facts = Facts(
            name=name,
            family=f"timm {type(model).__name__}",
            dim=found.num_features,
            depth=sum(len(stage.blocks) for stage in stages),
            heads=last.attn.num_heads,
            patch=(stride, stride),
            multiple=(stride, stride),
            **preprocessing(model, "bicubic"),
            size=size,
            supervision=supervision(name),
            has_cls=False,
            num_registers=0,
            weights=weights,
            position=position,
            activation=type(last.mlp.act).__name__,
        )
        super().__init__(model, facts)

    @staticmethod
    @abstractmethod
    def stages(model: Any) -> Sequence[Any]:
        """The stages of the wrapped model, each with ``blocks``."""

    @staticmethod
    @abstractmethod
    def stem_stride(model: Any) -> int:
        """Pixels per token of the first stage."""

    @staticmethod
    @abstractmethod
    def last_norm(model: Any) -> nn.Module:
        """The normalisation after the last block."""

    @abstractmethod
    def read_attention(self, site: Site, call: Call) -> Tokens:
        """Query, key, value and attention, from the call of a whole attention module."""

    def place(self, layer: int) -> tuple[int, Any]:
        """The stage number and the module of a block."""
        for number, stage in enumerate(self.stages(self.model)):
            if layer < len(stage.blocks):
                return number, stage.blocks[layer]
            layer -= len(stage.blocks)
        raise AssertionError("layers are resolved before they are placed")

    def grid(self, size: tuple[int, int], layer: int) -> tuple[int, int]:
        """Tokens along the height and the width at a block, for images of ``size`` pixels."""
        stride = self.stem_stride(self.model) * 2 ** self.place(layer)[0]
        return size[0] // stride, size[1] // stride

    def locate(self, site: Site) -> nn.Module:
        model: Any = self.model
        if site == EMBED:
            return model.patch_embed
        if site in (FINAL, SHARED):
            return self.last_norm(model)
        _, found = self.place(site.layer)
        if site.stream == "neurons":
            return found.mlp.fc2
        return found.attn if site.stream in ATTENTION else found

    def read(self, site: Site, call: Call) -> Tokens:
        if site.stream in ATTENTION:
            return self.read_attention(site, call)
        if site == EMBED:
            return patch_tokens(call.output.flatten(1, 2), tuple(call.output.shape[1:3]))
        held = call.args[0] if site.stream == "neurons" else call.output
        layer = self.facts.depth - 1 if site in (FINAL, SHARED) else site.layer
        flat = held.flatten(1, 2) if held.ndim == 4 else held
        return patch_tokens(flat, self.grid(call.size, layer))

    def encode(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B E"]:
        model: Any = self.model
        return model.forward_head(model.forward_features(images), pre_logits=True)

    def classifier(self) -> nn.Module | None:
        return trained_head(self.model, self.facts.supervision)

    def attention_module(self, layer: int) -> nn.Module:
        return self.place(layer)[1].attn


class PVTv2(Hierarchical):
    """timm's PVT v2: queries on the stage's grid; keys, values and attention on a reduced one.

    The last norm is inside the last stage; ``block(-1)`` is before it.
    """

    def __init__(self, model: nn.Module, *, name: str, weights: str, size: tuple[int, int]) -> None:
        position = "zero padding of convolutions"
        super().__init__(model, name=name, weights=weights, size=size, position=position)

    @staticmethod
    def stages(model: Any) -> Sequence[Any]:
        return tuple(model.stages)

    @staticmethod
    def stem_stride(model: Any) -> int:
        return model.patch_embed.proj.stride[0]

    @staticmethod
    def last_norm(model: Any) -> nn.Module:
        return model.stages[-1].norm

    def read_attention(self, site: Site, call: Call) -> Tokens:
        if "projections" not in call.memo:
            call.memo["projections"] = self._project(call)
        found, reduced = call.memo["projections"]
        if site.stream == "attention":
            received = received_attention(found.q, found.k, scale=found.scale)
            return patch_tokens(received.transpose(1, 2), reduced)
        part = {"query": found.q, "key": found.k, "value": found.v}[site.stream]
        grid = self.grid(call.size, site.layer) if site.stream == "query" else reduced
        return patch_tokens(part.transpose(1, 2).flatten(2), grid)

    def rebuild(self, layer: int, call: Call) -> Tensor:
        found, _ = self._project(call)
        weights = (found.scale * found.q @ found.k.transpose(-2, -1)).softmax(dim=-1)
        module: Any = call.module
        return module.proj((weights @ found.v).transpose(1, 2).flatten(2))

    def _project(self, call: Call) -> tuple[Projections, tuple[int, int]]:
        """Projections, and the grid of the keys."""
        attn: Any = call.module
        x, grid = call.args[0], tuple(call.args[1])
        source = x  # (B, N, D), or fewer tokens where keys are reduced
        if attn.sr is not None:
            plane = x.transpose(1, 2).unflatten(2, grid)
            reduced = attn.sr(plane if attn.pool is None else attn.pool(plane))
            grid = tuple(reduced.shape[-2:])
            source = attn.norm(reduced.flatten(2).transpose(1, 2))
            source = source if attn.act is None else attn.act(source)
        heads = (attn.num_heads, attn.head_dim)
        q = attn.q(x).unflatten(2, heads).transpose(1, 2)
        k, v = attn.kv(source).unflatten(2, (2, *heads)).permute(2, 0, 3, 1, 4)
        return Projections(q, k, v, attn.scale), grid
