"""Checks of a model's input that name the argument at fault."""

from __future__ import annotations

import torch
from torch import Tensor


def check_ids(name: str, ids: Tensor, shape: torch.Size | None, size: int, size_name: str) -> None:
    """Whole numbers [B, S], all from 0 to `size` - 1.

    Raises:
        ValueError: Type, shape or range is wrong; the message names the argument and the configuration's field.
    """
    if not isinstance(ids, Tensor) or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        kind = ids.dtype if isinstance(ids, Tensor) else type(ids).__name__
        raise ValueError(f"{name} is of type {kind}: must be a tensor of whole numbers")
    if ids.dim() != 2 or ids.numel() == 0:
        raise ValueError(f"{name} has shape {tuple(ids.shape)}: must be [batch, sequence], neither of them empty")
    if shape is not None and ids.shape != shape:
        raise ValueError(f"{name} has shape {tuple(ids.shape)}: must be that of input_ids, {tuple(shape)}")
    if ids.is_meta:
        return  # there are no numbers to look at
    low, high = torch.aminmax(ids)
    if low < 0 or high >= size:
        raise ValueError(
            f"{name} holds {int(low if low < 0 else high)}: must be from 0 to {size_name} - 1 = {size - 1}"
        )


def check_mask(name: str, mask: Tensor, shape: torch.Size) -> None:
    """Ones and zeros, [B, S] or [B, S, S].

    Raises:
        ValueError: The shape does not fit `shape` [B, S], or there are other numbers.
    """
    batch, sequence = shape
    if tuple(mask.shape) not in ((batch, sequence), (batch, sequence, sequence)):
        allowed = f"{(batch, sequence)} or {(batch, sequence, sequence)}"
        raise ValueError(f"{name} has shape {tuple(mask.shape)}: must be {allowed}, to fit input_ids")
    if not mask.is_meta and not ((mask == 0) | (mask == 1)).all():
        raise ValueError(f"{name} holds numbers other than 1 (attend) and 0 (padding)")


def check_labels(name: str, labels: Tensor, shape: torch.Size, classes: int) -> None:
    """Whole numbers of a given shape, each from 0 to `classes` - 1, or -100 for "no loss here".

    Raises:
        ValueError: Type, shape or range is wrong.
    """
    if labels.is_floating_point() or labels.shape != shape:
        found = f"type {labels.dtype} and shape {tuple(labels.shape)}"
        raise ValueError(f"{name} is of {found}: must be whole numbers of shape {tuple(shape)}")
    if not labels.is_meta and not (((labels >= 0) & (labels < classes)) | (labels == -100)).all():
        raise ValueError(f"{name}: every label must be from 0 to {classes - 1}, or -100 to be ignored")
