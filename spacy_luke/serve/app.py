"""The routes of a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from spacy.language import Language
from spacy.tokens import Doc
from starlette.concurrency import run_in_threadpool

from ..annotations.results import to_dict
from ..errors import LukeError
from ..scale.rows import Row
from .batcher import Batcher
from .gate import BAD_REQUEST, HUNG_UP, Gate, problem
from .inception import add_inception
from .jobs import HungUp, Jobs, to_json
from .label_studio import add_label_studio
from .metrics import CONTENT_TYPE, Metrics
from .page import add_page
from .schema import AnnotateRequest, Annotation, Health, Problem
from .settings import Settings

_ABOUT = 'Entities, relations, types, links and answers in texts. Errors are `{"detail": "..."}`.'
PROBLEMS: dict[int | str, dict[str, Any]] = {
    413: {"model": Problem, "description": "Too large"},
    422: {"model": Problem, "description": "Not what this takes"},
    500: {"model": Problem, "description": "A text could not be annotated"},
    503: {"model": Problem, "description": "Too much waits: try again after Retry-After seconds"},
    504: {"model": Problem, "description": "It took too long"},
}


def make_app(nlp: Language, settings: Settings | None = None) -> FastAPI:
    """An ASGI application that annotates with a pipeline. Nobody else may use the pipeline while it runs."""
    settings = settings or Settings()
    batcher = Batcher(nlp, settings)
    jobs, metrics = Jobs(batcher, settings), Metrics(batcher)
    model = "{lang}_{name}-{version}".format_map({"lang": "", "name": "", "version": "", **nlp.meta})

    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        await run_in_threadpool(batcher.close)

    app = FastAPI(
        title=f"spacy-luke: {model}",
        description=_ABOUT,
        version=str(nlp.meta.get("version", "")),
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        lifespan=run,
    )
    app.state.batcher = batcher
    app.add_middleware(Gate, settings=settings, metrics=metrics)
    _add_errors(app)

    @app.post(
        "/annotate",
        response_model=Annotation | list[Annotation],
        response_model_exclude_unset=True,
        responses=PROBLEMS,
        tags=["annotate"],
    )
    async def annotate(request: Request, body: AnnotateRequest) -> Response:
        """Annotate a text, or several: one result for each, in their order."""
        texts = [body.text] if isinstance(body.text, str) else body.text
        rows = [Row(number, text, {}, body.questions or None) for number, text in enumerate(texts, start=1)]

        def make(docs: Sequence[Doc]) -> bytes:
            found = [to_dict(doc) for doc in docs]
            return to_json(found[0] if isinstance(body.text, str) else found)

        found = await jobs.annotate(request, rows, make, body.components)
        return Response(found, media_type="application/json")

    labels = {name: list(map(str, getattr(nlp.get_pipe(name), "labels", ()))) for name in nlp.pipe_names}

    @app.get("/health", response_model=Health, tags=["state"], responses={503: {"model": Health}})
    async def health() -> JSONResponse:
        """Tell whether the server annotates: 503 if not."""
        up = batcher.is_alive
        content = {
            "status": "UP" if up else "DOWN",
            "model": model,
            "components": list(batcher.components),
            "labels": {name: known for name, known in labels.items() if known},
            "waiting": batcher.waiting,
        }
        return JSONResponse(content, 200 if up else 503)

    @app.get("/metrics", tags=["state"], response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def tell_metrics() -> Response:
        """Counts in the text format of Prometheus."""
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    add_label_studio(app, jobs, model)
    add_inception(app, jobs, nlp)
    add_page(app, jobs, nlp)
    return app


def _add_errors(app: FastAPI) -> None:
    """One form for all errors."""

    @app.exception_handler(LukeError)
    async def refuse(request: Request, error: LukeError) -> JSONResponse:
        status, headers, content = problem(error)
        return JSONResponse(content, status, headers)

    @app.exception_handler(HungUp)
    async def nobody_waits(request: Request, error: HungUp) -> Response:
        return Response(status_code=HUNG_UP)

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Without what was sent, which may be long, or nothing that can be written.
        reasons = dict.fromkeys(f"{_place(one['loc'])}: {one['msg']}" for one in error.errors())
        detail = "; ".join(reasons).encode("utf8", "replace").decode("utf8")
        return JSONResponse({"detail": detail}, BAD_REQUEST)

    @app.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": "The server failed; its log says why."}, 500)


def _place(path: Sequence[object]) -> str:
    """The field that is wrong, without the alternatives that pydantic has tried."""
    names = [str(part) for part in path if not (isinstance(part, str) and ("[" in part or part == "str"))]
    return ".".join(names)
