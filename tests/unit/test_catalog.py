import importlib

import pytest

from unlazy import catalog


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


def test_public_names_exist():
    import unlazy

    for name in unlazy.__all__:
        assert getattr(unlazy, name) is getattr(importlib.import_module(unlazy._HOME[name]), name)
