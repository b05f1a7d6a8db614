"""The bridge to spacy-transformers: our encoders as the model of its `transformer` component.

It and transformers are imported by the functions that need them, never when spaCy looks for this package's names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from spacy.tokens import Doc, Span
from thinc.api import ArgsKwargs, Model, chain
from thinc.types import Floats2d, Ragged

from ..batching.collate import PreparedRow, batch_rows, collate
from ..batching.device import is_finite
from ..batching.pieces import doc_pieces
from ..batching.span_rows import span_rows
from ..checks import require_at_least
from ..encoders.batches import Batch
from ..encoders.inputs import Recording
from ..encoders.layers import set_dropout
from ..encoders.longformer import LongformerEncoder
from ..errors import LukeError, warn
from ..tokenization.loading import SpecialPieces
from ..user_functions import naming_key_errors
from .checkpoint_shim import COMPONENT, WHERE, CheckpointShim

# What can be asked for beside the last states, under its name in transformers.
OUTPUTS = ("output_hidden_states", "output_attentions")
TOK2VEC = "spacy-luke.Tok2VecTransformer.v1"
# Docs -> the spans of each, as spacy-transformers' registry `span_getters` has them.
SpanGetter = Callable[[Sequence[Doc]], Sequence[Sequence[Span]]]


def build_transformer_model(
    encoder: Model[Any, Any],
    get_spans: SpanGetter,
    checkpoint: str | None = None,
    revision: str | None = None,
    max_batch_pieces: int = 4096,
    transformer_config: dict[str, bool] | None = None,
) -> Model[list[Doc], Any]:
    """A LUKE or Longformer as the model of spacy-transformers' `transformer`, as `spacy-luke.TransformerModel.v1`.

    encoder: `spacy-luke.LukeEncoder.v1` or `spacy-luke.LongformerEncoder.v1`.
    get_spans: what of a Doc is encoded together, one of spacy-transformers' span getters. A span that is longer than
        the encoder's positions becomes several that overlap by a quarter.
    checkpoint: folder or Hub id; LUKE or Longformer, as the encoder is, or BERT, RoBERTa and XLM-R, which are read as
        that; null = the encoder of the bundled model, a LUKE. Only `nlp.initialize()` reads it: a saved pipeline has
        the weights, the configuration and the tokenizer. (Our own components have it under `[initialize.components]`,
        but spacy-transformers' component passes nothing of that to its model.)
    revision: branch, tag or commit on the Hub.
    max_batch_pieces: most pieces of one forward pass, padding included.

    transformer_config: `{"output_hidden_states": true}` also gives the states of all layers, that of the embeddings
        first, and `{"output_attentions": true}` the attention weights of all layers, as in spacy-transformers:
        `model_output.hidden_states` and `.attentions` of `doc._.trf_data`. They have no gradient. null = neither. L047
        for other settings.

    The states are those of the last layer for the pieces alone: LUKE is given no entities, Longformer no global pieces.
    """
    require_at_least(1, max_batch_pieces=max_batch_pieces)
    outputs = dict(transformer_config or {})
    if unknown := outputs.keys() - OUTPUTS:
        reason = f"{', '.join(sorted(unknown))} is not among {', '.join(OUTPUTS)}"
        raise LukeError("L047", setting="transformer_config", value=transformer_config, reason=reason)
    return Model(
        "luke_transformer",
        partial(_forward, max_batch_pieces=max_batch_pieces),
        init=partial(_init, checkpoint=checkpoint, revision=revision),
        dims={"nO": None},
        attrs={
            "get_spans": get_spans,
            "outputs": frozenset(name for name, wanted in outputs.items() if wanted),
            "dropout_rate": None,  # as configured, until spaCy sets it
            "replace_listener": _replace_listener,
            "replace_listener_cfg": _replace_listener_cfg,
        },
        shims=[CheckpointShim(encoder.attrs)],
    )


def build_tok2vec_transformer(
    encoder: Model[Any, Any],
    get_spans: SpanGetter,
    pooling: Model[Ragged, Floats2d],
    grad_factor: float = 1.0,
    checkpoint: str | None = None,
    revision: str | None = None,
    max_batch_pieces: int = 4096,
) -> Model[list[Doc], list[Floats2d]]:
    """The same as the `tok2vec` of one component, which shares it with no other, as `spacy-luke.Tok2VecTransformer.v1`.

    It is what `nlp.replace_listeners` puts in the place of a listener.

    pooling: from the states of a token's pieces to its vector, e.g. `reduce_mean.v1`.
    grad_factor: multiplies the gradient that the encoder gets; 0 leaves it as it is.
    """
    _require_spacy_transformers()
    from spacy_transformers.layers import trfs2arrays

    transformer = build_transformer_model(encoder, get_spans, checkpoint, revision, max_batch_pieces)
    # Nested as `replace_listeners` leaves it, so that either can load what the other saved.
    return chain(_replace_listener(transformer), trfs2arrays(pooling, grad_factor))


def _replace_listener(model: Model) -> Model:
    """A transformer in the place of a listener: it gives the last states of each Doc."""
    from spacy_transformers.layers import split_trf_batch

    model.attrs["outputs"] = frozenset()
    return chain(model, split_trf_batch())


def _replace_listener_cfg(model: dict[str, Any], listener: dict[str, Any]) -> dict[str, Any]:
    """The config of a transformer in the place of a listener."""
    from_listener: dict[str, Any] = {name: listener[name] for name in ("pooling", "grad_factor") if name in listener}
    own = {name: value for name, value in model.items() if name != "transformer_config"}
    return {**own, **from_listener, "@architectures": TOK2VEC}


def _init(model: Model, X: Any = None, Y: Any = None, *, checkpoint: str | None, revision: str | None) -> None:
    """Read the checkpoint, unless there are weights already."""
    shim: Any = model.shims[0]
    if shim.encoder is None:
        shim.load(checkpoint, revision)
        model.set_dim("nO", shim.description.config.hidden_size)


def _forward(model: Model, docs: Sequence[Doc], is_train: bool, *, max_batch_pieces: int) -> tuple[Any, Callable]:
    _require_spacy_transformers()
    from spacy_transformers.data_classes import FullTransformerBatch

    from .transformer_batch import span_states

    shim: Any = model.shims[0]
    if shim.encoder is None:
        raise LukeError("L094", where=WHERE)
    tokenizer = shim.description.tokenizer
    longest = shim.encoder.config.max_pieces - 2
    with naming_key_errors(COMPONENT, "model.get_spans", model.attrs["get_spans"]):
        spans = model.attrs["get_spans"](docs)
    rows = [
        span_rows(index, doc_spans, doc_pieces(doc, tokenizer), longest)
        for index, (doc, doc_spans) in enumerate(zip(docs, spans, strict=True))
    ]
    inputs = [row.make(tokenizer.special) for doc_rows in rows for row in doc_rows]
    if not inputs:
        return FullTransformerBatch.empty(len(docs)), lambda _: docs
    groups = batch_rows([_NumberedRow(row, index) for index, row in enumerate(inputs)], max_batch_pieces)
    batches = [_padded(group, tokenizer.special).to(shim.device) for group in groups]
    if is_train and model.attrs["dropout_rate"] is not None:
        set_dropout(shim.encoder, model.attrs["dropout_rate"])
    recording = _recording(model.attrs["outputs"], shim.encoder.config.num_hidden_layers)
    output, backprop_states = shim(ArgsKwargs(args=(batches,), kwargs={"recording": recording}), is_train)
    states = output.pieces
    if not is_train and shim.is_sound and states.device.type == "cpu" and not is_finite(states.numpy()):
        shim.is_sound = False
        warn("W031", name=COMPONENT)

    def backprop(gradient: Any) -> Sequence[Doc]:
        d_states = gradient.model_output.last_hidden_state.to(states.device)
        backprop_states(ArgsKwargs(args=((states,),), kwargs={"grad_tensors": d_states}))
        return docs

    sliding = isinstance(shim.encoder, LongformerEncoder)
    return span_states(docs, rows, inputs, output, tokenizer, sliding=sliding), backprop


def _recording(outputs: frozenset[str], layers: int) -> Recording | None:
    """Layers that the encoder has to keep for some of `OUTPUTS`; None = nothing."""
    if not outputs:
        return None
    states = range(layers + 1) if "output_hidden_states" in outputs else ()
    attentions = range(1, layers + 1) if "output_attentions" in outputs else ()
    return Recording(frozenset(states), frozenset(attentions))


@dataclass(frozen=True)
class _NumberedRow(PreparedRow):
    """A row and its index among those of all Docs."""

    index: int


def _padded(group: Sequence[_NumberedRow], special: SpecialPieces) -> Batch:
    rows = collate([numbered.row for numbered in group], piece_pad=special.pad, entity_pad=0)
    return Batch([numbered.index for numbered in group], rows)


def _require_spacy_transformers() -> None:
    """L093 if it is not there."""
    try:
        import spacy_transformers  # noqa: F401
    except ImportError as e:
        raise LukeError("L093", reason=e) from None
