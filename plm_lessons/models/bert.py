"""BERT: a stack of Transformer encoder layers that reads the whole sequence at once, in both directions.

Letters: B batch, S sequence length, H hidden size, A heads, F intermediate size, L layers, V vocabulary,
P positions predicted, C number of labels.

References:
    [paper] Devlin et al., arXiv:1810.04805v2.
    [code]  google-research/bert, modeling.py and run_pretraining.py at commit eedf571.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from plm_lessons.layers.activations import ACTIVATIONS
from plm_lessons.layers.attention import MultiHeadAttention, additive_mask
from plm_lessons.layers.feed_forward import FeedForward
from plm_lessons.layers.positions import RelativePositionScores
from plm_lessons.models.checks import check_ids, check_mask
from plm_lessons.models.configuration import ModelConfig
from plm_lessons.models.outputs import ModelOutput
from plm_lessons.models.pretrained import PretrainedModel
from plm_lessons.models.tasks import (
    MaskedLMModel,
    PreTrainingModel,
    QuestionAnsweringModel,
    SequenceClassificationModel,
    TokenClassificationModel,
)


def _size(layers: int, hidden: int, heads: int, **more: Any) -> dict[str, Any]:
    """In every published BERT the feed-forward network is four times as wide as the rest."""
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
        **more,
    }


@dataclass(frozen=True)
class BertConfig(ModelConfig):
    """The shape of a BERT; the defaults are those of bert-base-uncased.

    Attributes:
        vocab_size: V, the number of word pieces.
        hidden_size: H, the size of every token's vector between layers.
        num_hidden_layers: L.
        num_attention_heads: A, a divisor of H.
        intermediate_size: F, the inner size of the feed-forward network.
        hidden_act: Activation of the feed-forward networks and the masked-LM head: "gelu" is the exact (erf) form,
            "gelu_new" the tanh form; see `layers.activations`.
        hidden_dropout_prob: Dropout on the embeddings and on the output of each sub-layer.
        attention_probs_dropout_prob: Dropout on the attention weights.
        max_position_embeddings: The longest sequence: rows of the position table.
        type_vocab_size: Number of segments.
        initializer_range: Standard deviation of the initial weights.
        layer_norm_eps: Added to the variance in a layer norm.
        pad_token_id: The padding token, whose embedding is not trained; None if there is none.
        position_embedding_type: "absolute" is BERT: one learned vector per position, added at the input.
            "relative_key" and "relative_key_query" are the two relative forms that `transformers` 4 offered for
            BERT (no published BERT uses them, and version 5 dropped them); see `layers.positions`.
        classifier_dropout: Dropout before a classifier; None for `hidden_dropout_prob`.
        num_labels: C, the number of classes of a classification head.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0
    position_embedding_type: str = "absolute"
    classifier_dropout: float | None = None
    num_labels: int = 2

    model_type: ClassVar[str] = "bert"
    published_sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "bert-base-uncased": {},
        "bert-base-cased": {"vocab_size": 28996},
        "bert-base-chinese": {"vocab_size": 21128},
        "bert-large-uncased": _size(24, 1024, 16),
        "bert-large-cased": _size(24, 1024, 16, vocab_size=28996),
        # The small BERTs of Turc et al. (arXiv:1908.08962).
        "bert-tiny": _size(2, 128, 2),
        "bert-mini": _size(4, 256, 4),
        "bert-small": _size(4, 512, 8),
        "bert-medium": _size(8, 512, 8),
    }

    def __post_init__(self) -> None:
        self._check_counts(
            "vocab_size",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "max_position_embeddings",
            "type_vocab_size",
            "num_labels",
        )
        self._check_divides("num_attention_heads", "hidden_size")
        self._check_range(0.0, 1.0, "hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps")
        self._check_range(0.0, float("inf"), "initializer_range")
        if self.classifier_dropout is not None:
            self._check_range(0.0, 1.0, "classifier_dropout")
        self._check_token("pad_token_id")
        self._check_choice("hidden_act", tuple(ACTIVATIONS))
        self._check_choice("position_embedding_type", ("absolute", "relative_key", "relative_key_query"))


