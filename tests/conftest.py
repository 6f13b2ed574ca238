"""Shared settings: one thread a process, reproducible hypothesis runs."""

import os

import torch
from hypothesis import settings

torch.set_num_threads(1)
os.environ.setdefault("HF_HUB_OFFLINE", "1")
settings.register_profile("unlazy", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("unlazy")
