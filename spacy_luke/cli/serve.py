"""`luke serve`: a pipeline as a server."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Argument, Option

from . import luke_cli
from .errors import one_line_errors
from .options import Code


@luke_cli.command("serve", short_help="Serve a pipeline, with a page to type into.")
def serve_cli(
    model: Annotated[str, Argument(help="Folder or name of a pipeline.")],
    host: Annotated[
        str, Option(help="Address to listen on. 0.0.0.0 is all of this machine, where anybody who reaches it may ask.")
    ] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="Port to listen on; 0 = any that is free.")] = 8000,
    threads: Annotated[int | None, Option(min=1, help="Threads of PyTorch; default: its own choice.")] = None,
    gpu: Annotated[int | None, Option(min=0, help="Number of the GPU to compute on; default: the CPU.")] = None,
    max_characters: Annotated[int, Option(min=1, help="Most characters in a request, with its questions.")] = 100_000,
    max_texts: Annotated[int, Option(min=1, help="Most texts in a request, and most questions.")] = 128,
    max_waiting: Annotated[
        int, Option(min=1, help="Most texts that wait, of all requests; more are refused for now (503).")
    ] = 512,
    max_body: Annotated[int, Option(min=1, help="Most bytes in a request.")] = 8 * 2**20,
    timeout: Annotated[float, Option(help="Seconds until a request must have come, and until it must be done.")] = 60.0,
    kb_url_template: Annotated[
        str | None,
        Option(
            metavar="URL",
            help="Address of what entities are linked to, for the page, with {} for the id, such as "
            "https://en.wikipedia.org/wiki/{}.",
        ),
    ] = None,
    root_path: Annotated[str, Option(help="Path below which a reverse proxy shows the server, such as /luke.")] = "",
    code: Code = None,
) -> None:
    """Serve a pipeline: POST /annotate for programs, a page to type into, suggestions for annotation tools.

    There is no password: the server is for this machine, or for a network where everybody may use it. SIGTERM and
    Ctrl-C end it once it has answered what it has taken.

    Example: python -m spacy luke serve en_luke_mini --port 8000
    """
    with one_line_errors():
        from ..scale.worker import load_pipeline
        from ..serve import Settings, serve

        settings = Settings(
            max_characters=max_characters,
            max_texts=max_texts,
            max_waiting=max_waiting,
            max_body=max_body,
            max_bodies=max(max_body, Settings.max_bodies),
            timeout=timeout,
            kb_url_template=kb_url_template,
        )
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        nlp = load_pipeline(model, code, gpu)
        serve(
            nlp,
            settings,
            host=host,
            port=port,
            root_path=root_path,
            on_start=lambda address: typer.echo(f"Serving {model} at {address}. Ctrl-C ends it."),
        )
    typer.echo("Stopped.")