class BertEmbeddings(nn.Module):
    """word + position + segment, then layer norm and dropout ([paper] section 3, figure 2)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        if config.position_embedding_type == "absolute":
            self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """[B, S] and [B, S] -> [B, S, H]."""
        check_ids("input_ids", input_ids, None, self.config.vocab_size, "vocab_size")
        length, longest = input_ids.shape[1], self.config.max_position_embeddings
        if length > longest:
            raise ValueError(f"input_ids has {length} positions: must be at most max_position_embeddings = {longest}")
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        check_ids("token_type_ids", token_type_ids, input_ids.shape, self.config.type_vocab_size, "type_vocab_size")

        embeddings = self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)  # [B, S, H]
        if self.config.position_embedding_type == "absolute":
            embeddings = embeddings + self.position_embeddings.weight[:length]  # the same S rows for every sequence
        return self.dropout(self.norm(embeddings))


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
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    @staticmethod
    def _position_scores(config: BertConfig) -> RelativePositionScores | None:
        if config.position_embedding_type == "absolute":
            return None
        head_size = config.hidden_size // config.num_attention_heads
        with_key = config.position_embedding_type == "relative_key_query"
        return RelativePositionScores(head_size, config.max_position_embeddings, with_key)

    def forward(self, hidden_states: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """[B, S, H] -> [B, S, H], and the attention weights [B, A, S, S]."""
        attended, weights = self.attention(hidden_states, mask)
        hidden_states = self.attention_norm(hidden_states + self.dropout(attended))
        transformed = self.feed_forward(hidden_states)
        hidden_states = self.feed_forward_norm(hidden_states + self.dropout(transformed))
        return hidden_states, weights


class BertPooler(nn.Module):
    """The sequence's vector: tanh of a linear map of the first token's, [CLS] ([code] modeling.py L224-232)."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[B, S, H] -> [B, H]."""
        return torch.tanh(self.dense(hidden_states[:, 0]))


class BertPretrainedModel(PretrainedModel):
    """How the published checkpoints of BERT name things."""

    config: BertConfig
    config_class = BertConfig
    encoder_name = "bert"
    checkpoint_names = (
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
        ("masked_lm_head.transform.", "cls.predictions.transform.dense."),
        ("masked_lm_head.norm.", "cls.predictions.transform.LayerNorm."),
        ("masked_lm_head.", "cls.predictions."),
        ("next_sentence_head.", "cls.seq_relationship."),
    )
    head_names = ("bert.pooler.", "cls.predictions.", "cls.seq_relationship.", "classifier.", "qa_outputs.")
    copied_names = {
        "bert.embeddings.position_ids": None,  # 0, 1, 2, ...
        "bert.embeddings.position_embeddings.weight": None,  # there, but not used, when positions are relative
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

    def __init__(
        self, config: BertConfig, generator: torch.Generator | None = None, add_pooling_layer: bool = True
    ) -> None:
        super().__init__(config)
        with torch.device("meta"):
            self.embeddings = BertEmbeddings(config)
            self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))
            self.pooler = BertPooler(config.hidden_size) if add_pooling_layer else None
        self.materialise(generator)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ModelOutput:
        """Encode a batch of sequences.

        Args:
            input_ids: [B, S], from 0 to V - 1.
            attention_mask: [B, S], 1 for a token and 0 for padding, which no token then looks at; or [B, S, S]
                to say for each query which keys it may look at. None: no padding.
            token_type_ids: [B, S], the segment of each token; None: all in segment 0.
            output_attentions: Also return the attention weights.
            output_hidden_states: Also return the embeddings and the output of every layer.

        Returns:
            `last_hidden_state` [B, S, H]; `pooler_output` [B, H] if there is a pooler; on request `attentions` and
            `hidden_states`.

        Raises:
            ValueError: An argument has the wrong shape, type or range.
        """
        hidden_states = self.embeddings(input_ids, token_type_ids)
        mask = None
        if attention_mask is not None:
            check_mask("attention_mask", attention_mask, input_ids.shape)
            mask = additive_mask(attention_mask, hidden_states.dtype)
        all_hidden_states, all_attentions = [hidden_states], []
        for layer in self.layers:
            hidden_states, weights = layer(hidden_states, mask)
            if output_hidden_states:
                all_hidden_states.append(hidden_states)
            if output_attentions:
                all_attentions.append(weights)
        return ModelOutput(
            last_hidden_state=hidden_states,
            pooler_output=None if self.pooler is None else self.pooler(hidden_states),
            hidden_states=tuple(all_hidden_states) if output_hidden_states else None,
            attentions=tuple(all_attentions) if output_attentions else None,
        )


class BertForPreTraining(BertPretrainedModel, PreTrainingModel):
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
    """BERT that marks where in the text the answer starts and ends."""

    encoder_class = BertModel
