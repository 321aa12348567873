"""T5: an encoder reads the text, a decoder writes the answer; every task is text to text.

Letters: B batch, S source length, T target length, H hidden size (d_model), D head size (d_kv), V vocabulary.

References:
    [paper] Raffel et al., arXiv:1910.10683v4.
    [code]  tensorflow/mesh at commit da90793, mesh_tensorflow/transformer: attention.py, transformer.py.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plm_lessons.layers.attention import KeyValueCache
from plm_lessons.models.checks import check_ids, check_labels, check_mask, check_whole_numbers
from plm_lessons.models.generation import GenerativeModel
from plm_lessons.models.heads import class_loss
from plm_lessons.models.outputs import ModelOutput
from plm_lessons.models.t5_configuration import T5Config
from plm_lessons.models.t5_stack import T5Stack


class T5ForConditionalGeneration(GenerativeModel):
    """T5, with the matrix that scores the words of the vocabulary.

    Args:
        config: The shape.
        generator: Draws the initial weights; seed 0 if None.
    """

    config: T5Config
    config_class = T5Config
    encoder_name = "encoder"
    checkpoint_names = (
        (".position_bias.table.", ".block.0.layer.0.SelfAttention.relative_attention_bias."),
        (".layers.", ".block."),
        (".attention_norm.", ".layer.0.layer_norm."),
        (".attention.", ".layer.0.SelfAttention."),
        (".cross_attention_norm.", ".layer.1.layer_norm."),
        (".cross_attention.", ".layer.1.EncDecAttention."),
        (".feed_forward_norm.", ".layer.2.layer_norm."),
        (".feed_forward.", ".layer.2.DenseReluDense."),
        (".norm.", ".final_layer_norm."),
        (".query.", ".q."),
        (".key.", ".k."),
        (".value.", ".v."),
        (".output.", ".o."),
        (".expand.", ".wi."),
        (".gate.", ".wi_0."),
        (".linear.", ".wi_1."),
        (".contract.", ".wo."),
    )
    head_names = ()
    copied_names = {
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
        "lm_head.weight": "shared.weight",
        # In the first conversions, never used: `transformers` pull request 8518.
        "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": None,
    }

    training_arguments = {"output_logits": False}

    def __init__(self, config: T5Config, generator: torch.Generator | None = None) -> None:
        super().__init__(config)
        with torch.device("meta"):
            self.shared = nn.Embedding(config.vocab_size, config.d_model)
            self.encoder = T5Stack(config, config.num_layers, is_decoder=False)
            self.decoder = T5Stack(config, config.num_decoder_layers, is_decoder=True)
            if not config.tie_word_embeddings:
                self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.materialise(generator)

    # --- weights ---

    def draw_matrix(self, name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Normally distributed values, scaled so that numbers of size 1 keep that size ([code] attention.py L435-438).

        A linear map has standard deviation 1 / sqrt(inputs). The query's is smaller by sqrt(D), in place of a division
        of the scores; embeddings have 1, and position biases 1 / sqrt(H). All are multiplied by `initializer_factor`.
        (`transformers` 4 gave a separate output matrix deviation 1, and multiplied the gains of the norms too.)
        """
        deviation = shape[1] ** -0.5
        if name == "shared.weight":
            deviation = 1.0
        elif ".query." in name:
            deviation *= self.config.d_kv**-0.5
        elif ".position_bias." in name:
            deviation = self.config.d_model**-0.5
        values = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
        return self.config.initializer_factor * deviation * values

    @classmethod
    def checkpoint_name(cls, name: str) -> str:
        """The name that a parameter of this model has in checkpoints of `transformers`."""
        name = super().checkpoint_name(name)
        # The feed-forward network is the third part of a decoder's layer, and the second of an encoder's.
        return name.replace(".layer.2.", ".layer.1.") if name.startswith("encoder.") else name

    @classmethod
    def _full_name(cls, name: str) -> str:
        return name  # there is no bare encoder

    @classmethod
    def _fit_config(cls, config: Any, tensors: dict[str, Tensor]) -> Any:
        """`transformers` 5 always writes `tie_word_embeddings: true`, so only the tensors tell if they are tied."""
        if "lm_head.weight" in tensors and config.tie_word_embeddings and not config.scale_decoder_outputs:
            tied = torch.equal(tensors["lm_head.weight"], tensors.get("shared.weight", torch.empty(0)))
            return dataclasses.replace(config, tie_word_embeddings=tied)
        return config

    # --- computation ---

    def encode(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ModelOutput:
        """Encode the source; arguments as for `forward`; returns the encoder's `last_hidden_state`, [B, S, H], etc."""
        check_ids("input_ids", input_ids, None, self.config.vocab_size, "vocab_size", self.device)
        if attention_mask is not None:
            check_mask("attention_mask", attention_mask, input_ids, per_query=False)
        return self.encoder(
            self.shared(input_ids),
            attention_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )

    def score_words(self, hidden_states: Tensor) -> Tensor:
        """The decoder's output, [B, T, H] or [B, H] -> logits [B, T, V] or [B, V]."""
        if self.config.scale_decoder_outputs:
            hidden_states = hidden_states * self.config.d_model**-0.5  # the embeddings are of size 1, not 1 / sqrt(H)
        matrix = self.shared.weight if self.config.tie_word_embeddings else self.lm_head.weight
        if hidden_states.dim() == 2:  # for a few vectors the product is faster in this order
            return F.linear(matrix, hidden_states).T
        return F.linear(hidden_states, matrix)

    def shift_right(self, labels: Tensor) -> Tensor:
        """What the decoder reads to predict `labels` [B, T]: the start token, then all labels but the last."""
        start = torch.full_like(labels[:, :1], self.config.decoder_start_token_id)
        shifted = torch.cat([start, labels[:, :-1]], dim=1)
        return shifted.masked_fill(shifted == -100, self.config.pad_token_id)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        output_logits: bool = True,
    ) -> ModelOutput:
        """Score every word of the vocabulary as the next one, at each position of the target (teacher forcing).

        Args:
            input_ids: [B, S], the source, from 0 to V - 1.
            attention_mask: [B, S], 1 for a token and 0 for padding. None: no padding.
            decoder_input_ids: [B, T], the target so far; None for `shift_right(labels)`.
            decoder_attention_mask: [B, T]. Padding after the target needs none: no token attends to a later one.
            labels: [B, T], the correct next word, or -100 where none is to be predicted.
            output_attentions: Also return the attention weights.
            output_hidden_states: Also return the embeddings and the output of every layer.
            output_logits: Return the scores. False: only the loss, for which words are scored only where there is a
                label; with targets of different lengths that is much less work.

        Returns:
            `logits` [B, T, V], if wanted; `loss` if there are labels; `encoder_last_hidden_state` [B, S, H]; on request
            `encoder_attentions`, `decoder_attentions`, `cross_attentions`, `encoder_hidden_states` and
            `decoder_hidden_states`.

        Raises:
            ValueError: An argument has the wrong shape, type or range, or there is no target.
        """
        check_ids("input_ids", input_ids, None, self.config.vocab_size, "vocab_size", self.device)
        for name, ids in (("decoder_input_ids", decoder_input_ids), ("labels", labels)):
            if ids is not None:
                check_whole_numbers(name, ids, self.device)
        given = "labels" if decoder_input_ids is None else "decoder_input_ids"
        if labels is not None:
            target = labels if decoder_input_ids is None else decoder_input_ids
            shape = torch.Size([len(input_ids), *target.shape[-1:]])
            check_labels("labels", labels, shape, self.config.vocab_size, self.device)
            decoder_input_ids = self.shift_right(labels) if decoder_input_ids is None else decoder_input_ids
        if decoder_input_ids is None:
            raise ValueError("decoder_input_ids and labels are both None: give one of them")
        check_ids(given, decoder_input_ids, None, self.config.vocab_size, "vocab_size", self.device)
        if len(decoder_input_ids) != len(input_ids):
            found = tuple(decoder_input_ids.shape)
            raise ValueError(f"decoder_input_ids has shape {found}: must have {len(input_ids)} rows, like input_ids")
        if decoder_attention_mask is not None:
            check_mask("decoder_attention_mask", decoder_attention_mask, decoder_input_ids, per_query=False)

        encoded = self.encode(input_ids, attention_mask, output_attentions, output_hidden_states)
        decoded = self.decoder(
            self.shared(decoder_input_ids),
            decoder_attention_mask,
            encoded.last_hidden_state,
            attention_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        loss = logits = None
        if output_logits:
            logits = self.score_words(decoded.last_hidden_state)
            loss = None if labels is None else class_loss(logits, labels)
        elif labels is not None:
            asked = labels != -100
            loss = class_loss(self.score_words(decoded.last_hidden_state[asked][None]), labels[asked][None])
        return ModelOutput(
            loss=loss,
            logits=logits,
            encoder_last_hidden_state=encoded.last_hidden_state,
            encoder_hidden_states=encoded.hidden_states,
            encoder_attentions=encoded.attentions,
            decoder_hidden_states=decoded.hidden_states,
            decoder_attentions=decoded.attentions,
            cross_attentions=decoded.cross_attentions,
        )

    def score_next(
        self, tokens: Tensor, encoded: Tensor, attention_mask: Tensor | None, caches: list[KeyValueCache] | None
    ) -> Tensor:
        """Tokens that are not in the caches yet, [B, T] -> logits of the next token, [B, V]."""
        decoded = self.decoder(self.shared(tokens), None, encoded, attention_mask, caches)
        return self.score_words(decoded.last_hidden_state[:, -1])
