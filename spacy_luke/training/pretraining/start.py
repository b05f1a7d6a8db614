"""The model that a run starts with, and its entity vocabulary."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ...checkpoints.checkpoint import Checkpoint, Description
from ...checkpoints.from_scratch import new_checkpoint
from ...checkpoints.heads import MASKED_LM
from ...checkpoints.pretraining import (
    ENTITY_PARTS,
    PIECE_HEAD,
    load_for_pretraining,
    require_pretrainable,
    with_entity_queries,
)
from ...checkpoints.reader import open_checkpoint
from ...checkpoints.source import locate
from ...checkpoints.writer import save_checkpoint
from ...default_model import bundled_encoder
from ...encoders.config import LukeConfig
from ...encoders.layers import set_dropout
from ...encoders.masked_lm import MaskedLMWithEntities
from ...files import write_file
from ...tokenization.entity_vocab import EntityVocab
from .settings import EntityVocabSettings, ModelSettings, Settings
from .store import WindowStore

TITLES = "entities.json"


class Trained:
    """A model with what is written beside its weights.

    source: the checkpoint that it is made of.
    """

    def __init__(self, module: MaskedLMWithEntities, entity_vocab: EntityVocab, source: Checkpoint):
        self.module = module
        self.entity_vocab = entity_vocab
        self._source = source
        self._new_piece_head = not source.has_head_part(PIECE_HEAD)

    def train(self, what: str) -> list[tuple[str, torch.nn.Parameter]]:
        """Let `what` learn, as `Stage.trained` has it; RETURNS: its parameters with their names."""
        stage_parts = (*ENTITY_PARTS, f"{PIECE_HEAD}.") if self._new_piece_head else ENTITY_PARTS
        for name, parameter in self.module.named_parameters():
            parameter.requires_grad_(what == "all" or name.startswith(stage_parts))
        return [(name, p) for name, p in self.module.named_parameters() if p.requires_grad]

    def save(self, path: Path, facts: dict[str, bytes]) -> None:
        """Write a checkpoint that fine-tuning starts from: with entity-aware queries if the source has them.

        facts: further files, by name.
        """
        source, module = self._source, self.module
        assert isinstance(source.config, LukeConfig)
        if source.config.use_entity_aware_attention:
            module = with_entity_queries(module)
        config = module.encoder.config
        assert isinstance(config, LukeConfig)
        settings = source.encoder_settings()
        description = Description(MASKED_LM, config, source.tokenizer, self.entity_vocab, settings=settings)
        save_checkpoint(path, description, module, more_files=facts)


def open_source(settings: ModelSettings, seed: int) -> Checkpoint:
    """The checkpoint to start from; one with random weights if none is named, but a tokenizer.

    L098 if it cannot be pretrained; one with independent attention is, to full attention.
    """
    if settings.tokenizer and not settings.checkpoint:
        torch.manual_seed(seed)
        source = new_checkpoint(
            Path(settings.tokenizer), settings.sizes, max_pieces=settings.max_pieces, case_types=settings.case_types
        )
    else:
        folder = locate(settings.checkpoint, settings.revision) if settings.checkpoint else bundled_encoder()
        source = open_checkpoint(folder, case_types=settings.case_types)
        if isinstance(source.config, LukeConfig) and source.config.entity_attention != "full":
            source = source.with_full_attention()
    require_pretrainable(
        source,
        entity_aware_attention=settings.entity_aware_attention,
        entity_emb_size=settings.entity_emb_size,
    )
    return source


def frequent_titles(store: WindowStore, settings: EntityVocabSettings) -> list[str]:
    """The entities of a corpus for a vocabulary, most frequent first."""
    counted = sorted(zip((-store.counts).tolist(), store.titles, strict=True))
    return [title for count, title in counted if -count >= settings.min_count][: settings.max_entities]


def write_titles(titles: list[str], output: Path) -> None:
    """Write the entities of the corpus to `entities.json`."""
    write_file(output / TITLES, json.dumps(titles, ensure_ascii=False, indent=0) + "\n")


def start_model(source: Checkpoint, titles: list[str], settings: Settings, output: Path) -> Trained:
    """The model with rows for the entities of the corpus, which `write_titles` has written."""
    torch.manual_seed(settings.seed)
    module, vocab = load_for_pretraining(
        source.with_entities(titles) if isinstance(source.config, LukeConfig) else source,
        "full" if settings.entity_vocab.keep else str(output / TITLES),
        entity_aware_attention=settings.model.entity_aware_attention,
        entity_emb_size=settings.model.entity_emb_size,
    )
    set_dropout(module, settings.dropout)
    module.encoder.precision = settings.precision
    module.encoder.gradient_checkpointing = settings.gradient_checkpointing
    return Trained(module, vocab, source)
