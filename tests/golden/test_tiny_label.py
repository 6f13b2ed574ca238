"""A report on the shipped model gives the numbers it gave before."""

import importlib.util
import json
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def test_numbers_are_as_before():
    spec = importlib.util.spec_from_file_location("make", HERE / "make_tiny_label.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    golden, found = json.loads((HERE / "tiny_label.json").read_text()), make.values()
    assert found.keys() == golden.keys()
    for measure, numbers in golden.items():
        assert found[measure] == pytest.approx(numbers, rel=1e-3, abs=1e-4), measure
