"""A ViT with LazyStrike leaves torch: as a graph without complex numbers, and as ONNX."""

import pytest
import torch

from unlazy.backbones.vit import ViT, ViTConfig

SETTINGS = {
    "half": {"keep": 0.5},
    "one": {"keep": 1},
    "paper-shuffled": {"keep": 0.25, "reading": "paper", "shuffle": 1},
    "alg1-centred-registers": {"keep": 4, "reading": "alg1", "kernel": "centred", "registers": 2},
    "token-windows": {"reading": "token", "windows": (0,), "window": 2},
}


def build(settings) -> ViT:
    torch.manual_seed(0)
    small = {"img_size": 32, "embed_dim": 24, "depth": 1, "num_heads": 3, "num_classes": 7}
    return ViT(ViTConfig(**small, pool="lazy_strike", **settings)).eval()


def images(count):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("name", SETTINGS)
@torch.no_grad()
def test_the_exported_graph_holds_no_complex_number(name):
    model = build(SETTINGS[name])
    exported = torch.export.export(model, (images(2),))
    values = [node.meta.get("val") for node in exported.graph.nodes]
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    assert len(tensors) > 20
    assert not any(tensor.is_complex() for tensor in tensors)
    torch.testing.assert_close(exported.module()(images(2)), model(images(2)))


@pytest.mark.filterwarnings("ignore")  # of torch's exporter, about itself
@pytest.mark.parametrize("name", SETTINGS)
@torch.no_grad()
def test_an_onnx_runtime_gives_the_same_output_for_any_batch(name, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="the dev group is not installed")
    model, path = build(SETTINGS[name]), tmp_path / "model.onnx"
    batch = {"images": {0: torch.export.Dim("batch")}}
    torch.onnx.export(model, (images(2),), path, dynamic_shapes=batch, verbose=False)
    session = runtime.InferenceSession(path)
    for count in (2, 5):
        (found,) = session.run(None, {"images": images(count).numpy()})
        torch.testing.assert_close(torch.from_numpy(found), model(images(count)))
