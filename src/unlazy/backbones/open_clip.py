"""The image towers of open_clip: CLIP, CoCa, CLIPA (its own ViT) and EVA-CLIP, SigLIP, PE (timm's).

CLIP's ResNets are read by ``convnet``.

Only the image tower is built and kept; the text tower is built when ``texts`` is asked for vectors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unlazy.backbones.base import Call
from unlazy.backbones.convnet import ClipResNet
from unlazy.backbones.open_clip_names import Entry, download, families, find, library
from unlazy.backbones.open_clip_text import Texts
from unlazy.backbones.plain import PlainViT, Projections, in_projected
from unlazy.backbones.timm import TimmViT
from unlazy.backbones.weights import CheckpointMismatch, Weights, fit, read_checkpoint
from unlazy.tokens import EMBED, FINAL, SHARED, Site

NO_TEXT = {"context_length": 1, "vocab_size": 1, "width": 64, "heads": 1, "layers": 1}


class OpenClipViT(PlainViT):
    """An ``open_clip.transformer.VisionTransformer``, unchanged, at the one size it is built for.

    ``SHARED`` is the projected space for every token. Where the tower pools by attention (CoCa), a
    token's share is the pool's output on that token alone.
    """

    def __init__(self, tower: nn.Module, entry: Entry, *, weights: str) -> None:
        model: Any = tower
        if getattr(model, "attn_pool_contrastive", None) is not None:
            raise ValueError(f"{entry.name}: the {model.attn_pool_type} attention pool is not read")
        if model.attn_pool is None and model.pool_type == "none":
            raise ValueError(f"{entry.name} does not pool, so it has no image vector")
        last = model.transformer.resblocks[-1]
        facts = {
            "family": "open_clip VisionTransformer",
            "dim": model.conv1.out_channels,
            "depth": len(model.transformer.resblocks),
            "heads": last.attn.num_heads,
            "patch": tuple(model.patch_size),
            "multiple": tuple(model.patch_size),
            "size": tuple(model.image_size),
            "has_cls": True,
            "num_registers": 0,
            "weights": weights,
            "position": "learned, resized by bicubic with antialias when loaded",
            "activation": type(last.mlp.gelu).__name__,
            "any_size": False,
        }
        super().__init__(tower, entry.describe(facts))

    def locate(self, site: Site) -> nn.Module:
        model: Any = self.model
        if site == EMBED:
            return model.conv1
        if site in (FINAL, SHARED):
            return model.transformer.resblocks[-1]
        layer = model.transformer.resblocks[site.layer]
        if site.stream == "block":
            return layer
        return layer.mlp.c_proj if site.stream == "neurons" else layer.attn

    def encode(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B E"]:
        output = self.model(images)
        return output[0] if isinstance(output, tuple) else output  # CoCa returns its tokens too

    def projections(self, call: Call) -> Projections:
        attn: Any = call.module
        q, k, v = in_projected(attn, call.args[0])
        if not isinstance(attn, nn.MultiheadAttention):  # open_clip's own, with normed q and k
            q, k = attn.ln_q(q), attn.ln_k(k)
        return Projections(q, k, v, q.shape[-1] ** -0.5)

    def attention_module(self, layer: int) -> nn.Module:
        model: Any = self.model
        return model.transformer.resblocks[layer].attn

    def rebuild(self, layer: int, call: Call) -> Tensor:
        attn: Any = call.module
        found = self.projections(call)
        if isinstance(attn, nn.MultiheadAttention):
            return attn.out_proj(self.mix(found))
        if attn.head_scale is not None:
            found = found._replace(v=found.v * attn.head_scale)
        return attn.out_proj(attn.ln_inner(self.mix(found)))

    def final_norm(self) -> nn.Module:
        """Over tokens; CoCa's is the one its pool applies to its keys."""
        model: Any = self.model
        return model.ln_post if model.attn_pool is None else model.attn_pool.ln_k

    def final(self, tokens: Tensor) -> Tensor:
        return self.final_norm()(tokens)

    def shared(self, tokens: Tensor) -> Tensor:
        model: Any = self.model
        if model.attn_pool is None:
            pooled = model.ln_post(tokens)
        else:
            pooled = model.ln_post(_alone(model.attn_pool, tokens))
        return pooled if model.proj is None else pooled @ model.proj


