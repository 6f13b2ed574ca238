"""Where each model type of transformers keeps its parts."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[float, float, float]

HALF: Colour = (0.5, 0.5, 0.5)
IMAGENET: tuple[Colour, Colour] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI: tuple[Colour, Colour] = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)


@dataclass(frozen=True)
class Layout:
    """A model type: paths are dotted, from the vision tower or, for ``attention``, a block.

    Attributes:
        model: its class in transformers.
        blocks, attention, norm, patches: where the parts are.
        mean, std: what the type's image processor uses unless told otherwise.
        supervision: what its checkpoints are trained with; "unknown" if that differs.
        has_cls: whether there is a class token.
        pools: whether the image vector is the model's own pooled output.
        asks: whether the forward pass must be asked to resize positions.
    """

    model: str
    blocks: str
    attention: str
    norm: str
    patches: str
    mean: Colour
    std: Colour
    supervision: str
    has_cls: bool = True
    pools: bool = False
    asks: bool = False


_DINO2 = ("encoder.layer", "attention", "layernorm", "embeddings.patch_embeddings", *IMAGENET)
_TEXT = ("encoder.layers", "self_attn", "post_layernorm", "embeddings.patch_embedding")

LAYOUTS = {
    "vit": Layout(
        "ViTModel",
        "layers",
        "attention",
        "layernorm",
        "embeddings.patch_embeddings",
        HALF,
        HALF,
        "unknown",
        asks=True,
    ),
    "dinov2": Layout("Dinov2Model", *_DINO2, "self"),
    "dinov2_with_registers": Layout("Dinov2WithRegistersModel", *_DINO2, "self"),
    "dinov3_vit": Layout(
        "DINOv3ViTModel",
        "model.layer",
        "attention",
        "norm",
        "embeddings.patch_embeddings",
        *IMAGENET,
        "self",
    ),
    "clip_vision_model": Layout(
        "CLIPVisionModelWithProjection", *_TEXT, *OPENAI, "text", pools=True, asks=True
    ),
    "siglip_vision_model": Layout(
        "SiglipVisionModel", *_TEXT, HALF, HALF, "text", has_cls=False, pools=True, asks=True
    ),
}
NESTED = {"clip": "clip_vision_model", "siglip": "siglip_vision_model"}
"""Two-tower types, whose ``vision_config`` is of the type given here."""
