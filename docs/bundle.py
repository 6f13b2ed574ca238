"""Put a finished run into the package: ``python docs/bundle.py RUN NAME --data ROOT``.

Weights in half precision, and the card, measured anew on them with Tiny ImageNet below ROOT.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from unlazy.data.tiny_imagenet import TinyImageNet
from unlazy.report.card import Splits, bundle

BUNDLED = Path(__file__).parents[1] / "src" / "unlazy" / "bundled"


def main() -> None:
    """Parse and bundle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    training, validation = (TinyImageNet(given.data, split) for split in ("train", "val"))
    splits = Splits("tiny-imagenet", training, validation)
    bundle(given.run, splits, BUNDLED, given.name)


if __name__ == "__main__":
    main()
