"""Write docs/evidence/localisation.md from Records of the bundled models.

    python docs/localisation_evidence.py run TINY COCO   # unlazy bench, where a Record is missing
    python docs/localisation_evidence.py                 # page and picture, from the Records

TINY and COCO are folders of Tiny ImageNet and COCO128.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from page_parts import holds, markdown, render

from unlazy.catalog import find

EVIDENCE = Path(__file__).parent / "evidence"
RECORDS = EVIDENCE / "localisation.json"
CARDS = Path(__file__).parents[1] / "src" / "unlazy" / "bundled"
BANK = "bank=25000"
CONTROL = ", random weights"
FIXED = ("tiny-label", "tiny-label-lazystrike")
FIXES = (
    *("position-mean", "norm-clipping", "neighbour-median", "test-time-registers"),
    "pooled",
)
Record = dict[str, Any]


def names() -> list[str]:
    """The bundled models."""
    return sorted(path.stem for path in CARDS.glob("*.json"))


@dataclass(frozen=True)
class Job:
    """One run of ``unlazy bench``; ``key`` names it among the Records."""

    model: str
    data: str
    benchmarks: tuple[str, ...]
    settings: tuple[str, ...] = ()
    fix: str | None = None
    random: bool = False

    def key(self, benchmark: str) -> str:
        """Unique among all runs of the page."""
        model = f"{self.model}{CONTROL}" if self.random else self.model
        return " ".join((model, self.data, benchmark, *self.settings, self.fix or "")).strip()

    def words(self, roots: dict[str, str]) -> list[str]:
        """The command, without what it writes to."""
        fix = [] if self.fix is None else ["--fix", self.fix]
        chosen = [word for each in self.settings for word in ("--set", each)]
        root = ["--data", roots[self.data], *(["--random"] if self.random else [])]
        return ["bench", f"bundled:{self.model}", *self.benchmarks, *root, *chosen, *fix]


def jobs() -> Iterable[Job]:
    """All that the page needs, what takes longest last."""
    every = names()
    knowing = [name for name in every if "accuracy" in _card(name)["values"]]
    for model in every:
        yield Job(model, "tiny-imagenet", ("point-in-box", "discovery"))
        yield Job(model, "coco128", ("point-in-box",))
    for model in FIXED:
        for fix in FIXES:
            yield Job(model, "tiny-imagenet", ("point-in-box", "discovery"), (), fix)
    for model in knowing:
        yield Job(model, "tiny-imagenet", ("classification",))
    for model in every:
        yield Job(model, "tiny-imagenet", ("knn", "linear"), (BANK,))
    yield Job("tiny-dino", "tiny-imagenet", ("knn", "linear"), (BANK,), random=True)
    for model in knowing:
        yield Job(model, "tiny-imagenet", ("masked-classification",))
    for model in every:
        yield Job(model, "coco128", ("discovery",), ("masks=true",))
        yield Job(model, "coco128", ("coarse-segmentation",))
        yield Job(model, "coco128", ("coarse-segmentation",), ("map=attention",))


def _card(model: str) -> dict[str, Any]:
    return json.loads((CARDS / f"{model}.json").read_text())


def read() -> dict[str, Record]:
    """Key -> Record; ``refused`` in place of values where the command said why it would not."""
    return json.loads(RECORDS.read_text()) if RECORDS.is_file() else {}


def write(records: dict[str, Record]) -> None:
    """One line a Record."""
    lines = (f"{json.dumps(key)}: {json.dumps(records[key])}" for key in sorted(records))
    RECORDS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def run(roots: dict[str, str]) -> None:
    """Run what has no Record of these weights, by today's version of the benchmark, yet."""
    for job in jobs():
        records = read()
        weights = _card(job.model)["weights_hash"]
        keys = {each: job.key(each) for each in job.benchmarks}
        keys = {each: k for each, k in keys.items() if not _current(records.get(k), each, weights)}
        if not keys:
            continue
        job = replace(job, benchmarks=tuple(keys))
        shown = {name: Path(root).name for name, root in roots.items()}
        said = " ".join(["unlazy", *job.words(shown)])
        sys.stderr.write(f"{said}\n")
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "bench"
            words = [*job.words(roots), "-o", str(output)]
            done = subprocess.run(
                [sys.executable, "-m", "unlazy", *words], capture_output=True, text=True
            )
            for benchmark, key in keys.items():
                if done.returncode:
                    said_why = done.stderr.rpartition("unlazy: ")[2]  # after the progress bars
                    about = {"version": find("benchmarks", benchmark).version}
                    records[key] = {"refused": " ".join(said_why.split()), "benchmark": about}
                else:
                    records[key] = json.loads((output / f"{benchmark}.json").read_text())
                    records[key]["benchmark"].pop("published")
                records[key] |= {"command": said, "weights_hash": weights}
        write(records)


