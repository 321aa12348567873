"""Multi-head scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2), and T5's form of it.

Letters: B batch, S sequence length, H hidden size, A heads, D head size (A * D = H, except in T5), T query positions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plm_lessons.checks import check_sizes
from plm_lessons.layers.dropout import Dropout
from plm_lessons.layers.positions import RelativePositionScores


def additive_mask(attention_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a mask of ones (attend) and zeros (padding) into numbers to add to the scores.

    Args:
        attention_mask: [B, S], or [B, S, S] for a mask that differs from query to query.
        dtype: The type of the scores.

    Returns:
        [B, 1, 1, S] or [B, 1, S, S]: 0 where attention is allowed, half the lowest finite number elsewhere. It is
        finite so that a row with nothing to attend to gets equal weights everywhere instead of NaN, and half the
        lowest because in float16 the lowest number plus a score can be -inf.

    Raises:
        ValueError: The mask is not a tensor of two or three dimensions, or `dtype` is not a floating-point type.
    """
    if not isinstance(attention_mask, Tensor) or attention_mask.dim() not in (2, 3):
        found = f"shape {tuple(attention_mask.shape)}" if isinstance(attention_mask, Tensor) else "no shape"
        raise ValueError(f"attention_mask has {found}: must be a tensor [B, S] or [B, S, S]")
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"dtype={dtype}: must be a floating-point type")
    mask = attention_mask[:, None, None, :] if attention_mask.dim() == 2 else attention_mask[:, None]
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(mask == 0, torch.finfo(dtype).min / 2)


