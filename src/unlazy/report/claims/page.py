"""The page of verdicts: claims by models, then each claim with what its verdicts rest on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unlazy.report import figures, numbers
from unlazy.report.claims.across import millions
from unlazy.report.claims.answer import CLAIMS, Answer, Thresholds
from unlazy.report.claims.judge import Judged
from unlazy.report.claims.shown import badge, shown
from unlazy.report.claims.sizes import sizes
from unlazy.report.energy import Energy
from unlazy.report.meanings import readable
from unlazy.report.page import fill
from unlazy.whole_files import write_whole


def write_claims(
    judged: Sequence[Judged], out: Path, energy: Energy, failed: Mapping[str, str] | None = None
) -> Path:
    """Write ``index.html`` into the folder ``out``; returns its path.

    Args:
        judged: the models.
        out: the folder.
        energy: what turns hours into energy.
        failed: label -> why a model was not measured.

    Raises:
        OSError: the folder cannot be written; a page that was there stays.
    """
    path = out / "index.html"
    write_whole(path, render(judged, energy, failed or {}).encode())
    return path


def render(judged: Sequence[Judged], energy: Energy, failed: Mapping[str, str]) -> str:
    """The page as text; arguments as for ``write_claims``."""
    first = judged[0].evidence
    trained = [each for each in judged if not each.evidence.control]
    count = f"{len(trained)} model{'s' if len(trained) != 1 else ''}"
    return fill(
        "claims.html.j2",
        {
            "kind": "claims",
            "first": "verdicts",
            "title": f"Five claims about high-norm patches, {count}",
            "source": str(first.findings.record.data["source"]),
            "pictures": sorted({each.evidence.pictures for each in judged}),
            "spent": energy.said(sum(each.hours() for each in judged)),
            "energy_stated": energy.power is not None,
            "failed": failed,
            "models": [_model(each, energy) for each in judged],
            "claims": [_claim(place, judged) for place in range(len(CLAIMS))],
            "thresholds": [
                (name.replace("_", " "), readable(value), meaning, source)
                for name, value, meaning, source in Thresholds().stated()
            ],
        },
    )


def _model(one: Judged, energy: Energy) -> dict[str, Any]:
    """What a column of the summary is, and its circumstances."""
    evidence, record = one.evidence, one.record(energy)
    plain = json.loads(record.to_json())
    problems = plain["data"].pop("problems", {})
    parts = ("model", "data", "parameters", "timing", "environment")
    skipped = [item for each in one.records(energy).values() for item in each.skipped]
    return {
        "label": evidence.label,
        "control": evidence.control,
        "parameters": millions(evidence.parameters),
        "registers": evidence.facts.num_registers,
        "badges": [badge(each) for each in one.answers],
        "skipped": list({item["name"]: item for item in skipped}.values()),
        "problems": problems,
        "tables": numbers.tables([evidence.findings]),
        "sections": [(part, numbers.flattened(plain[part])) for part in parts],
    }


def _claim(place: int, judged: Sequence[Judged]) -> dict[str, Any]:
    """One section: the claim, its test, every model's answer, plots."""
    claim = CLAIMS[place]
    return {
        "number": claim.number,
        "title": claim.title,
        "test": claim.test,
        "answers": [_answer(turn, each, each.answers[place]) for turn, each in enumerate(judged)],
        "sizes": sizes([each.evidence for each in judged], Thresholds()) if place == 1 else None,
    }


def _answer(turn: int, one: Judged, answer: Answer) -> dict[str, Any]:
    """One model's answer to one claim."""
    findings = one.evidence.findings
    plot = {
        1: lambda: figures.histogram(findings, name=f"norms{turn}"),
        3: lambda: figures.neighbour_plot(findings, name=f"neighbours{turn}"),
    }.get(answer.claim, str)()
    titles = {1: "Norms of all patches", 3: "Likeness to neighbours"}
    title = titles.get(answer.claim, "")
    return {
        **shown(answer, label=one.evidence.label, plot=plot, plot_title=title),
        "control": one.evidence.control,
    }
