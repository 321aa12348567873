"""Rows of unequal length in one tensor.

B  rows
S  length of the longest row, or the requested length
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from plm_lessons.checks import check_whole
from plm_lessons.objectives.checks import check_list, whole_numbers
from plm_lessons.objectives.masking import IGNORE_INDEX


def pad_rows(
    name: str, rows: Sequence[Sequence[int]], pad_token_id: int, max_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Put rows of token ids into one tensor, padded on the right.

    Args:
        name: what the rows are called in error messages.
        rows: at least one, each with at least one id.
        pad_token_id: id of [PAD]; for labels, `IGNORE_INDEX`.
        max_length: S; if None, the length of the longest row. A row that does not fit is refused, not cut.

    Returns:
        input_ids [B, S] and attention_mask [B, S] (1 on tokens, 0 on padding), both int64.
    """
    check_list(name, rows, of="rows")
    if not rows:
        raise ValueError(f"{name} must hold at least one row, got none")
    check_whole("pad_token_id", pad_token_id, least=IGNORE_INDEX)
    rows = [whole_numbers(f"{name}[{number}]", row) for number, row in enumerate(rows)]
    lengths = [len(row) for row in rows]
    if not min(lengths):
        raise ValueError(f"{name}[{lengths.index(0)}] must hold at least one id, got none")
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
