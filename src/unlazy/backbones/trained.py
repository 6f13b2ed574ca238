"""The ViT that is trained here, as a Backbone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unlazy.backbones.base import Call
from unlazy.backbones.plain import PlainViT, Projections
from unlazy.backbones.vit import ViT
from unlazy.backbones.vit_files import MEAN, STD
from unlazy.pooling.pools import AttentionPool, SimPool
from unlazy.tokens import CROP, EMBED, FINAL, SHARED, SMALL, STREAMS, Facts, Site, Tokens


class TrainedViT(PlainViT):
    """A ``ViT`` with its own pool: the image vector is what its supervision saw.

    Attributes:
        class_vectors: (C, E) unit vectors of the training data's classes in the space of texts, or
            None.
    """

    def __init__(
        self,
        model: ViT,
        *,
        name: str,
        weights: str,
        supervision: str = "label",
        class_vectors: Tensor | None = None,
    ) -> None:
        config = model.config
        patch = config.patch_size, config.patch_size
        facts = Facts(
            name=name,
            family="unlazy ViT",
            dim=config.embed_dim,
            depth=config.depth,
            heads=config.num_heads,
            patch=patch,
            multiple=patch,
            mean=MEAN,
            std=STD,
            size=(config.img_size, config.img_size),
            supervision=supervision,
            has_cls=config.class_token,
            num_registers=config.registers,
            weights=weights,
            position="learned, resized by bicubic with antialias",
            activation="GELU",
            streams=frozenset(STREAMS),
            interpolation="bicubic",
            crop_pct=CROP if config.img_size >= SMALL else 1.0,
            any_size=True,
        )
        super().__init__(model, facts)
        self.class_vectors = class_vectors

    def classifier(self) -> Callable[[Tensor], Tensor] | None:
        """By head, or by the vectors of the classes' names."""
        model: Any = self.model
        vectors = self.class_vectors
        if vectors is not None:
            return lambda image: F.normalize(image, dim=1) @ vectors.to(image).T
        return model.head if model.config.num_classes > 0 and not self._projects else None

    def locate(self, site: Site) -> nn.Module:
        model: Any = self.model
        if site == EMBED:
            return model.patch_embed
        if site in (FINAL, SHARED):
            return model.norm
        layer = model.blocks[site.layer]
        return {"block": layer, "neurons": layer.mlp.fc2}.get(site.stream, layer.attn.qkv)

    def read(self, site: Site, call: Call) -> Tokens:
        if site == EMBED:
            return Tokens(call.output, self.grid(call.size), None, call.output[:, :0])
        if site.stream == "neurons":
            return self.split(call.args[0], call)
        if site == SHARED:
            return self.split(self._shared(call.output), call)
        if site == FINAL or site.stream == "block":
            return self.split(call.output, call)
        return self.read_attention(site, call)

    def encode(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B E"]:
        model: Any = self.model
        vector = model.pooled(model.forward_features(images))
        return model.head(vector) if self._projects else vector

    def projections(self, call: Call) -> Projections:
        model: Any = self.model
        block = next(each for each in model.blocks if each.attn.qkv is call.module)
        q, k, v = block.attn.heads(call.output)
        mask = model.window_mask(self.grid(call.size)) if block.windowed else None
        return Projections(q, k, v, block.attn.scale, mask)

    def attention_module(self, layer: int) -> nn.Module:
        model: Any = self.model
        return model.blocks[layer].attn

    def rebuild(self, layer: int, call: Call) -> Tensor:
        attn: Any = call.module
        inner = Call(attn.qkv, (call.args[0],), {}, attn.qkv(call.args[0]), call.size)
        return attn.proj(self.mix(self.projections(inner)))

    @property
    def _projects(self) -> bool:
        """Whether the head is the projection into the space of texts, not a classifier."""
        model: Any = self.model
        return self.facts.supervision == "text" and model.config.num_classes > 0

    def _shared(self, tokens: Float[Tensor, "B T D"]) -> Float[Tensor, "B T E"]:
        """Each token in the space of the image vector."""
        model: Any = self.model
        if isinstance(model.pool, AttentionPool | SimPool):
            tokens = model.pool.each(tokens, model.num_prefix_tokens)
        return model.head(tokens) if self._projects else tokens
