"""The command that measures again what a Record holds."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from unlazy.catalog import find, table
from unlazy.report.record import Record, plain


def command_of(
    record: Record, model: str, *, others: Sequence[str] = (), options: Sequence[str] = ()
) -> str:
    """Line for a shell, rebuilt from a Record of claims or of a probe; ROOT is the data's folder.

    Args:
        record: of ``unlazy claims`` or ``unlazy probe``.
        model: MODEL.
        others: further MODELs that were judged with it.
        options: that the models are loaded with.
    """
    kind, source = record.benchmark["name"], str(record.data["source"])
    claims = kind == "claims"
    words = ["unlazy", "claims", model, *others] if claims else ["unlazy", "probe", model, kind]
    words += options
    if _below_root(source):
        words += ["--data", "ROOT"]
    words += ["--on", source]
    if claims:
        words += ["--pictures", str(record.data["n"] + record.data.get("skipped", 0))]
    else:
        words += [word for each in _settings(record, kind) for word in ("--set", each)]
    seed = record.environment["seed"]
    return shlex.join([*words, *(["--seed", str(seed)] if seed else [])])


def _below_root(source: str) -> bool:
    """Whether a data set is one that lies in a folder; one from a Python file is not asked."""
    kind = source.partition(":")[0]
    if ".py:" in source or kind not in table("data"):
        return False
    return "root" in inspect.signature(find("data", kind)).parameters


def _settings(record: Record, probe: str) -> Iterator[str]:
    """KEY=VALUE of a probe where it is not the default."""
    default = plain(find("probes", probe)())
    for key, value in record.parameters.get(probe, {}).items():
        if key in default and value != default[key]:
            yield f"{key}={_text(value)}"


def _text(value: Any) -> str:
    """A value as ``--set`` reads it.

    >>> _text([0.1, 1.0]), _text(None), _text("pixels")
    ('0.1,1.0', 'none', 'pixels')
    """
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
