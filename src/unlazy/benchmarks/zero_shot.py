"""Zero-shot classification: image vectors against vectors of class names.

Source: CLIP (Radford et al., 2021), with open_clip's lists of prompt templates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F

from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.classification import BASELINES, Accuracy, Told
from unlazy.benchmarks.paper_a import TABLE_9
from unlazy.benchmarks.views import own_view
from unlazy.geometry import View
from unlazy.ledger import Measure
from unlazy.tokens import Facts

_TEXT = "A, ablation under text supervision"


@dataclass(frozen=True)
class ZeroShot(Told):
    """Top-1 by the nearest class name, for models with a text tower.

    The names are the data's own: ImageNet's from its word list, which differ from the curated ones
    of CLIP's authors, by a few points of accuracy.

    Attributes:
        templates: ``openai`` (80 prompts a class) or ``simple`` (7).
    """

    templates: Literal["openai", "simple"] = "openai"
    name: ClassVar[str] = "zero-shot-classification"
    version: ClassVar[int] = 3
    needs: ClassVar[frozenset[Need]] = frozenset({"labels"})
    headline: ClassVar[Headline] = Headline("zero_shot", "top1", baselines=BASELINES)
    published: ClassVar[tuple[Published, ...]] = (
        Published("ViT-B/16, CLS (attention pool)", TABLE_9["Attention-Pool"].imagenet, _TEXT),
        Published("ViT-B/16, max", TABLE_9["Max-Pool"].imagenet, _TEXT),
        Published("ViT-B/16, LazyStrike, 1 patch", TABLE_9["M = 1"].imagenet, _TEXT),
        Published("ViT-B/16, LazyStrike, half", TABLE_9["M = 98"].imagenet, _TEXT),
    )

    def view(self, facts: Facts) -> View:
        """The model's own."""
        return own_view(facts)

    def measures(self, inputs: Inputs) -> Sequence[Measure]:
        """Passes the class names through the text tower first.

        Raises:
            ValueError: the model has no text tower, or the data no class names.
        """
        texts, classes = inputs.backbone.texts, getattr(inputs.evaluated, "classes", None)
        if texts is None:
            raise ValueError(
                f"{inputs.backbone.facts.name} has no text tower; models of open_clip and runs"
                " under text supervision have one (bundled models know their own classes: use"
                " classification)"
            )
        if not classes:
            raise ValueError("the data have no names of classes")
        vectors = texts.classes(list(classes), self.templates)
        return [
            Accuracy(lambda image: F.normalize(image, dim=1) @ vectors.to(image).T, "zero_shot")
        ]
