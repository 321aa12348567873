"""RoBERTa: BERT, but trained differently; the network itself differs in four small ways.

- Positions: the first token has position `pad_token_id + 1`, and padding is not counted. So 512 tokens need 514 rows.
- Segments: there are none. The original code has no table for them; `transformers`, and this file, keep one with
  a single row, which is all zeros in the published models.
- Vocabulary: 50,265 byte-level pieces (see `tokenization.byte_level_bpe`), of which only the number matters here.
- Heads: the masked-LM head has other names; a sequence is classified from `<s>` by two layers, without BERT's pooler.

What made it better is in `objectives` and `training`: no next-sentence prediction, dynamic masks, larger batches.

Letters: B batch, S sequence length, H hidden size, C number of labels.

References:
    [paper] Liu et al., arXiv:1907.11692.
    [code]  facebookresearch/fairseq at commit 3d262bb: models/roberta/model.py and utils.make_positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from plm_lessons.checks import check_choice
from plm_lessons.layers.embedding import SmallEmbedding
from plm_lessons.models.bert import ENCODER_NAMES, BertEmbeddings, BertModel, BertPretrainedModel
from plm_lessons.models.bert_configuration import BertConfig
from plm_lessons.models.checks import has_numbers
from plm_lessons.models.heads import MaskedLMHead
from plm_lessons.models.outputs import ModelOutput
from plm_lessons.models.tasks import (
    MaskedLMModel,
    QuestionAnsweringModel,
    SequenceClassificationModel,
    TokenClassificationModel,
)


@dataclass(frozen=True)
class RobertaConfig(BertConfig):
    """The shape of a RoBERTa: the fields of `BertConfig`.

    The defaults are those of `transformers`, which omits a field from `config.json` when it has its default. They are
    not those of roberta-base, which has 514 rows of positions and one of segments, and layer norms that add 1e-5.
    """

    vocab_size: int = 50265
    pad_token_id: int | None = 1

    model_type: ClassVar[str] = "roberta"
    published_sizes: ClassVar[dict[str, dict[str, Any]]] = {
        name: {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5, **size}
        for name, size in {
            "roberta-base": {},
            "roberta-large": BertConfig.published_sizes["bert-large-uncased"],
        }.items()
    }

    @property
    def longest(self) -> int | None:
        """As in BERT, but the rows up to that of `pad_token_id` belong to no token."""
        assert self.pad_token_id is not None
        return self.max_position_embeddings - self.pad_token_id - 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("position_embedding_type", self.position_embedding_type, ("absolute",))
        if self.pad_token_id is None:
            raise ValueError("pad_token_id=None: must be an id: positions are counted from pad_token_id + 1")
        if self.max_position_embeddings < self.pad_token_id + 2:
            raise ValueError(
                f"max_position_embeddings={self.max_position_embeddings}: must be at least pad_token_id + 2 = "
                f"{self.pad_token_id + 2}, since the first token has position pad_token_id + 1"
            )


def position_ids(input_ids: Tensor, pad_token_id: int) -> Tensor:
    """The row of the position table for each token: pad + 1, pad + 2, ..., and pad itself for padding.

    Padding is recognised by its id, not by the attention mask, and is never counted: a text gets the same positions
    whether padding comes before, after or within it ([code] utils.make_positions).

    Args:
        input_ids: [B, S].
        pad_token_id: The id of `<pad>`.

    Returns:
        [B, S] int64.
    """
    is_token = (input_ids != pad_token_id).long()
    return is_token.cumsum(dim=1) * is_token + pad_token_id


class RobertaEmbeddings(BertEmbeddings):
    """BERT's embeddings, but with positions that start after `pad_token_id` and skip padding."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        # Row `padding_idx` belongs to padding: it is zero and not trained. The rows before it are never used.
        self.position_embeddings = SmallEmbedding(
            config.max_position_embeddings, config.hidden_size, padding_idx=config.pad_token_id
        )

    def position_vectors(self, input_ids: Tensor) -> Tensor:
        """[B, S] -> [B, S, H], the rows of `position_ids`."""
        pad = self.config.pad_token_id
        assert pad is not None
        positions, rows = position_ids(input_ids, pad), self.config.max_position_embeddings
        if has_numbers(positions) and positions.max() >= rows:
            raise ValueError(
                f"input_ids has a row of {int(positions.max()) - pad} tokens without padding: must be at most "
                f"max_position_embeddings - pad_token_id - 1 = {rows - pad - 1}"
            )
        return self.position_embeddings(positions)


