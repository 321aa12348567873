"""What a model returns."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(repr=False)
class ModelOutput:
    """The results of a model, by name; those that do not apply to it are None.

    Letters: B batch, S sequence length, T target length, H hidden size, A heads, L layers, V vocabulary, P positions
    predicted.

    Attributes:
        loss: A scalar, if labels were given; what training minimises.
        masked_lm_loss, next_sentence_loss, sentence_order_loss: The parts of the loss of a pre-training model, each a
            mean in nats.
        logits: Unnormalised scores: [B, S or P, V] for masked language modelling, [B, num_labels] for a sequence,
            [B, S, num_labels] for tokens, [B, T, V] for the next word of a target.
        last_hidden_state: [B, S or P, H], one vector per token.
        pooler_output: [B, H], one vector per sequence.
        hidden_states: L + 1 tensors [B, S, H]: the embeddings, then the output of each layer.
        attentions: L tensors [B, A, S, S]: attention weights before dropout, query x key; each row sums to 1.
        prediction_logits: [B, S or P, V], from a pre-training model.
        seq_relationship_logits: [B, 2], for BERT's question about two segments: 0 is next, 1 is random.
        sop_logits: [B, 2], for ALBERT's question: 0 is the original order, 1 is swapped.
        start_logits, end_logits: [B, S], where an answer starts and ends.
        encoder_last_hidden_state, encoder_hidden_states, encoder_attentions: The encoder's results in
            a model with encoder and decoder; as `last_hidden_state` and so on.
        decoder_hidden_states, decoder_attentions: The decoder's, [B, T, H] and [B, A, T, T].
        cross_attentions: L tensors [B, A, T, S]: weights with which the decoder's tokens attend to the encoder's.
    """

    loss: Tensor | None = None
    masked_lm_loss: Tensor | None = None
    next_sentence_loss: Tensor | None = None
    sentence_order_loss: Tensor | None = None
    logits: Tensor | None = None
    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    prediction_logits: Tensor | None = None
    seq_relationship_logits: Tensor | None = None
    sop_logits: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: tuple[Tensor, ...] | None = None
    encoder_attentions: tuple[Tensor, ...] | None = None
    decoder_hidden_states: tuple[Tensor, ...] | None = None
    decoder_attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None

    def __repr__(self) -> str:
        """Names and shapes, not the numbers: short enough to print in a notebook."""
        parts = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                parts.append(f"{field.name}={len(value)} x {list(value[0].shape)}")
            elif isinstance(value, Tensor):
                parts.append(
                    f"{field.name}={list(value.shape)}"
                    if value.dim() or value.is_meta
                    else f"{field.name}={value.item():.4f}"
                )
        return f"{type(self).__name__}({', '.join(parts)})"


# Without this, `torch.export` refuses what a model returns.
torch.export.register_dataclass(ModelOutput, serialized_type_name="plm_lessons.ModelOutput")
