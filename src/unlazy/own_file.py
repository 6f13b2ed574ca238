"""Objects of a user's own Python file, and mistakes in it told with their line."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any


class OwnFile(ValueError):
    """A mistake in a user's own file."""


def load(path: Path) -> ModuleType:
    """Run the file as a module, which is called by its path: no other module has such a name.

    Raises:
        OwnFile: it is no Python file, or it fails.
    """
    spec = importlib.util.spec_from_file_location(str(path), path)
    if spec is None or spec.loader is None:
        raise OwnFile(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    run = spec.loader.exec_module
    sys.modules[str(path)] = module  # dataclasses look up there what annotations mean
    try:
        called(path, lambda: run(module))
    except OwnFile:
        del sys.modules[str(path)]
        raise
    return module


def called(path: Path, function: Callable[[], Any]) -> Any:
    """What a function of the file returns.

    Raises:
        OwnFile: the call failed.
    """
    try:
        return function()
    except Exception as problem:
        frames = traceback.extract_tb(problem.__traceback__)
        lines = [each.lineno for each in frames if Path(each.filename) == path.absolute()]
        where = f", line {lines[-1]}" if lines else ""
        raise OwnFile(f"{path}{where}: {type(problem).__name__}: {problem}") from problem


def names(module: ModuleType) -> list[str]:
    """What the file itself defines, without what it imports."""
    own = module.__name__
    return [
        key
        for key, each in vars(module).items()
        if not key.startswith("_") and not isinstance(each, ModuleType)
        if getattr(each, "__module__", own) == own
    ]
