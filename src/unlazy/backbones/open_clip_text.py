"""The text towers of open_clip: vectors of class names, made when asked for and then let go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unlazy.backbones.open_clip_names import Entry, library
from unlazy.backbones.text_tower import Templates, prompts
from unlazy.backbones.weights import CheckpointMismatch, fit, read_checkpoint


@dataclass(frozen=True)
class Texts:
    """The text tower beside an image tower.

    Attributes:
        entry: the model.
        weights: file of a whole CLIP, or "random".
    """

    entry: Entry
    weights: Path | Literal["random"]

    @torch.inference_mode()
    def classes(self, names: Sequence[str], templates: Templates) -> Float[Tensor, "C E"]:
        """Unit vectors of class names: the mean over templates of each caption's unit vector.

        Args:
            names: of the classes, in order.
            templates: open_clip's lists for ImageNet: ``openai`` has 80, ``simple`` 7.

        Raises:
            CheckpointMismatch: the file holds no text tower, or another one.
        """
        open_clip = library()
        model = open_clip.create_model(self.entry.arch, load_weights=False).eval()
        if isinstance(self.weights, Path):
            self._fill(model, self.weights)
        model.visual = None
        tokenizer = open_clip.get_tokenizer(self.entry.arch)
        chosen = prompts(templates)
        rows = []
        for name in names:
            each = model.encode_text(tokenizer([template(name) for template in chosen]))
            rows.append(F.normalize(F.normalize(each.float(), dim=1).mean(dim=0), dim=0))
        return torch.stack(rows)

    def _fill(self, model: Any, path: Path) -> None:
        open_clip = library()
        state = {k.removeprefix("module."): v for k, v in read_checkpoint(path).items()}
        state = open_clip.convert.convert_state_dict(model, state)
        if not any(name.startswith("visual.") for name in state):
            raise CheckpointMismatch(f"{path.name} holds the image tower alone, no text tower")
        open_clip.model.resize_pos_embed(state, model)
        open_clip.model.resize_text_pos_embed(state, model)
        fit(model, state, name=path.name)
