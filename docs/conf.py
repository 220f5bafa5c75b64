"""How Sphinx builds the site: `make docs`."""

import tomllib
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]

project = "Distributed ML inference on Kubernetes, simulated"
author = "The lab's authors"
copyright = f"2026, {author}"
release = version = _PROJECT["version"]
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["conf.py"]
html_theme = "furo"
html_title = project
html_static_path: list[str] = []
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True}
napoleon_custom_sections = [("Source", "notes_style")]
nitpicky = False
# The site is built where there is no internet, too: nothing is looked up while it is.
mathjax_path = "https://cdn.jsdelivr.net/npm/mathjax@4/tex-mml-chtml.js"