class OpenClipTimmViT(TimmViT):
    """A timm ViT inside ``open_clip.timm_model.TimmModel``: the trunk, then a projection."""

    def __init__(self, tower: nn.Module, entry: Entry, *, weights: str) -> None:
        model: Any = tower
        super().__init__(model.trunk, name=entry.name, weights=weights)
        stride = tuple(model.trunk.patch_embed.feat_ratio(as_scalar=False))  # stem and patch
        known = {
            **vars(self.facts),
            "family": f"open_clip {self.facts.family}",
            "patch": stride,
            "multiple": stride,
        }
        self.facts = entry.describe(known)
        self.projection = model.head

    def encode(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B E"]:
        return self.projection(self.model(images))

    def fingerprint(self) -> str:
        projection = self.projection.state_dict()
        if not projection:
            return super().fingerprint()
        digest = hashlib.sha256(super().fingerprint().encode())
        for name, tensor in sorted(projection.items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def shared(self, tokens: Tensor) -> Tensor:
        return self.projection(super().shared(tokens))


def load(
    name: str, *, weights: Weights, size: int | tuple[int, int] | None = None
) -> OpenClipViT | OpenClipTimmViT | ClipResNet:
    """The image tower of ``ARCH`` or ``ARCH/TAG``, for example ``ViT-B-16-quickgelu/openai``.

    Args:
        name: with a tag wherever its weights are wanted.
        weights: ``"pretrained"`` (the tag's, downloaded by open_clip), ``"random"``, or a file:
            a whole CLIP or the image tower alone.
        size: pixels of the images, if not the native ones; positions are resized once, here. A
            ResNet takes its native size only.

    Raises:
        UnknownName: no such architecture or tag.
        ValueError: a size that it does not take, a tag of the other activation, or none.
        PretrainedUnavailable: the tag's weights cannot be downloaded.
        BadCheckpoint, CheckpointMismatch: the file cannot be read, or is not the tower's.
    """
    entry = find(name, own_weights=isinstance(weights, Path))
    path = download(entry) if weights == "pretrained" else weights
    clip = _build(entry, size)
    tower = clip.visual
    if isinstance(path, Path):
        _fill(clip, path)
    origin = weights.name if isinstance(weights, Path) else weights
    if hasattr(tower, "attnpool"):
        facts = entry.describe({**ClipResNet.known(tower), "weights": origin})
        found: OpenClipViT | OpenClipTimmViT | ClipResNet = ClipResNet(tower, facts)
    elif not hasattr(tower, "trunk"):
        found = OpenClipViT(tower, entry, weights=origin)
    else:
        if size is not None:
            tower.set_input_size(size)
        found = OpenClipTimmViT(tower, entry, weights=origin)
    found.texts = Texts(entry, path)
    return found


def names() -> dict[str, list[str]]:
    """Architectures that can be read, grouped by family."""
    return families()


def visual_state(state: Mapping[str, Tensor], clip: Any) -> dict[str, Tensor]:
    """The image tower's part of a checkpoint, with positions resized to the tower.

    Args:
        state: of a whole CLIP (the tower under ``visual.``), or of the tower alone.
        clip: the model that holds the tower.
    """
    open_clip = library()
    bare = {name.removeprefix("module."): part for name, part in state.items()}
    whole = open_clip.convert.convert_state_dict(clip, bare)
    if any(name.startswith("visual.") for name in whole):
        visual = {name: part for name, part in whole.items() if name.startswith("visual.")}
    else:
        visual = {f"visual.{name}": part for name, part in whole.items()}
    open_clip.model.resize_pos_embed(visual, clip)
    return {name.removeprefix("visual."): part for name, part in visual.items()}


def _fill(clip: Any, path: Path) -> None:
    """Load the image tower's weights exactly; no key of it may be left over."""
    state = visual_state(read_checkpoint(path), clip)
    loaded = fit(clip.visual, state, name=path.name)
    if loaded.ignored:
        left = ", ".join(loaded.ignored[:4])
        raise CheckpointMismatch(f"{path.name} holds parts that the tower has not: {left}")


def _build(entry: Entry, size: int | tuple[int, int] | None) -> Any:
    """An open_clip model with random weights whose text tower is an empty shell."""
    vision = {**entry.config["vision_cfg"], "timm_model_pretrained": False}
    if size is not None:
        vision["image_size"] = size
        _check_size(entry, size, vision)
    return library().CLIP(
        embed_dim=entry.config["embed_dim"],
        vision_cfg=vision,
        text_cfg=NO_TEXT,
        quick_gelu=entry.config.get("quick_gelu", False),
    )


def _check_size(entry: Entry, size: int | tuple[int, int], vision: dict[str, Any]) -> None:
    if "timm_model_name" in vision:
        return  # timm knows its patch, and refuses by itself
    if not isinstance(vision.get("layers", 12), int):
        native = entry.config["vision_cfg"].get("image_size", 224)
        if size in (native, (native, native)):
            return
        raise ValueError(
            f"{entry.name} takes {native} px only: its attention pool has that many places"
        )
    patch = vision.get("patch_size", 16)
    sides = (size, size) if isinstance(size, int) else size
    if any(side % patch for side in sides):
        raise ValueError(
            f"{entry.name} has patches of {patch} px, which do not divide {sides[0]}x{sides[1]}"
        )


def _alone(pool: Any, tokens: Tensor) -> Tensor:
    """An attention pool's output on each token alone, (B, T, E): one key gets all the weight."""
    attn = pool.attn
    dim = attn.embed_dim
    weight = attn.in_proj_weight[2 * dim :] if attn.v_proj_weight is None else attn.v_proj_weight
    return attn.out_proj(F.linear(pool.ln_k(tokens), weight, attn.in_proj_bias[2 * dim :]))
