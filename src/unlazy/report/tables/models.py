"""The models of *Vision Transformers Need More Than Registers*, and what it leaves open of them."""

from __future__ import annotations

from unlazy.report.tables.row import Local, Pretrained, Trained

PAPER = "Vision Transformers Need More Than Registers"
IMAGENET = "imagenet:val"
LAZY = "LazyStrike in training"
REGISTERS = "registers in training"
_PUBLIC = "github.com/ChengShiest/LAST-ViT, release `weights`: "
_STRIKE = "model.pool=lazy_strike"

VIT_B = Pretrained("torchvision:vit_b_16")
VIT_B_LAZY = Trained("imagenet_b16_last", ("model.keep=0.5",), public=f"{_PUBLIC}ViT_190k.pth")
VIT_B_REGISTERS = Trained("imagenet_b16_last", ("model.pool=cls", "model.registers=4"))
VIT_S = Pretrained("timm:deit_small_patch16_224.fb_in1k")
VIT_S_LAZY = Trained("imagenet_s16_last")
RESNET = Pretrained("torchvision:resnet50")
DINO = Pretrained("timm:vit_small_patch16_224.dino")
DINO_LAZY = Trained("dino_s16", (_STRIKE,), public=f"{_PUBLIC}dino0080.pth")
DINO_RESNET = Local(
    "timm:resnet50", "dino_resnet50_pretrain.pth", "github.com/facebookresearch/dino"
)
CLIP = Pretrained("open_clip:ViT-B-16-quickgelu/openai")
CLIP_RESNET = Pretrained("open_clip:RN50-quickgelu/openai")
CAPTIONS = "captions"


def clip(*words: str, public: bool = False) -> Trained:
    """``clip_b16`` with other settings."""
    where = f"{_PUBLIC}openai_b_16.pt" if public else ""
    return Trained("clip_b16", words, data="image-caption shards", public=where)


CLIP_LAZY = clip(_STRIKE, public=True)
CLIP_REGISTERS = clip("model.registers=4")

HALF = (
    "The text keeps half of the patches, the public code one a channel: `model.keep=1` is the"
    " latter. Its checkpoints are read with `unlazy fix pooled`."
)
DINO_TWICE = "DINO's ViT has 45.3 in Table 1 and 44.5 in Table 3."
DINO_SIZE = "The size of DINO's ViT is not said; Table 7 has ViT-S throughout."
OPENCLIP = (
    "The same 39.8 is called OpenCLIP in Table 1 and CLIP in Table 3: which checkpoint is unclear."
    " OpenAI's weights are taken; try others with --model."
)
CAPTION_DATA = "The pictures and captions of this training are not disclosed."
REGISTER_RECIPE = "How the model with registers was trained is not said; four are taken."
CLIP_DEPTH = (
    "Which of CLIP's ResNets is not said; RN50 is taken. Its patches are mapped through the value"
    " and output projections of its attention pool."
)
DEPTH = "The depth of the ResNet is not said; Figure 3 has ResNet-50."
WHICH_SMALL = "Which supervised ViT-S/16 is not said; DeiT's is taken, as in DINO's evaluation."
