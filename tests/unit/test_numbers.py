"""Every figure of the README and the evidence pages is what the Records say."""

import importlib.util
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # for dataclasses
    spec.loader.exec_module(module)
    return module


def test_readme_and_evidence_agree_with_the_records():
    module = script("readme_numbers")
    for block in (module.readme_block(), module.findings_block()):
        assert block in (ROOT / "README.md").read_text()
    assert module.bundled_page() == (ROOT / "docs" / "evidence" / "bundled.md").read_text()
    hashes = {card["name"]: card["weights_hash"] for card in module.cards()}
    for path in module.DEMO.values():
        demo = json.loads(path.read_text())
        assert demo["model"]["weights_hash"] == hashes[demo["model"]["name"].split(":")[1]]


def test_the_training_page_says_what_its_records_say():
    module = script("training_evidence")
    assert module.page() == (ROOT / "docs" / "evidence" / "training.md").read_text()


def test_the_localisation_page_says_what_its_records_say():
    module = script("localisation_evidence")
    assert module.page() == (ROOT / "docs" / "evidence" / "localisation.md").read_text()


def test_the_page_of_claims_says_what_its_records_say():
    module = script("claims_evidence")
    assert module.page() == (ROOT / "docs" / "evidence" / "claims.md").read_text()


def test_the_lock_file_records_no_address():
    assert "://" not in (ROOT / "requirements" / "lock.txt").read_text()
