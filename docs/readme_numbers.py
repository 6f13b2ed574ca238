"""Write the README's figures and docs/evidence/bundled.md from Records: ``make numbers``."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from page_parts import holds, markdown, shape
from training_cards import above, alike, share, told, values

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "src" / "unlazy" / "bundled"
EVIDENCE = ROOT / "docs" / "evidence"
DEMO = {
    "tiny-label (CLS)": EVIDENCE / "demo-tiny-label.json",
    "tiny-label-lazystrike": EVIDENCE / "demo-tiny-label-lazystrike.json",
}
BEGIN, END = "<!-- numbers: begin -->", "<!-- numbers: end -->"


def figure(found: dict | None, *, percent: bool = False) -> str:
    """A value with its interval, where it has one."""
    if found is None:
        return "–"
    scale, digits, unit = (100, 1, " %") if percent else (1, 2, "")

    def text(number: float) -> str:
        return f"{number * scale:.{digits}f}"

    interval = ""
    if found.get("low") is not None:
        interval = f" ({text(found['low'])} to {text(found['high'])})"
    return f"{text(found['value'])}{interval}{unit}"


def readme_block() -> str:
    """The table of the README: the demo's Records."""
    records = {name: json.loads(path.read_text()) for name, path in DEMO.items()}
    values = [record["values"] for record in records.values()]

    def row(name: str, measure: str, key: str, *, percent: bool = True) -> list[str]:
        return [name, *(figure(each[measure].get(key), percent=percent) for each in values)]

    rows = [
        ["norms before the last normalisation", *map(shape, values)],
        row("largest norm over the median", "norms", "max_over_median", percent=False),
        row("tokens above three medians", "norms", "share_over_3median"),
        row("attention on the highest 2 % of patches", "attention", "top_mass"),
        row("Point-in-Box on the drawn scenes", "patch_score", "point_in_box/cosine"),
        row("... by the centred cosine", "patch_score", "point_in_box/centred_cosine"),
        row("... a random patch", "patch_score", "point_in_box/chance"),
        row("... always the centre", "patch_score", "point_in_box/centre"),
    ]
    links = ", ".join(f"[{name}](docs/evidence/{path.name})" for name, path in DEMO.items())
    first = next(iter(records.values()))
    return (
        f"## The demo's numbers\n\n"
        f"`make demo`, {first['data']['n']} pictures (Records: {links}); in brackets 95 % intervals"
        f" over pictures.\n\n{markdown(['number', *records], rows)}\n"
    )


