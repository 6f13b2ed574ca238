"""Start from weights that are there: fine-tuning, for example with another pool."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from unlazy.backbones.vit import ViT
from unlazy.backbones.vit_files import own_layout
from unlazy.catalog import load_backbone

FRESH = ("head.", "pool.")
"""Parts that may start from scratch: what the classes or the pool need."""
REMEDY = (
    "The trunk must be the same: set model.embed_dim, depth, patch_size, img_size, class_token and"
    " layer_scale as they were trained."
)


def start_from(model: ViT, init: str) -> list[str]:
    """Copy the weights that ``init`` names into the model, and return the names left fresh.

    What the model holds frozen stays as it is: the bias before a text space is zero.

    Args:
        model: the ViT of the recipe.
        init: ``file:RUN``, ``bundled:NAME``, ``timm:NAME``, or a file with weights in timm's or
            our layout.

    Raises:
        ValueError: a part of the trunk has no weights there, or weights of another shape, or the
            weights have a part that the model has not; other registers.
        UnknownName: there is no such file, run or model.
    """
    found = _weights(model, init)
    registers = len(found["reg_token"][0]) if "reg_token" in found else 0
    if registers != model.config.registers:
        raise ValueError(
            f"{init} has {registers} registers, the recipe {model.config.registers}; use"
            f" model.registers={registers}: registers are learned with the rest, from the start"
        )
    own = model.state_dict()
    frozen = {name for name, part in model.named_parameters() if not part.requires_grad}
    fits = {
        key: tensor
        for key, tensor in found.items()
        if key in own and own[key].shape == tensor.shape and key not in frozen
    }
    fresh = [key for key in own if key not in fits]
    missing = [key for key in fresh if not key.startswith(FRESH)]
    if missing:
        shapes = {key: tuple(found[key].shape) if key in found else "absent" for key in missing}
        key = missing[0]
        raise ValueError(
            f"{init} does not fit the recipe's model: {key} is {shapes[key]} there and"
            f" {tuple(own[key].shape)} here ({len(missing)} such parts). {REMEDY}"
        )
    unused = [key for key in found if key not in own and not key.startswith(FRESH)]
    if unused:
        raise ValueError(
            f"{init} does not fit the recipe's model: it has {unused[0]}, which has no place here"
            f" ({len(unused)} such parts). {REMEDY}"
        )
    model.load_state_dict(own | fits)
    return fresh


def _weights(model: ViT, init: str) -> dict[str, Tensor]:
    from unlazy.backbones.weights import PretrainedUnavailable, read_checkpoint

    path = Path(init)
    if path.is_file() and path.suffix != ".py":
        return own_layout(model.config, read_checkpoint(path))
    try:
        source = load_backbone(init).model
    except PretrainedUnavailable as problem:
        raise ValueError(
            f"init={init}: cannot get the published weights ({problem.reason}); give a local file"
            " of them, init=FILE"
        ) from problem
    if isinstance(source, ViT):
        return source.state_dict()
    from unlazy.backbones.vit_timm import from_timm

    return from_timm(source).state_dict()
