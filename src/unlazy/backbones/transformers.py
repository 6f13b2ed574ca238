"""Vision transformers of Hugging Face: ViT, DINOv2 (with registers), DINOv3, CLIP and SigLIP.

Weights are read by ``from_pretrained``, which knows the names of older checkpoints; what it then
reports as missing or left over is an error here.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unlazy.backbones.base import Call
from unlazy.backbones.plain import PlainViT, Projections
from unlazy.backbones.transformers_files import (
    Origin,
    absent,
    complaint_about,
    model_class,
    pair,
    quiet,
    read_config,
    read_origin,
    source,
)
from unlazy.backbones.transformers_layouts import LAYOUTS, NESTED
from unlazy.backbones.weights import (
    CheckpointMismatch,
    PretrainedUnavailable,
    Weights,
    read_checkpoint,
)
from unlazy.tokens import EMBED, FINAL, SHARED, Facts, Site

LEARNED = "learned, resized by bicubic"


class HFViT(PlainViT):
    """A vision transformer of Hugging Face, unchanged, with its fused attention left on.

    The image vector is what supervision sees: the projected embedding of CLIP, the attention pool
    of SigLIP, and the normalised CLS token otherwise (a ViT's tanh pooler is often untrained).
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        name: str,
        weights: str,
        origin: Origin | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        config: Any = model.config
        layout = LAYOUTS[config.model_type]
        origin = origin or Origin(layout.mean, layout.std, "bicubic", layout.supervision)
        if config.model_type == "siglip_vision_model" and not config.vision_use_head:
            raise ValueError(f"{name} has no pooling head (vision_use_head), so no image vector")
        position = LEARNED if config.model_type != "dinov3_vit" else "rotary"
        native, patch = pair(config.image_size), pair(config.patch_size)
        blocks: Any = _trunk(model).get_submodule(layout.blocks)
        facts = Facts(
            name=name,
            family=f"transformers {type(model).__name__}",
            dim=config.hidden_size,
            depth=config.num_hidden_layers,
            heads=config.num_attention_heads,
            patch=patch,
            multiple=patch,
            mean=origin.mean,
            std=origin.std,
            size=size or native,
            supervision=origin.supervision,
            has_cls=layout.has_cls,
            num_registers=getattr(config, "num_register_tokens", 0),
            weights=weights,
            position=position,
            activation=_activation(blocks[-1].mlp),
            interpolation=origin.interpolation,
            # the library resizes a learned grid as if it were square
            any_size=position != LEARNED or native[0] == native[1],
        )
        super().__init__(model, facts)
        self.layout = layout

    def locate(self, site: Site) -> nn.Module:
        if site == EMBED:
            return _trunk(self.model).get_submodule(self.layout.patches)
        if site in (FINAL, SHARED):
            return self._blocks[-1]
        layer: Any = self._blocks[site.layer]
        if site.stream == "block":
            return layer
        if site.stream == "neurons":
            return layer.mlp.fc2 if hasattr(layer.mlp, "fc2") else layer.mlp.down_proj
        return getattr(layer, self.layout.attention)

    def final_norm(self) -> nn.Module:
        return _trunk(self.model).get_submodule(self.layout.norm)

    def final(self, tokens: Tensor) -> Tensor:
        return self.final_norm()(tokens)

    def shared(self, tokens: Tensor) -> Tensor:
        model: Any = self.model
        final = self.final(tokens)
        if hasattr(model, "visual_projection"):
            return model.visual_projection(final)
        if not hasattr(model, "head"):
            return final
        batch, length, dim = final.shape  # a token's share is the pool's output on it alone
        return model.head(final.reshape(batch * length, 1, dim)).reshape(batch, length, dim)

    def encode(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B E"]:
        resize = {"interpolate_pos_encoding": self.facts.any_size} if self.layout.asks else {}
        output = self.model(pixel_values=images, **resize)
        if "image_embeds" in output:
            return output.image_embeds
        return output.pooler_output if self.layout.pools else output.last_hidden_state[:, 0]

    def projections(self, call: Call) -> Projections:
        attn: Any = call.module
        inputs = _inputs(call)
        q, k, v = (
            layer(inputs).unflatten(2, (-1, attn.head_dim)).transpose(1, 2)
            for layer in (attn.q_proj, attn.k_proj, attn.v_proj)
        )
        rope = call.kwargs.get("position_embeddings")
        if rope is not None:
            from transformers.models.dinov3_vit.modeling_dinov3_vit import apply_rotary_pos_emb

            q, k = apply_rotary_pos_emb(q, k, *rope)
        return Projections(q, k, v, attn.scaling if hasattr(attn, "scaling") else attn.scale)

    def attention_module(self, layer: int) -> nn.Module:
        return getattr(self._blocks[layer], self.layout.attention)

    def rebuild(self, layer: int, call: Call) -> Tensor:
        attn: Any = call.module
        project = attn.out_proj if hasattr(attn, "out_proj") else attn.o_proj
        return project(self.mix(self.projections(call)))

    @property
    def _blocks(self) -> Any:
        return _trunk(self.model).get_submodule(self.layout.blocks)


def load(name: str, *, weights: Weights, size: int | tuple[int, int] | None = None) -> HFViT:
    """A model of the hub (``ORG/NAME``) or of a local directory.

    Args:
        name: a directory needs ``config.json``, for pretrained weights ``model.safetensors``, and
            ``preprocessor_config.json`` unless the model type's usual mean and std are meant.
        weights: ``"pretrained"``, ``"random"``, or a checkpoint file for this configuration.
        size: native size of the images, if not the configuration's.

    Raises:
        FileNotFoundError: no config.json in the directory, or neither cached nor reachable.
        PretrainedUnavailable: the same of the weights.
        BadCheckpoint: the checkpoint file cannot be read.
        ValueError: a model type that is not read.
        CheckpointMismatch: weights that do not fit the configuration.
    """
    config = read_config(name)
    origin = read_origin(name, config, random=weights == "random")
    shape = None if size is None else pair(size)
    if weights == "random":
        model = model_class(config)(config, **_without_pooler(config))
        return HFViT(model, name=name, weights="random", origin=origin, size=shape)
    path = None if weights == "pretrained" else Path(weights)
    model = _load_weights(name, config, path)
    label = "pretrained" if path is None else path.name
    return HFViT(model, name=name, weights=label, origin=origin, size=shape)


def names() -> dict[str, list[str]]:
    """Model types (``model_type`` in config.json) that can be read."""
    return {"transformers": sorted({*LAYOUTS, *NESTED})}


def _load_weights(name: str, config: Any, path: Path | None) -> nn.Module:
    """The model of ``config`` with the weights at ``path``, or with its own."""
    state = None if path is None else dict(read_checkpoint(path))
    try:
        with quiet(), source(name) if path is None else nullcontext():
            model, report = model_class(config).from_pretrained(
                name if path is None else None,
                config=config,
                state_dict=state,
                dtype=torch.float32,
                output_loading_info=True,
                **_without_pooler(config),
            )
    except OSError as error:
        reason = FileNotFoundError(absent(name, "weights", error))
        raise PretrainedUnavailable(name, reason) from error
    complaint = complaint_about(report)
    if complaint:
        raise CheckpointMismatch(f"{path or name} does not fit {type(model).__name__}: {complaint}")
    return model


def _without_pooler(config: Any) -> dict[str, bool]:
    return {"add_pooling_layer": False} if config.model_type == "vit" else {}


def _trunk(model: nn.Module) -> Any:
    """The tower itself, inside CLIP's projecting wrapper or bare."""
    return getattr(model, "vision_model", model)


def _activation(mlp: Any) -> str:
    found = mlp.activation_fn if hasattr(mlp, "activation_fn") else mlp.act_fn
    return type(found).__name__


def _inputs(call: Call) -> Tensor:
    return call.args[0] if call.args else call.kwargs["hidden_states"]
