"""What the server of ``warm`` has imported before it forks."""

import importlib
from contextlib import suppress

import torch

for name in (
    *("torch._dynamo", "torch.distributed.checkpoint", "torch.distributed.fsdp"),
    *("timm", "torchvision.transforms.v2", "unlazy.backbones.timm_load"),
    *("scipy.stats", "sklearn.mixture", "diptest", "rich.progress", "jinja2"),
    "matplotlib.backends.backend_svg",
    *("unlazy.report.bench_page", "unlazy.report.dynamics", "unlazy.report.run"),
    "unlazy.training.run",
):
    importlib.import_module(name)
with suppress(ImportError):
    importlib.import_module("open_clip")
torch.set_num_threads(1)
