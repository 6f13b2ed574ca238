"""Threshold sweep: a trained probe on tokens of higher and higher norm."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from unlazy.benchmarks.base import Headline, Inputs, Need, Published
from unlazy.benchmarks.probe import Learned
from unlazy.benchmarks.probe_pixels import Method, PixelProbe
from unlazy.benchmarks.probe_position import PositionProbe
from unlazy.benchmarks.probe_settings import Trained, cannot_tell, chosen_note
from unlazy.benchmarks.probe_token_class import TokenClassProbe
from unlazy.benchmarks.sheet import Curve, Sheet
from unlazy.ledger import Estimate, Measure
from unlazy.measure import Measured
from unlazy.probes.chosen import AnyToken
from unlazy.probes.norm_counts import Quantiles
from unlazy.probes.sweep import DECILES, ClassSweep, Sweep, conclusions, norm_sets, rank_sets
from unlazy.probes.task import Task
from unlazy.tokens import Facts

TOKENS = "sweep_tokens"
WORDS = {
    "top1": "top-1",
    "distance": "distance in patches",
    "error": "squared error of a patch",
    "entropy": "entropy of places, over its maximum",
}


@dataclass(frozen=True)
class ThresholdSweep(Trained):
    """A trained probe on the tokens with the highest norms, from the top half to the top 2 %.

    Sets are nested; ``top100`` is every token, and ``decile1`` to ``decile10`` are tenths by norm.
    Where the entropy of places is near 0, tokens of a set sit at few places, which a position probe
    then knows for that reason alone.

    Source: *Do All Vision Transformers Need Registers?* (B), B.2.2 and Figure 11.

    Attributes:
        probe: whose heads are asked. ``token-class``: classifiers of one random token a picture, of
            any norm, asked of one token of each set.
        shares: of all tokens, that count as outliers.
        method: of ``probe=pixels``.
        quantile: sets are cut at quantiles of the norms of all pictures, ``pooled``, or of each
            ``image`` by itself: of few tokens the highest, unless others equal it.
    """

    rates: tuple[float, ...] = (0.01, 0.1, 1.0)
    probe: Literal["position", "pixels", "token-class"] = "position"
    shares: tuple[float, ...] = (0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02)
    method: Method = "closed_form"
    quantile: Literal["pooled", "image"] = "pooled"
    name: ClassVar[str] = "threshold-sweep"
    version: ClassVar[int] = 2
    published: ClassVar[tuple[Published, ...]] = ()

    def __post_init__(self) -> None:
        if not self.shares or not 0 < min(self.shares) <= max(self.shares) <= 1:
            raise ValueError(f"shares lie in (0, 1], not {self.shares}")
        super().__post_init__()

    @property
    def idle(self) -> Mapping[str, str]:
        """Settings that change nothing."""
        if self.probe == "pixels":
            return PixelProbe(method=self.method).idle
        return {"method": f"where probe={self.probe}; use probe=pixels"}

    @property
    def needs(self) -> frozenset[Need]:
        """Pictures to learn from; classes have labels."""
        return frozenset({"labels", "training"} if self.probe == "token-class" else {"training"})

    @property
    def headline(self) -> Headline:
        """Of the fewest tokens, beside that of all."""
        key = "error" if self.probe == "pixels" else "top1"
        fewest = f"{key}/top{100 * min(self.shares):g}"
        others = (("all tokens", f"{key}/top100"),)
        scale = 1.0 if self.probe == "pixels" else 100.0
        return Headline("threshold_sweep", fewest, others=others, scale=scale)

    @property
    def _asked(self) -> PositionProbe | PixelProbe | TokenClassProbe:
        kinds = {"position": PositionProbe, "pixels": PixelProbe, "token-class": TokenClassProbe}
        kind = kinds[self.probe]
        given = {each.name: getattr(self, each.name) for each in dataclasses.fields(Trained)}
        return kind(**given, **({"method": self.method} if kind is PixelProbe else {}))

    def studies(self, inputs: Inputs, norms: Quantiles) -> Sequence[Measure]:
        """Those of the probe that is asked; for classes, tokens of any norm."""
        if self.probe == "token-class":
            return [AnyToken(self.seeds, name=TOKENS)]
        return self._asked.studies(inputs, norms)

    def tasks(self, inputs: Inputs) -> Sequence[Task]:
        """Those of the probe that is asked."""
        return self._asked.tasks(inputs)

    def judges(self, inputs: Inputs, learned: Learned) -> Sequence[Measure]:
        """The probe that is asked, of each set."""
        asked: Any = self._asked
        pooled = self.quantile == "pooled"
        sets = norm_sets(learned.norms, self.shares) if pooled else rank_sets(self.shares)
        if self.probe == "token-class":
            device = next(inputs.backbone.parameters()).device
            return [ClassSweep(asked.fit_any(learned.seen[TOKENS], device), sets, self.seeds)]
        return [Sweep(asked.judges(inputs, learned)[0], sets)]

    def notes(self, facts: Facts) -> tuple[str, ...]:
        """Those of the probe that is asked."""
        return self._asked.notes(facts)

    def remarks(
        self, measures: Sequence[Any], values: Mapping[str, Mapping[str, Estimate]]
    ) -> tuple[str, ...]:
        """What was chosen, and what cannot be told."""
        heads = getattr(measures[0], "judge", measures[0]).heads
        chosen = (chosen_note(f"{self.probe} heads", heads, self.rates),) if heads.rates else ()
        return *chosen, *cannot_tell(values, "threshold_sweep", self.headline.key)

    def sheet(self, inputs: Inputs, measured: Measured) -> Sheet:
        """Over the share of tokens that count as outliers, and by tenths of the norm."""
        seen = measured.seen["threshold_sweep"]
        names = [f"top{100 * share:g}" for share in sorted({1.0, *self.shares}, reverse=True)]
        tenths = [f"decile{place + 1}" for place in range(DECILES)]
        return Sheet(curves=curves(conclusions(seen, [*names, *tenths])))


def sets_of(found: Iterable[str]) -> tuple[dict[str, float], dict[str, int]]:
    """Sets of tokens in the keys ``tokens/SET`` of a sweep: nested ones, and tenths by norm.

    Returns:
        name -> highest norms in percent of all tokens, from all to few; name -> tenth, from 1, the
        lowest norms.

    >>> sets_of(["tokens/top100", "tokens/top0.5", "top1/top100", "tokens/decile2"])
    ({'top100': 100.0, 'top0.5': 0.5}, {'decile2': 2})

    Raises:
        ValueError: a set is neither.
    """
    names = [key.removeprefix("tokens/") for key in found if key.startswith("tokens/")]
    tenths = {name: int(name.removeprefix("decile")) for name in names if name.startswith("decile")}
    nested = {name: float(name.removeprefix("top")) for name in names if name not in tenths}
    return nested, tenths


def asked(found: Iterable[str]) -> str:
    """The first number of the probe that a sweep's ``VALUE/SET`` are of: ``top1`` or ``error``."""
    return "top1" if any(key.startswith("top1/") for key in found) else "error"


def curves(found: Mapping[str, float]) -> tuple[Curve, ...]:
    """Plots of a sweep's numbers ``VALUE/SET``; sets without tokens have no point."""
    (across, by_tenth), first = sets_of(found), asked(found)
    highest, tenth = "highest norms, %", "tenth of the norms, from low to high"
    return (
        _curve("Outliers at different thresholds", highest, found, across, first),
        _curve("By norm", tenth, found, by_tenth, first),
        _curve("Where they sit", highest, found, across, "entropy"),
    )


def _curve(
    title: str, label: str, found: Mapping[str, float], across: Mapping[str, float], key: str
) -> Curve:
    points = ((place, found.get(f"{key}/{name}")) for name, place in across.items())
    line = tuple((place, value) for place, value in points if value is not None)
    return Curve(title, label, WORDS[key], ((WORDS[key], line),))
