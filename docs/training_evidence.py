"""Write docs/evidence/training.md from the cards of finished runs.

    python docs/training_evidence.py collect RUNS   # cards below RUNS -> docs/evidence/*.json
    python docs/training_evidence.py                # the page, from these

A study's cards lie in RUNS/STUDY/RUN/card.json, those of the bundled recipes in
RUNS/RECIPE-seedN/card.json, or in shipped/ there once the run is bundled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import training_cards
from page_parts import holds, markdown, render, shape
from training_cards import EVIDENCE, SEEDED, Card, collect, number, percent, read


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


def page() -> str:
    """The page as text."""
    names = ["values", "share", "interval", "each", "curve", "path", "every_norm", "above", "alike"]
    names += ["with_high_norms", "missing"]
    tools = {name: getattr(training_cards, name) for name in names}
    tools |= {"section": section, "holds": holds}
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