class MultiHeadAttention(nn.Module):
    """Self-attention with A heads, each of size H / A, and an output projection.

    Args:
        hidden_size: H.
        num_attention_heads: A, a divisor of H.
        dropout: Probability with which an attention weight is dropped in training.
        position_scores: Adds a score that depends on the distance between query and key; None in BERT.
    """

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        dropout: float = 0.0,
        position_scores: RelativePositionScores | None = None,
    ) -> None:
        super().__init__()
        check_sizes(hidden_size=hidden_size, num_attention_heads=num_attention_heads)
        if hidden_size % num_attention_heads:
            raise ValueError(f"num_attention_heads={num_attention_heads}: must divide hidden_size={hidden_size}")
        self.num_attention_heads = num_attention_heads
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)
        self.dropout = Dropout(dropout)
        self.position_scores = position_scores

    def forward(
        self,
        hidden_states: Tensor,
        mask: Tensor | None = None,
        need_weights: bool = True,
        asking: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Let each position gather information from the whole sequence.

        Args:
            hidden_states: [B, S, H].
            mask: Numbers added to the scores, [B, 1, 1 or S, S], from `additive_mask`.
            need_weights: False if the caller ignores the second result; it is then None where that is faster.
            asking: [B, T, H], the positions that gather, if not all do (see BERT's last layer); None for all, T = S.
                Not with `position_scores`, which would treat them as the first T positions.

        Returns:
            The output, [B, T, H], and the attention weights before dropout, [B, A, T, S].
        """
        query = self._split_heads(self.query(hidden_states if asking is None else asking))  # [B, A, T, D]
        key = self._split_heads(self.key(hidden_states))  # [B, A, S, D]
        value = self._split_heads(self.value(hidden_states))
        if self.position_scores is None and not (need_weights or self.training or torch.is_grad_enabled()):
            context = F.scaled_dot_product_attention(query, key, value, mask)  # what follows, in one step
            return self.output(context.transpose(1, 2).flatten(2)), None

        scores = query @ key.transpose(-1, -2)  # [B, A, T, S]
        if self.position_scores is not None:
            scores = scores + self.position_scores(query, key)
        scores = scores / math.sqrt(query.shape[-1])
        if mask is not None:
            scores = scores + mask
        weights = scores.softmax(dim=-1)

        # Dropping whole tokens to attend to looks odd, but it is what the Transformer and BERT do.
        context = self.dropout(weights) @ value  # [B, A, T, D]
        return self.output(context.transpose(1, 2).flatten(2)), weights

    def _split_heads(self, projected: Tensor) -> Tensor:
        """[B, S, H] -> [B, A, S, D]."""
        return projected.unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2)


class KeyValueCache:
    """What one layer of a decoder keeps while a text is generated token by token.

    The key and value of a token depend on no later token. They are therefore computed once, when the token is read,
    and each step has only one new token to process.

    Attributes:
        length: T, the number of tokens read so far.
        encoded: Keys and values of the encoder's output, two tensors [B, A, S, D]; None before the first use.
    """

    def __init__(self) -> None:
        self.length = 0
        self.encoded: tuple[Tensor, Tensor] | None = None
        self._rooms: list[Tensor] = []  # for keys and for values, [B, A, T or more, D]

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values of further tokens; return those of all tokens so far."""
        if self._rooms:
            new = zip(self._rooms, (key, value), strict=True)
            self._rooms = [_filled(room, self.length, numbers) for room, numbers in new]
        else:
            self._rooms = [key, value]
        self.length += key.shape[2]
        key, value = (room[:, :, : self.length] for room in self._rooms)
        return key, value

    def reorder(self, rows: Tensor) -> None:
        """Continue with these rows of the batch, in this order; new and old rows must have the same encoder output."""
        self._rooms = [room.index_select(0, rows) for room in self._rooms]


def _filled(room: Tensor, length: int, numbers: Tensor) -> Tensor:
    """Put `numbers` after the first `length` places of a room; if they do not fit, of one twice as large as needed."""
    end = length + numbers.shape[2]
    if end > room.shape[2]:
        larger = room.new_empty(*room.shape[:2], 2 * end, room.shape[3])
        larger[:, :, :length] = room[:, :, :length]
        room = larger
    room[:, :, length:end] = numbers
    return room


class UnscaledAttention(nn.Module):
    """T5's attention, which differs from `MultiHeadAttention` in four ways.

    The scores are not divided by sqrt(D); the query's initial weights are smaller by that factor instead. The linear
    maps have no bias terms. D is independent of H and A: T5-11B has 128 heads of size 128 and a hidden size of 1024.
    Keys and values are passed in, so they can come from the same tokens, from the encoder, or from a cache.

    Source: tensorflow/mesh, attention.py L435-438 and L495 at commit da90793.

    Args:
        hidden_size: H.
        num_attention_heads: A.
        head_size: D.
        dropout: Probability with which an attention weight is dropped in training.
    """

    def __init__(self, hidden_size: int, num_attention_heads: int, head_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_sizes(hidden_size=hidden_size, num_attention_heads=num_attention_heads, head_size=head_size)
        self.num_attention_heads = num_attention_heads
        inner_size = num_attention_heads * head_size
        self.query = nn.Linear(hidden_size, inner_size, bias=False)
        self.key = nn.Linear(hidden_size, inner_size, bias=False)
        self.value = nn.Linear(hidden_size, inner_size, bias=False)
        self.output = nn.Linear(inner_size, hidden_size, bias=False)
        self.dropout = Dropout(dropout)

    def keys_and_values(self, hidden_states: Tensor) -> tuple[Tensor, Tensor]:
        """The keys and values of the tokens: [B, S, H] -> two tensors [B, A, S, D]."""
        return self._split_heads(self.key(hidden_states)), self._split_heads(self.value(hidden_states))

    def forward(
        self, hidden_states: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, need_weights: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """Let each query attend to the keys and gather their values.

        Args:
            hidden_states: [B, T, H], of the queries.
            key, value: [B, A, S, D], from `keys_and_values`.
            bias: Numbers added to the scores, for position and mask; broadcast to [B, A, T, S].
            need_weights: As for `MultiHeadAttention`.

        Returns:
            The output, [B, T, H], and the attention weights before dropout, [B, A, T, S].
        """
        query = self._split_heads(self.query(hidden_states))  # [B, A, T, D]
        if not (need_weights or self.training or torch.is_grad_enabled()):
            context = F.scaled_dot_product_attention(query, key, value, bias, scale=1.0)  # what follows, in one step
            return self.output(context.transpose(1, 2).flatten(2)), None
        scores = query @ key.transpose(-1, -2)  # [B, A, T, S]
        if bias is not None:
            scores = scores + bias
        weights = scores.softmax(dim=-1)
        context = self.dropout(weights) @ value  # [B, A, T, D]
        return self.output(context.transpose(1, 2).flatten(2)), weights

    def _split_heads(self, projected: Tensor) -> Tensor:
        """[B, S, A * D] -> [B, A, S, D]."""
        return projected.unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2)
