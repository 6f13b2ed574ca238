"""Imports point downward only, and heavy libraries stay in their adapters."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "unlazy"
LAYERS = [
    {"tokens", "geometry", "distributed", "whole_files", "own_file"},
    {"catalog"},
    {"settings"},
    {"scores", "pooling", "metrics", "distributions", "discovery"},
    {"backbones"},
    {"ledger", "data"},
    {"fixes", "batches", "finite", "identity"},
    {"parts", "traces"},
    {"measure"},
    {"shards"},
    {"measures", "probes"},
    {"benchmarks"},
    {"training", "report"},
    {"explorer", "arguments", "inputs", "console"},
    {"pages", "bench_inputs", "earlier_records"},
    {"cli_train", "cli_bench", "cli_dynamics", "cli_extract", "cli_fix", "claim_inputs"},
    {"cli_probe", "cli_claims"},
    {"cli_reproduce"},
    {"cli"},
    {"__init__", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
ADAPTERS = {
    "timm": {"backbones", "training"},
    "open_clip": {"backbones"},
    "transformers": {"backbones"},
}


def modules():
    return sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse((SOURCE / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=str)
def test_imports_point_downward(path: Path):
    own = path.parts[0].removesuffix(".py")
    assert own in LEVEL, f"{own} has no layer: add it to the table and to CONTRIBUTING.md"
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == "unlazy" and rest:
            other = rest.split(".")[0]
            if other not in LEVEL or other == own or own == "__init__":
                continue
            assert LEVEL[other] < LEVEL[own], f"{path} imports {name}, which is not below it"
        elif package in ADAPTERS:
            assert own in ADAPTERS[package], f"{path} imports {package}"


@pytest.mark.parametrize("path", modules(), ids=str)
def test_files_stay_readable(path: Path):
    assert len((SOURCE / path).read_text().splitlines()) <= 300
    assert path.stem not in {"utils", "util", "helpers", "misc", "common"}