def _current(record: Record | None, benchmark: str, weights: str) -> bool:
    if record is None or "benchmark" not in record:
        return False
    known = record["weights_hash"], record["benchmark"]["version"]
    return known == (weights, find("benchmarks", benchmark).version)


def value(key: str, measure: str, number: str) -> float:
    """A number of a Record."""
    return read()[key]["values"][measure][number]["value"]


def interval(key: str, measure: str, number: str) -> str:
    """A share of a Record with its interval, for sentences."""
    return f"{percent(read()[key], measure, number)} %"


def percent(record: Record | None, measure: str, number: str) -> str:
    """A share with its interval; a dash where there is none."""
    found = (record or {}).get("values", {}).get(measure, {}).get(number)
    if found is None:
        return "–"
    text = f"{found['value'] * 100:.1f}"
    if found["low"] is None:
        return text
    return f"{text} ({found['low'] * 100:.1f}–{found['high'] * 100:.1f})"


Column = tuple[str, str, str]


def table(data: str, benchmark: str, columns: Sequence[Column], *settings: str) -> str:
    """A row a bundled model; one of random weights where that was run."""
    records = read()
    rows = []
    for model in (*names(), *(f"{name}{CONTROL}" for name in names())):
        record = records.get(Job(model, data, (), settings).key(benchmark))
        if record is not None:
            rows.append([model, *(percent(record, *where) for _, *where in columns)])
    return markdown(["model", *(title for title, *_ in columns)], rows)


def fixes_table(columns: Sequence[tuple[str, str, str, str]]) -> str:
    """Each fix against the model as it is; in words where the fix refused."""
    records, rows = read(), []
    for job in (job for job in jobs() if job.data == "tiny-imagenet" and not job.settings):
        if job.benchmarks != ("point-in-box", "discovery"):
            continue
        found = [(records.get(job.key(benchmark)), *rest) for _, benchmark, *rest in columns]
        if found[0][0] is None or (job.fix is None and job.model not in FIXED):
            continue
        if "refused" in found[0][0]:
            cells = ["refused: see below", *["–"] * (len(found) - 1)]
        else:
            cells = [percent(*each) for each in found]
        rows.append([job.model, job.fix or "as it is", *cells])
    return markdown(["model", "fix", *(title for title, *_ in columns)], rows)


def view(data: str, benchmark: str) -> list[Any]:
    """How every Record of a benchmark saw its pictures: fit, and side before cropping or padding.

    Raises:
        ValueError: not all saw them alike.
    """
    keys = (key for key in read() if key.split()[1:3] == [data, benchmark])
    views = [read()[key]["parameters"]["view"] for key in keys]
    found = [[each["fit"], each["resize"]] for each in views]
    if any(each != found[0] for each in found):
        raise ValueError(f"{benchmark} on {data} was run with several views: {found}")
    return found[0]


def has(word: str) -> bool:
    """Whether there is a Record of a benchmark, or under a fix."""
    return any(word in key.split() for key in read())


def refusals() -> list[str]:
    """What commands said that would not run, once each."""
    said = (record["refused"] for record in read().values() if "refused" in record)
    return sorted(set(said))


def commands() -> list[str]:
    """Those of the page, once each."""
    return sorted({record["command"] for record in read().values()})


def picture(path: Path) -> None:
    """Drawn scenes: found boxes of four methods, and the patch score of two models."""
    import matplotlib

    matplotlib.use("svg")
    from localisation_picture import draw

    draw(path)


def page() -> str:
    """The page as text."""
    tools: dict[str, Callable[..., Any]] = {
        "table": table,
        "fixes_table": fixes_table,
        "value": value,
        "holds": holds,
        "interval": interval,
        "refusals": refusals,
        "commands": commands,
        "has": has,
        "view": view,
    }
    return render(EVIDENCE / "localisation.md.j2", tools)


def main() -> None:
    """Run, or write the page."""
    if sys.argv[1:2] == ["run"]:
        run({"tiny-imagenet": sys.argv[2], "coco128": sys.argv[3]})
        return
    picture(EVIDENCE / "localisation_scenes.png")
    (EVIDENCE / "localisation.md").write_text(page())


if __name__ == "__main__":
    main()
