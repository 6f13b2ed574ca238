"""The models of *Do All Vision Transformers Need Registers?*, and what it leaves open of them."""

from __future__ import annotations

from unlazy.report.tables.row import Pretrained, Size

PAPER_B = "Do All Vision Transformers Need Registers?"
IMAGENET = "imagenet:val"
TRAINING, VALIDATION, SAMPLED = 1_281_167, 50_000, 200_000
EPOCHS = 30

SIZES = {  # multiplications and additions of one forward, counted by PyTorch
    "DINOv2-S": Size(93.4, 22.1, 1369, 384),
    "DINOv2-B": Size(303.1, 86.6, 1369, 768),
    "DINOv2-L": Size(1013.6, 304.4, 1369, 1024),
    "DINOv2-G": Size(3566.7, 1136.5, 1369, 1536),
    "DeiT3-M": Size(16.0, 38.8, 196, 512),
    "OpenCLIP-B": Size(35.1, 86.2, 196, 768),
    "Swin-S": Size(23.1, 49.7, 64, 768, widest=(4096, 96)),
    "PVT-b2": Size(8.1, 25.4, 49, 512, widest=(3136, 64)),
}
SIZES_224 = {  # without registers, which add 2 %
    "DINOv2-S": Size(12.2, 21.6, 256, 384),
    "DINOv2-B": Size(46.3, 85.7, 256, 768),
    "DINOv2-L": Size(162.0, 303.2, 256, 1024),
    "DINOv2-G": Size(598.8, 1134.8, 256, 1536),
}
MODELS = {
    "DINOv2-S": Pretrained("timm:vit_small_patch14_dinov2.lvd142m"),
    "DINOv2-B": Pretrained("timm:vit_base_patch14_dinov2.lvd142m"),
    "DINOv2-L": Pretrained("timm:vit_large_patch14_dinov2.lvd142m"),
    "DINOv2-G": Pretrained("timm:vit_giant_patch14_dinov2.lvd142m"),
    "DeiT3-M": Pretrained("timm:deit3_medium_patch16_224.fb_in1k"),
    "OpenCLIP-B": Pretrained("timm:vit_base_patch16_clip_224.laion2b"),
    "Swin-S": Pretrained("timm:swinv2_small_window8_256.ms_in1k"),
    "PVT-b2": Pretrained("timm:pvt_v2_b2.in1k"),
}
WITH_REGISTERS = {
    "DINOv2-S": Pretrained("timm:vit_small_patch14_reg4_dinov2.lvd142m"),
    "DINOv2-B": Pretrained("timm:vit_base_patch14_reg4_dinov2.lvd142m"),
    "DINOv2-L": Pretrained("timm:vit_large_patch14_reg4_dinov2.lvd142m"),
    "DINOv2-G": Pretrained("timm:vit_giant_patch14_reg4_dinov2.lvd142m"),
}
NOTES = {
    "DeiT3-M": ("Whether DeiT3's weights are of ImageNet-1k or 22k is inconsistent; 1k is taken.",),
    "OpenCLIP-B": ("OpenCLIP's data are called LAION-142M and LAION-2B; 2B is taken.",),
    "Swin-S": ("The window of Swin v2 is not said; 8 is taken.",),
}
