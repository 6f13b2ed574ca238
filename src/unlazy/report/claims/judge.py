"""From evidence of all models to verdicts, and the Record of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unlazy.report.claims.across import growth, registers
from unlazy.report.claims.answer import CLAIMS, Answer, Thresholds
from unlazy.report.claims.content import content
from unlazy.report.claims.earlier import written_earlier
from unlazy.report.claims.evidence import Evidence
from unlazy.report.claims.families import control_of
from unlazy.report.claims.single import artifacts, redundancy
from unlazy.report.energy import Energy
from unlazy.report.record import Record

ALSO = "Also holds for random weights, so it says nothing about training."
ALSO_BY_LABEL = (
    "By the label alone (top 2 % by norm) it would hold, for random weights too, so the label says"
    " nothing about training."
)


@dataclass(frozen=True)
class Judged:
    """A model with the answers to the five claims, in order."""

    evidence: Evidence
    answers: tuple[Answer, ...]

    def hours(self) -> float:
        """Wall time of all that was measured of the model."""
        return self.evidence.seconds / 3600

    def record(self, energy: Energy = Energy()) -> Record:
        """Numbers, verdicts and circumstances."""
        evidence, found = self.evidence, self.evidence.findings.record
        claims = [
            {"title": claim.title, "test": claim.test, **dataclasses.asdict(answer)}
            for claim, answer in zip(CLAIMS, self.answers, strict=True)
        ]
        spent = {"hours_of_everything": self.hours(), **energy.spent(self.hours())}
        return dataclasses.replace(
            found,
            model={**found.model, "parameters": evidence.parameters, "control": evidence.control},
            benchmark={**found.benchmark, "claims": claims, "not_run": dict(evidence.not_run)},
            timing={**found.timing, **spent},
            verdict=tuple(
                f"Claim {each.claim}: {each.verdict}. {each.reason} {each.flag}".strip()
                for each in self.answers
            ),
        )

    def records(self, energy: Energy) -> dict[str, Record]:
        """``record``, of the verdicts, and by name those of probes and benchmarks."""
        others = {name: outcome.record for name, outcome in self.evidence.outcomes.items()}
        return {"record": self.record(energy), **others}


def judge(everyone: Sequence[Evidence], thresholds: Thresholds = Thresholds()) -> list[Judged]:
    """The five answers of every model; those with random weights are controls of the others."""
    found = {id(each): _answers(each, everyone, thresholds) for each in everyone}
    judged = []
    for each in everyone:
        control = control_of(each, everyone)
        beside = None if control is None else found[id(control)]
        judged.append(Judged(each, _flagged(found[id(each)], beside)))
    return judged


def _answers(
    one: Evidence, everyone: Sequence[Evidence], thresholds: Thresholds
) -> tuple[Answer, ...]:
    return (
        artifacts(one, thresholds),
        growth(one, everyone, thresholds),
        redundancy(one, thresholds),
        content(one, thresholds),
        registers(one, everyone, thresholds),
    )


def _flagged(answers: Sequence[Answer], controls: Sequence[Answer] | None) -> tuple[Answer, ...]:
    """The answers, with what random weights of the same model say of them."""
    if controls is None:
        return tuple(answers)
    return tuple(
        dataclasses.replace(answer, flag=_flag(answer, control))
        for answer, control in zip(answers, controls, strict=True)
    )


def _flag(answer: Answer, control: Answer) -> str:
    said = {control.verdict, control.by_label}
    if answer.verdict == "holds" and "holds" in said:
        return ALSO
    return ALSO_BY_LABEL if answer.by_label == "holds" and "holds" in said else ""


def write_records(
    judged: Sequence[Judged], out: Path, suffixes: Sequence[str], energy: Energy
) -> None:
    """``record-NAME.json`` of each model, and ``PROBE-NAME.json`` of what was run besides.

    What an earlier run wrote there, of whichever models, goes; other files stay.

    Raises:
        OSError: the folder cannot be written.
    """
    earlier, written = written_earlier(out), set()
    for each, suffix in zip(judged, suffixes, strict=True):
        for name, record in each.records(energy).items():
            path = out / f"{name}{suffix}.json"
            record.write(path)
            written.add(path)
    for old in earlier - written:
        old.unlink(missing_ok=True)
