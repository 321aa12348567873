"""What tells attention where a token stands: scores that depend on the distance between query and key.

BERT itself needs none of this: it adds one learned vector per absolute position at the input (`BertEmbeddings`).
The two relative forms below are later proposals, kept here so that they can be compared with it.

Letters: B batch, A heads, T query positions, S key positions, D head size, P the longest sequence, R distances.

References:
    relative_key: Shaw, Uszkoreit & Vaswani (arXiv:1803.02155), equation 5, without clipping of the distance.
    relative_key_query: Huang et al. (arXiv:2009.13658), method 4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RelativePositionScores(nn.Module):
    """Adds to each attention score the product of the query (and the key) with an embedding of their distance.

    Args:
        head_size: D.
        max_position_embeddings: P; distances run from -(P-1) to P-1, so the table has 2P-1 rows of D numbers,
            one table per layer, shared by its heads.
        with_key: False for `relative_key`, q.e(t-s); True for `relative_key_query`, q.e(t-s) + k.e(t-s).
    """

    def __init__(self, head_size: int, max_position_embeddings: int, with_key: bool) -> None:
        super().__init__()
        self.max_position_embeddings = max_position_embeddings
        self.with_key = with_key
        self.distance_embedding = nn.Embedding(2 * max_position_embeddings - 1, head_size)

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """Scores to add before the division by sqrt(D).

        Args:
            query: [B, A, T, D].
            key: [B, A, S, D].

        Returns:
            [B, A, T, S].

        Raises:
            ValueError: The query or the key is longer than P.
        """
        target_length, source_length = query.shape[-2], key.shape[-2]
        for name, length in (("query", target_length), ("key", source_length)):
            if length > self.max_position_embeddings:
                allowed = f"at most max_position_embeddings = {self.max_position_embeddings}"
                raise ValueError(f"{name} has {length} positions: must be {allowed}")
        # Distances here run from -(S-1) to T-1; distance 0 is row P-1 of the table.
        zero = self.max_position_embeddings - 1
        table = self.distance_embedding.weight[zero - source_length + 1 : zero + target_length]  # [R = T+S-1, D]
        positions_t = torch.arange(target_length, device=query.device)
        positions_s = torch.arange(source_length, device=query.device)
        row_of = positions_t[:, None] - positions_s[None, :] + source_length - 1  # [T, S]
        # Multiply with every distance once, then pick each pair's: one matrix product, and no embedding per pair.
        shape = (*query.shape[:-2], target_length, source_length)
        scores = (query @ table.T).gather(-1, row_of.expand(shape))
        if self.with_key:
            by_key = (key @ table.T).gather(-1, row_of.T.expand(*shape[:-2], source_length, target_length))
            scores = scores + by_key.transpose(-1, -2)  # [B, A, S, T] -> [B, A, T, S]
        return scores
