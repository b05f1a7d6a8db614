"""A plain encoder's folder made a LUKE's or a Longformer's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..encoders.config import INDEPENDENT, has_independent_attention
from ..errors import LukeError
from .heads import keeps_head
from .reader import open_checkpoint
from .upcycle import ATTENTION_WINDOW, MAX_PIECES, SOURCES
from .writer import save_checkpoint


def upcycle_folder(
    source: Path,
    target: Path,
    *,
    to: str = "luke",
    case_types: bool | None = None,
    max_pieces: int = MAX_PIECES,
    attention_window: int | tuple[int, ...] = ATTENTION_WINDOW,
) -> None:
    """Write the checkpoint made from the RoBERTa, XLM-R or BERT checkpoint in `source` to `target`.

    to: "luke", or "longformer", which may be made from a LUKE too.
    case_types: whether pieces carry the case of their word; default: if the tokenizer lower-cases, or as a LUKE has it.
    max_pieces, attention_window: of the Longformer; see `LongformerConfig`.
    """
    checkpoint = open_checkpoint(
        source,
        plain_as=to,
        plain=SOURCES[to],
        case_types=case_types,
        max_pieces=max_pieces,
        attention_window=attention_window,
    )
    if not checkpoint.upcycled:
        independent = INDEPENDENT if has_independent_attention(checkpoint.config) else ""
        kind = f"{independent}{checkpoint.model_type}"
        raise LukeError("L031", target=to, model_type=kind, possible=", ".join(SOURCES[to]))
    description = checkpoint.describe(checkpoint.config)
    architecture = checkpoint.architecture
    if checkpoint.model_type == "luke" and keeps_head(architecture, source="luke", target=to):
        module, _ = checkpoint.load_task_module(architecture, "full")
        name = checkpoint.architecture_of(architecture)
        save_checkpoint(target, replace(description, architecture=name, labels=checkpoint.labels), module)
    else:
        save_checkpoint(target, description, checkpoint.load_encoder())
