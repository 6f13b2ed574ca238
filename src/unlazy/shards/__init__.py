"""Token shards: what observers see in a model, a row a picture, in files of safetensors.

``extract`` writes them, ``Shards`` reads them; docs/shards.md has the whole format.
"""

from unlazy.shards.extraction import extract
from unlazy.shards.observers import Observer, TokensAt
from unlazy.shards.reading import Shards

__all__ = ["Observer", "Shards", "TokensAt", "extract"]
