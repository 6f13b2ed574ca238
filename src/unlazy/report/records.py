"""Records of claims and threshold sweeps, read for the report of their model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from unlazy.backbones.base import Backbone
from unlazy.benchmarks.probe_sweep import sets_of
from unlazy.fixes.files import parameters as settings_of
from unlazy.report.again import command_of
from unlazy.report.claims.answer import answers_of
from unlazy.report.findings import Beside
from unlazy.report.record import NoRecord, Record, plain, read_record

CLAIMS, SWEEP = "claims", "threshold-sweep"
KINDS = (CLAIMS, SWEEP)
"""What a report shows, by the name in a Record's ``benchmark``."""
WRITTEN = f"`unlazy claims MODEL` and `unlazy probe MODEL {SWEEP}` write them"

Found = tuple[tuple[Path, Record], ...]


def read(places: Iterable[Path]) -> list[Found]:
    """(file, Record) of the claims and threshold sweeps in each place; other Records are left.

    Args:
        places: files, or folders that a command wrote.

    Raises:
        ValueError: a place is missing or holds none, or a file in it is damaged; the message names
            it.
    """
    return [_in(place) for place in places]


def _in(place: Path) -> Found:
    if not place.exists():
        raise ValueError(f"there is no {place}; give a folder of Records: {WRITTEN}")
    found, others = [], set()
    for path in sorted(place.glob("*.json")) if place.is_dir() else [place]:
        with suppress(NoRecord):
            record = read_record(path)
            kind = record.benchmark["name"]
            if kind in KINDS:
                _check(path, record)
                found.append((path, record))
            else:
                others.add(str(kind))
    if not found:
        holds = f"Records of {', '.join(sorted(others))}, but none" if others else "no Record"
        raise ValueError(f"{place} holds {holds} of the claims or a threshold sweep; {WRITTEN}")
    return tuple(found)


def _check(path: Path, record: Record) -> None:
    """That a Record has what the page shows of it."""
    try:
        if record.benchmark["name"] == CLAIMS:
            answers_of(record.benchmark["claims"])
        elif not any(sets_of(record.values["threshold_sweep"])):
            raise ValueError("no set of tokens")
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is no whole Record ({error}); measure it again, or leave it out"
        ) from error


def of_model(
    found: Sequence[Found], backbone: Backbone, *, model: str, options: Sequence[str] = ()
) -> tuple[Beside, ...]:
    """Those that are of a model: of each place and kind at least one, or it is refused.

    Args:
        found: as ``read`` gives them.
        backbone: the model, as it is measured.
        model: MODEL, as the command line names it.
        options: that it is loaded with there.

    Raises:
        ValueError: a place has Records of other models only: of other weights, under another fix,
            or read in another way; the message names both.
    """
    own: dict[Path, Record] = {}
    weights = backbone.fingerprint()  # which reads all of them
    for place in found:
        for kind in KINDS:
            several = tuple(each for each in place if each[1].benchmark["name"] == kind)
            mine = [each for each in several if not differences(each[1], backbone, weights)]
            if several and not mine:
                raise ValueError(_refusal(several, backbone, weights))
            own |= {path.resolve(): record for path, record in mine}
    return tuple(
        _beside(path, record, model=model, options=options) for path, record in own.items()
    )


def differences(record: Record, backbone: Backbone, weights: str) -> list[str]:
    """In what the model of a Record is another one; its name and where weights are from are none.

    Facts that one of the two does not know, as of another version of this package, are left out.
    ``weights`` is the backbone's fingerprint.
    """
    if record.model["weights_hash"] != weights:
        return ["weights"]
    settings = backbone.fix_settings
    fixed = None if settings is None else plain(settings_of(settings))
    if (record.fix, record.parameters.get("fix")) != (backbone.fix, fixed):
        return ["fix"]
    facts = plain(dataclasses.asdict(backbone.facts))
    common = (facts.keys() & record.model.keys()) - {"name", "weights"}
    return sorted(key for key in common if facts[key] != record.model[key])


def _refusal(several: Found, backbone: Backbone, weights: str) -> str:
    path, first = several[0]
    place = path if len(several) == 1 else path.parent
    names = dict.fromkeys(
        _named(each.model["name"], each.model["weights_hash"], each.fix) for _, each in several
    )
    own = _named(backbone.facts.name, weights, backbone.fix)
    other = ", ".join(differences(first, backbone, weights))
    return (
        f"{place} is of {' and '.join(names)}; this report is of {own} (other {other});"
        " give Records of the same model, or leave out --records"
    )


def _named(name: str, weights: str, fix: str | None) -> str:
    return f"{name}, weights {weights}{f', under {fix}' if fix else ''}"


def _beside(path: Path, record: Record, *, model: str, options: Sequence[str]) -> Beside:
    """A Record with the other models that were judged with it, if any."""
    others = _judged_with(path) if record.benchmark["name"] == CLAIMS else []
    controls = any(each.model.get("control") for each in (record, *others))
    names = dict.fromkeys(each.model["name"] for each in others if not each.model.get("control"))
    command = command_of(
        record,
        model,
        others=[name for name in names if name != record.model["name"]],
        options=[*options, *(["--random"] if controls and "--random" not in options else [])],
    )
    called = (
        each.model["name"] + (", random weights" if each.model.get("control") else "")
        for each in others
    )
    return Beside(path, record, command, tuple(called))


def _judged_with(path: Path) -> list[Record]:
    """The other Records of claims in the folder of one; files that are none are left out."""
    found = []
    for file in sorted(path.parent.glob("*.json")):
        with suppress(ValueError, OSError):
            record = read_record(file)
            if record.benchmark["name"] == CLAIMS and file.resolve() != path:
                found.append(record)
    return found
