"""What the paper reports of its models, by claim."""

from __future__ import annotations

import re

from unlazy.report.claims.answer import Figure

MODELS = (
    ("DINOv2-S", r"timm:vit_small_patch14_dinov2(\.lvd142m)?|hf:facebook/dinov2-small"),
    ("DINOv2-B", r"timm:vit_base_patch14_dinov2(\.lvd142m)?|hf:facebook/dinov2-base"),
    ("DINOv2-L", r"timm:vit_large_patch14_dinov2(\.lvd142m)?|hf:facebook/dinov2-large"),
    ("DINOv2-G", r"timm:vit_giant_patch14_dinov2(\.lvd142m)?|hf:facebook/dinov2-giant"),
    ("DINOv2-S+reg", r"timm:vit_small_patch14_reg4_dinov2(\.lvd142m)?"),
    ("DINOv2-B+reg", r"timm:vit_base_patch14_reg4_dinov2(\.lvd142m)?"),
    ("DINOv2-L+reg", r"timm:vit_large_patch14_reg4_dinov2(\.lvd142m)?"),
    ("DINOv2-G+reg", r"timm:vit_giant_patch14_reg4_dinov2(\.lvd142m)?"),
    ("DeiT3-S", r"timm:deit3_small_patch16_224\.fb_in1k"),
    ("DeiT3-M", r"timm:deit3_medium_patch16_224\.fb_in1k"),
    ("DeiT3-H", r"timm:deit3_huge_patch14_224\.fb_in1k"),
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
    "OpenCLIP-H": ("high-norm tokens, fewer than OpenCLIP-B", SEEN),
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
    "DINOv2-G": ("holds: about 2.5 times likelier in redundant areas", "4.1"),
    "DeiT3-M": ("holds", "Figure 3, by eye"),
    "OpenCLIP-B": ("holds", "Figure 3, by eye"),
    "Swin-S": ("slightly", "Figure 3, by eye"),
    "PVT-b2": ("no difference, near zero", "Figure 3, by eye"),
}
_CONTENT = (  # normal, outlier of position top-1 (%), distance, pixel error; CLS, normal, outlier
    ("DINOv2-S", (28.05, 19.18), (1.07, 1.27), (383.13, 521.56), (74.81, 55.61, 57.00)),
    ("DeiT3-M", (7.53, 7.05), (4.29, 3.88), (801.07, 1505.68), (81.08, 69.18, 78.96)),
    ("OpenCLIP-B", (6.76, 8.19), (3.87, 6.38), (572.54, 983.69), (75.77, 59.22, 69.48)),
    ("DINOv2-G", (45.48, 7.60), (0.67, 7.41), (337.20, 926.34), (81.56, 50.04, 68.33)),
    ("Swin-S", (19.44, 13.38), (2.67, 2.59), (3945.0, 3687.0), (82.01, 74.12, 76.16)),
    ("PVT-b2", (37.84, 100.0), (1.21, 0.0), (3826.0, 5132.0), (80.89, 69.29, 63.54)),
)
_TOP1 = {
    **{"DINOv2-S": 81.15, "DINOv2-B": 84.33, "DINOv2-L": 86.12, "DINOv2-G": 86.90},
    **{"DINOv2-S+reg": 81.65, "DINOv2-B+reg": 84.71, "DINOv2-L+reg": 86.80, "DINOv2-G+reg": 87.29},
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
        found += [each for row in _CONTENT if row[0] == who for each in _content(*row)]
    if claim == 5 and who in _TOP1:
        source = "Table 4, ImageNet, 1-layer head; DINOv2's own page differs"
        found.append(Figure(who, f"top-1 {_TOP1[who]:.2f} %", source))
    return tuple(found)


def _content(
    who: str,
    position: tuple[float, float],
    distance: tuple[float, float],
    pixels: tuple[float, float],
    top1: tuple[float, float, float],
) -> list[Figure]:
    """Tables 1 to 3 of one model."""
    return [
        Figure(
            who,
            f"position: normal {position[0]:.2f} %, outlier {position[1]:.2f} %;"
            f" distance {distance[0]:.2f} and {distance[1]:.2f} patches",
            "Table 1",
        ),
        Figure(
            who,
            f"pixels: normal {pixels[0]:.2f}, outlier {pixels[1]:.2f} squared error a patch",
            "Table 2",
        ),
        Figure(
            who,
            f"class: CLS {top1[0]:.2f} %, normal {top1[1]:.2f} %, outlier {top1[2]:.2f} %",
            "Table 3",
        ),
    ]
