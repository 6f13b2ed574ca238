"""Text supervision: two towers and the contrastive loss of CLIP."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from unlazy import distributed
from unlazy.backbones.open_clip_names import library
from unlazy.backbones.vit import ViT
from unlazy.training.label import cropped
from unlazy.training.objective import Batch
from unlazy.training.parallel import gather
from unlazy.training.recipe import TextRecipe
from unlazy.training.views import Views

VOCABULARY = 49408
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
        self.text = library().transformer.TextTransformer(
            context_length=recipe.text.context,
            vocab_size=VOCABULARY,
            width=recipe.text.width,
            heads=recipe.text.heads,
            layers=recipe.text.layers,
            output_dim=recipe.model.num_classes or recipe.model.embed_dim,
        )
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
    to_text, to_image = scale * image @ gather(text).T, scale * text @ gather(image).T
    return (F.cross_entropy(to_text, pair) + F.cross_entropy(to_image, pair)) / 2


def prompts() -> Sequence[Callable[[str], str]]:
    """The templates that turn a class name into captions (open_clip's short list for ImageNet)."""
    return library().SIMPLE_IMAGENET_TEMPLATES


def tokenize(texts: Sequence[str], context: int) -> Tensor:
    """Token indices ``(len(texts), context)`` int64; longer captions are cut, keeping the end."""
    return library().SimpleTokenizer(context_length=context)(list(texts))


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
        rows = [tokenize([p(name) for p in prompts()], recipe.text.context) for name in classes]
        self.tokens = torch.stack(rows) if rows else torch.empty(0)

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


@torch.no_grad()
def class_vectors(text: nn.Module, tokens: Tensor) -> Tensor:
    """Unit vectors (classes, E): the mean over templates of each caption's unit vector.

    Args:
        text: the text tower.
        tokens: (classes, templates, context).
    """
    device = next(text.parameters()).device
    each = torch.stack([F.normalize(text(row.to(device)).float(), dim=1) for row in tokens])
    return F.normalize(each.mean(dim=1), dim=1)
