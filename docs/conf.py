"""Sphinx configuration."""

import importlib.metadata

project = "unlazy"
author = "the unlazy developers"
release = importlib.metadata.version("unlazy")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "unlazy"
exclude_patterns = ["_build"]
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_preserve_defaults = True
suppress_warnings = ["ref.python"]
