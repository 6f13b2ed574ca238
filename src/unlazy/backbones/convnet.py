"""Residual networks of timm, torchvision and CLIP, for comparison: patches without attention.

A position of the last feature map counts as a patch; the image vector is the mean over them, or
what CLIP's attention pool makes of them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from unlazy.backbones.base import Backbone, Call, patch_tokens, trained_head
from unlazy.backbones.timm import preprocessing, supervision
from unlazy.tokens import EMBED, FINAL, SHARED, Facts, Site, Tokens

STREAMS = frozenset({"embed", "block", "final", "shared"})
STAGES = ("layer1", "layer2", "layer3", "layer4")
STRIDE = 32  # pixels per position of the last feature map: five halvings


class ResNet(Backbone):
    """A residual network with four stages and global average pooling.

    ``EMBED`` is what leaves the stem, ``block(i)`` a residual block, counted over all stages.
    There is no last norm: ``FINAL``, ``SHARED`` and ``block(-1)`` are the same map.
    """

    stem: ClassVar[str] = "maxpool"  # the last module before the blocks

    def __init__(
        self, model: nn.Module, *, library: str, name: str, weights: str, size: tuple[int, int]
    ) -> None:
        blocks = _blocks(model)
        head: Any = model.fc
        activation = next(
            module for module in blocks[-1].modules() if isinstance(module, nn.ReLU | nn.SiLU)
        )
        facts = Facts(
            name=name,
            family=f"{library} ResNet",
            dim=getattr(model, "num_features", None) or head.in_features,
            depth=len(blocks),
            heads=0,
            patch=(STRIDE, STRIDE),
            multiple=(STRIDE, STRIDE),
            **preprocessing(model, "bilinear"),
            size=size,
            supervision=supervision(name),
            has_cls=False,
            num_registers=0,
            weights=weights,
            position="zero padding of convolutions",
            activation=type(activation).__name__,
            streams=STREAMS,
        )
        super().__init__(model, facts)

    def locate(self, site: Site) -> nn.Module:
        if site == EMBED:
            return self.model.get_submodule(self.stem)
        return _blocks(self.model)[-1 if site in (FINAL, SHARED) else site.layer]

    def read(self, site: Site, call: Call) -> Tokens:
        flat = call.output.flatten(2).transpose(1, 2)  # (B, N, D)
        return patch_tokens(flat, tuple(call.output.shape[-2:]))

    def encode(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B E"]:
        model: Any = self.model
        if hasattr(model, "forward_head"):
            return model.forward_head(model.forward_features(images), pre_logits=True)
        features = images  # torchvision's forward is its children in order, the classifier last
        for child in list(model.children())[:-1]:
            features = child(features)
        return features.flatten(1)

    def classifier(self) -> nn.Module | None:
        return trained_head(self.model, self.facts.supervision)


class ClipResNet(ResNet):
    """CLIP's residual network (open_clip's ``ModifiedResNet``), which ends in an attention pool.

    The pool's query is the mean position; its values pass ``v_proj``, their weighted mean
    ``c_proj``. ``SHARED`` maps each position of the last feature map through both, without the
    position embedding that the pool adds: it is the image vector of a map that holds that position
    alone. The pool's embedding has one size, so the images have.

    Source: Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*,
    section 2.4; patches as in Zhou et al., *Extract Free Dense Labels from CLIP*, section 3.2.
    """

    stem: ClassVar[str] = "avgpool"

    def __init__(self, tower: nn.Module, facts: Facts) -> None:
        Backbone.__init__(self, tower, facts)

    @staticmethod
    def known(tower: Any) -> dict[str, Any]:
        """The facts that the tower itself tells."""
        return {
            "family": "open_clip ModifiedResNet",
            "dim": tower.attnpool.v_proj.in_features,
            "depth": len(_blocks(tower)),
            "heads": 0,
            "patch": (STRIDE, STRIDE),
            "multiple": (STRIDE, STRIDE),
            "size": (tower.image_size,) * 2,
            "has_cls": False,
            "num_registers": 0,
            "position": "learned, in the attention pool",
            "activation": type(tower.act1).__name__,
            "streams": STREAMS,
            "any_size": False,
        }

    @property
    def pool_positions(self) -> nn.Parameter:
        return self.model.get_submodule("attnpool").get_parameter("positional_embedding")

    def read(self, site: Site, call: Call) -> Tokens:
        found = super().read(site, call)
        if site != SHARED:
            return found
        pool: Any = self.model.get_submodule("attnpool")
        return patch_tokens(pool.c_proj(pool.v_proj(found.patches)), found.grid)

    def encode(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B E"]:
        return self.model(images)

    def classifier(self) -> None:
        """Texts name the classes."""
        return None


def _blocks(model: nn.Module) -> list[nn.Module]:
    return [block for stage in STAGES for block in model.get_submodule(stage).children()]
