"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

Code = Annotated[Path | None, Option("--code", "-c", help="Python file to import first, with functions of the config.")]
Limit = Annotated[int, Option(help="Most Docs to read; 0 = all.")]
