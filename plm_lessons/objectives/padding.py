"""Rows of unequal length in one tensor.

B  rows
S  length of the longest row, or the length asked for
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from plm_lessons.checks import check_whole


def pad_rows(
    name: str, rows: Sequence[Sequence[int]], pad_token_id: int, max_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Rows of token ids in one tensor, filled up on the right.

    Args:
        name: what the rows are called where there is an error.
        rows: at least one.
        pad_token_id: id of [PAD].
        max_length: S. None: the longest row decides. A row that does not fit is an error, never cut here.

    Returns:
        input_ids [B, S] and attention_mask [B, S] (1 on tokens, 0 on padding), both int64.
    """
    if not rows:
        raise ValueError(f"{name} must hold at least one row, got none")
    lengths = [len(row) for row in rows]
    longest = max(lengths)
    width = longest if max_length is None else max_length
    check_whole("max_length", width)
    if longest > width:
        raise ValueError(
            f"max_length must be at least {longest}, the length of {name}[{lengths.index(longest)}] with its special "
            f"tokens, got {max_length!r}"
        )
    attended = torch.arange(width) < torch.tensor(lengths)[:, None]  # [B, S]
    input_ids = torch.full((len(rows), width), pad_token_id)
    input_ids[attended] = torch.tensor(list(chain.from_iterable(rows)))  # row by row, left to right
    return input_ids, attended.long()
