"""Point-in-Box: does the patch that is most like the whole image lie on the object?

Source: *Vision Transformers Need More Than Registers*, section 3 and Tables 1, 2, 3.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float

from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.paper_a import TABLE_1, TABLE_3
from unlazy.benchmarks.sheet import Box, Panel, Sheet, misses_and_hits
from unlazy.benchmarks.views import usual_view
from unlazy.data.spread import Chosen
from unlazy.geometry import Rule, View, box_to_grid
from unlazy.ledger import Batch, Measure, Observation, Seen, Some
from unlazy.measure import Measured
from unlazy.metrics import SMALL_BOX, centre, chance, point_in_box, ranking_auc
from unlazy.scores import Score, patch_score
from unlazy.tokens import SHARED, Facts, Site, Trace

Against = Literal["image", "cls"]


def score_maps(trace: Trace, *, score: Score, against: Against) -> Float[np.ndarray, "B H W"]:
    """The score of every patch against the vector that stands for its picture.

    Raises:
        ValueError: scored against CLS, which the model has not.
    """
    tokens = trace[SHARED]
    vector = trace.image if against == "image" else tokens.cls
    if vector is None:
        raise ValueError("this model has no CLS token to score against; use against=image")
    flat = patch_score(tokens.patches.float(), vector.float(), score=score)
    return flat.unflatten(1, tokens.grid).cpu().numpy()


@dataclass(frozen=True)
class ScoreMaps:
    """Row ``map`` (H, W): the scores themselves, of the few pictures that a page shows."""

    score: Score
    against: Against
    name: str = "score_maps"
    resamples: ClassVar[int] = 0

    @property
    def reads(self) -> frozenset[Site]:
        """As ``BoxHits``."""
        return frozenset({SHARED})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """One row a picture."""
        return {"map": torch.from_numpy(score_maps(trace, score=self.score, against=self.against))}

    def conclude(self, seen: Seen) -> dict[str, float]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class BoxHits:
    """Whether the highest-scoring patch hits a box, for the pictures that have one in view.

    Rows of those pictures: ``hit``, ``chance``, ``centre``, ``auc``, ``area`` (share of the whole
    picture that the first box in view covers), ``boxes`` (how many there are). Numbers, for the
    subsets ``all``, ``single`` (one box) and ``single_small25`` (one, under 25 % of the area):
    ``hit``, ``chance`` (a random patch), ``centre`` (always the middle), ``auc``, ``pictures``.

    Attributes:
        score: of a patch against the vector.
        against: ``image``, the vector that supervision saw; ``cls``, the CLS token in the same
            space, as the public evaluator does even where CLS was not trained.
        rule: ``overlap``, patch and box share an area; ``center``, the patch's centre is inside;
            ``released``, as the public evaluator, also a patch that the box only ends at. It counts
            pictures whose box is not in view too: a box above or to the left is hit by the first
            patches there, one below or to the right by none.
    """

    score: Score = "cosine"
    against: Against = "image"
    rule: Rule = "overlap"
    name: str = "point_in_box"
    extremes: ClassVar[frozenset[str]] = frozenset(
        f"{subset}/pictures" for subset in ("all", "single", "single_small25")
    )

    @property
    def reads(self) -> frozenset[Site]:
        """Patches in the space of the image vector."""
        return frozenset({SHARED})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Rows of the pictures that have a box in view, with ``released`` of all that have one.

        Raises:
            ValueError: scored against CLS, which the model has not.
        """
        maps = score_maps(trace, score=self.score, against=self.against)
        size = (batch.pixels.shape[-2], batch.pixels.shape[-1])
        rows: list[list[float]] = []
        counted = [
            None if view.kept is None else view.kept | (self.rule == "released")
            for view in batch.views
        ]
        which = [each is not None and bool(each.any()) for each in counted]
        for place in np.flatnonzero(which):
            view, chosen = batch.views[place], counted[place]
            assert view.boxes is not None
            assert view.shares is not None
            boxes = view.boxes[chosen]
            hit = box_to_grid(boxes, maps.shape[1:], size=size, rule=self.rule).any(dim=0).numpy()
            rows.append(
                [
                    point_in_box(maps[place], hit),
                    chance(hit),
                    centre(hit),
                    ranking_auc(maps[place], hit),
                    view.shares[chosen][0].item(),
                    len(view.boxes),
                ]
            )
        if not rows:
            return {}
        columns = torch.tensor(rows, dtype=torch.float64).T
        keys = ("hit", "chance", "centre", "auc", "area", "boxes")
        chosen = torch.tensor(which)
        return {key: Some(chosen, row) for key, row in zip(keys, columns, strict=True)}

    def conclude(self, seen: Seen) -> dict[str, float]:
        """Means over each subset; no numbers where no picture has a box."""
        if "hit" not in seen:
            return {}
        rows = {key: seen.stack(key) for key in ("hit", "chance", "centre", "auc")}
        single = seen.stack("boxes") == 1
        subsets = {
            "all": np.ones(len(single), dtype=bool),
            "single": single,
            "single_small25": single & (seen.stack("area") < SMALL_BOX),
        }
        found = {}
        for subset, members in subsets.items():
            found[f"{subset}/pictures"] = float(members.sum())
            if members.any():
                found |= {f"{subset}/{key}": _mean(row[members]) for key, row in rows.items()}
        return {key: value for key, value in found.items() if not np.isnan(value)}

    def proportions(self, seen: Seen) -> dict[str, int]:
        """Hits are shares of the pictures of their subset."""
        found = self.conclude(seen)
        return {
            f"{subset}/hit": int(found[f"{subset}/pictures"])
            for subset in ("all", "single", "single_small25")
            if f"{subset}/hit" in found
        }


