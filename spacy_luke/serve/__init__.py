"""A pipeline as a server: JSON for programs, a page for people, suggestions for annotation tools. Of this package, only
this folder needs FastAPI and uvicorn: the extra `serve`.
"""

from __future__ import annotations

from ..errors import LukeError

try:
    import fastapi  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise LukeError("L176", what="the server", package="fastapi and uvicorn", reason=error, extra="serve") from error

from .app import make_app
from .server import serve
from .settings import Settings

__all__ = ["Settings", "make_app", "serve"]
