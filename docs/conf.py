"""Sphinx: `make docs` builds the pages into docs/_build. Nothing is fetched from the network."""

import re
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import generated  # noqa: E402

from spacy_luke import __version__  # noqa: E402

project = "spacy-luke"
author = "The spacy-luke authors"
copyright = author
version = release = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
smartquotes = False
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"spacy-luke {version}"
html_copy_source = False
html_show_sourcelink = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
suppress_warnings = ["myst.header"]


# Markdown files beside the docs, which a reader on GitHub follows, are files to load here, not pages.
OTHER_MARKDOWN = re.compile(r"\]\((\.\./[\w./-]+\.md)\)")


def expand(app, name, source):
    """Put what comes from the package into a page."""
    source[0] = OTHER_MARKDOWN.sub(r"](path:\1)", generated.expand(source[0]))


def setup(app):
    app.connect("source-read", expand)
