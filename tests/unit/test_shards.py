"""Token shards: the rows that were observed, whatever happened on the way, and nothing else."""

import dataclasses
import json
import os
import re
import resource
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from unlazy.backbones.timm import TimmViT
from unlazy.data.sample import Sample, Unreadable
from unlazy.geometry import View
from unlazy.ledger import Some, Sum
from unlazy.measure import measure
from unlazy.measures.blocks import BlockNorms
from unlazy.measures.norms import Norms
from unlazy.shards import Shards, TokensAt, extract
from unlazy.tokens import FINAL, block, norm_of

COUNT, BAD = 12, 3
SQUARE = View((32, 32))
NATIVE = View((32, 32), fit="native", multiple=(16, 16))
WHERE = TokensAt((FINAL, block(-1), norm_of(block(0))), image=True)
DOCS = Path(__file__).parents[2] / "docs" / "shards.md"


class Killed(BaseException):
    """Stands for the end of the process."""


class Pictures:
    """Twelve pictures of two sizes, of which the fourth cannot be read."""

    def __init__(self, name="picture"):
        self.name, self.asked = name, []

    def __len__(self):
        return COUNT

    def name_of(self, index):
        return f"{self.name} {index}"

    def __getitem__(self, index):
        self.asked.append(index)
        if index == BAD:
            raise Unreadable("it is broken")
        pixels = np.random.default_rng(index).integers(0, 255, (32, 32 + 16 * (index % 2), 3))
        image = Image.fromarray(pixels.astype(np.uint8))
        return Sample(image, self.name_of(index), label=index % 4)


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Of every third picture the first patch; of the others nothing."""

    name: str = "chosen"
    reads = frozenset({FINAL})

    def observe(self, trace, batch):
        which = torch.tensor([index % 3 == 0 for index in batch.indices])
        place = torch.tensor(batch.indices)
        first = trace[FINAL].patches[which, 0]
        return {"first": Some(which, first), "place": place}


@dataclasses.dataclass(frozen=True)
class Total:
    reads = frozenset({FINAL})

    def observe(self, trace, batch):
        return {"total": Sum(trace.image.sum())}


def model(seed=0, scale=1.0):
    torch.manual_seed(seed)
    options = {"depth": 2, "embed_dim": 24, "num_heads": 2, "img_size": 32, "reg_tokens": 2}
    found = timm.create_model("vit_tiny_patch16_224", dynamic_img_size=True, **options)
    found.blocks[-1].mlp.fc2.bias.data += scale - 1
    return TimmViT(found, name="tiny", weights="random")


def run(folder, pictures=None, backbone=None, *, observers=(WHERE,), view=SQUARE, dtype=None):
    pictures = Pictures() if pictures is None else pictures
    return extract(
        backbone or model(),
        pictures,
        observers,
        folder=folder,
        view=view,
        dtype=dtype,
        batch_size=2,
    )


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An extraction that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return folder


def test_rows_are_the_tokens_of_the_model_bit_by_bit(whole):
    shards, backbone, pictures = Shards(whole), model(), Pictures()
    assert len(shards) == COUNT - 1
    assert shards.indices.tolist() == [index for index in range(COUNT) if index != BAD]
    assert shards.names[-1] == "picture 11"
    indices = [4, 5]  # these two met in a batch
    pixels = torch.stack([SQUARE(pictures[index].image).pixels for index in indices])
    with torch.inference_mode():
        trace = backbone.trace(backbone.normalise(pixels), [FINAL, block(-1), norm_of(block(0))])
    assert torch.equal(shards.rows("final.patches", indices), trace[FINAL].map())
    assert torch.equal(shards.rows("block(-1).cls", indices), trace[block(-1)].cls)
    assert torch.equal(shards.rows("block(-1).registers", indices), trace[block(-1)].registers)
    norms = shards.rows("norm of block(0).patches", indices)
    assert torch.equal(norms, trace[norm_of(block(0))].map())
    assert torch.equal(shards.row("image", 5), trace.image[1])


def test_the_manifest_says_what_the_shards_are_of(whole):
    found = Shards(whole).manifest
    assert found["model"]["weights_hash"] == model().fingerprint()
    assert found["sites"] == ["block(-1)", "final", "norm of block(0)"]
    assert found["keys"]["final.patches"] == {"shape": [2, 2, 24], "dtype": "float32", "n": 11}
    assert found["skipped"] == [{"index": BAD, "name": "picture 3", "reason": "it is broken"}]
    assert found["shards"][1]["indices"] == [2]
    assert found["shards"][2]["labels"] == [0, 1]
    assert {"torch", "unlazy", "safetensors"} <= found["packages"].keys()
    assert sorted(content(whole)) == ["manifest.json"] + [
        f"shard-0000{n}.safetensors" for n in range(6)
    ]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_numbers_are_stored_in_the_type_asked_for(whole, tmp_path, dtype):
    exact, found = Shards(whole), run(tmp_path, observers=(WHERE, Chosen()), dtype=dtype)
    rows = found.rows("final.patches", found.indices)
    assert rows.dtype == dtype
    assert torch.equal(rows, exact.rows("final.patches", exact.indices).to(dtype))
    assert found.row("place", 7).dtype == torch.int64
    seen = found.seen()
    assert np.array_equal(seen.stack("final.patches"), rows.float())
    assert seen.kept["first"].keys() == set(found.having("first").tolist())


def test_values_too_large_for_the_type_are_an_error_not_infinity(tmp_path):
    large = model(scale=1e5)
    with pytest.raises(ValueError, match=r"block\(-1\).*beyond float16; store as bfloat16"):
        run(tmp_path / "half", backbone=large, dtype=torch.float16)
    found = run(tmp_path / "bfloat16", backbone=large, dtype=torch.bfloat16)
    assert torch.isfinite(found.rows("block(-1).patches", found.indices)).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_tokens_that_are_no_numbers_are_refused_by_picture_and_key(tmp_path, value):
    """A patch of the second of each batch after the last block; CLS and image vector are sound."""
    backbone = model()

    def harm(module, given, output):
        output = output.clone()
        output[1:, -1, 0] = value
        return output

    backbone.model.blocks[-1].register_forward_hook(harm)
    with pytest.raises(ValueError, match=r"block\(-1\).patches of picture 1 are not finite"):
        run(tmp_path, backbone=backbone, observers=(TokensAt((block(-1),)),))


def test_a_kill_at_any_moment_loses_and_doubles_nothing(whole, tmp_path, monkeypatch):
    replace = os.replace
    # The manifest, six times a shard and its entry, the manifest again.
    for moment in (0, 1, 2, 3, 6, 13):
        folder, calls = tmp_path / str(moment), iter(range(100))

        def dies(source, target, calls=calls, moment=moment):
            if next(calls) >= moment:
                raise Killed
            replace(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", dies)
            with pytest.raises(Killed):
                run(folder)
        with pytest.raises(ValueError, match=r"not finished|no token shards"):
            Shards(folder)
        pictures = Pictures()
        run(folder, pictures)
        assert content(folder) == content(whole)
        written = max(0, moment - 1) // 2
        assert set(pictures.asked) - {0} == set(range(2 * written, COUNT)) - {0}
    run(folder, again := Pictures())
    assert again.asked == [], "what is complete is not made again"


def test_what_an_extraction_without_its_manifest_left_is_not_used(whole, tmp_path):
    run(tmp_path, backbone=model(1))
    for path in tmp_path.glob("*.safetensors"):  # as if it were killed at its end
        path.with_suffix(".json").write_text("{}")
    (tmp_path / "manifest.json").unlink()
    run(tmp_path)
    assert content(tmp_path) == content(whole)


@pytest.mark.parametrize("harm", ["truncated", "altered", "missing"])
def test_a_harmed_shard_is_named_and_made_again(whole, tmp_path, harm):
    run(tmp_path)
    path = tmp_path / "shard-00002.safetensors"
    old = bytearray(path.read_bytes())
    old[-5] ^= 1
    path.write_bytes(old if harm == "altered" else old[:-5])
    if harm == "missing":
        path.unlink()
    if harm != "altered":
        with pytest.raises(ValueError, match=r"shard-00002.*makes it again"):
            Shards(tmp_path)
    pictures = Pictures()
    with pytest.warns(UserWarning, match=r"shard-00002\.safetensors .*made again"):
        run(tmp_path, pictures)
    assert sorted(set(pictures.asked)) == [4, 5]
    assert content(tmp_path) == content(whole)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"backbone": model(1)}, "weights_hash"),
        ({"view": View((64, 64))}, r"view: size \[32, 32\], now \[64, 64\]"),
        ({"dtype": torch.float16}, "dtype: as observed, now float16"),
        ({"observers": (TokensAt((FINAL,)),)}, "sites"),
        ({"pictures": Pictures("other")}, "other pictures"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_shards_of_something_else_are_refused_and_stay(whole, other, said):
    before = content(whole)
    with pytest.raises(ValueError, match=f"{said}.*choose another folder"):
        run(whole, **other)
    assert content(whole) == before


def test_a_full_disk_is_told_and_the_next_run_goes_on(whole, tmp_path):
    """A real limit: no file may grow beyond it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    run(tmp_path)
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("*.safetensors"))]
    for path in tmp_path.iterdir():
        path.unlink()
    assert sizes[1] < sizes[0], "the second shard has one picture less"
    resource.setrlimit(resource.RLIMIT_FSIZE, (sizes[0] - 1, hard))
    try:
        with pytest.raises(
            OSError, match=f"cannot write to {tmp_path}: File too large; about .* MB"
        ):
            run(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.glob(".*"))
    run(tmp_path)
    assert content(tmp_path) == content(whole)


