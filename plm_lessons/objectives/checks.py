"""Checks that the objectives share: each raises a `ValueError` that names the argument and what is allowed."""

from __future__ import annotations

import torch
from torch import Tensor


def check_share(name: str, value: float) -> None:
    """A share or probability must lie in [0, 1]."""
    if not 0.0 <= value <= 1.0:  # True for NaN too: it compares as False
        raise ValueError(f"{name} must be in [0, 1], got {value!r}")


def check_ids(input_ids: Tensor, vocab_size: int | None = None) -> None:
    """Ids must be int64 of shape [B, S] and, where a vocabulary is given, lie in it."""
    if input_ids.dim() != 2 or input_ids.dtype != torch.int64:
        found = f"{input_ids.dtype} of shape {list(input_ids.shape)}"
        raise ValueError(f"input_ids must be int64 of shape [B, S], got {found}")
    if vocab_size is None or input_ids.numel() == 0:
        return
    low, high = int(input_ids.min()), int(input_ids.max())
    if low < 0 or high >= vocab_size:
        raise ValueError(f"input_ids must be in [0, vocab_size={vocab_size}), got {low if low < 0 else high}")


def as_bool(name: str, mask: Tensor, shape: torch.Size) -> Tensor:
    """The mask as bool; it must have this shape and hold only 0 and 1 (or False and True)."""
    if mask.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(mask.shape)}")
    if mask.dtype != torch.bool and not bool(((mask == 0) | (mask == 1)).all()):
        raise ValueError(f"{name} must hold only 0 and 1 (or False and True), got other values")
    return mask.to(torch.bool)
