"""The methods of object discovery with their parameters, on one trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from unlazy.benchmarks.whole_picture import on_picture
from unlazy.discovery import (
    Component,
    Objects,
    by_patch_score,
    dino_seg,
    lost,
    tokencut,
)
from unlazy.ledger import Batch
from unlazy.scores import patch_score
from unlazy.tokens import SHARED, Facts, Site, Trace, attention

Method = Literal["patch-score", "dino-seg", "lost", "tokencut"]
METHODS: tuple[Method, ...] = ("patch-score", "dino-seg", "lost", "tokencut")
SITES: Mapping[str, Site] = {"patch-score": SHARED, "dino-seg": attention(-1)}
"""What methods read that have no choice of ``features``."""
SPELLED = {
    "patch-score": "by patch score",
    "dino-seg": "by DINO-seg",
    "lost": "by LOST",
    "tokencut": "by TokenCut",
}
HEAD = 4  # of DINO-seg in LOST's public code, which has ViT-S with six heads in mind


@dataclass(frozen=True)
class Methods:
    """Methods of object discovery with their parameters.

    Attributes:
        methods: which ones; those that a model has not the features for are left out.
        score: ``patch-score``: of a patch against the image vector.
        k, ddof, component: ``patch-score``: see ``unlazy.discovery.by_patch_score``.
        head: ``dino-seg``: counted from 0; None: 4, or the last one where there are fewer.
        share, released: ``dino-seg``: see ``unlazy.discovery.dino_seg``.
        features: ``lost``, ``tokencut``: of the last block. Both papers use keys; Darcet et al. run
            LOST on values for DeiT-III and OpenCLIP.
        potentials: ``lost``: see ``unlazy.discovery.lost``.
        tau, eps: ``tokencut``: see ``unlazy.discovery.tokencut``.
    """

    methods: tuple[Method, ...] = METHODS
    score: Literal["cosine", "dot"] = "cosine"
    k: float = 1.0
    ddof: int = 1
    component: Component = "argmax"
    head: int | None = None
    share: float = 0.6
    released: bool = False
    features: Literal["key", "value", "query"] = "key"
    potentials: int = 100
    tau: float = 0.2
    eps: float = 1e-5

    def __post_init__(self) -> None:
        if not self.methods or len(set(self.methods)) != len(self.methods):
            raise ValueError("methods must name at least one, each once")
        if not 0 < self.share <= 1:
            raise ValueError(f"share is a part of the mass in (0, 1], not {self.share}")
        if self.ddof not in (0, 1) or self.potentials < 1:
            raise ValueError("ddof is 0 or 1, potentials at least 1")

    def site(self, method: Method) -> Site:
        """Where a method reads.

        >>> str(Methods(features="value").site("lost"))
        'value(-1)'
        """
        return SITES.get(method, Site(self.features, -1))

    def supported(self, facts: Facts) -> tuple[Method, ...]:
        """The methods that a model has the features for.

        Raises:
            ValueError: none of them.
        """
        found: tuple[Method, ...] = tuple(
            each for each in self.methods if self.site(each).stream in facts.streams
        )
        if not found:
            able = [each for each in METHODS if self.site(each).stream in facts.streams]
            raise ValueError(
                f"{facts.name} has no features for methods={','.join(self.methods) or 'none'};"
                f" use {' or '.join(able)}"
            )
        return found

    def head_of(self, heads: int) -> int:
        """The head of ``dino-seg`` in a model with so many."""
        return min(HEAD, heads - 1) if self.head is None else self.head

    def find(self, method: Method, trace: Trace, batch: Batch) -> Objects:
        """The object of each picture by one method."""
        tokens = trace[self.site(method)]
        valid = on_picture(batch, tokens.grid, tokens.patches.device)
        if method == "patch-score":
            flat = patch_score(tokens.patches.float(), trace.image.float(), score=self.score)
            scores = flat.unflatten(1, tokens.grid)
            return by_patch_score(
                scores, k=self.k, ddof=self.ddof, component=self.component, valid=valid
            )
        if method == "dino-seg":
            head = self.head_of(tokens.patches.shape[-1])
            return dino_seg(
                tokens.map(), head=head, share=self.share, released=self.released, valid=valid
            )
        if method == "lost":
            return lost(tokens.map(), potentials=self.potentials, valid=valid)
        return tokencut(tokens.map(), tau=self.tau, eps=self.eps, valid=valid)
