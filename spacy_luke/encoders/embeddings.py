"""Piece embeddings of both encoders, entity embeddings of LUKE (Yamada et al. 2020, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import LukeError
from .config import EncoderConfig, LukeConfig
from .kernels.dropout import Dropout


class PieceEmbeddings(nn.Module):
    """Dropout(LayerNorm(word + position + type)).

    Positions count the pieces that are not padding, starting after the pad id, as in RoBERTa.
    """

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.pad_id = config.pad_token_id
        self.max_pieces = config.max_pieces
        self.word = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.position = nn.Embedding(
            config.max_position_embeddings, config.hidden_size, padding_idx=config.pad_token_id
        )
        self.token_type = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, piece_ids: Tensor, piece_types: Tensor | None) -> Tensor:
        """*Shape:* (batch, pieces) -> (batch, pieces, hidden). L003 if there are more pieces than positions."""
        if piece_ids.shape[1] > self.max_pieces:
            raise LukeError("L003", pieces=piece_ids.shape[1], maximum=self.max_pieces)
        real = (piece_ids != self.pad_id).long()
        positions = real.cumsum(1) * real + self.pad_id
        types = self.token_type.weight[0] if piece_types is None else self.token_type(piece_types)
        return self.dropout(self.norm(self.word(piece_ids) + self.position(positions) + types))


class EntityEmbeddings(nn.Module):
    """Dropout(LayerNorm(entity + mean of the positions of its mention + type)).

    The mean over a contiguous mention is a difference of two rows of the cumulated position table, so that no
    (batch, entities, mention, hidden) tensor ever exists. Positions are 0-based piece positions, without RoBERTa's
    offset.
    """

    def __init__(self, config: LukeConfig):
        super().__init__()
        self.entity = nn.Embedding(config.entity_vocab_size, config.entity_emb_size)
        self.projection = (
            nn.Linear(config.entity_emb_size, config.hidden_size, bias=False)
            if config.entity_emb_size != config.hidden_size
            else None
        )
        self.position = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, entity_ids: Tensor, entity_spans: Tensor) -> Tensor:
        """*Shapes:* (batch, entities), (batch, entities, 2) -> (batch, entities, hidden)."""
        entities = self.entity(entity_ids)
        if self.projection is not None:
            entities = self.projection(entities)
        summed = entities + self._mean_positions(entity_spans) + self.token_type.weight[0]
        return self.dropout(self.norm(summed))

    def _mean_positions(self, spans: Tensor) -> Tensor:
        # cumulated[i] is the sum of rows 0 … i-1, so rows a … b-1 sum to cumulated[b] - cumulated[a].
        table = self.position.weight
        if spans.device.type == "cpu" and spans.numel():  # a GPU would wait for the number
            table = table[: int(spans.max())]
        cumulated = F.pad(table.float().cumsum(0), (0, 0, 1, 0))
        start, end = spans.unbind(-1)
        length = (end - start).clamp(min=1).unsqueeze(-1)
        total = F.embedding(end, cumulated) - F.embedding(start, cumulated)
        return (total / length).to(self.position.weight.dtype)


def init_weights(module: nn.Module, std: float) -> None:
    """Initialise as the reference does: normal weights, zero biases, zero padding rows, unit norms."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=std)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=std)
            if part.padding_idx is not None:
                with torch.no_grad():
                    part.weight[part.padding_idx].zero_()
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