def _mean(row: np.ndarray) -> float:
    """Of what is not NaN: an AUC needs patches on both sides."""
    counted = row[~np.isnan(row)]
    return float(counted.mean()) if counted.size else float("nan")


@dataclass(frozen=True)
class PointInBox:
    """Share of the pictures whose highest-scoring patch hits the object's box.

    Papers mean pictures with a single box at 224 px after a bilinear resize to 256, so that all
    models are asked about the same pixels; they do not say that
    the public evaluator keeps boxes under 25 % of the area alone. Chance depends on the patch
    size: compare it, and always-the-centre, before models.
    """

    score: Score = "cosine"
    against: Against = "image"
    rule: Rule = "overlap"
    name: ClassVar[str] = "point-in-box"
    version: ClassVar[int] = 3
    needs: ClassVar[frozenset[Need]] = frozenset({"boxes"})
    headline: ClassVar[Headline] = Headline(
        "point_in_box",
        "single/hit",
        count="single/pictures",
        baselines=(("a random patch", "single/chance"), ("always the centre", "single/centre")),
    )
    published: ClassVar[tuple[Published, ...]] = (
        Published("ResNet-50, label", TABLE_1["ResNet"], "A, Table 1"),
        Published("ViT-B/16, label", TABLE_1["ViT"], "A, Table 1"),
        Published("ViT-B/16 + registers, label", TABLE_1["ViT +Register"], "A, Table 1"),
        Published("ViT-B/16 + LazyStrike, label", TABLE_3["ViT (+LazyStrike)"], "A, Table 1"),
        Published("ResNet-50, DINO", TABLE_1["DINO-ResNet"], "A, Table 1"),
        Published(
            "ViT, DINO",
            TABLE_1["DINO-ViT"],
            "A, Table 1",
            f"{TABLE_3['DINO-v1']} in Table 3",
        ),
        Published("ViT + LazyStrike, DINO", TABLE_3["DINO-v1 (+LazyStrike)"], "A, Table 1"),
        Published("ResNet, CLIP", TABLE_1["OpenCLIP-ResNet"], "A, Table 1"),
        Published(
            "ViT, CLIP",
            TABLE_1["OpenCLIP-ViT"],
            "A, Table 1",
            "OpenCLIP there, CLIP in Table 3",
        ),
        Published("ViT + registers, CLIP", TABLE_1["OpenCLIP-ViT +Register"], "A, Table 1"),
        Published("ViT + LazyStrike, CLIP", TABLE_3["CLIP (+LazyStrike)"], "A, Table 1"),
    )

    def view(self, facts: Facts) -> View:
        """The middle of the picture: 256 to 224 pixels, by the public evaluator's filter."""
        return dataclasses.replace(usual_view(facts), interpolation="bilinear")

    def measures(self, inputs: Inputs) -> Sequence[Measure]:
        """One pass."""
        return [BoxHits(self.score, self.against, self.rule)]

    def sheet(self, inputs: Inputs, measured: Measured) -> Sheet:
        """Misses and hits of the pictures with a single box, evenly spread over the data."""
        seen, view = measured.seen["point_in_box"], self.view(inputs.backbone.facts)
        if "hit" not in seen:
            return Sheet()
        boxes, hits = seen.kept["boxes"], seen.kept["hit"]
        single = [index for index in seen.order if index in hits and boxes[index] == 1]
        maps = ScoreMaps(self.score, self.against)
        return Sheet(
            misses_and_hits(hits, single, lambda chosen: _panels(inputs, chosen, view, maps)),
            map_title="Patch score",
            map_meaning=f"Likeness of each patch to the whole picture ({self.score}); the square"
            " is the highest patch.",
        )


def _panels(
    inputs: Inputs, chosen: Sequence[int], view: View, maps: ScoreMaps
) -> tuple[Panel, ...]:
    """The pictures as the model sees them, with their boxes and maps: a small second pass."""
    if not chosen:
        return ()
    part = Chosen(inputs.evaluated, chosen)
    scores = inputs.look(part, [maps], view).seen[maps.name].kept["map"]
    panels = []
    for place in range(len(part)):
        sample, score = part[place], scores[place]
        viewed = view(sample.image, sample.boxes)
        assert viewed.boxes is not None
        row, column = divmod(int(score.argmax()), score.shape[1])
        boxes = tuple(Box("object", tuple(corners)) for corners in viewed.boxes.tolist())
        caption = f"highest score {score.max():.2f}"
        panels.append(Panel(sample.name, viewed.pixels, caption, boxes, score, (row, column)))
    return tuple(panels)
