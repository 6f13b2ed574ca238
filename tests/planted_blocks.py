"""A saved ViT that tells bright patches from dark ones, and pictures of bright boxes on black.

Patch tokens are plus or minus one vector, by the sign of the patch's mean after normalisation; CLS
is that vector; blocks change nothing. Keys are the tokens, and CLS asks for bright ones. So every
method of object discovery must find the bright box to the pixel.
"""

from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

MODEL, PATCH = "timm:test_vit", 16
BRIGHT = {  # width, height -> box: whole patches, or up to the picture's edge
    (90, 70): (64, 32, 90, 70),
    (84, 75): (16, 16, 48, 32),
    (64, 64): (0, 16, 32, 48),
    (100, 36): (32, 0, 64, 32),
}


@torch.no_grad()
def save_model(path: Path) -> Path:
    """Weights of ``MODEL``."""
    model = timm.create_model("test_vit")
    width = model.embed_dim
    direction = torch.ones(width)
    direction[1::2] = -1
    for name, weight in model.named_parameters():
        if "norm" not in name:
            weight.zero_()
    model.cls_token.copy_(direction)
    model.patch_embed.proj.weight.copy_(direction.view(-1, 1, 1, 1).expand(-1, 3, PATCH, PATCH))
    model.blocks[-1].attn.qkv.weight[: 2 * width].copy_(torch.eye(width).repeat(2, 1))
    save_file(model.state_dict(), path)
    return path


def save_pictures(
    folder: Path, pictures: Mapping[tuple[int, int], tuple[int, int, int, int]] = BRIGHT
) -> Path:
    """PNG files 0.png, 1.png, ... with ``boxes.csv``."""
    folder.mkdir(parents=True)
    rows = ["name,xmin,ymin,xmax,ymax"]
    for place, (size, (left, top, right, bottom)) in enumerate(pictures.items()):
        image = Image.new("RGB", size)
        ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), fill="white")
        image.save(folder / f"{place}.png")
        rows.append(f"{place}.png,{left},{top},{right},{bottom}")
    (folder / "boxes.csv").write_text("\n".join(rows))
    return folder
