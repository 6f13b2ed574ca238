"""Sizes of one family share its name, families do not: DINO, EVA-02 and CLIP as registered."""

import re
from collections import defaultdict

import pytest
import timm

from unlazy.report.claims.families import family

TIMM = {
    "ViT, DINO": r"vit_[a-z]+_patch\d+_224",
    "DINOv2": r"vit_[a-z]+_patch14_dinov2",
    "DINOv2 with registers": r"vit_[a-z]+_patch14_reg4_dinov2",
    "DINOv3": r"vit_\w+_patch16_dinov3",
    "DINOv3 with query biases": r"vit_\w+_patch16_dinov3_qkvb",
    "ConvNeXt, DINOv3": r"convnext_[a-z]+",
    "EVA-02": r"eva02_[a-z]+_patch14_\d+",
    "EVA-02 CLIP": r"eva02_[a-z]+_patch\d+_clip_\d+",
    "CLIP": r"vit_[a-z]+_patch\d+(_plus)?_clip_\d+",
    "CLIP, quick GELU": r"vit_[a-z]+_patch\d+_clip_quickgelu_\d+",
    "CLIP ResNet": r"resnet[0-9x]+_clip",
    "CLIP ResNet, mean": r"resnet[0-9x]+_clip_gap",
    "SigLIP": r"vit_[a-z0-9]+_patch\d+_siglip_\d+",
    "SigLIP, mean": r"vit_[a-z0-9]+_patch\d+_siglip_gap_\d+",
}
"""Ours, by the makers' papers: series -> its architectures in timm, of any size and resolution."""
OPEN_CLIP = {
    "CLIP": r"ViT-[a-zA-Z]+-\d+(-plus)?(-\d+)?",
    "CLIP, quick GELU": r"ViT-[a-zA-Z]+-\d+(-\d+)?-quickgelu",
    "CLIPA": r"ViT-[a-zA-Z]+-\d+-CLIPA(-\d+)?",
    "MetaCLIP 2": r"ViT-[a-zA-Z]+-\d+-worldwide(-\d+)?",
    "SigLIP": r"ViT-[a-zA-Z]+\d*M?-\d+-SigLIP(-\d+)?",
    "SigLIP, languages": r"ViT-[a-zA-Z]+\d*M?-\d+-SigLIP-i18n-\d+",
    "SigLIP 2": r"ViT-[a-zA-Z]+\d*M?-\d+-SigLIP2(-\d+)?",
    "EVA-01": r"EVA01-g-14",
    "EVA-02": r"EVA02-[BLE]-\d+(-plus)?(-\d+)?",
    "ResNet": r"RN[0-9x]+",
    "ResNet, quick GELU": r"RN[0-9x]+-quickgelu",
    "Perception Encoder": r"PE-Core-[a-zA-Z]+-\d+(-\d+)?",
}


def check(names, series, *, scheme, split, trained):
    """That families are the series, by weights without what ``trained`` finds in their names."""
    known, found = defaultdict(set), defaultdict(set)
    for name in names:
        model, _, weights = name.partition(split)
        if who := next((who for who, form in series.items() if re.fullmatch(form, model)), None):
            known[who, re.sub(trained, "", weights)].add(name)
            found[family(f"{scheme}:{name}")].add(name)
    assert {who for who, _ in known} == series.keys()
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, known.values()))
    return known


def test_families_of_timm_are_the_series_of_their_makers():
    names = timm.list_pretrained()
    known = check(names, TIMM, scheme="timm", split=".", trained=r"_(\d{3}|s39b)$")
    sizes = {name.split("_")[1] for name in known["DINOv3", "lvd1689m"]}
    assert sizes == {"small", "base", "large", "huge", "7b"}


def test_architectures_of_timm_without_weights_are_in_the_same_series():
    check(timm.list_models(), TIMM, scheme="timm", split=".", trained="^$")


def test_families_of_open_clip_are_the_series_of_their_makers():
    open_clip = pytest.importorskip("open_clip")
    names = ["/".join(each) for each in open_clip.list_pretrained()]
    check(names, OPEN_CLIP, scheme="open_clip", split="/", trained=r"_s\d+[bm](_b\d+k)?")


@pytest.mark.parametrize(
    ("form", "sizes"),
    [
        ("facebook/dinov2-{}", ("small", "base", "large", "giant")),
        ("facebook/dinov3-vit{}-pretrain-lvd1689m", ("s16", "b16", "l16", "h16plus", "7b16")),
        ("laion/CLIP-ViT-{}-laion2B-s34B-b88K", ("B-32", "L-14", "H-14", "bigG-14")),
    ],
)
def test_families_of_transformers(form, sizes):
    assert len({family(f"hf:{form.format(size)}") for size in sizes}) == 1
    whole = {
        family(f"hf:facebook/{each}") for each in ("dinov2-base", "dinov3-vitb16", "dino-vitb16")
    }
    assert len(whole) == 3
