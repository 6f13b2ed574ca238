"""Outliers planted into models with random weights: one MLP neuron makes them."""

from typing import Any

import torch

from unlazy.backbones.base import Backbone
from unlazy.tokens import Site, neurons

LAYER, NEURON = 1, 5


def up(backbone: Backbone, layer: int) -> Any:
    """The first linear layer of a block's MLP."""
    parent: Any = backbone.locate(Site("block", layer)).mlp
    return parent.fc1 if hasattr(parent, "fc1") else parent.c_fc


@torch.no_grad()
def plant(
    backbone: Backbone,
    images: torch.Tensor,
    *,
    layer: int = LAYER,
    neuron: int = NEURON,
    share: float = 0.03,
    size: float = 40.0,
    seed: int = 0,
) -> Backbone:
    """Make a neuron fire at about ``share`` of the patches of ``images`` and write huge norms.

    It fires where the token's content lies furthest along a random direction; its output is
    ``size`` times the median norm of the patches there.
    """
    seen: list[torch.Tensor] = []
    first, second = up(backbone, layer), backbone.locate(neurons(layer))
    with_input = first.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    of_block = backbone.locate(Site("block", layer)).register_forward_hook(
        lambda module, args, output: seen.append(output)
    )
    backbone.encode(images)
    with_input.remove()
    of_block.remove()
    tokens, out = seen
    prefix = backbone.facts.has_cls + backbone.facts.num_registers
    generator = torch.Generator().manual_seed(seed)
    for _ in range(50):
        direction = torch.randn(tokens.shape[-1], generator=generator)
        along = tokens @ direction
        patches, others = along[:, prefix:], along[:, :prefix]
        limit = patches.quantile(1 - share)
        if not others.numel() or others.max() < limit - 2 * patches.std():
            break
    else:
        raise AssertionError("no direction leaves CLS and registers out")
    sharp = 20 / patches.std()  # of the activation
    first.weight[neuron] = direction * sharp
    first.bias[neuron] = -limit * sharp
    write = torch.randn(second.weight.shape[0], generator=generator)
    fired = (torch.relu(patches - limit) * sharp).flatten()
    usual = fired[fired > 0].median()
    norm = out[:, prefix:].norm(dim=-1).median()
    second.weight[:, neuron] = write / write.norm() * size * norm / usual
    return backbone


class Pictures:
    """Tensors as a data set of pictures."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        from PIL import Image

        from unlazy.data.sample import Sample

        pixels = self.images[index].permute(1, 2, 0).numpy()
        return Sample(image=Image.fromarray(pixels), name=f"{index}")


def photos(count: int, side: int, *, seed: int = 0) -> torch.Tensor:
    """(count, 3, side, side) uint8: smooth random pictures."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, side // 4, side // 4, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic")
    return (fine.clamp(0, 1) * 255).to(torch.uint8)
