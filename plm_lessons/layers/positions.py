"""Relative positions: attention scores that depend on the distance between query and key.

BERT itself needs none of this: it adds one learned vector per absolute position at the input (`BertEmbeddings`).
`RelativePositionScores` implements two later proposals, kept here so that they can be compared with it.
`RelativePositionBias` is T5's: one number for each head and range of distances, and no vector at all.

Letters: B batch, A heads, T query positions, S key positions, D head size, P the longest sequence, R distances.

References:
    T5: Raffel et al. (arXiv:1910.10683), section 2.1; tensorflow/mesh, transformer_layers.py L1000-1042 at da90793.
    relative_key: Shaw, Uszkoreit & Vaswani (arXiv:1803.02155), equation 5, without clipping of the distance.
    relative_key_query: Huang et al. (arXiv:2009.13658), method 4.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from plm_lessons.checks import check_sizes, check_whole
from plm_lessons.layers.embedding import SmallEmbedding


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
        check_sizes(head_size=head_size, max_position_embeddings=max_position_embeddings)
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


def exact_buckets(num_buckets: int, max_distance: int, bidirectional: bool) -> int:
    """N/2, the number of distances per direction that have a bucket of their own; see `relative_position_bucket`.

    Raises:
        ValueError: There are too few buckets, or `max_distance` is among the exact ones.
    """
    check_whole("num_buckets", num_buckets, least=4 if bidirectional else 2)
    exact = num_buckets // (4 if bidirectional else 2)
    check_whole("max_distance", max_distance, least=exact + 1, why=f", more than the {exact} exact buckets")
    return exact


def relative_position_bucket(
    relative_position: Tensor, bidirectional: bool = True, num_buckets: int = 32, max_distance: int = 128
) -> Tensor:
    """The bucket of each distance: near distances have one each, those further away share ever wider ones.

    Of the N buckets of a direction, the first N/2 hold one distance each; the others hold ranges that widen
    logarithmically up to `max_distance`, and all longer distances share the last. With the defaults N is 16: the last
    bucket already begins at distance 91, and bucket 16 (key after the query, at distance 0) is never used.

    Args:
        relative_position: Position of the key minus that of the query, whole numbers of any shape.
        bidirectional: Whether keys after the query have buckets of their own, the upper half; N is then half of
            `num_buckets`. Otherwise, as in a decoder, they share the bucket of distance 0.
        num_buckets: Number of buckets, at least 4, or 2 if not bidirectional.
        max_distance: Distance from which, at the latest, all keys share one bucket; more than N/2.

    Returns:
        Bucket numbers from 0 to `num_buckets` - 1, int64, in the shape of `relative_position`.

    Raises:
        ValueError: As for `exact_buckets`, or the distances are not a tensor of whole numbers.
    """
    exact = exact_buckets(num_buckets, max_distance, bidirectional)
    if not isinstance(relative_position, Tensor) or relative_position.dtype not in (torch.int64, torch.int32):
        kind = getattr(relative_position, "dtype", type(relative_position).__name__)
        raise ValueError(f"relative_position is of type {kind}: must be a tensor of whole numbers, int64 or int32")
    per_direction = num_buckets // 2 if bidirectional else num_buckets
    distance = relative_position.abs() if bidirectional else (-relative_position).clamp(min=0)
    # In float32 and in this order, as in the reference: at the border of two buckets, rounding decides.
    share = torch.log(distance.clamp(min=exact).float() / exact) / math.log(max_distance / exact)  # 0 to 1 and above
    wide = (exact + (share * (per_direction - exact)).long()).clamp(max=per_direction - 1)
    bucket = torch.where(distance < exact, distance, wide)
    return bucket + per_direction * (relative_position > 0) if bidirectional else bucket


class RelativePositionBias(nn.Module):
    """A number for each bucket and head, added to the attention scores: one table, shared by the layers of a stack.

    Args:
        num_attention_heads: A.
        num_buckets, max_distance, bidirectional: As for `relative_position_bucket`.
    """

    def __init__(
        self, num_attention_heads: int, num_buckets: int = 32, max_distance: int = 128, bidirectional: bool = True
    ) -> None:
        super().__init__()
        check_sizes(num_attention_heads=num_attention_heads)
        exact_buckets(num_buckets, max_distance, bidirectional)
        self.bidirectional = bidirectional
        self.max_distance = max_distance
        self.table = SmallEmbedding(num_buckets, num_attention_heads)

    def forward(self, query_length: int, key_length: int) -> Tensor:
        """Scores to add, [1, A, T, S]; the queries are the last T of the S positions.

        Raises:
            ValueError: There are no positions, no queries, or more queries than positions.
        """
        check_sizes(key_length=key_length)
        check_whole("query_length", query_length, 1, key_length, why=" = key_length")
        device = self.table.weight.device
        positions_s = torch.arange(key_length, device=device)
        positions_t = positions_s[key_length - query_length :]
        distances = positions_s[None, :] - positions_t[:, None]  # [T, S]
        buckets = relative_position_bucket(distances, self.bidirectional, self.table.num_embeddings, self.max_distance)
        return self.table(buckets).permute(2, 0, 1)[None]  # [T, S, A] -> [1, A, T, S]
