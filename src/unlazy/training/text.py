"""Text supervision: two towers and the contrastive loss of CLIP."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from unlazy import distributed
from unlazy.backbones.text_tower import captions, class_vectors, text_tower
from unlazy.backbones.vit import ViT
from unlazy.training import parallel
from unlazy.training.kinds import TextRecipe
from unlazy.training.label import cropped
from unlazy.training.objective import Batch
from unlazy.training.parallel import gather
from unlazy.training.views import Views

HIGHEST_SCALE = 100.0


class TwoTowers(nn.Module):
    """An image tower (our ViT), a text tower (open_clip's) and one learned temperature.

    Attributes:
        visual: images (B, 3, H, W) -> (B, E).
        text: token indices (B, L) -> (B, E).
        logit_scale: (1,), logarithm of one over the temperature.
    """

    def __init__(self, recipe: TextRecipe) -> None:
        super().__init__()
        self.visual = ViT(recipe.model)
        if isinstance(self.visual.head, nn.Linear):  # a bias would shift all vectors alike
            self.visual.head.bias.requires_grad_(False)
        self.text = text_tower(recipe.text, _shared(recipe))
        self.logit_scale = nn.Parameter(torch.tensor([math.log(1 / recipe.temperature)]))

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit vectors of images and captions (B, E), and the scale (1,)."""
        image, text = self.visual(images), self.text(tokens)
        scale = self.logit_scale.exp()
        return F.normalize(image.float(), dim=1), F.normalize(text.float(), dim=1), scale


def contrastive(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    """Cross-entropy of each image among all captions and of each caption among all images.

    Captions and images of all ranks take part; the loss is the mean over this rank's, so that the
    mean over ranks is that of one process with the whole batch.

    Args:
        image: unit vectors (B, E) of this rank's pairs.
        text: theirs, in the same order.
        scale: (1,) factor of the cosines.

    Source: Radford et al., *Learning Transferable Visual Models*, Figure 3.
    """
    pair = torch.arange(len(image), device=image.device) + distributed.rank() * len(image)
    with torch.autocast(image.device.type, enabled=False):
        to_text, to_image = scale * image @ gather(text).T, scale * text @ gather(image).T
        return (F.cross_entropy(to_text, pair) + F.cross_entropy(to_image, pair)) / 2


def _shared(recipe: TextRecipe) -> int:
    """Width of the space of images and texts."""
    return recipe.model.num_classes or recipe.model.embed_dim


class Text:
    """Image and caption agree: the loss of CLIP.

    Attributes:
        trained: ``TwoTowers``.
        tokens: (classes, templates, context), the captions of each class; empty where the data
            has captions of its own.
    """

    def __init__(self, recipe: TextRecipe, classes: Sequence[str]) -> None:
        self.recipe = recipe
        towers = TwoTowers(recipe)
        self.trained: nn.Module = towers
        self.averaged: nn.Module | None = copy.deepcopy(towers) if recipe.ema else None
        self.state: dict[str, Tensor] = {}
        context = recipe.text.context
        self.tokens = captions(classes, "simple", context) if classes else torch.empty(0)

    def views(self) -> Views:
        """How a held picture is shown."""
        return cropped(self.recipe)

    def targets(self, labels: Tensor, generator: Generator) -> Tensor:
        """One caption a picture, by a random template of its class."""
        drawn = torch.randint(0, self.tokens.shape[1], labels.shape, generator=generator)
        return self.tokens[labels, drawn]

    def loss(self, module: nn.Module, batch: Batch, *, step: int, steps: int) -> Tensor:
        """Over the batch of all ranks."""
        return contrastive(*module(batch.views[0], batch.targets))

    def after_backward(self, step: int, steps: int) -> None:
        """Nothing."""

    @torch.no_grad()
    def after_step(self, step: int, steps: int) -> None:
        """Keep the temperature from falling below 0.01."""
        towers: TwoTowers = self.trained  # pyright: ignore[reportAssignmentType]
        towers.logit_scale.clamp_(max=math.log(HIGHEST_SCALE))

    def momentum(self, step: int, steps: int) -> float:
        """Decay of the moving average."""
        return self.recipe.ema

    def exports(self) -> dict[str, nn.Module]:
        """The image tower as ``model``, the text tower as ``text``."""
        towers: TwoTowers = self.averaged or self.trained  # pyright: ignore[reportAssignmentType]
        return {"model": towers.visual, "text": towers.text}

    def vectors(self) -> dict[str, dict[str, Tensor]]:
        """Those of the classes that captions name, from the whole text tower; on every rank."""
        if not len(self.tokens):
            return {}
        held = self.exports()["text"]
        tower = text_tower(self.recipe.text, _shared(self.recipe))
        tower.load_state_dict(parallel.whole(held))
        tower = tower.to(next(held.parameters()).device).eval()
        return {"classes": {"vectors": class_vectors(tower, self.tokens)}}
