"""Without a network the hub's cache is read at once; with a slow one the hub is waited for."""

import json
import socket
import time

import pytest
from huggingface_hub import constants, hf_hub_download

from unlazy.backbones import timm_load
from unlazy.backbones.hub import hub_or_cache, no_connection
from unlazy.backbones.weights import PretrainedUnavailable

REPOSITORY = "nobody/nothing"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An address of the hub on this machine, and whether something listens there."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    no_connection.cache_clear()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        yield server
    no_connection.cache_clear()


def test_what_is_not_cached_fails_at_once_and_says_why(hub, tmp_path):
    start = time.monotonic()
    with (
        pytest.raises(ConnectionError, match=r"no connection to http.*Connection refused.*cache"),
        hub_or_cache(),
    ):
        hf_hub_download(REPOSITORY, "config.json", cache_dir=tmp_path)
    assert time.monotonic() - start < 5  # the library's own retries take half a minute
    assert not constants.HF_HUB_OFFLINE


def test_what_is_cached_is_read(hub, tmp_path):
    folder = tmp_path / "models--nobody--nothing"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("a" * 40)
    (folder / "snapshots" / ("a" * 40)).mkdir(parents=True)
    (folder / "snapshots" / ("a" * 40) / "config.json").write_text('{"held": 1}')
    with hub_or_cache():
        path = hf_hub_download(REPOSITORY, "config.json", cache_dir=tmp_path)
    with open(path) as file:
        assert json.load(file) == {"held": 1}


def test_a_hub_that_takes_connections_but_answers_slowly_is_not_given_up(hub):
    hub.listen()
    with hub_or_cache():
        assert not constants.HF_HUB_OFFLINE


def test_behind_a_proxy_nothing_is_tried(hub, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    with hub_or_cache():
        assert not constants.HF_HUB_OFFLINE


def test_missing_weights_say_what_to_do(hub):
    with pytest.raises(PretrainedUnavailable, match=r"no connection to .*--checkpoint FILE"):
        timm_load.load("test_vit", weights="pretrained")
