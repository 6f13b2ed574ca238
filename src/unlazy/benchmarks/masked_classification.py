"""Masked classification: what a model loses when its highest, lowest or random patches are hidden.

Source: *Vision Transformers Need More Than Registers*, Figure 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.known_classes import check_classes
from unlazy.benchmarks.linear import LinearProbe
from unlazy.benchmarks.masked_accuracy import Fill, MaskedAccuracy
from unlazy.benchmarks.masked_sheet import masked_sheet
from unlazy.benchmarks.paper_a import FIGURE_2
from unlazy.benchmarks.sheet import Sheet
from unlazy.benchmarks.views import usual_view
from unlazy.geometry import View
from unlazy.ledger import Measure
from unlazy.measure import Measured
from unlazy.scores import Score
from unlazy.tokens import Facts


@dataclass(frozen=True)
class MaskedClassification:
    """Top-1 while patches of high, low or no score are hidden.

    A lazy model keeps its accuracy when its highest patches go: they are background. The paper
    does not say what hides a patch; ``mean`` follows its code.

    Attributes:
        head: who tells the class: ``model``, its own classifier, as in the paper; ``linear``, the
            benchmark ``linear``'s, for models without one or with other classes than the data's.
    """

    score: Score = "cosine"
    fill: Fill = "mean"
    head: Literal["model", "linear"] = "model"
    name: ClassVar[str] = "masked-classification"
    version: ClassVar[int] = 3
    headline: ClassVar[Headline] = Headline(
        "masked_classification",
        "highest/71",
        baselines=(
            ("random patches hidden", "random/71"),
            ("lowest patches hidden", "lowest/71"),
            ("nothing hidden", "highest/0"),
            ("a random class", "chance"),
        ),
    )
    published: ClassVar[tuple[Published, ...]] = (
        Published("ViT-B/16, nothing hidden", FIGURE_2["nothing masked"], "A, Figure 2"),
        *(
            Published(
                f"ViT-B/16, {which} 70 %",
                FIGURE_2[f"{which} 70 % masked"],
                "A, Figure 2",
                "read off; order inferred",
            )
            for which in ("highest", "random", "lowest")
        ),
    )

    @property
    def needs(self) -> frozenset[Need]:
        """Labels; a linear head also learns from training pictures."""
        return frozenset({"labels", "training"} if self.head == "linear" else {"labels"})

    def view(self, facts: Facts) -> View:
        """The middle of the picture: 256 to 224 pixels."""
        return usual_view(facts)

    def learns_from(self, training: Any) -> Any:
        """The training pictures that a linear head is fitted to."""
        return LinearProbe().learns_from(training)

    def measures(self, inputs: Inputs) -> Sequence[Measure]:
        """One pass over the pictures, 22 forwards each; a linear head is fitted before.

        Raises:
            ValueError: the model has no classifier, or the data are of other classes.
        """
        classify = None
        if self.head == "linear":
            classify = LinearProbe().classifier(inputs)
        else:
            check_classes(inputs)
        return [MaskedAccuracy(inputs.backbone, classify, self.score, self.fill)]

    def notes(self, facts: Facts) -> tuple[str, ...]:
        """Whose classes these are, where they are not the model's."""
        if self.head == "model":
            return ()
        linear = LinearProbe()
        return (
            "classes are told by a linear classifier on frozen image vectors, fitted to the"
            f" training pictures as in linear {linear.version} ({linear.epochs} epochs of"
            f" {linear.batch}); published figures are of the models' own classifiers",
        )

    def sheet(self, inputs: Inputs, measured: Measured) -> Sheet:
        """Pictures whose class is lost or kept as the highest patches go, and the curves."""
        accuracy = MaskedAccuracy(inputs.backbone, score=self.score, fill=self.fill)
        seen, view = measured.seen[accuracy.name], self.view(inputs.backbone.facts)
        return masked_sheet(inputs, seen, view, accuracy)