class RobertaPretrainedModel(BertPretrainedModel):
    """How the published checkpoints of RoBERTa name things: the encoder as in BERT, the heads differently."""

    config: RobertaConfig
    config_class = RobertaConfig
    encoder_name = "roberta"
    checkpoint_names: ClassVar[tuple[tuple[str, str], ...]] = (
        *ENCODER_NAMES,
        ("masked_lm_head.transform.", "lm_head.dense."),
        ("masked_lm_head.norm.", "lm_head.layer_norm."),
        ("masked_lm_head.", "lm_head."),
    )
    head_names: ClassVar[tuple[str, ...]] = ("roberta.pooler.", "lm_head.", "classifier.", "qa_outputs.")
    copied_names = {
        "roberta.embeddings.position_ids": None,  # 0, 1, 2, ..., stored by old versions and not used
        "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    }


class RobertaModel(RobertaPretrainedModel, BertModel):
    """The encoder of BERT with RoBERTa's embeddings; its pooler, if there is one, was never pre-trained."""

    embeddings_class = RobertaEmbeddings


class RobertaForMaskedLM(RobertaPretrainedModel, MaskedLMModel):
    """RoBERTa with the masked-language-modelling head, its only task in pre-training."""

    encoder_class = RobertaModel

    def add_head(self, config: RobertaConfig) -> None:
        """BERT's head, except that its activation is always the exact GELU, whatever `hidden_act` says."""
        self.masked_lm_head = MaskedLMHead(
            config.hidden_size, config.hidden_size, config.vocab_size, "gelu", config.layer_norm_eps
        )


class RobertaClassificationHead(nn.Module):
    """`out_proj(dropout(tanh(dense(dropout(h)))))`, where h is the vector of `<s>`."""

    def __init__(self, hidden_size: int, num_labels: int, dropout: nn.Dropout) -> None:
        super().__init__()
        self.dropout = dropout
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.out_proj = nn.Linear(hidden_size, num_labels)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[B, S, H] -> [B, C]."""
        hidden = torch.tanh(self.dense(self.dropout(hidden_states[:, 0])))
        return self.out_proj(self.dropout(hidden))


class RobertaForSequenceClassification(RobertaPretrainedModel, SequenceClassificationModel):
    """RoBERTa with a two-layer classifier on the vector of `<s>`."""

    encoder_class = RobertaModel
    needs_pooler = False  # nothing in RoBERTa's pre-training trains a pooler; the head brings its own hidden layer

    def add_head(self, config: RobertaConfig) -> None:
        """A hidden layer and the scores, both new in fine-tuning."""
        super().add_head(config)
        head = RobertaClassificationHead(config.hidden_size, config.num_labels, self.dropout)
        self.classifier = head  # type: ignore[assignment]  # instead of one linear map

    def score(self, encoded: ModelOutput) -> Tensor:
        """The encoder's output -> logits [B, C]."""
        return self.classifier(encoded.last_hidden_state)


class RobertaForTokenClassification(RobertaPretrainedModel, TokenClassificationModel):
    """RoBERTa with a linear classifier on every token's vector."""

    encoder_class = RobertaModel


class RobertaForQuestionAnswering(RobertaPretrainedModel, QuestionAnsweringModel):
    """RoBERTa with a head that marks where in the text the answer starts and ends."""

    encoder_class = RobertaModel
