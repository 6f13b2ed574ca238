"""Shared settings: one thread a process, reproducible hypothesis runs."""

import os

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
os.environ.setdefault("HF_HUB_OFFLINE", "1")
settings.register_profile("unlazy", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("unlazy")


@pytest.fixture
def few(tmp_path):
    """``--on`` of 40 small drawn scenes: the 200 of ``scenes`` take seconds to draw."""
    path = tmp_path / "few.py"
    scenes = "Scenes(count=40, size=(32, 32), seed=3)"
    path.write_text(
        f"from unlazy.data.synthetic import Scenes\n\n\ndef few():\n    return {scenes}\n"
    )
    return f"{path}:few"
