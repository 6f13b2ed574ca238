"""The papers' tables as data: what was measured of what, and where that is had."""
