"""Files of the ViT that is trained here, in the Hugging Face convention.

A folder holds ``model.safetensors`` with timm's names and shapes, and ``config.json``: under
``unlazy`` all fields of ``ViTConfig``, under ``supervision`` how it was trained, beside them what
timm needs to build the same function, where timm can, and as timm has it ``label_names``: then
``timm.create_model("local-dir:FOLDER", pretrained=True)`` loads it as well. ``classes.safetensors``
holds the vectors of classes that texts named, where there are any.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError
from safetensors.torch import save_file
from torch import Tensor

from unlazy.backbones.vit_config import ViTConfig
from unlazy.backbones.weights import BadCheckpoint, CheckpointMismatch, Loaded, fit, read_checkpoint
from unlazy.catalog import suggest

if TYPE_CHECKING:
    from unlazy.backbones.vit import ViT

WEIGHTS = "model.safetensors"
CLASSES = "classes.safetensors"
"""Vectors (C, E) of the training data's classes, where texts were the supervision."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LABELS = "labels.json"
"""Of a run: what its labels mean, WordNet ids or names, in their order."""
POOLS = {"cls": "token", "mean": "avg", "max": "max"}


class HubFiles(ModelHubMixin, library_name="unlazy", tags=["image-feature-extraction"]):
    """``save_pretrained``, ``from_pretrained`` and ``push_to_hub`` of a ``ViT``."""

    config: ViTConfig
    supervision: str | None = None  # how it was trained, where that is known
    class_vectors: Tensor | None = None
    label_names: Sequence[str] | None = None

    def _save_pretrained(self, save_directory: Path) -> None:
        model: Any = self
        state = timm_layout(self.config, model.state_dict())
        save_file(
            {key: value.contiguous() for key, value in state.items()}, save_directory / WEIGHTS
        )
        if self.class_vectors is not None:
            save_file({"vectors": self.class_vectors.cpu()}, save_directory / CLASSES)
        about = {"supervision": self.supervision, "label_names": self.label_names}
        own = {key: value for key, value in about.items() if value}
        written = json.dumps(config_file(self.config) | own, indent=2)
        (save_directory / "config.json").write_text(written + "\n")

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        config: dict[str, Any] | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        **changes: Any,
    ) -> Any:
        """The model of a folder or of a repository.

        Args:
            model_id: the folder, or the repository's name.
            config: what ``config.json`` holds.
            revision: of the repository.
            cache_dir: where downloads lie.
            force_download: also of what lies there.
            local_files_only: read what lies there alone.
            token: of the hub.
            changes: fields of ``ViTConfig`` to set otherwise, such as ``pool``.

        Raises:
            TypeError: a change of no field.
            ValueError: no configuration of this ViT, or one that does not fit.
            BadCheckpoint, CheckpointMismatch: the weights cannot be used.
        """
        if not isinstance(config, dict) or not isinstance(config.get("unlazy"), dict):
            raise ValueError(
                f"{model_id} has no config.json that names the fields of unlazy's ViT;"
                " for weights of other models use timm:NAME --checkpoint FILE"
            )
        known = {each.name for each in dataclasses.fields(ViTConfig)}
        if unknown := sorted(set(changes) - known):
            raise TypeError(f"ViTConfig has no {unknown[0]!r}; {suggest(unknown[0], known)}")
        folder = Path(model_id)
        made: Any = cls
        saved = ViTConfig.from_fields(config["unlazy"])
        model = made(dataclasses.replace(saved, **changes))
        model.supervision = config.get("supervision")
        if model.config.num_classes == saved.num_classes:  # else the head goes
            model.label_names = config.get("label_names")
        if folder.is_dir():
            path, vectors = folder / WEIGHTS, folder / CLASSES
        else:
            download = {
                "revision": revision,
                "cache_dir": cache_dir,
                "force_download": force_download,
                "local_files_only": local_files_only,
                "token": token,
            }
            path = Path(hf_hub_download(model_id, WEIGHTS, **download))
            vectors = path.with_name(CLASSES)
            if model.supervision == "text":
                try:
                    vectors = Path(hf_hub_download(model_id, CLASSES, **download))
                except RemoteEntryNotFoundError:  # nobody needs classes to be named
                    pass
                except LocalEntryNotFoundError:
                    warnings.warn(
                        f"{model_id} is read from the cache, where {CLASSES} is not: if it has"
                        " vectors of classes, they are missing",
                        stacklevel=2,
                    )
        load_weights(model, path)
        model.class_vectors = read_vectors(vectors)
        return model.eval()

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """What the model is and how it is read; the mixin writes it beside the weights."""
        about = self._hub_mixin_info.model_card_data.to_yaml()
        return ModelCard(f"---\n{about}\n---\n\n{card_text(self.config, self.supervision)}")


