"""Multi-head scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2).

Letters: B batch, S sequence length, H hidden size, A heads, D head size (A * D = H).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from plm_lessons.layers.positions import RelativePositionScores


def additive_mask(attention_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a mask of ones (attend) and zeros (padding) into numbers to add to the scores.

    Args:
        attention_mask: [B, S], or [B, S, S] for a mask that differs from query to query.
        dtype: The type of the scores.

    Returns:
        [B, 1, 1, S] or [B, 1, S, S]: 0 where attention may go, half the lowest finite number elsewhere. Finite and
        not -inf: a row with nothing to attend to then gets equal weights everywhere instead of NaN. Half, because
        in float16 the lowest number and a score can sum to -inf.

    Raises:
        ValueError: The mask has neither two nor three dimensions.
    """
    if attention_mask.dim() not in (2, 3):
        raise ValueError(f"attention_mask has shape {tuple(attention_mask.shape)}: must be [B, S] or [B, S, S]")
    mask = attention_mask[:, None, None, :] if attention_mask.dim() == 2 else attention_mask[:, None]
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(mask == 0, torch.finfo(dtype).min / 2)


class MultiHeadAttention(nn.Module):
    """Self-attention with A heads, each of size H / A, and an output projection.

    Args:
        hidden_size: H.
        num_attention_heads: A, a divisor of H.
        dropout: Probability with which an attention weight is dropped in training.
        position_scores: Adds a score that depends on the distance of query and key; None in BERT.
    """

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        dropout: float = 0.0,
        position_scores: RelativePositionScores | None = None,
    ) -> None:
        super().__init__()
        if hidden_size % num_attention_heads:
            raise ValueError(f"num_attention_heads={num_attention_heads}: must divide hidden_size={hidden_size}")
        self.num_attention_heads = num_attention_heads
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.position_scores = position_scores

    def forward(self, hidden_states: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Let every position gather from the others.

        Args:
            hidden_states: [B, S, H].
            mask: Numbers added to the scores, [B, 1, 1 or S, S], from `additive_mask`.

        Returns:
            The output, [B, S, H], and the attention weights before dropout, [B, A, S, S].
        """
        query = self._split_heads(self.query(hidden_states))  # [B, A, S, D]
        key = self._split_heads(self.key(hidden_states))
        value = self._split_heads(self.value(hidden_states))

        scores = query @ key.transpose(-1, -2)  # [B, A, S, S]
        if self.position_scores is not None:
            scores = scores + self.position_scores(query, key)
        scores = scores / math.sqrt(query.shape[-1])
        if mask is not None:
            scores = scores + mask
        weights = scores.softmax(dim=-1)

        # Dropping whole tokens to attend to looks odd; it is what the Transformer and BERT do.
        context = self.dropout(weights) @ value  # [B, A, S, D]
        return self.output(context.transpose(1, 2).flatten(2)), weights

    def _split_heads(self, projected: Tensor) -> Tensor:
        """[B, S, H] -> [B, A, S, D]."""
        return projected.unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2)
