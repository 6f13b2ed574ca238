"""Write every figure of the README and of docs/evidence from Records: ``make numbers``."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
CARD = ROOT / "src" / "unlazy" / "bundled" / "tiny-label.json"
DEMO = ROOT / "docs" / "evidence" / "demo.json"
BEGIN, END = "<!-- numbers: begin -->", "<!-- numbers: end -->"


def figure(found: dict, *, percent: bool = False) -> str:
    """A value with its interval, where it has one."""
    scale, digits, unit = (100, 1, " %") if percent else (1, 2, "")

    def text(number: float) -> str:
        return f"{number * scale:.{digits}f}"

    interval = ""
    if found.get("low") is not None:
        interval = f" ({text(found['low'])} to {text(found['high'])})"
    return f"{text(found['value'])}{interval}{unit}"


def shape(values: dict) -> str:
    """The verdict on the distribution of norms."""
    return next(key.removeprefix("is_") for key in values["norm_shape"] if key.startswith("is_"))


def readme_block() -> str:
    """The table of the README: the demo's Record."""
    record = json.loads(DEMO.read_text())
    values, score = record["values"], record["values"]["patch_score"]
    rows = [
        ("norms before the last normalisation", shape(values)),
        ("largest norm over the median", figure(values["norms"]["max_over_median"])),
        ("tokens above three medians", figure(values["norms"]["share_over_3median"], percent=True)),
        (
            "attention on the highest 2 % of patches",
            figure(values["attention"]["top_mass"], percent=True),
        ),
        ("Point-in-Box on the drawn scenes", figure(score["point_in_box/cosine"], percent=True)),
        ("... a random patch", figure(score["point_in_box/chance"], percent=True)),
        ("... always the centre", figure(score["point_in_box/centre"], percent=True)),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return (
        f"## The demo's numbers\n\n"
        f"`make demo`, {record['model']['name']}, {record['data']['n']} pictures"
        f" ([Record](docs/evidence/demo.json)); in brackets 95 % intervals over pictures.\n\n"
        f"| number | value |\n| --- | --- |\n{table}\n"
    )


def card_page() -> str:
    """The evidence page of the shipped model: its card."""
    card = json.loads(CARD.read_text())
    values, recipe = card["values"], card["recipe"]
    everything, small = values["patch_score"], values["small_boxes"]

    def rows(score: dict, n: int, name: str) -> str:
        cells = [figure(score["point_in_box/cosine"], percent=True)]
        cells += [figure(score["point_in_box/centred_cosine"], percent=True)]
        cells += [
            figure(score[f"point_in_box/{key}"], percent=True) for key in ("chance", "centre")
        ]
        cells += [figure(score["auc/cosine"])]
        return f"| {name} | {n} | " + " | ".join(cells) + " |"

    model = recipe["model"]
    return f"""# tiny-label

{card["what"]}: width {model["embed_dim"]}, {model["depth"]} blocks, patch {model["patch_size"]},
{model["img_size"]} px. Trained {card["date"]} for {recipe["epochs"]} epochs ({card["steps"]} steps
of {recipe["batch"]}) on Tiny ImageNet, evaluated on the {card["n"]} pictures of its validation
split that are at hand. Nothing was tuned on them.

Top-1 {figure(values["accuracy"]["top1"], percent=True)}.
Norms before the last normalisation: {shape(values)}, largest over median
{figure(values["norms"]["max_over_median"])}.

| Point-in-Box | n | cosine | centred cosine | random patch | always centre | AUC of cosine |
| --- | --- | --- | --- | --- | --- | --- |
{rows(everything, card["n"], "all pictures")}
{rows(small, round(small["n"]["value"]), "boxes under 25 % of the area")}

The AUC ranks patches inside the box against those outside: below 0.5, background resembles the
image vector more than the object does.

Command: `{card["command"]}`; weights hash `{card["weights_hash"]}`.
"""


def main() -> None:
    """Write both."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    readme.write_text(f"{head}{BEGIN}\n{readme_block()}{END}{tail}")
    (ROOT / "docs" / "evidence" / "tiny-label.md").write_text(card_page())


if __name__ == "__main__":
    main()
