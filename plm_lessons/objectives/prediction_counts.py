"""How many tokens of a row are to be predicted: about 15% of them, rounded in one of two ways.

B  batch: sequences (rows)
S  sequence length, padding included
"""

from __future__ import annotations

import torch
from torch import Tensor

from plm_lessons.checks import check_choice, check_whole
from plm_lessons.objectives.checks import as_bool, check_share
from plm_lessons.objectives.draws import Generator, uniform

ROUNDINGS = ("fixed_count", "rounded")


def prediction_count(length: int, masking_rate: float = 0.15, max_predictions: int | None = None) -> int:
    """How many tokens the reference code chooses in a sequence of `length` tokens, including [CLS] and [SEP].

    `min(max_predictions, max(1, round(length * masking_rate)))`: 19 at length 128, 77 at 512, and at least one in the
    shortest text. Python's `round` takes halves to the even neighbour: 10 tokens (1.5) give 2, and 30 (4.5) give 4.
    The cap is a flag of the reference code, 20 by default, which has to be raised by hand for length 512.
    """
    check_whole("length", length)
    check_share("masking_rate", masking_rate)
    if max_predictions is not None:
        check_whole("max_predictions", max_predictions, least=1)
    count = max(1, round(length * masking_rate))
    return count if max_predictions is None else min(max_predictions, count)


def row_lengths(
    candidates: Tensor, attention_mask: Tensor | None, name: str = "candidates", absent: str = "False"
) -> Tensor:
    """[B] int64: the number of tokens in each row that are not padding.

    Args:
        candidates: [B, S] bool, where a token may be chosen. It is an error if one of them is padding.
        attention_mask: [B, S], 1 on tokens, 0 on padding; None if there is no padding.
        name: what the caller calls `candidates`, for the error message.
        absent: how the caller marks what is not a candidate, for the error message.
    """
    rows, width = candidates.shape
    if attention_mask is None:
        return torch.full((rows,), width, device=candidates.device)
    attended = as_bool("attention_mask", attention_mask, candidates.shape)
    if bool((candidates & ~attended).any()):
        raise ValueError(f"{name} must be {absent} wherever attention_mask is 0: padding cannot be predicted")
    return attended.sum(dim=1)


def prediction_counts(
    lengths: Tensor,
    *,
    masking_rate: float,
    max_predictions: int | None,
    selection: str,
    generator: Generator,
) -> Tensor:
    """How many tokens to choose in each row.

    "fixed_count" is `prediction_count`. "rounded" is what fairseq does for RoBERTa: `int(masking_rate * length + u)`,
    where u is drawn from [0, 1) for each row. So 19.2 becomes 20 one time in five, and is 19.2 on average; a very
    short row may get none. fairseq has no cap; if one is given here, it applies too.

    Args:
        lengths: [B] int64, number of tokens in each row, without padding but with special tokens.
        masking_rate: share of the tokens to choose, in [0, 1].
        max_predictions: cap on the count of a row; None for no cap.
        selection: "fixed_count" or "rounded".
        generator: source of randomness; "fixed_count" draws nothing.

    Returns:
        [B] int64.
    """
    check_choice("selection", selection, ROUNDINGS)
    if max_predictions is not None:
        check_whole("max_predictions", max_predictions, least=1)
    if selection == "fixed_count":
        fixed = [prediction_count(length, masking_rate, max_predictions) for length in lengths.tolist()]
        return torch.tensor(fixed, dtype=torch.int64, device=lengths.device)
    up = uniform((len(lengths), 1), generator, lengths.device).double()[:, 0]
    counts = (masking_rate * lengths.double() + up).long()
    return counts if max_predictions is None else counts.clamp(max=max_predictions)
