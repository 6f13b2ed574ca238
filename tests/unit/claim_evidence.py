"""Evidence about tiny models with random weights, with and without planted high norms."""

from __future__ import annotations

import dataclasses
from functools import cache

import torch

from planted import Pictures, photos, plant
from unlazy.backbones.trained import TrainedViT
from unlazy.backbones.vit import ViT, ViTConfig
from unlazy.ledger import Estimate
from unlazy.report.claims.evidence import Evidence, observe

CONFIG = ViTConfig(img_size=64, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=4)
COUNT = 40


def model(*, name: str = "file:net", weights: str = "model.safetensors", registers: int = 0):
    torch.manual_seed(0)
    vit = ViT(dataclasses.replace(CONFIG, registers=registers))
    return TrainedViT(vit, name=name, weights=weights, supervision="label", class_vectors=None)


@cache
def observed(*, high: bool, registers: int = 0, count: int = COUNT) -> Evidence:
    """One real pass; with ``high``, a neuron makes huge norms at about 3 % of the patches."""
    images = photos(count, 64)
    backbone = model(registers=registers)
    if high:
        plant(backbone, backbone.normalise(images))
    return observe(backbone, Pictures(images), label="net", source="drawn")


def like(
    one: Evidence, *, name: str = "", parameters: int = 0, random: bool = False, label: str = ""
) -> Evidence:
    """The same numbers under another name, size, or as a control."""
    facts = dataclasses.replace(
        one.facts, name=name or one.facts.name, weights="random" if random else one.facts.weights
    )
    findings = dataclasses.replace(one.findings, facts=facts, label=label or facts.name)
    return dataclasses.replace(one, findings=findings, parameters=parameters or one.parameters)


def told(one: Evidence, measure: str, **numbers: Estimate) -> Evidence:
    """The same with other numbers of one measure."""
    record = one.findings.record
    values = {**record.values, measure: {**record.values.get(measure, {}), **numbers}}
    record = dataclasses.replace(record, values=values)
    return dataclasses.replace(one, findings=dataclasses.replace(one.findings, record=record))
