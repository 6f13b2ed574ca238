"""Records of earlier runs, found again where nothing that their numbers depend on changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from unlazy.inputs import Options


def identity_of(backbone: Any, data: Any, benchmark: Any, options: Options) -> str:
    """What the numbers depend on: another one is measured anew; "" where that cannot be told."""
    from unlazy.identity import Unidentified, identity

    about = {"benchmark": benchmark, "version": benchmark.version, "seed": options.seed}
    about |= {"training": data.learned_from}
    try:
        view = benchmark.view(backbone.facts)
        return identity(backbone, data.of(benchmark), [], view=view, about=about)
    except Unidentified:
        return ""


def measured_before(path: Path, known: str) -> Any:
    """The Record of an earlier run of the same identity, if it is there; else None."""
    mark = _mark(path)
    if not known or not path.is_file() or not mark.is_file():
        return None
    return json.loads(path.read_text()) if mark.read_text() == _marked(path, known) else None


def mark_measured(path: Path, known: str) -> None:
    """Say of a Record what its numbers depend on."""
    from unlazy.whole_files import write_whole

    write_whole(_mark(path), _marked(path, known).encode())


def _mark(path: Path) -> Path:
    return path.with_name(f".{path.stem}.identity")


def _marked(path: Path, known: str) -> str:
    """Identity, and a hash of the Record itself: another one may have taken its place."""
    return f"{known} {hashlib.sha256(path.read_bytes()).hexdigest()}"