def test_pictures_of_several_sizes_keep_their_grid(tmp_path):
    shards = run(tmp_path, view=NATIVE)
    assert shards.shape("final.patches") is None
    assert shards.shape("image") == (24,)
    assert shards.row("final.patches", 4).shape == (2, 2, 24)
    assert shards.row("final.patches", 5).shape == (2, 3, 24)
    pixels = NATIVE(Pictures()[5].image).pixels[None]
    backbone = model()
    with torch.inference_mode():
        trace = backbone.trace(backbone.normalise(pixels), [FINAL])
    torch.testing.assert_close(shards.row("final.patches", 5), trace[FINAL].map()[0])
    with pytest.raises(ValueError, match=r"differ in shape.*row\(\)"):
        shards.rows("final.patches", [4, 5])


def test_rows_of_some_pictures_belong_to_these(tmp_path):
    shards = run(tmp_path, observers=(Chosen(), TokensAt((FINAL,))))
    assert shards.having("first").tolist() == [0, 6, 9]
    every = shards.rows("final.patches", [9, 0, 6])
    assert torch.equal(shards.rows("first", [9, 0, 6]), every[:, 0, 0])
    (batch,) = shards.batches("first", "place", size=8)
    assert batch["index"].tolist() == batch["place"].tolist() == [0, 6, 9]
    with pytest.raises(KeyError, match="picture 1 has no row of first"):
        shards.row("first", 1)
    with pytest.raises(KeyError, match="picture 3: it was skipped"):
        shards.row("place", 3)
    with pytest.raises(ValueError, match="did you mean first"):
        shards.row("fist", 0)


