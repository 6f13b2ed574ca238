"""The cards of trained runs: collected from where they were trained, read for the page."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EVIDENCE = Path(__file__).parent / "evidence"
STUDIES = {
    "tiny_scenes": "The shortcut in three minutes",
    "scenes_pools": "Pools, and how many patches LazyStrike keeps",
    "scenes_readings": "Readings of LazyStrike's formula",
    "scenes_difficulty": "Difficulty of the scenes",
    "scenes_length": "Training length",
    "scenes_tokens": "Patch size, windows, registers",
    "scenes_scale": "Wider, deeper, larger pictures, more of them",
    "tiny_pools": "Pools on real pictures, 24 classes",
}
Card = dict[str, Any]
SEEDED = re.compile(r"-seed\d+$")


def collect(runs: Path) -> None:
    """Copy the cards of studies, and of runs on all of Tiny ImageNet, beside the page."""
    for study in STUDIES:
        cards = [json.loads(path.read_text()) for path in sorted(runs.glob(f"{study}/*/card.json"))]
        if cards:
            write(study, cards)
    found = [
        json.loads((shipped if shipped.is_file() else run / "card.json").read_text())
        for run in sorted(runs.glob("tiny_*-seed*"))
        for shipped in [run / "shipped" / "card.json"]
        if (run / "card.json").is_file()
    ]
    known = {_run_of(card): card for card in [*read("tiny_imagenet"), *found]}
    if found:
        write("tiny_imagenet", [known[each] for each in sorted(known)])


def _run_of(card: Card) -> tuple[str, int]:
    """Which run a card is of: a new one takes the place of an older one."""
    return card["name"], card["recipe"]["seed"]


def write(study: str, cards: Sequence[Card]) -> None:
    """One line a card."""
    lines = ",\n".join(json.dumps(card) for card in cards)
    (EVIDENCE / f"{study}.json").write_text(f"[\n{lines}\n]\n")


def read(study: str) -> list[Card]:
    """The cards of a study; none where it has not run."""
    path = EVIDENCE / f"{study}.json"
    return json.loads(path.read_text()) if path.is_file() else []


def number(card: Card, measure: str, key: str) -> dict[str, float] | None:
    """A value of a card with its interval, or None."""
    return card["values"].get(measure, {}).get(key)


def percent(found: dict[str, float] | None) -> str:
    """A share with its interval."""
    if found is None:
        return "–"
    if "low" not in found:
        return f"{found['value'] * 100:.0f}"
    return f"{found['value'] * 100:.0f} ({found['low'] * 100:.0f}–{found['high'] * 100:.0f})"


def runs_of(study: str, name: str) -> list[Card]:
    """The cards of a run, or of its seeds; ``NAME, seed N`` is one of them, as in the tables.

    Raises:
        KeyError: there is no such run.
    """
    found = [card for card in read(study) if name in _names(card)]
    if not found:
        raise KeyError(f"{study} has no run {name}")
    return found


def _names(card: Card) -> tuple[str, str, str]:
    own = card["name"]
    return own, SEEDED.sub("", own), f"{own}, seed {card['recipe']['seed']}"


def ends(study: str, name: str, key: str, measure: str = "patch_score") -> tuple[float, float]:
    """The lowest and the highest end of the intervals of a number, over the seeds of a run."""
    found = [card["values"][measure][key] for card in runs_of(study, name)]
    return min(x["low"] for x in found), max(x["high"] for x in found)


def above(higher: tuple[str, ...], lower: tuple[str, ...]) -> bool:
    """Whether all intervals of one number (arguments of ``ends``) lie above those of another."""
    return ends(*higher)[0] > ends(*lower)[1]


def alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the intervals of two numbers overlap."""
    return not above(one, other) and not above(other, one)


def values(study: str, name: str, key: str, measure: str = "patch_score") -> list[float]:
    """A number of a run, or of its runs with several seeds.

    Raises:
        KeyError: there is no such run.
    """
    return [card["values"][measure][key]["value"] for card in runs_of(study, name)]


def share(study: str, name: str, key: str, measure: str = "patch_score") -> str:
    """A share in per cent, for sentences; of several seeds the lowest and the highest."""
    found = values(study, name, key, measure)
    low, high = (f"{end * 100:.0f}" for end in (min(found), max(found)))
    return f"{low} %" if low == high else f"{low} to {high} %"


def told(study: str, name: str, key: str, measure: str = "patch_score") -> str:
    """A share of one run with its interval; of several seeds the lowest and the highest."""
    several = len(runs_of(study, name)) > 1
    return (share if several else interval)(study, name, key, measure)


def each(study: str, name: str, key: str, measure: str = "patch_score") -> str:
    """A share of every seed of a run with its interval, in the order of the seeds."""
    found = [percent(card["values"][measure][key]) for card in runs_of(study, name)]
    *first, last = found
    return f"{', '.join(first)} and {last} %" if first else f"{last} %"


def interval(study: str, name: str, key: str, measure: str = "patch_score") -> str:
    """A share of one run with its interval, for sentences."""
    (card,) = (card for card in read(study) if card["name"] == name and not card["recipe"]["seed"])
    return f"{percent(card['values'][measure][key])} %"


def curve(name: str, key: str, seed: int = 0) -> list[float]:
    """A number at every evaluation during a run on Tiny ImageNet, in order."""
    (card,) = (x for x in runs_of("tiny_imagenet", name) if x["recipe"]["seed"] == seed)
    return [row[key] for row in card["curve"]]


def path(name: str, key: str, seed: int = 0) -> str:
    """The same in per cent, for sentences."""
    return ", ".join(f"{part * 100:.0f}" for part in curve(name, key, seed))


def every_norm(key: str) -> list[float]:
    """A number of the norms, in every run on this page."""
    return [card["values"]["norms"][key]["value"] for card in _on_the_page()]


def with_high_norms(least: float) -> list[str]:
    """Runs on this page in which more than this share of pictures has a patch of high norm."""
    shares = every_norm("images_with_high_norm")
    cards = zip(_on_the_page(), shares, strict=True)
    return [card["name"] for card, share in cards if share > least]


def _on_the_page() -> list[Card]:
    return [card for study in (*STUDIES, "tiny_imagenet") for card in read(study)]


def missing() -> dict[str, str]:
    """The studies that were not run: command -> title."""
    return {study: title for study, title in STUDIES.items() if not read(study)}
