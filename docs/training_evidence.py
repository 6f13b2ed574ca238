"""Write docs/evidence/training.md from the cards of finished runs.

    python docs/training_evidence.py collect RUNS   # cards below RUNS -> docs/evidence/*.json
    python docs/training_evidence.py                # the page, from these

A study's cards lie in RUNS/STUDY/RUN/card.json, those of the bundled recipes in
RUNS/RECIPE-seedN/card.json, or in shipped/ there once the run is bundled.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from page_parts import holds, markdown, render, shape

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


def plain(found: dict[str, float] | None) -> str:
    """A number with two digits."""
    return "–" if found is None else f"{found['value']:.2f}"


Column = tuple[str, Callable[[Sequence[Card]], str]]


def shares(measure: str, key: str) -> Callable[[Sequence[Card]], str]:
    """A column of shares: of one run with its interval, of several seeds from lowest to highest."""
    return lambda cards: _cell([number(card, measure, key) for card in cards], percent, 100, 0)


def plains(measure: str, key: str) -> Callable[[Sequence[Card]], str]:
    """A column of numbers with two digits, likewise."""
    return lambda cards: _cell([number(card, measure, key) for card in cards], plain, 1, 2)


def _cell(
    found: Sequence[dict[str, float] | None],
    alone: Callable[[dict[str, float] | None], str],
    scale: float,
    digits: int,
) -> str:
    values = [each["value"] * scale for each in found if each is not None]
    if len(found) == 1 or len(values) < len(found):
        return alone(found[0] if len(found) == 1 else None)
    low, high = (f"{end:.{digits}f}" for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


PLACES: tuple[Column, ...] = (
    ("top-1", shares("accuracy", "top1")),
    ("k-NN", shares("knn", "top1")),
    ("cosine", shares("patch_score", "point_in_box/cosine")),
    ("centred", shares("patch_score", "point_in_box/centred_cosine")),
    ("dot", shares("patch_score", "point_in_box/dot")),
    ("attention", shares("other_maps", "point_in_box/attention")),
    ("votes", shares("other_maps", "point_in_box/votes")),
    ("chance", shares("patch_score", "point_in_box/chance")),
    ("centre", shares("patch_score", "point_in_box/centre")),
    ("AUC", plains("patch_score", "auc/cosine")),
)
SMALL: tuple[Column, ...] = (
    ("n", lambda cards: f"{cards[0]['values']['small_boxes']['n']['value']:.0f}"),
    ("cosine", shares("small_boxes", "point_in_box/cosine")),
    ("centred", shares("small_boxes", "point_in_box/centred_cosine")),
    ("chance", shares("small_boxes", "point_in_box/chance")),
    ("centre", shares("small_boxes", "point_in_box/centre")),
    ("AUC", plains("small_boxes", "auc/cosine")),
    ("norm max / median", plains("norms", "max_over_median")),
    ("norms", lambda cards: ", ".join(sorted({shape(card["values"]) for card in cards}))),
)
SEEDED = re.compile(r"-seed\d+$")


def rows_of(cards: Iterable[Card], columns: Sequence[Column]) -> str:
    """A table with a row a run, or a setting where a study has several seeds of it."""
    groups: dict[str, list[Card]] = {}
    for card in cards:
        name, seed = card["name"], card["recipe"]["seed"]
        bare = SEEDED.sub("", name)
        groups.setdefault(bare if bare != name else f"{name}, seed {seed}", []).append(card)
    rows = [
        [
            f"{name}, {len(group)} seeds" if len(group) > 1 else name,
            *(text(group) for _, text in columns),
        ]
        for name, group in groups.items()
    ]
    return markdown(["run", *(name for name, _ in columns)], rows)


def section(study: str, title: str) -> str:
    """A heading, the command and the tables of a study; empty where it has not run."""
    cards = read(study)
    if not cards:
        return ""
    commands = list(dict.fromkeys(card["command"] for card in cards))
    one = len(commands) == 1
    said = f"`{commands[0]}`" if one else "Commands below"
    listed = "" if one else "\nCommands:\n\n" + "\n".join(f"- `{each}`" for each in commands)
    return f"""## {title}