def test_measures_are_observers(tmp_path):
    shards = run(tmp_path, observers=(Norms(), BlockNorms(2, frozenset({4}))))
    measured = measure(model(), Pictures(), [Norms()], view=SQUARE, batch_size=2)
    for key, rows in measured.seen["norms"].kept.items():
        assert {index: shards.row(key, index).tolist() for index in rows} == {
            index: row.tolist() for index, row in rows.items()
        }
    assert shards.having("map/1").tolist() == [4]


def test_batches_hold_every_picture_once_in_an_order_that_the_seed_decides(whole):
    shards = Shards(whole)

    def order(seed):
        batches = list(shards.batches("image", size=4, seed=seed))
        assert [len(each["index"]) for each in batches] == [4, 4, 3]
        for each in batches:
            assert torch.equal(each["image"], shards.rows("image", each["index"].numpy()))
        return torch.cat([each["index"] for each in batches]).tolist()

    assert order(None) == shards.indices.tolist()
    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in (None, 1, 2)}) == 3
    assert sorted(order(1)) == order(None)


def test_labels_stand_beside_names_and_batches(whole):
    shards = Shards(whole)
    by_index = dict(zip(shards.indices.tolist(), shards.labels, strict=True))
    assert by_index == {index: index % 4 for index in range(COUNT) if index != BAD}
    for batch in shards.batches("image", size=4, seed=1):
        assert batch["label"].dtype == torch.int64
        assert torch.equal(batch["label"], batch["index"] % 4)


def test_labels_that_are_not_known_are_none_and_minus_one_in_batches(tmp_path):
    class Some(Pictures):
        """Of two pictures of each shard: none, one, none, ... has a label."""

        def __getitem__(self, index):
            return dataclasses.replace(super().__getitem__(index), label={2: 7}.get(index))

    shards = run(tmp_path, Some())
    assert shards.labels == (None, None, 7, *[None] * 8)
    (batch,) = shards.batches("image", size=COUNT)
    assert batch["label"].tolist() == [-1, -1, 7, *[-1] * 8]


def test_verifying_names_altered_files_and_what_to_do(tmp_path):
    shards = run(tmp_path)
    shards.verify()
    path = tmp_path / "shard-00002.safetensors"
    old = bytearray(path.read_bytes())
    old[-5] ^= 1
    path.write_bytes(old)
    said = r"1 of 6 files .*shard-00002\.safetensors is altered.*run the same extract command again"
    with pytest.raises(ValueError, match=said):
        Shards(tmp_path).verify()
    with pytest.warns(UserWarning, match="made again"):
        run(tmp_path).verify()


def test_sums_and_keys_given_twice_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="total is a sum"):
        run(tmp_path / "new", observers=(Total(),))
    with pytest.raises(ValueError, match="'image' is observed twice"):
        run(tmp_path / "new", observers=(WHERE, TokensAt((), image=True)))
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_no_shards_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no token shards"):
        Shards(tmp_path)
    (tmp_path / "manifest.json").write_text('{"name": "a web page"}')
    with pytest.raises(ValueError, match="not the manifest of token shards"):
        run(tmp_path)


def test_the_reader_of_the_documentation_reads(whole):
    (program,) = re.findall(r"```python\n(import json.*?)```", DOCS.read_text(), re.DOTALL)
    assert sum(map(bool, program.splitlines())) <= 10
    assert set(re.findall(r"^(?:import|from) (\w+)", program, re.MULTILINE)) == {
        "json",
        "pathlib",
        "safetensors",
    }
    names = {}
    exec(program, names)
    shards = Shards(whole)
    found = {(key, index): row for key, index, row in names["rows"](str(whole))}
    assert len(found) == sum(
        each["n"] for each in json.loads((whole / "manifest.json").read_text())["keys"].values()
    )
    for (key, index), row in found.items():
        np.testing.assert_array_equal(row, shards.row(key, index).numpy())
