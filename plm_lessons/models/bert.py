"""BERT: a stack of Transformer encoder layers that reads the whole sequence at once, in both directions.

Letters: B batch, S sequence length, H hidden size, A heads, F intermediate size, L layers, V vocabulary,
P positions predicted, C number of labels.

References:
    [paper] Devlin et al., arXiv:1810.04805v2.
    [code]  google-research/bert, modeling.py and run_pretraining.py at commit eedf571.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plm_lessons.layers.attention import MultiHeadAttention, additive_mask
from plm_lessons.layers.dropout import Dropout
from plm_lessons.layers.embedding import SmallEmbedding
from plm_lessons.layers.feed_forward import FeedForward
from plm_lessons.layers.positions import RelativePositionScores
from plm_lessons.models.bert_configuration import BertConfig
from plm_lessons.models.checks import check_ids, check_mask, check_positions
from plm_lessons.models.configuration import ModelConfig
from plm_lessons.models.heads import gather_positions
from plm_lessons.models.outputs import ModelOutput
from plm_lessons.models.pretrained import PretrainedModel
from plm_lessons.models.tasks import (
    MaskedLMModel,
    NextSentenceModel,
    QuestionAnsweringModel,
    SequenceClassificationModel,
    TokenClassificationModel,
)


class BertEmbeddings(nn.Module):
    """The sum of word, position and segment embeddings, then layer norm and dropout ([paper] section 3, figure 2)."""

    def __init__(self, config: BertConfig, embedding_size: int | None = None) -> None:
        super().__init__()
        self.config = config
        size = embedding_size or config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, size, padding_idx=config.pad_token_id)
        if config.position_embedding_type == "absolute":
            self.position_embeddings = nn.Embedding(config.max_position_embeddings, size)
        self.token_type_embeddings = SmallEmbedding(config.type_vocab_size, size)
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """[B, S] and [B, S] -> [B, S, H]."""
        device = self.word_embeddings.weight.device
        check_ids("input_ids", input_ids, None, self.config.vocab_size, "vocab_size", device)
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        segments = self.config.type_vocab_size
        check_ids("token_type_ids", token_type_ids, input_ids.shape, segments, "type_vocab_size", device)

        embeddings = self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)  # [B, S, H]
        if self.config.position_embedding_type == "absolute":
            embeddings = embeddings + self.position_vectors(input_ids)
        return self.dropout(self.norm(embeddings))

    def position_vectors(self, input_ids: Tensor) -> Tensor:
        """[B, S] -> [S, H], the same first S rows of the table for every sequence."""
        length, longest = input_ids.shape[1], self.config.max_position_embeddings
        if length > longest:
            raise ValueError(f"input_ids has {length} positions: must be at most max_position_embeddings = {longest}")
        return self.position_embeddings.weight[:length]


class BertLayer(nn.Module):
    """Attention, then a feed-forward network; each is added to its input, and the sum is normalised (post-norm)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(
            config.hidden_size,
            config.num_attention_heads,
            config.attention_probs_dropout_prob,
            self._position_scores(config),
        )
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config.hidden_size, config.intermediate_size, config.hidden_act)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    @staticmethod
    def _position_scores(config: BertConfig) -> RelativePositionScores | None:
        if config.position_embedding_type == "absolute":
            return None
        head_size = config.hidden_size // config.num_attention_heads
        with_key = config.position_embedding_type == "relative_key_query"
        return RelativePositionScores(head_size, config.max_position_embeddings, with_key)

    def forward(
        self, hidden_states: Tensor, mask: Tensor | None, need_weights: bool = True, positions: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """[B, S, H] -> [B, S, H], or [B, P, H] at `positions` only; and the attention weights [B, A, S or P, S]."""
        asking = gather_positions(hidden_states, positions)
        attended, weights = self.attention(hidden_states, mask, need_weights, asking)
        hidden_states = self.attention_norm(asking + self.dropout(attended))
        transformed = self.feed_forward(hidden_states)
        hidden_states = self.feed_forward_norm(hidden_states + self.dropout(transformed))
        return hidden_states, weights


class BertPooler(nn.Module):
    """The sequence's vector: tanh of a linear map of the first token's vector, [CLS] ([code] modeling.py L224-232)."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[B, S, H] -> [B, H]."""
        return torch.tanh(self.dense(hidden_states[:, 0]))


# Parts of names in the encoder: here, and in checkpoints of `transformers`.
ENCODER_NAMES = (
    ("embeddings.norm.", "embeddings.LayerNorm."),
    ("layers.", "encoder.layer."),
    ("attention.position_scores.", "attention.self."),
    ("attention.query.", "attention.self.query."),
    ("attention.key.", "attention.self.key."),
    ("attention.value.", "attention.self.value."),
    ("attention.output.", "attention.output.dense."),
    ("attention_norm.", "attention.output.LayerNorm."),
    ("feed_forward.expand.", "intermediate.dense."),
    ("feed_forward.contract.", "output.dense."),
    ("feed_forward_norm.", "output.LayerNorm."),
)


class BertPretrainedModel(PretrainedModel):
    """How the published checkpoints of BERT name things."""

    config: BertConfig
    config_class: ClassVar[type[ModelConfig]] = BertConfig
    encoder_name = "bert"
    checkpoint_names: ClassVar[tuple[tuple[str, str], ...]] = (
        *ENCODER_NAMES,
        ("masked_lm_head.transform.", "cls.predictions.transform.dense."),
        ("masked_lm_head.norm.", "cls.predictions.transform.LayerNorm."),
        ("masked_lm_head.", "cls.predictions."),
        ("next_sentence_head.", "cls.seq_relationship."),
    )
    head_names: ClassVar[tuple[str, ...]] = (
        "bert.pooler.",
        "cls.predictions.",
        "cls.seq_relationship.",
        "classifier.",
        "qa_outputs.",
    )
    copied_names = {
        "bert.embeddings.position_ids": None,  # 0, 1, 2, ...
        "bert.embeddings.position_embeddings.weight": None,  # present but not used when positions are relative
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }


class BertModel(BertPretrainedModel):
    """The encoder: one vector for each token, and one for the sequence.

    Args:
        config: The shape.
        generator: Draws the initial weights; seed 0 if None.
        add_pooling_layer: False leaves out the sequence's vector, which masked-LM and token heads do not need.
    """

    embeddings_class: ClassVar[type[BertEmbeddings]] = BertEmbeddings

    def __init__(
        self, config: BertConfig, generator: torch.Generator | None = None, add_pooling_layer: bool = True
    ) -> None:
        super().__init__(config)
        with torch.device("meta"):
            self.embeddings = self.embeddings_class(config)
            self.add_layers(config)
            self.pooler = BertPooler(config.hidden_size) if add_pooling_layer else None
        self.materialise(generator)

    def add_layers(self, config: BertConfig) -> None:
        """Make the stack, `self.layers`."""
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        masked_positions: Tensor | None = None,
    ) -> ModelOutput:
        """Encode a batch of sequences.

        Args:
            input_ids: [B, S], from 0 to V - 1.
            attention_mask: [B, S], 1 for a token and 0 for padding, which no token then attends to; or [B, S, S]
                to say for each query which keys it may attend to. None: no padding.
            token_type_ids: [B, S], the segment of each token; None: all in segment 0.
            output_attentions: Also return the attention weights.
            output_hidden_states: Also return the embeddings and the output of every layer.
            masked_positions: [B, P], the only positions whose vectors are wanted; None for all. Where possible, the
                last layer then computes no others. (Earlier layers are needed in full: every token attends to all.)

        Returns:
            `last_hidden_state` [B, S or P, H]; `pooler_output` [B, H] if there is a pooler; on request `attentions`
            and `hidden_states`.

        Raises:
            ValueError: An argument has the wrong shape, type or range.
        """
        if masked_positions is not None and (output_attentions or output_hidden_states):
            raise ValueError("masked_positions: must be None with output_attentions or output_hidden_states")
        hidden_states = self.embeddings(input_ids, token_type_ids)
        mask = None
        if attention_mask is not None:
            check_mask("attention_mask", attention_mask, input_ids)
            mask = additive_mask(attention_mask, hidden_states.dtype)
        all_hidden_states, all_attentions = [hidden_states], []
        wanted = masked_positions
        if wanted is not None:
            check_positions("masked_positions", wanted, hidden_states)
            wanted = wanted if self.pooler is None else F.pad(wanted, (1, 0))  # and the first token
        # With relative positions, or a mask that differs from query to query, the last layer must compute all tokens.
        last_can_pick = self.config.position_embedding_type == "absolute" and (mask is None or mask.shape[2] == 1)
        picks = [None] * (len(self.layers) - 1) + [wanted if last_can_pick else None]
        for layer, positions in zip(self.layers, picks, strict=True):
            hidden_states, weights = layer(hidden_states, mask, output_attentions, positions)
            if output_hidden_states:
                all_hidden_states.append(hidden_states)
            if output_attentions:
                all_attentions.append(weights)
        if not last_can_pick:
            hidden_states = gather_positions(hidden_states, wanted)
        pooled = None if self.pooler is None else self.pooler(hidden_states)
        return ModelOutput(
            last_hidden_state=hidden_states if wanted is masked_positions else hidden_states[:, 1:],
            pooler_output=pooled,
            hidden_states=tuple(all_hidden_states) if output_hidden_states else None,
            attentions=tuple(all_attentions) if output_attentions else None,
        )


class BertForPreTraining(BertPretrainedModel, NextSentenceModel):
    """BERT with the two heads of its pre-training: masked language modelling and next-sentence prediction."""

    encoder_class = BertModel


class BertForMaskedLM(BertPretrainedModel, MaskedLMModel):
    """BERT with the masked-language-modelling head."""

    encoder_class = BertModel


class BertForSequenceClassification(BertPretrainedModel, SequenceClassificationModel):
    """BERT with a linear classifier on the sequence's vector."""

    encoder_class = BertModel


class BertForTokenClassification(BertPretrainedModel, TokenClassificationModel):
    """BERT with a linear classifier on every token's vector."""

    encoder_class = BertModel


class BertForQuestionAnswering(BertPretrainedModel, QuestionAnsweringModel):
    """BERT with a head that marks where in the text the answer starts and ends."""

    encoder_class = BertModel