{said}: {len(cards)} runs, each on {cards[0]["n"]} validation pictures
([Records]({study}.json)).

{rows_of(cards, PLACES)}

Small boxes (under 25 % of the area) and norms:

{rows_of(cards, SMALL)}
{listed}"""


def curves(study: str, path: Path) -> None:
    """Accuracy (k-NN under self supervision) and Point-in-Box over the steps of runs, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "unlazy"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    whole = (card for card in read(study) if card["recipe"].get("init") is None)  # from scratch
    cards = [card for card in whole if not card["recipe"]["seed"]]
    for card in cards:
        steps = [row["step"] for row in card["curve"]]
        accuracy = "knn" if card["recipe"]["supervision"] == "self" else "top1"
        for axis, key in zip(axes, (accuracy, "point_in_box/cosine"), strict=True):
            values = [100 * row[key] for row in card["curve"]]
            axis.plot(steps, values, marker="o", markersize=3, label=card["name"])
    chance = 100 * cards[-1]["curve"][0]["point_in_box/chance"]
    axes[1].axhline(chance, color="grey", linestyle=":", label="chance")
    for axis, title in zip(axes, ("top-1, %", "Point-in-Box by cosine, %"), strict=True):
        axis.set(title=title, xlabel="step")
        axis.set_ylim(bottom=0)
    axes[1].legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def values(study: str, name: str, key: str, measure: str = "patch_score") -> list[float]:
    """A number of a run, or of its runs with several seeds.

    Raises:
        KeyError: there is no such run.
    """
    found = [
        card["values"][measure][key]["value"]
        for card in read(study)
        if name in (card["name"], SEEDED.sub("", card["name"]))
    ]
    if not found:
        raise KeyError(f"{study} has no run {name}")
    return found


def share(study: str, name: str, key: str, measure: str = "patch_score") -> str:
    """A share in per cent, for sentences; of several seeds the lowest and the highest."""
    found = values(study, name, key, measure)
    low, high = (f"{end * 100:.0f}" for end in (min(found), max(found)))
    return f"{low} %" if low == high else f"{low} to {high} %"


def interval(study: str, name: str, key: str, measure: str = "patch_score") -> str:
    """A share of one run with its interval, for sentences."""
    (card,) = (card for card in read(study) if card["name"] == name and not card["recipe"]["seed"])
    return f"{percent(card['values'][measure][key])} %"


def curve(name: str, key: str) -> list[float]:
    """A number at every evaluation during a run on Tiny ImageNet, in order."""
    every = read("tiny_imagenet")
    (card,) = (card for card in every if card["name"] == name and not card["recipe"]["seed"])
    return [row[key] for row in card["curve"]]


def path(name: str, key: str) -> str:
    """The same in per cent, for sentences."""
    return ", ".join(f"{each * 100:.0f}" for each in curve(name, key))


def largest_norm() -> float:
    """Over the median, in any run on this page."""
    runs = [card for study in (*STUDIES, "tiny_imagenet") for card in read(study)]
    return max(card["values"]["norms"]["max_over_median"]["value"] for card in runs)


def page() -> str:
    """The page as text."""
    tools = {"section": section, "values": values, "share": share, "holds": holds, "read": read}
    tools |= {"interval": interval, "largest_norm": largest_norm, "curve": curve, "path": path}
    return render(EVIDENCE / "training.md.j2", tools)


def main() -> None:
    """Collect, or write the page."""
    if sys.argv[1:2] == ["collect"]:
        collect(Path(sys.argv[2]))
        return
    curves("tiny_scenes", EVIDENCE / "curves_scenes.svg")
    curves("tiny_imagenet", EVIDENCE / "curves_tiny_imagenet.svg")
    (EVIDENCE / "training.md").write_text(page())


if __name__ == "__main__":
    main()
