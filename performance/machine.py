"""On what the figures were measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("unlazy", "torch", "timm", "numpy", "scikit-learn")


def machine() -> dict[str, Any]:
    """Processor, cores, threads, load at the start, versions."""
    return {
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def sentence(found: dict[str, Any]) -> str:
    """One line for the terminal."""
    return (
        f"{found['processor']}, {found['cores']} cores, {found['threads']} threads, load"
        f" {found['load_before']} before, torch {found['packages']['torch']}"
    )


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
