"""``python -m performance [--only NAME] [--quick] [-o FILE]``: print a table, write a JSON."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from performance import (
    attention,
    discovery,
    discovery_forward,
    fixes,
    memory,
    point_in_box,
    pooling,
    probes,
    report,
    shards,
)
from performance.figures import Figure, table
from performance.machine import machine, sentence

BENCHMARKS: dict[str, Callable[[bool], list[Figure]]] = {
    "report": report.figures,
    "attention": attention.figures,
    "memory": memory.figures,
    "pooling": pooling.figures,
    "fixes": fixes.figures,
    "discovery": discovery.figures,
    "discovery-forward": discovery_forward.figures,
    "point-in-box": point_in_box.figures,
    "shards": shards.figures,
    "probes": probes.figures,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m performance", description=__doc__)
    parser.add_argument("--only", choices=BENCHMARKS, help="one benchmark instead of all")
    parser.add_argument("--quick", action="store_true", help="tiny settings: shows that it runs")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/performance.json"))
    given = parser.parse_args()
    console, where = Console(), machine()
    console.print(sentence(where))
    found = {"machine": where, "quick": given.quick, "benchmarks": {}}
    for name in [given.only] if given.only else BENCHMARKS:
        before = time.perf_counter()
        figures = BENCHMARKS[name](given.quick)
        console.print(table(f"{name} ({time.perf_counter() - before:.0f} s)", figures))
        found["benchmarks"][name] = [each.as_json() for each in figures]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(found, indent=1))
    console.print(f"wrote {given.output}")


if __name__ == "__main__":
    main()
