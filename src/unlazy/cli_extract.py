"""The ``extract`` command."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from unlazy.arguments import FixName, Output
from unlazy.console import progress, tell_fix
from unlazy.inputs import (
    Mistake,
    Options,
    Weights,
    backbone_of,
    dataset_of,
    device_of,
    fixed_of,
    view_of,
    workers_of,
)

IMAGE = "image"
SITE = re.compile(r"(norm of )?\s*([a-z_]+)\s*(?:\(\s*(-?\d+)\s*\))?")


def extract(
    model: str,
    images: Annotated[list[str], Parameter(help="Folders, files, globs or data:NAME.")],
    /,
    *,
    sites: Annotated[
        list[str],
        Parameter(
            consume_multiple=True,
            help="What to store: final, 'block(-1)', 'norm of block(3)', shared, image, ...",
        ),
    ],
    output: Output = Path("runs/extract"),
    dtype: Annotated[
        Literal["float16", "bfloat16", "float32"], Parameter(help="In which numbers are stored.")
    ] = "float16",
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"],
        Parameter(help="In which numbers the model computes where that is safe (autocast)."),
    ] = "float32",
    fix: FixName = None,
    weights: Weights = Weights(),
    options: Options = Options(),
) -> None:
    """Store MODEL's tokens on IMAGES, at sites, as safetensors with a JSON manifest in OUTPUT.

    Started again, it goes on where it was; also under torchrun -m unlazy extract. A fix that is
    named is calibrated on IMAGES.
    """
    import torch

    from unlazy import distributed
    from unlazy.report.write import claim
    from unlazy.shards import extract as extract_shards

    _check(options)
    wanted = tokens_at(sites)
    dataset = dataset_of(images, options.data)
    with distributed.started():
        backbone = backbone_of(model, weights, options.size)
        wanted.check(backbone.facts)
        backbone.to(device_of(options.device))
        if distributed.on_main():
            claim(output)
        if fix is not None:
            backbone = tell_fix(fixed_of(fix, backbone, dataset, images, options, progress))
        backbone.precision = None if precision == "float32" else getattr(torch, precision)
        with progress("extracting") as (bar, task):
            bar.update(task, total=len(distributed.shard(len(dataset))))
            found = extract_shards(
                backbone,
                dataset,
                [wanted],
                folder=output,
                view=view_of(backbone, options),
                dtype=getattr(torch, dtype),
                source=" ".join(images),
                batch_size=options.batch_size,
                workers=workers_of(options.workers),
                progress=lambda done: bar.update(task, advance=done),
            )
        if distributed.on_main():
            _tell(found)


def tokens_at(texts: Sequence[str]) -> Any:
    """What to store, from sites as they are printed, and ``image``.

    Raises:
        Mistake: no such site; near ones are named.
    """
    from unlazy.shards import TokensAt

    sites = tuple(site_of(text) for text in texts if text != IMAGE)
    return TokensAt(sites, image=IMAGE in texts)


def site_of(text: str) -> Any:
    """A site from its text.

    >>> site_of("norm of block(-1)")
    Site(stream='block', layer=-1, norm=True)

    Raises:
        Mistake: no such site; near ones are named.
    """
    from unlazy.catalog import suggest
    from unlazy.tokens import LAYERED, STREAMS, Site

    known = [f"{each}(-1)" if each in LAYERED else each for each in STREAMS]
    found = SITE.fullmatch(text)
    norm, stream, layer = found.groups() if found else ("", "", None)
    if not found or stream not in STREAMS:
        near = suggest(text, [*known, IMAGE])
        raise Mistake(f"no site is called {text!r}; {near} (in the brackets, a block from 0 or -1)")
    if layer is None and stream in LAYERED:
        raise Mistake(f"{text} is in every block; say which, for example {text}(-1) for the last")
    if layer is not None and stream not in LAYERED:
        raise Mistake(f"{stream} is in no block; write {stream} instead of {text}")
    return Site(stream, int(layer or 0), norm=bool(norm))


def _check(options: Options) -> None:
    """Options that would change nothing are refused."""
    default = Options()
    if options.shown != default.shown or options.seed != default.seed:
        raise Mistake("extract shows no pictures and draws none; --shown and --seed do not apply")
    if options.batch_size is not None and options.batch_size < 1:
        raise Mistake("--batch-size must be at least 1")


def _tell(found: Any) -> None:
    """What is stored, and what was skipped."""
    shards = found.manifest["shards"]
    for key, rows in found.manifest["keys"].items():
        shape = (
            "x".join(map(str, rows["shape"])) if rows["shape"] is not None else "of their own shape"
        )
        print(f"- {key}: {rows['n']} rows {shape}, {rows['dtype']}")
    for item in found.manifest["skipped"]:
        print(f"skipped {item['name']}: {item['reason']}", file=sys.stderr)
    total = sum(shard["bytes"] for shard in shards) / 1e6
    print(f"\n{len(found)} pictures in {len(shards)} shards, {total:,.1f} MB: {found.folder}")
