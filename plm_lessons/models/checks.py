"""Checks of a model's input that name the argument at fault.

Letters: B batch, S sequence length, H hidden size, P positions predicted.
"""

from __future__ import annotations

import torch
from torch import Tensor

# PyTorch can tell that `torch.export` is running since 2.7; without that, the checks stop it.
_is_exporting = getattr(torch.compiler, "is_exporting", lambda: False)


def has_numbers(tensor: Tensor) -> bool:
    """Whether there are numbers to look at: on the meta device there are none, and `torch.export` knows none yet."""
    return not (tensor.is_meta or _is_exporting())


def check_device(name: str, tensor: Tensor, device: torch.device) -> None:
    """Check that a tensor is on the device of the model, or of what it is compared with.

    Raises:
        ValueError: The tensor is on another device.
    """
    if tensor.device != device:
        raise ValueError(f"{name} is on {tensor.device}: must be on {device}, as the model is")


def check_whole_numbers(name: str, numbers: Tensor, device: torch.device | None = None) -> None:
    """Check for a tensor of a type that torch takes as an index, on this device if one is given.

    Raises:
        ValueError: The type or the device is wrong.
    """
    kind = numbers.dtype if isinstance(numbers, Tensor) else type(numbers).__name__
    if kind not in (torch.int64, torch.int32):
        raise ValueError(f"{name} is of type {kind}: must be a tensor of whole numbers, int64 or int32")
    if device is not None:
        check_device(name, numbers, device)


def check_ids(
    name: str, ids: Tensor, shape: torch.Size | None, size: int, size_name: str, device: torch.device
) -> None:
    """Check for whole numbers [B, S] on this device, all from 0 to `size` - 1.

    Raises:
        ValueError: Type, shape, range or device is wrong; the message names the argument and the configuration's field.
    """
    check_whole_numbers(name, ids, device)
    if ids.dim() != 2 or ids.numel() == 0:
        raise ValueError(f"{name} has shape {tuple(ids.shape)}: must be [batch, sequence], neither of them empty")
    if shape is not None and ids.shape != shape:
        raise ValueError(f"{name} has shape {tuple(ids.shape)}: must be that of input_ids, {tuple(shape)}")
    if not has_numbers(ids):
        return
    low, high = torch.aminmax(ids)
    if low < 0 or high >= size:
        raise ValueError(
            f"{name} holds {int(low if low < 0 else high)}: must be from 0 to {size_name} - 1 = {size - 1}"
        )


def check_positions(name: str, positions: Tensor, hidden_states: Tensor) -> None:
    """Check for whole numbers [B, P] that are positions in the sequences [B, S, H], on the same device.

    Raises:
        ValueError: Type, shape, range or device is wrong.
    """
    check_whole_numbers(name, positions, hidden_states.device)
    batch, length = hidden_states.shape[:2]
    if positions.dim() != 2 or len(positions) != batch:
        raise ValueError(f"{name} has shape {tuple(positions.shape)}: must be [{batch}, P]")
    if has_numbers(positions):
        wrong = positions[(positions < 0) | (positions >= length)]
        if wrong.numel():
            raise ValueError(f"{name} holds {wrong[0].item()}: must be from 0 to {length - 1}")


def check_mask(name: str, mask: Tensor, input_ids: Tensor, per_query: bool = True) -> None:
    """Check for ones and zeros, [B, S], or also [B, S, S] if the mask may differ from query to query.

    Raises:
        ValueError: The shape or device does not fit the ids, or the mask holds other numbers.
    """
    if not isinstance(mask, Tensor):
        raise ValueError(f"{name} is of type {type(mask).__name__}: must be a tensor of ones and zeros")
    check_device(name, mask, input_ids.device)
    batch, sequence = input_ids.shape
    shapes = [(batch, sequence), (batch, sequence, sequence)][: 2 if per_query else 1]
    if tuple(mask.shape) not in shapes:
        allowed = " or ".join(map(str, shapes))
        ids = name.replace("attention_mask", "input_ids")
        raise ValueError(f"{name} has shape {tuple(mask.shape)}: must be {allowed}, to fit {ids}")
    if not has_numbers(mask):
        return
    wrong = mask[(mask != 0) & (mask != 1)]
    if wrong.numel():
        raise ValueError(f"{name} holds {wrong[0].item()}: must be 1 (attend) or 0 (padding)")


def check_labels(name: str, labels: Tensor, shape: torch.Size, classes: int, device: torch.device) -> None:
    """Check for whole numbers of a shape on this device, each from 0 to `classes` - 1, or -100 for "no loss here".

    Raises:
        ValueError: Type, shape, range or device is wrong.
    """
    check_whole_numbers(name, labels, device)
    if labels.shape != shape:
        raise ValueError(f"{name} has shape {tuple(labels.shape)}: must be {tuple(shape)}")
    if not has_numbers(labels):
        return
    wrong = labels[((labels < 0) | (labels >= classes)) & (labels != -100)]
    if wrong.numel():
        raise ValueError(f"{name} holds {wrong[0].item()}: must be from 0 to {classes - 1}, or -100 to be ignored")
