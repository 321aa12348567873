"""The two halves of a T5: a stack that reads the source, and one that also attends to the output of the first.

Letters: B batch, S source length, T target length, H hidden size, A heads.

References:
    [paper] Raffel et al., arXiv:1910.10683v4, section 2.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plm_lessons.layers.attention import KeyValueCache, UnscaledAttention, additive_mask
from plm_lessons.layers.dropout import Dropout
from plm_lessons.layers.feed_forward import GatedFeedForward, UnbiasedFeedForward
from plm_lessons.layers.normalization import RMSNorm
from plm_lessons.layers.positions import RelativePositionBias
from plm_lessons.models.outputs import ModelOutput
from plm_lessons.models.t5_configuration import T5Config


class T5Layer(nn.Module):
    """Self-attention, attention to the encoder's output (in the decoder only), and a feed-forward network.

    Each sub-layer reads the normalised sum so far and adds to the sum, which itself runs through unchanged (pre-norm).
    """

    def __init__(self, config: T5Config, is_decoder: bool) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)
        self.attention = self._attention(config)
        if is_decoder:
            self.cross_attention_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)
            self.cross_attention = self._attention(config)
        feed_forward = GatedFeedForward if config.is_gated_act else UnbiasedFeedForward
        self.feed_forward_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)
        self.feed_forward = feed_forward(config.d_model, config.d_ff, config.dense_act_fn, config.dropout_rate)
        self.dropout = Dropout(config.dropout_rate)

    @staticmethod
    def _attention(config: T5Config) -> UnscaledAttention:
        return UnscaledAttention(config.d_model, config.num_heads, config.d_kv, config.dropout_rate)

    def forward(
        self,
        hidden_states: Tensor,
        bias: Tensor,
        encoded: Tensor | None,
        encoded_mask: Tensor | None,
        cache: KeyValueCache,
        need_weights: bool = True,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """[B, T, H] -> [B, T, H], and the weights of self-attention and of attention to the encoder's output."""
        normed = self.attention_norm(hidden_states)
        key, value = cache.append(*self.attention.keys_and_values(normed))
        attended, weights = self.attention(normed, key, value, bias, need_weights)
        hidden_states = hidden_states + self.dropout(attended)

        cross_weights = None
        if encoded is not None:
            if cache.encoded is None:
                key, value = self.cross_attention.keys_and_values(encoded)
                cache.encoded = key.contiguous(), value.contiguous()  # otherwise each step would copy them
            normed = self.cross_attention_norm(hidden_states)
            attended, cross_weights = self.cross_attention(normed, *cache.encoded, encoded_mask, need_weights)
            hidden_states = hidden_states + self.dropout(attended)

        transformed = self.feed_forward(self.feed_forward_norm(hidden_states))
        return hidden_states + self.dropout(transformed), weights, cross_weights


class T5Stack(nn.Module):
    """The encoder or the decoder: layers that share one table of position biases, and a norm at the end."""

    def __init__(self, config: T5Config, num_layers: int, is_decoder: bool) -> None:
        super().__init__()
        self.is_decoder = is_decoder
        self.position_bias = RelativePositionBias(
            config.num_heads,
            config.relative_attention_num_buckets,
            config.relative_attention_max_distance,
            bidirectional=not is_decoder,
        )
        self.layers = nn.ModuleList(T5Layer(config, is_decoder) for _ in range(num_layers))
        self.norm = RMSNorm(config.d_model, config.layer_norm_epsilon)
        self.dropout = Dropout(config.dropout_rate)

    def forward(
        self,
        embeddings: Tensor,
        attention_mask: Tensor | None,
        encoded: Tensor | None = None,
        encoded_mask: Tensor | None = None,
        caches: list[KeyValueCache] | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ModelOutput:
        """Run the layers.

        Args:
            embeddings: [B, T, H], those of the tokens that are not in the caches yet.
            attention_mask: [B, T], 1 for a token and 0 for padding; None if there is no padding.
            encoded, encoded_mask: In the decoder, the encoder's output [B, S, H] and its mask [B, S].
            caches: In the decoder, one for each layer, to which these tokens are added.

        Returns:
            `last_hidden_state` [B, T, H]; on request `hidden_states`, `attentions`, `cross_attentions`.
        """
        length = embeddings.shape[1]
        total = length + (caches[0].length if caches else 0)  # including the tokens read before
        bias = self.position_bias(length, total)  # [1, A, T, total]
        if self.is_decoder and length > 1:  # the last token sees all
            seen = torch.ones(1, length, total, dtype=torch.bool, device=bias.device).tril(total - length)
            attention_mask = seen if attention_mask is None else seen & (attention_mask[:, None] != 0)
        if attention_mask is not None:
            bias = bias + additive_mask(attention_mask, bias.dtype)
        if encoded_mask is not None:
            encoded_mask = additive_mask(encoded_mask, bias.dtype)

        hidden_states = self.dropout(embeddings)
        all_hidden_states, all_weights, all_cross_weights = [hidden_states], [], []
        unused = (KeyValueCache() for _ in self.layers)  # an empty cache changes nothing
        for layer, cache in zip(self.layers, caches or unused, strict=True):
            hidden_states, weights, cross_weights = layer(
                hidden_states, bias, encoded, encoded_mask, cache, output_attentions
            )
            if output_hidden_states:
                all_hidden_states.append(hidden_states)
            if output_attentions:
                all_weights.append(weights)
                all_cross_weights.append(cross_weights)
        hidden_states = self.dropout(self.norm(hidden_states))
        all_hidden_states[-1] = hidden_states  # as in `transformers`, the last one is normalised
        return ModelOutput(
            last_hidden_state=hidden_states,
            hidden_states=tuple(all_hidden_states) if output_hidden_states else None,
            attentions=tuple(all_weights) if output_attentions else None,
            cross_attentions=tuple(all_cross_weights) if output_attentions and self.is_decoder else None,
        )
