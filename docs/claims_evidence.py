"""Write docs/evidence/claims.md from Records of ``unlazy claims`` on the bundled models.

    python docs/claims_evidence.py run TINY PHOTOS   # measure; replaces the Records
    python docs/claims_evidence.py                   # the page, from the Records

TINY is a folder of Tiny ImageNet, PHOTOS one of photographs.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from page_parts import holds, markdown, render

from unlazy.report.claims.evidence import CLAIMS_VERSION

EVIDENCE = Path(__file__).parent / "evidence"
RECORDS = EVIDENCE / "claims.json"
CARDS = Path(__file__).parents[1] / "src" / "unlazy" / "bundled"
PARTS = Path(__file__).parent / "_build" / "claims"
PICTURES = 2000
SETS = {"tiny": "Tiny ImageNet", "photos": "ImageNet sample photographs"}
Record = dict[str, Any]


def names() -> list[str]:
    """The bundled models."""
    return sorted(path.stem for path in CARDS.glob("*.json"))


def run(tiny: str, photos: str) -> None:
    """Both runs, with controls; their Records go beside the page. A killed run goes on."""
    models = [f"bundled:{name}" for name in names()]
    found: dict[str, dict[str, Record]] = {}
    for key, data in (("tiny", ["--data", tiny]), ("photos", ["--on", f"images:{photos}"])):
        words = ["claims", *models, *data, "--pictures", str(PICTURES), "--random"]
        command = [sys.executable, "-m", "unlazy", *words, "-o", str(PARTS / key)]
        subprocess.run(command, check=True)
        found[key] = {path.stem: _read(path) for path in sorted((PARTS / key).glob("*.json"))}
    lines = [
        f'"{key}": {{\n' + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in some.items())
        for key, some in found.items()
    ]
    RECORDS.write_text("{\n" + "},\n".join(lines) + "}}\n")
    shutil.rmtree(PARTS)


def _read(path: Path) -> Record:
    record = json.loads(path.read_text())
    record["benchmark"].pop("published", None)
    record["model"].pop("streams")
    kind, _, place = record["data"]["source"].partition(":")
    if place:  # where the pictures lay is nobody's business
        record["data"]["source"] = f"{kind}:{Path(place).name}"
    return record


def models(key: str) -> dict[str, Record]:
    """Label of a model -> its Record with verdicts, trained ones first.

    Of random weights those of equal weights stand once: a pool that has none is no other control.
    """
    every = json.loads(RECORDS.read_text())[key].values()
    chosen = [record for record in every if record["benchmark"]["name"] == "claims"]
    chosen.sort(key=lambda record: (record["model"]["control"], record["model"]["name"]))
    different = {record["model"]["weights_hash"]: record for record in reversed(chosen)}
    return {_label(record): record for record in reversed(different.values())}


def _label(record: Record) -> str:
    name = record["model"]["name"].removeprefix("bundled:")
    return f"{name}, random weights" if record["model"]["control"] else name


def verdicts(key: str) -> str:
    """Models by claims."""
    rows = [
        [label, *(each["verdict"] for each in record["benchmark"]["claims"])]
        for label, record in models(key).items()
    ]
    return markdown(["model", *(f"claim {number}" for number in range(1, 6))], rows)


def titles() -> list[str]:
    """Of the five claims."""
    first = next(iter(models("tiny").values()))
    return [each["title"] for each in first["benchmark"]["claims"]]


def statistics(key: str, claim: int) -> str:
    """A row a statistic behind a claim, a column a model; why, where there are none."""
    columns = models(key)
    rows: dict[str, list[str]] = {}
    for place, record in enumerate(columns.values()):
        for each in record["benchmark"]["claims"][claim - 1]["statistics"]:
            row = rows.setdefault(each["label"], ["–"] * len(columns))
            row[place] = number(each["found"])
    if not rows:
        claims = (record["benchmark"]["claims"][claim - 1] for record in columns.values())
        return "\n".join(dict.fromkeys(each["reason"] for each in claims))
    return markdown(["statistic", *columns], [[label, *cells] for label, cells in rows.items()])


def statistic(key: str, label: str, claim: int, start: str) -> dict[str, float | None]:
    """The statistic of a claim whose name starts so.

    Raises:
        ValueError: there is none, or several.
    """
    found = models(key)[label]["benchmark"]["claims"][claim - 1]["statistics"]
    (one,) = (each["found"] for each in found if each["label"].startswith(start))
    return one


def number(found: dict[str, float | None]) -> str:
    """A value with its interval."""
    if found["value"] is None:
        return "–"
    if found["low"] is None:
        return f"{found['value']:.3g}"
    return f"{found['value']:.3g} ({found['low']:.3g} to {found['high']:.3g})"


def value(key: str, label: str, measure: str, name: str) -> float:
    """A number of a model."""
    return models(key)[label]["values"][measure][name]["value"]


def verdict(key: str, label: str, claim: int) -> str:
    """On a claim."""
    return models(key)[label]["benchmark"]["claims"][claim - 1]["verdict"]


def highest(number: str) -> float:
    """The greatest of a number of norms among all models on both sets."""
    return max(
        record["values"]["norms"][number]["value"]
        for key in SETS
        for record in models(key).values()
    )


def all_verdicts(claim: int) -> list[str]:
    """Those that any model has on a claim."""
    every = (record for key in SETS for record in models(key).values())
    return sorted({record["benchmark"]["claims"][claim - 1]["verdict"] for record in every})


def version() -> int:
    """Of ``claims``, of all Records.

    Raises:
        ValueError: of several.
    """
    every = (record for key in SETS for record in models(key).values())
    (one,) = {record["benchmark"]["version"] for record in every}
    return one


def page() -> str:
    """The page as text."""
    tools: dict[str, Any] = {
        "all_verdicts": all_verdicts,
        "current": CLAIMS_VERSION,
        "highest": highest,
        "holds": holds,
        "models": models,
        "sets": SETS,
        "number": number,
        "statistic": statistic,
        "statistics": statistics,
        "titles": titles,
        "value": value,
        "verdict": verdict,
        "verdicts": verdicts,
        "version": version,
    }
    return render(EVIDENCE / "claims.md.j2", tools)


def main() -> None:
    """Run, or write the page."""
    if sys.argv[1:2] == ["run"]:
        run(sys.argv[2], sys.argv[3])
        return
    (EVIDENCE / "claims.md").write_text(page())


if __name__ == "__main__":
    main()
