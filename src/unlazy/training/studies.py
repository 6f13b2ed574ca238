"""Studies: many small runs, where one thing after another is varied.

Each run's card is a Record; ``docs/evidence/training.md`` is written from them. A study that was
stopped goes on where it was.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from unlazy.backbones.vit import ViTConfig
from unlazy.data.synthetic import Scenes
from unlazy.training.kinds import LabelRecipe, SceneRecipe
from unlazy.training.recipes import scene_recipe

SEEDS = (0, 1, 2)
DRAWN = Scenes(count=4000, size=(64, 64), seed=1)
LAZYSTRIKE: dict[str, Any] = {"pool": "lazy_strike", "keep": 1}
KEEPS = {"1": 1, "eighth": 1 / 8, "quarter": 1 / 4, "half": 1 / 2, "all": 1.0}
POOLS: dict[str, dict[str, Any]] = {
    "cls": {},
    "max": {"pool": "max"},
    "lazystrike": LAZYSTRIKE,
    "lazystrike-half": LAZYSTRIKE | {"keep": 0.5},
}


def scenes_pools() -> tuple[SceneRecipe, ...]:
    """Every pool, and LazyStrike (released reading) with 1 patch to all in each channel; 3 seeds.

    Data: drawn scenes, as ``tiny_scenes``.
    Cost: a minute a run on one CPU core, 30 runs.
    Expected: docs/evidence/training.md.
    Command: ``unlazy train scenes_pools``
    """
    pools: dict[str, dict[str, Any]] = {
        name: {"pool": name} for name in ("cls", "mean", "max", "attention", "simpool")
    }
    pools |= {f"lazystrike-{word}": LAZYSTRIKE | {"keep": keep} for word, keep in KEEPS.items()}
    return _seeds(pools)


def scenes_readings() -> tuple[SceneRecipe, ...]:
    """The other readings of LazyStrike's formula, and a control with redrawn channels; 3 seeds.

    Data: drawn scenes, as ``tiny_scenes``.
    Cost: a minute a run on one CPU core, 39 runs.
    Expected: docs/evidence/training.md.
    Command: ``unlazy train scenes_readings``
    """
    found = {
        f"{reading}-{word}": LAZYSTRIKE | {"reading": reading, "keep": keep}
        for reading in ("paper", "alg1", "token")
        for word, keep in KEEPS.items()
        if word != "all"  # where nothing is left out, every reading is the mean
    }
    return _seeds(found | {"redrawn-1": LAZYSTRIKE | {"shuffle": 0}})


def scenes_difficulty() -> tuple[SceneRecipe, ...]:
    """Small and large objects, no clutter and much, and a class that two patches tell together.

    Data: drawn scenes, as ``tiny_scenes``.
    Cost: a minute a run on one CPU core, 20 runs.
    Expected: docs/evidence/training.md.
    Command: ``unlazy train scenes_difficulty``
    """
    kinds: dict[str, dict[str, Any]] = {
        "small-objects": {"object_size": (0.25, 0.4)},
        "large-objects": {"object_size": (0.6, 0.9)},
        "no-clutter": {"clutter": 0},
        "much-clutter": {"clutter": 20},
        "pair": {"cue": "pair", "object_size": (0.6, 0.9)},
    }
    return tuple(
        dataclasses.replace(
            scene_recipe(f"{kind}-{name}", **model, **_classes(drawing)),
            scenes=dataclasses.replace(DRAWN, **drawing),
        )
        for kind, drawing in kinds.items()
        for name, model in POOLS.items()
    )


def scenes_length() -> tuple[SceneRecipe, ...]:
    """Half, twice and four times as many epochs.

    Data: drawn scenes, as ``tiny_scenes``.
    Cost: a minute a run on one CPU core, 12 runs, of half to four times the epochs.
    Expected: docs/evidence/training.md.
    Command: ``unlazy train scenes_length``
    """
    return tuple(
        dataclasses.replace(scene_recipe(f"{epochs}-epochs-{name}", **model), epochs=epochs)
        for epochs in (3, 12, 24)
        for name, model in POOLS.items()
    )


def scenes_tokens() -> tuple[SceneRecipe, ...]:
    """Smaller and larger patches, windows in all blocks with CLS leaking or not, registers.

    Data: drawn scenes, as ``tiny_scenes``.
    Cost: a minute a run on one CPU core, 19 runs; small patches cost more.
    Expected: docs/evidence/training.md.
    Command: ``unlazy train scenes_tokens``
    """
    windows = {"windows": (0, 1, 2, 3), "window": 4}
    kinds: dict[str, dict[str, Any]] = {
        "patch-4": {"patch_size": 4},
        "patch-16": {"patch_size": 16},
        "windows-leak": windows,
        "windows": windows | {"class_token": False},
        "registers": {"registers": 4},
    }
    return tuple(
        scene_recipe(f"{kind}-{name}", **settings, **model)
        for kind, settings in kinds.items()
        for name, model in POOLS.items()
        if not (name == "cls" and not settings.get("class_token", True))
    )


def scenes_scale() -> tuple[SceneRecipe, ...]:
    """A wider and a deeper model, pictures of twice the side, and four times as many of them.

    Data: drawn scenes, as ``tiny_scenes``; larger objects in larger pictures.
    Cost: three to six minutes a run on one CPU core, 16 runs.
    Expected: docs/evidence/training.md.
    Command: ``unlazy train scenes_scale``
    """
    kinds: dict[str, tuple[dict[str, Any], Scenes]] = {
        "width-192": ({"embed_dim": 192}, DRAWN),
        "depth-12": ({"depth": 12}, DRAWN),
        "128-px": ({"img_size": 128}, dataclasses.replace(DRAWN, size=(128, 128))),
        "16000-scenes": ({}, dataclasses.replace(DRAWN, count=16_000)),
    }
    return tuple(
        dataclasses.replace(scene_recipe(f"{kind}-{name}", **settings, **model), scenes=scenes)
        for kind, (settings, scenes) in kinds.items()
        for name, model in POOLS.items()
    )


def tiny_pools() -> tuple[LabelRecipe, ...]:
    """Pools on real pictures: 24 classes, more epochs than ``tiny_label``; one seed.

    Data: Tiny ImageNet, its first 24 classes (12,000 pictures).
    Cost: 12 minutes a run on one CPU core (110 to 137 images/s), 9 runs.
    Expected: docs/evidence/training.md, of six of them.
    Command: ``unlazy train tiny_pools --data tiny-imagenet-200``
    """
    pools: dict[str, dict[str, Any]] = {
        "cls": {},
        "mean": {"pool": "mean"},
        "max": {"pool": "max"},
        "registers": {"registers": 4},
    }
    pools |= {f"lazystrike-{word}": LAZYSTRIKE | {"keep": keep} for word, keep in KEEPS.items()}
    return tuple(
        LabelRecipe(
            name=name,
            model=ViTConfig(num_classes=24, **model),
            classes=24,
            epochs=8,
            batch=64,
            evaluate_every=300,
            evaluate_images=1200,
        )
        for name, model in pools.items()
    )


def _seeds(pools: dict[str, dict[str, Any]]) -> tuple[SceneRecipe, ...]:
    return tuple(
        dataclasses.replace(scene_recipe(f"{name}-seed{seed}", **model), seed=seed)
        for seed in SEEDS
        for name, model in pools.items()
    )


def _classes(drawing: dict[str, Any]) -> dict[str, int]:
    """The head fits the classes that are drawn."""
    return {"num_classes": len(Scenes(**drawing).classes)}
