"""What the paper reports of its models, by claim."""

from __future__ import annotations

import re

from unlazy.benchmarks.paper_b import (
    LIKELIER_IN_REDUNDANT,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    TABLE_4,
)
from unlazy.report.claims.answer import Figure

MODELS = (
    ("DINOv2-S", r"timm:vit_small_patch14_dinov2(\.lvd142m)?|hf:facebook/dinov2-small"),
    ("DINOv2-B", r"timm:vit_base_patch14_dinov2(\.lvd142m)?|hf:facebook/dinov2-base"),
    ("DINOv2-L", r"timm:vit_large_patch14_dinov2(\.lvd142m)?|hf:facebook/dinov2-large"),
    ("DINOv2-G", r"timm:vit_giant_patch14_dinov2(\.lvd142m)?|hf:facebook/dinov2-giant"),
    (
        "DINOv2-S+reg",
        r"timm:vit_small_patch14_reg4_dinov2(\.lvd142m)?|hf:facebook/dinov2-with-registers-small",
    ),
    (
        "DINOv2-B+reg",
        r"timm:vit_base_patch14_reg4_dinov2(\.lvd142m)?|hf:facebook/dinov2-with-registers-base",
    ),
    (
        "DINOv2-L+reg",
        r"timm:vit_large_patch14_reg4_dinov2(\.lvd142m)?|hf:facebook/dinov2-with-registers-large",
    ),
    (
        "DINOv2-G+reg",
        r"timm:vit_giant_patch14_reg4_dinov2(\.lvd142m)?|hf:facebook/dinov2-with-registers-giant",
    ),
    ("DeiT3-S", r"timm:deit3_small_patch16_224(\.fb_in1k)?"),
    ("DeiT3-M", r"timm:deit3_medium_patch16_224(\.fb_in1k)?"),
    ("DeiT3-H", r"timm:deit3_huge_patch14_224(\.fb_in1k)?"),
    ("OpenCLIP-B", r"timm:vit_base_patch16_clip_224\.laion2b|open_clip:ViT-B-16/laion2b.*"),
    ("OpenCLIP-H", r"timm:vit_huge_patch14_clip_224\.laion2b|open_clip:ViT-H-14/laion2b.*"),
    (
        "OpenCLIP-G",
        r"timm:vit_gigantic_patch14_clip_224\.laion2b|open_clip:ViT-bigG-14/laion2b.*",
    ),
    ("DINO", r"timm:vit_(small|base)_patch(8|16)_224\.dino"),
    ("Swin-S", r"timm:swinv2_small_window(8|16)_256(\.ms_in1k)?"),
    ("PVT-b0", r"timm:pvt_v2_b0(\.in1k)?"),
    ("PVT-b2", r"timm:pvt_v2_b2(\.in1k)?"),
)
"""Name in the paper, and the MODELs that it most likely means: the paper gives no checkpoints."""

SEEN = "4.1, by eye"
_NORMS = {
    "DINOv2-S": ("no artifacts in feature maps", SEEN),
    "DINOv2-B": ("no high-norm tokens, narrow norms", "4.1 and Appendix C, by eye"),
    "DINOv2-G": ("high-norm tokens", SEEN),
    "DeiT3-S": ("high-norm tokens, skewed norms", "4.1 and Appendix C, by eye"),
    "DeiT3-H": ("high-norm tokens", SEEN),
    "OpenCLIP-B": ("high-norm tokens, bimodal norms", "4.1 and Appendix C, by eye"),
    "OpenCLIP-H": ("high-norm tokens, as many as OpenCLIP-B or fewer", SEEN),
    "OpenCLIP-G": ("high-norm tokens", SEEN),
    "DINO": ("no high-norm tokens", SEEN),
    "PVT-b0": ("norms not bimodal", "Figure 7, by eye"),
    "PVT-b2": ("norms bimodal", "Figure 7, by eye"),
}
_ATTENTION = {
    "DINOv2-L": ("does not hold: attention artifacts without high norms", "Figure 2, by eye"),
    "DINOv2-G": ("holds", "Figure 2, by eye"),
}
_NEIGHBOURS = {
    "DINOv2-S": ("inverted: high norms where neighbours differ", "Figure 3, by eye"),
    "DINOv2-G": (
        f"holds: about {LIKELIER_IN_REDUNDANT['DINOv2-G']:g} times likelier in redundant areas",
        "4.1",
    ),
    "DeiT3-M": ("holds", "Figure 3, by eye"),
    "OpenCLIP-B": ("holds", "Figure 3, by eye"),
    "Swin-S": ("slightly", "Figure 3, by eye"),
    "PVT-b2": ("no difference, near zero", "Figure 3, by eye"),
}
_TOP1 = {
    **{model: row.without_registers for model, row in TABLE_4.items()},
    **{f"{model}+reg": row.with_registers for model, row in TABLE_4.items()},
}


def paper_name(name: str) -> str:
    """How the paper calls a model; "" where it has none.

    >>> paper_name("timm:vit_giant_patch14_dinov2.lvd142m"), paper_name("bundled:tiny-label")
    ('DINOv2-G', '')
    """
    return next((who for who, pattern in MODELS if re.fullmatch(pattern, name)), "")


def figures(name: str, claim: int) -> tuple[Figure, ...]:
    """What the paper says of a MODEL in the matter of a claim; empty where it says nothing."""
    who = paper_name(name)
    said = {1: (_ATTENTION, _NORMS), 2: (_NORMS,), 3: (_NEIGHBOURS,)}.get(claim, ())
    found = [Figure(who, *table[who]) for table in said if who in table]
    if claim == 4:
        found += _content(who)
    if claim == 5 and who in _TOP1:
        source = "Table 4, ImageNet, 1-layer head; DINOv2's own page differs"
        found.append(Figure(who, f"top-1 {_TOP1[who]:.2f} %", source))
    return tuple(found)


def _content(who: str) -> list[Figure]:
    """Tables 1 to 3 of one model; none where they leave it out."""
    if who not in TABLE_1:
        return []
    position, pixels, top1 = TABLE_1[who], TABLE_2[who], TABLE_3[who]
    return [
        Figure(
            who,
            f"position: normal {position.top1_normal:.2f} %, outlier {position.top1_outlier:.2f} %;"
            f" distance {position.distance_normal:.2f} and {position.distance_outlier:.2f} patches",
            "Table 1",
        ),
        Figure(
            who,
            f"pixels: normal {pixels.normal:.2f}, outlier {pixels.outlier:.2f}"
            " squared error a patch",
            "Table 2",
        ),
        Figure(
            who,
            f"class: CLS {top1.cls:.2f} %, normal {top1.normal:.2f} %,"
            f" outlier {top1.outlier:.2f} %",
            "Table 3",
        ),
    ]
