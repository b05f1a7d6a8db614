"""Changes that pretraining makes to a LUKE beside its weights: the width of the entity table, and its queries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..encoders.config import LukeConfig
from ..encoders.embeddings import EntityEmbeddings, init_weights
from ..encoders.luke import LukeEncoder
from ..encoders.masked_lm import EntityDecoder, MaskedLMWithEntities
from ..errors import LukeError, warn
from ..tokenization.entity_vocab import EntityVocab
from .checkpoint import Checkpoint
from .heads import MASKED_LM
from .key_maps import ENTITY_QUERIES
from .weights import meta_device

# The parts of the encoder and of the head that LUKE adds to a RoBERTa.
ENTITY_PARTS = ("encoder.entity_embeddings.", "entity_predictions.")
PIECE_HEAD = "lm_head"


def load_for_pretraining(
    checkpoint: Checkpoint, entity_vocab: str, *, entity_aware_attention: bool, entity_emb_size: int | None
) -> tuple[MaskedLMWithEntities, EntityVocab]:
    """The masked language model of a checkpoint, whose heads are new where it has none; and its entity vocabulary.

    entity_vocab: as in `EntityVocab.select`.
    entity_aware_attention: whether pieces and entities ask with queries of their own; the paper's model learned to
        when it was fine-tuned (Yamada et al. 2020, section 3.4).
    entity_emb_size: width of the entity table; None = that of the checkpoint.

    L098 as from `require_pretrainable`.
    """
    require_pretrainable(checkpoint, entity_aware_attention=entity_aware_attention, entity_emb_size=entity_emb_size)
    if not entity_aware_attention:
        if _has_own_queries(checkpoint):
            warn("W027", path=checkpoint.path)
        checkpoint = checkpoint.with_plain_attention()
    module, vocab = checkpoint.load_task_module(MASKED_LM, entity_vocab, new_parts=True)
    assert isinstance(module, MaskedLMWithEntities)
    config: Any = checkpoint.config
    if entity_emb_size not in (None, config.entity_emb_size):
        _narrow_entities(module, entity_emb_size)
    return module, vocab


def require_pretrainable(checkpoint: Checkpoint, *, entity_aware_attention: bool, entity_emb_size: int | None) -> None:
    """L098 if a checkpoint is no LUKE, or not one that can be trained as `load_for_pretraining` is told to."""
    config = checkpoint.config
    if not isinstance(config, LukeConfig):
        reason = f"it is a {config.model_type}, which has no entities"
        raise LukeError("L098", path=checkpoint.path, reason=reason)
    if config.entity_attention != "full":
        reason = f"its entities were trained to attend in another way ({config.stored_model_type})"
        raise LukeError("L098", path=checkpoint.path, reason=reason)
    if entity_aware_attention and not config.use_entity_aware_attention:
        reason = "it has no entity-aware attention; set entity_aware_attention = false"
        raise LukeError("L098", path=checkpoint.path, reason=reason)
    if entity_emb_size not in (None, config.entity_emb_size) and checkpoint.has_head_part("entity_predictions"):
        reason = f"its entity table is {config.entity_emb_size} wide, and entity_emb_size = {entity_emb_size}"
        raise LukeError("L098", path=checkpoint.path, reason=reason)


def with_entity_queries(module: MaskedLMWithEntities) -> MaskedLMWithEntities:
    """The same model with entity-aware attention: the three further queries are copies of `query`, so that it computes
    what it did (as the authors made the released models). It shares all other weights with `module`.
    """
    config = module.encoder.config
    assert isinstance(config, LukeConfig)
    if config.use_entity_aware_attention:
        return module
    config = replace(config, use_entity_aware_attention=True)
    with meta_device():
        aware = MaskedLMWithEntities(LukeEncoder(config, pooling=module.encoder.pooler is not None), 0)
        if module.entity_predictions.decoder is not None:
            aware.entity_predictions.untie(config)
    state = module.state_dict()
    for name in aware.state_dict().keys() - state.keys():
        part, _, parameter = name.rpartition(".")
        state[name] = state[f"{part.rpartition('.')[0]}.query.{parameter}"].clone()
    aware.load_state_dict(state, assign=True)
    return aware


def _has_own_queries(checkpoint: Checkpoint) -> bool:
    """Whether queries of the checkpoint for entities are no copies of the one for pieces."""
    weights = checkpoint.weights
    for name in weights.shapes():
        for query in ENTITY_QUERIES:
            if f".{query}.weight" in name:
                plain = name.replace(f".{query}.", ".query.")
                if not bool((weights.get(name) == weights.get(plain)).all()):
                    return True
    return False


def _narrow_entities(module: MaskedLMWithEntities, width: int | None) -> None:
    """Give the model a new entity table of another width, with its projection and decoder."""
    encoder = module.encoder
    assert isinstance(encoder, LukeEncoder)
    assert width is not None
    config = encoder.config = replace(encoder.config, entity_emb_size=width)
    new = EntityEmbeddings(config)
    module.entity_predictions = EntityDecoder(config)
    for part in (new, module.entity_predictions):
        init_weights(part, config.initializer_range)
    old = encoder.entity_embeddings
    old.entity, old.projection = new.entity, new.projection
