"""The text towers that are trained here: open_clip's transformer and tokenizer, and a run's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from unlazy.backbones.open_clip_names import library
from unlazy.backbones.weights import fit, read_checkpoint

VOCABULARY = 49408
Templates = Literal["openai", "simple"]


@dataclass(frozen=True)
class TextConfig:
    """The text tower: open_clip's transformer and tokenizer.

    Attributes:
        context: tokens of a caption, start and end included.

    Raises:
        ValueError: a number out of range, or heads that do not divide the width.
    """

    context: int = 16
    width: int = 128
    heads: int = 4
    layers: int = 3

    def __post_init__(self) -> None:
        for name, least in (("context", 3), ("width", 1), ("heads", 1), ("layers", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"text.{name} must be at least {least}, not {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(f"text.heads {self.heads} must divide text.width {self.width}")


def text_tower(config: TextConfig, output: int) -> nn.Module:
    """Token indices (B, context) -> (B, output), with random weights."""
    return library().transformer.TextTransformer(
        context_length=config.context,
        vocab_size=VOCABULARY,
        width=config.width,
        heads=config.heads,
        layers=config.layers,
        output_dim=output,
    )


def tokenize(texts: Sequence[str], context: int) -> Int[Tensor, "n context"]:
    """Token indices; longer captions are cut, keeping the end."""
    return library().SimpleTokenizer(context_length=context)(list(texts))


def prompts(templates: Templates) -> Sequence[Callable[[str], str]]:
    """What turns a class name into captions: open_clip's lists for ImageNet, 80 or 7 long."""
    open_clip = library()
    return {
        "openai": open_clip.OPENAI_IMAGENET_TEMPLATES,
        "simple": open_clip.SIMPLE_IMAGENET_TEMPLATES,
    }[templates]


def captions(
    names: Sequence[str], templates: Templates, context: int
) -> Int[Tensor, "classes templates context"]:
    """The tokens of each class name in each template."""
    chosen = prompts(templates)
    return torch.stack([tokenize([each(name) for each in chosen], context) for name in names])


@torch.no_grad()
def class_vectors(
    text: nn.Module, tokens: Int[Tensor, "classes templates context"]
) -> Float[Tensor, "classes E"]:
    """Unit vectors: of each class, the mean over templates of each caption's unit vector."""
    device = next(text.parameters()).device
    each = torch.stack([F.normalize(text(row.to(device)).float(), dim=1) for row in tokens])
    return F.normalize(each.mean(dim=1), dim=1)


@dataclass(frozen=True)
class RunTexts:
    """The text tower of a finished run, read when class names are asked for.

    Attributes:
        path: of its weights.
        config: its size.
        output: width of the space that it shares with the images.
    """

    path: Path
    config: TextConfig
    output: int

    @classmethod
    def of(cls, run: Path, recipe: Mapping[str, Any]) -> RunTexts | None:
        """That of a run's folder; None where it has none."""
        path, model = run / "text.safetensors", recipe["model"]
        if "text" not in recipe or not path.is_file():
            return None
        output = model["num_classes"] or model["embed_dim"]
        return cls(path, TextConfig(**recipe["text"]), output)

    def classes(self, names: Sequence[str], templates: Templates) -> Float[Tensor, "C E"]:
        """Unit vectors of class names, as ``class_vectors`` makes them.

        Raises:
            BadCheckpoint, CheckpointMismatch: the file cannot be read, or is of another tower.
        """
        tower = text_tower(self.config, self.output).eval()
        fit(tower, read_checkpoint(self.path), name=self.path.name)
        return class_vectors(tower, captions(names, templates, self.config.context))
