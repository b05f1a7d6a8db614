"""What setup.cfg cannot say: the description on the package index, where relative links of the README lead nowhere."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\[\]]*)\]\((?!\w+:|#)(?P<path>[^()\s]+)\)")


def with_absolute_links(readme: str, url: str, tag: str) -> str:
    """The README with links to the files of a tag on GitHub: pictures by themselves, all else as pages."""
    raw = url.replace("https://github.com/", "https://raw.githubusercontent.com/")

    def absolute(link: re.Match[str]) -> str:
        target = f"{raw}/{tag}" if link["picture"] else f"{url}/blob/{tag}"
        return f"{link['picture']}[{link['text']}]({target}/{link['path']})"

    return LINK.sub(absolute, readme)


def description() -> str:
    """The README of this version, to read anywhere."""
    config = configparser.ConfigParser(delimiters=("=",))
    config.read(ROOT / "setup.cfg", encoding="utf8")
    metadata = config["metadata"]
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    return with_absolute_links(readme, metadata["url"], f"v{metadata['version']}")


if __name__ == "__main__":
    setup(long_description=description())