def card_text(config: ViTConfig, supervision: str | None) -> str:
    """The page of a saved model, as Markdown."""
    trained = f", trained under {supervision} supervision" if supervision else ""
    pooled = config.pool + (f" (keep {config.keep:g})" if config.pool == "lazy_strike" else "")
    reason = not_in_timm(config)
    timm = (
        reason or 'timm.create_model("local-dir:FOLDER", pretrained=True) builds the same function'
    )
    return f"""# Vision transformer of unlazy

Width {config.embed_dim}, {config.depth} blocks, patches of {config.patch_size} px, pictures of
{config.img_size} px, {config.registers} registers{trained}. Image vector: {pooled}.

```python
from unlazy.backbones.vit import ViT

model = ViT.from_pretrained("FOLDER or ORG/NAME")
```

On the command line it is `file:FOLDER`. In timm: {timm}.
"""


def read_vectors(path: Path) -> Tensor | None:
    """Vectors of the classes (C, E), float32; None without the file.

    Raises:
        BadCheckpoint: it cannot be read, or holds something else.
    """
    if not path.is_file():
        return None
    found = read_checkpoint(path)
    if set(found) != {"vectors"}:
        raise BadCheckpoint(
            f"{path} holds {', '.join(sorted(found)[:4])}, not the vectors of classes"
        )
    return found["vectors"].float()


def load_weights(model: ViT, path: Path) -> Loaded:
    """Load a file of ours or of timm's layout into a model, exactly.

    Weights of a model with another pool fit, unless a pool has weights of its own.

    Raises:
        BadCheckpoint: the file cannot be read, or a weight is not finite.
        CheckpointMismatch: its keys or shapes are not the model's.
    """
    state = read_checkpoint(path)
    registers = model.config.registers
    found = next((len(value[0]) for key, value in state.items() if key.endswith("reg_token")), 0)
    if found != registers:
        raise CheckpointMismatch(
            f"{path.name} was trained with {found} registers, the model has {registers};"
            f" use registers={found}, or train from scratch: registers are learned with the rest"
        )
    return fit(model, state, name=path.name, convert=lambda named: own_layout(model.config, named))


def timm_layout(config: ViTConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of ours as timm has them.

    They differ with registers alone: timm then gives positions to patches only, so the position
    of CLS is added to the CLS token.
    """
    if not (config.registers and config.class_token):
        return dict(state)
    position, patches = state["pos_embed"][:, :1], state["pos_embed"][:, 1:]
    return state | {"cls_token": state["cls_token"] + position, "pos_embed": patches}


def own_layout(config: ViTConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of timm's layout, or of ours, as ours: a CLS without position gets a zero one."""
    positions = state.get("pos_embed")
    if not config.class_token or positions is None or positions.shape[1] != config.side**2:
        return dict(state)
    return state | {"pos_embed": torch.cat([torch.zeros_like(positions[:, :1]), positions], dim=1)}


def not_in_timm(config: ViTConfig) -> str | None:
    """Why timm's VisionTransformer cannot be the same function, or None if it can."""
    if config.pool not in POOLS:
        return f"timm has no {config.pool} pool; only {', '.join(POOLS)} go there"
    if config.windows:
        return "timm's VisionTransformer has no windowed blocks"
    return None


def timm_arguments(config: ViTConfig) -> dict[str, Any]:
    """Arguments with which timm's VisionTransformer is the same function."""
    return {
        "img_size": config.img_size,
        "patch_size": config.patch_size,
        "embed_dim": config.embed_dim,
        "depth": config.depth,
        "num_heads": config.num_heads,
        "num_classes": config.num_classes,
        "class_token": config.class_token,
        "reg_tokens": config.registers,
        "no_embed_class": config.registers > 0,
        "global_pool": POOLS[config.pool],
        "fc_norm": False,
        "init_values": config.layer_scale,
        "dynamic_img_size": True,
    }


def config_file(config: ViTConfig) -> dict[str, Any]:
    """What ``config.json`` holds."""
    fields = {"unlazy": dataclasses.asdict(config)}
    if not_in_timm(config):
        return fields
    return fields | {
        "architecture": "vit_base_patch16_224",  # any plain ViT: the arguments say the rest
        "num_classes": config.num_classes,
        "num_features": config.embed_dim,
        "model_args": timm_arguments(config),
        "pretrained_cfg": {
            "input_size": [3, config.img_size, config.img_size],
            "interpolation": "bicubic",
            "mean": list(MEAN),
            "std": list(STD),
            "num_classes": config.num_classes,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
    }
