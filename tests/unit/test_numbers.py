"""Every figure of the README and the evidence pages is what the Records say."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def numbers():
    spec = importlib.util.spec_from_file_location("numbers_script", ROOT / "docs" / "numbers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme_and_evidence_agree_with_the_records():
    module = numbers()
    assert module.readme_block() in (ROOT / "README.md").read_text()
    assert module.card_page() == (ROOT / "docs" / "evidence" / "tiny-label.md").read_text()
    card, demo = (
        module.json.loads(module.CARD.read_text()),
        module.json.loads(module.DEMO.read_text()),
    )
    assert demo["model"]["weights_hash"] == card["weights_hash"]


def test_the_lock_file_records_no_address():
    assert "://" not in (ROOT / "requirements" / "lock.txt").read_text()
