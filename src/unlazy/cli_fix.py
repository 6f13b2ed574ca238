"""The ``fix`` command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unlazy.arguments import Images, PageOutput
from unlazy.console import progress
from unlazy.inputs import (
    Options,
    Weights,
    backbone_of,
    calibrated,
    dataset_of,
    device_of,
    own_weights,
)


def fix(
    name: str,
    model: str,
    images: Images,
    /,
    *,
    output: PageOutput = Path("runs/fix"),
    settings: Annotated[
        list[str],
        Parameter(
            name="--set", negative="", help="KEY=VALUE of the fix, e.g. neurons=50; again for more."
        ),
    ] = [],  # noqa: B006
    weights: Weights = Weights(),
    options: Options = Options(),
) -> None:
    """Calibrate the fix NAME for MODEL on IMAGES; fixed:OUTPUT is then the fixed model.

    A few hundred images are enough. See `unlazy list fixes`.
    """
    from unlazy import distributed
    from unlazy.fixes.files import Made
    from unlazy.fixes.settings import with_settings
    from unlazy.report.calibration import write_fix
    from unlazy.report.write import claim

    chosen = with_settings(name, settings)
    dataset = dataset_of(images, options.data)
    with distributed.started():
        if distributed.on_main():
            claim(output)
        backbone = backbone_of(model, weights, options.size).to(device_of(options.device))
        found, record = calibrated(chosen, backbone, dataset, images, options, progress)
        if distributed.on_main():
            plain, own = own_weights(model)
            file = own or weights.checkpoint
            origin = file.resolve() if file else "random" if weights.random else "pretrained"
            made = Made(plain, str(origin), backbone.fingerprint(), options.size)
            write_fix(found, record, made, output)
            for sentence in record.verdict:
                print(f"- {sentence}")
            for item in record.skipped:
                print(f"skipped {item['name']}: {item['reason']}", file=sys.stderr)
            print(f"\nfixed model: fixed:{output}")
