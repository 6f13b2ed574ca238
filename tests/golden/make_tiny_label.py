"""Makes tiny_label.json: python tests/golden/make_tiny_label.py. Never to get a test green."""

import json
from pathlib import Path

from unlazy import View, investigate, load_backbone
from unlazy.data.synthetic import Scenes

GOLDEN = Path(__file__).with_name("tiny_label.json")


def values() -> dict[str, dict[str, float]]:
    """What a report on 12 drawn scenes concludes, without intervals."""
    scenes = Scenes(count=12, size=(64, 64), seed=5)
    backbone = load_backbone("bundled:tiny-label")
    found = investigate(backbone, scenes, source="scenes", view=View((64, 64)), workers=0)
    return {
        measure: {
            key: float(f"{estimate.value:.6g}")
            for key, estimate in numbers.items()
            # counts of 20 resamples: one may tip on another processor
            if key != "agreement" and not key.startswith("redrawn_")
        }
        for measure, numbers in found.record.values.items()
    }


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(values(), indent=1) + "\n")
