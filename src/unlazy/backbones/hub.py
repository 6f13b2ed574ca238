"""The Hugging Face hub, or its cache alone where the hub cannot be reached.

Left to itself, the hub's library tries a missing network again and again, for up to a minute.
"""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urlsplit


@contextmanager
def hub_or_cache() -> Iterator[None]:
    """Inside, huggingface_hub reads the hub; without a connection, its cache and no retries.

    Raises:
        ConnectionError: there is no connection, and something asked for is not in the cache.
    """
    from huggingface_hub import constants

    reason = "" if constants.HF_HUB_OFFLINE else no_connection(constants.ENDPOINT)
    if not reason:
        yield
        return
    constants.HF_HUB_OFFLINE = True  # what the variable of that name sets before a program starts
    try:
        yield
    except OSError as error:
        raise ConnectionError(
            f"no connection to {constants.ENDPOINT}: {reason}; not in the cache either"
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = False


@cache
def no_connection(address: str) -> str:
    """Why no connection to a web address can be made, or nothing; tried once a process.

    A slow answer is no failure: only the connection is waited for, as long as the hub's library
    waits for a file's head. Behind a proxy nothing is tried.
    """
    from huggingface_hub import constants

    if urllib.request.getproxies():
        return ""
    parts = urlsplit(address)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname, port), constants.HF_HUB_ETAG_TIMEOUT).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""
