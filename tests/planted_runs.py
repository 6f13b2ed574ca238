"""The folder of a run, as training leaves it."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from unlazy.backbones.vit import ViT
from unlazy.backbones.vit_config import ViTConfig


def random_weights(config: ViTConfig, seed: int = 0) -> dict[str, torch.Tensor]:
    """Of a ViT, as ``seed`` draws them."""
    torch.manual_seed(seed)
    return {key: each.contiguous() for key, each in ViT(config).state_dict().items()}


def save_run(
    folder: Path, config: ViTConfig, weights: Mapping[str, torch.Tensor] | None = None
) -> Path:
    """A model under label supervision; without ``weights`` random ones."""
    folder.mkdir()
    save_file(dict(weights or random_weights(config)), folder / "model.safetensors")
    recipe = {"model": dataclasses.asdict(config), "supervision": "label"}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return folder