def findings_block() -> str:
    """What training showed, for the README, as far as the Records bear it out."""
    hit, chance, small = "point_in_box/cosine", "point_in_box/chance", "small_boxes"
    real = "tiny_imagenet"

    def seeds(name: str) -> str:
        count = len(values(real, name, hit))
        return f", {('', 'two', 'three')[count - 1]} seeds" if count > 1 else ""

    def small_boxes(name: str, key: str) -> tuple[str, ...]:
        return real, name, key, small

    scenes = [("scenes_pools", name, hit) for name in ("cls", "lazystrike-1")]
    clip, struck_clip, dino, struck_dino = (
        f"tiny-{name}" for name in ("clip", "clip-lazystrike", "dino", "dino-lazystrike")
    )
    shortcut = holds(
        above(("scenes_pools", "cls", chance), scenes[0])
        and above(small_boxes(clip, chance), small_boxes(clip, hit)),
        "With a CLS token the patch most like the whole image lies on the object less often than a"
        " random one, on drawn scenes and under text supervision",
    )
    turned = holds(
        above(scenes[1], ("scenes_pools", "cls", chance))
        and alike(small_boxes(struck_clip, hit), small_boxes(struck_clip, chance))
        and above((real, struck_clip, hit), (real, struck_clip, chance)),
        "LazyStrike, one patch a channel, turns that round on drawn scenes; under text supervision"
        " it reaches a random patch on small boxes and is above it over all pictures",
    )
    grown = holds(
        alike(small_boxes(dino, hit), small_boxes(dino, chance))
        and above(small_boxes(struck_dino, hit), small_boxes(struck_dino, chance)),
        "Under self supervision CLS ends at a random patch and LazyStrike above it",
    )
    plain, struck = (
        [small_boxes(f"{name}, seed {seed}", hit) for seed in range(3)]
        for name in ("tiny-label", "tiny-label-lazystrike")
    )
    by_chance = small_boxes("tiny-label", chance)
    label = holds(
        above(plain[0], by_chance)
        and alike(struck[0], plain[0])
        and all(alike(plain[seed], by_chance) for seed in (1, 2))
        and all(above(struck[seed], plain[seed]) for seed in (1, 2)),
        "Under label supervision on real pictures the seeds disagree: with two of three CLS ends at"
        " a random patch and LazyStrike above CLS; with one CLS is above a random patch, and"
        " LazyStrike gains nothing",
    )
    found = (
        f"{shortcut}. {turned}. {grown}. {label}. These are small models, trained on a CPU: no word"
        " on large ones."
    )
    rows = [
        ["drawn scenes, label supervision, three seeds"]
        + [share("scenes_pools", name, hit) for name in ("cls", "lazystrike-1")]
        + [share("scenes_pools", "cls", chance)]
    ]
    pairs = (("tiny-clip", "text"), ("tiny-dino", "self"), ("tiny-label", "label"))
    for name, supervision in pairs:
        rows.append(
            [f"Tiny ImageNet, small boxes, {supervision} supervision{seeds(name)}"]
            + [told(real, each, hit, small) for each in (name, f"{name}-lazystrike")]
            + [share(real, name, chance, small)]
        )
    return f"""## What training showed so far

{textwrap.fill(found, 100)}

{markdown(["Point-in-Box by cosine", "CLS", "LazyStrike", "random patch"], rows)}

All runs, and what contradicts the papers: [training](docs/evidence/training.md),
[where the bundled models look](docs/evidence/localisation.md),
[the second paper's claims](docs/evidence/claims.md),
[the bundled models](docs/evidence/bundled.md).
"""


def cards() -> list[dict]:
    """Of all shipped models."""
    return [json.loads(path.read_text()) for path in sorted(BUNDLED.glob("*.json"))]


def bundled_page() -> str:
    """The evidence page of the shipped models: their cards."""
    results, places, norms, commands = [], [], [], []
    for card in cards():
        values, name = card["values"], card["name"]
        results.append(
            [
                name,
                card["what"],
                figure(values.get("accuracy", {}).get("top1"), percent=True),
                figure(values["knn"]["top1"], percent=True),
            ]
        )
        for measure, what in (("patch_score", "all"), ("small_boxes", "under 25 %")):
            score = values[measure]
            keys = [
                f"point_in_box/{key}" for key in ("cosine", "centred_cosine", "chance", "centre")
            ]
            cells = [figure(score.get(key), percent=True) for key in keys]
            count = round(score["point_in_box/pictures"]["value"])
            places.append([name, what, str(count), *cells, figure(score["auc/cosine"])])
        norms.append([name, shape(values), figure(values["norms"]["max_over_median"])])
        commands.append(f"- {name}: `{card['command']}`, {card['date']}, `{card['weights_hash']}`")
    first = cards()[0]
    model = first["recipe"]["model"]
    return f"""# Bundled models

Small ViTs (width {model["embed_dim"]}, {model["depth"]} blocks, {model["img_size"]} px) trained on
Tiny ImageNet and evaluated on the {first["n"]} pictures of its validation split at hand, in
the half precision in which they are shipped. Nothing was tuned on these pictures. Text models are
shipped without their text tower, with the vectors of the class names. k-NN seeks among
{first["neighbours"]} training pictures.

{markdown(["model", "supervision, architecture", "top-1", "k-NN"], results)}

Point-in-Box, and the AUC that ranks patches inside the box against those outside, by cosine (below
0.5, background resembles the image vector more than the object does):

{markdown(["model", "boxes", "n", "cosine", "centred", "random patch", "centre", "AUC"], places)}

{markdown(["model", "norms before the last normalisation", "largest over median"], norms)}

Commands, dates and hashes of the weights:

{chr(10).join(commands)}
"""


def main() -> None:
    """Write both."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    readme.write_text(f"{head}{BEGIN}\n{readme_block()}\n{findings_block()}{END}{tail}")
    (EVIDENCE / "bundled.md").write_text(bundled_page())


if __name__ == "__main__":
    main()
