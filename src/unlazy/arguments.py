"""Arguments that several commands take, as the command line declares them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Images = Annotated[
    list[str],
    Parameter(help="Folders, files, globs, data:photos, data:scenes, or another data:NAME."),
]
BenchmarkName = Annotated[str, Parameter(help="Names; see `unlazy list benchmarks`.")]
DataName = Annotated[
    str | None,
    Parameter(help="The data set: NAME or NAME:SPLIT; default: what DATA is recognised as."),
]
FixName = Annotated[
    str | None, Parameter(help="MODEL under a fix: its name, or a saved one's folder.")
]
BenchmarkSettings = Annotated[
    list[str],
    Parameter(
        name="--set",
        negative="",
        help="KEY=VALUE of every benchmark that has KEY, e.g. rule=center.",
    ),
]
OUTPUT = ["-o", "--output"]
Output = Annotated[Path, Parameter(name=OUTPUT)]
PageOutput = Annotated[Path, Parameter(name=OUTPUT, help="Folder for page and Records.")]
