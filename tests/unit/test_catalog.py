import importlib
import sys

import pytest
import torch

from unlazy import catalog
from unlazy.own_file import OwnFile


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in catalog.TABLES for name in catalog.TABLES[kind]]
)
def test_every_name_leads_to_an_object(kind, name):
    assert callable(catalog.find(kind, name))


def test_unknown_names_list_near_ones():
    with pytest.raises(catalog.UnknownName, match="did you mean patch-score"):
        catalog.find("measures", "patchscore")
    with pytest.raises(catalog.UnknownName, match="write timm:vit_tiny"):
        catalog.load_backbone("vit_tiny")
    with pytest.raises(catalog.UnknownName, match="did you mean timm"):
        catalog.load_backbone("tim:vit_tiny")


def test_objects_come_from_a_users_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("Thing = 7\n")
    assert catalog.find("measures", f"{path}:Thing") == 7
    with pytest.raises(catalog.UnknownName, match="did you mean Thing"):
        catalog.find("measures", f"{path}:Thign")


def test_mistakes_in_a_users_file_are_told_with_their_line(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from pathlib import Path\n\ndef model():\n    return int('x')\n")
    with pytest.raises(OwnFile, match=r"mine\.py, line 4: ValueError: invalid literal"):
        catalog.load_backbone(f"{path}:model")
    with pytest.raises(catalog.UnknownName, match=r"has no 'Pth'; known: model$"):
        catalog.find("measures", f"{path}:Pth")
    with pytest.raises(catalog.UnknownName, match=r"is a file: write .*mine\.py:NAME"):
        catalog.find("measures", str(path))
    path.write_text("\n1 / 0\n")
    with pytest.raises(OwnFile, match=r"mine\.py, line 2: ZeroDivisionError"):
        catalog.find("recipes", f"{path}:model")
    path.write_text("def model(\n")
    with pytest.raises(OwnFile, match=r"SyntaxError: .*line 1"):
        catalog.find("recipes", f"{path}:model")


def test_a_users_file_may_hold_dataclasses_whose_annotations_are_text(tmp_path):
    lines = ["from __future__ import annotations", "from dataclasses import dataclass", ""]
    (tmp_path / "mine.py").write_text(
        "\n".join([*lines, "@dataclass", "class A:", "    b: int = 3"])
    )
    (tmp_path / "torch.py").write_text("class A:\n    b = 4\n")
    assert catalog.make("measures", f"{tmp_path / 'mine.py'}:A").b == 3
    assert catalog.make("measures", f"{tmp_path / 'torch.py'}:A").b == 4
    assert sys.modules["torch"] is torch


def test_a_function_that_returns_no_backbone_is_told(tmp_path):
    (tmp_path / "mine.py").write_text("def model():\n    return 3\n")
    with pytest.raises(OwnFile, match=r"mine\.py:model returns 3; it must return a Backbone"):
        catalog.load_backbone(f"{tmp_path / 'mine.py'}:model")


def test_what_lies_there_is_named_as_it_is_given(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"")
    (tmp_path / "mine.py").write_text("")
    with pytest.raises(catalog.UnknownName, match=r"write .*mine\.py:FUNCTION"):
        catalog.load_backbone(str(tmp_path / "mine.py"))
    with pytest.raises(catalog.UnknownName, match="write bundled:tiny-label"):
        catalog.load_backbone("tiny-label")
    with pytest.raises(catalog.UnknownName, match=r"there is no file none\.pth"):
        catalog.load_backbone("none.pth")
    with pytest.raises(catalog.UnknownName, match=r"there is no file none\.py$"):
        catalog.find("recipes", "none.py")
    with pytest.raises(catalog.UnknownName, match=f"write file:{tmp_path}"):
        catalog.load_backbone(str(tmp_path))
    with pytest.raises(catalog.UnknownName, match=r"write timm:NAME --checkpoint .*weights"):
        catalog.load_backbone(str(tmp_path / "weights.pth"))
    with pytest.raises(catalog.UnknownName, match="there is no folder"):
        catalog.load_backbone(f"file:{tmp_path / 'none'}")


def test_public_names_exist():
    import unlazy

    for name in unlazy.__all__:
        assert getattr(unlazy, name) is getattr(importlib.import_module(unlazy._HOME[name]), name)
