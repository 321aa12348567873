"""Checks of a model's input that name the argument at fault.

Letters: B batch, S sequence length, H hidden size, P positions predicted.
"""

from __future__ import annotations

import torch
from torch import Tensor


def check_device(name: str, tensor: Tensor, device: torch.device) -> None:
    """Where the model, or what is compared with it, is.

    Raises:
        ValueError: It is elsewhere.
    """
    if tensor.device != device:
        raise ValueError(f"{name} is on {tensor.device}: must be on {device}, as the model is")


def check_whole_numbers(name: str, numbers: Tensor, device: torch.device | None = None) -> None:
    """Of a type that torch takes as an index, and if it matters on this device.

    Raises:
        ValueError: It is neither, or no tensor.
    """
    kind = numbers.dtype if isinstance(numbers, Tensor) else type(numbers).__name__
    if kind not in (torch.int64, torch.int32):
        raise ValueError(f"{name} is of type {kind}: must be a tensor of whole numbers, int64 or int32")
    if device is not None:
        check_device(name, numbers, device)


def check_ids(
    name: str, ids: Tensor, shape: torch.Size | None, size: int, size_name: str, device: torch.device
) -> None:
    """Whole numbers [B, S] on this device, all from 0 to `size` - 1.

    Raises:
        ValueError: Type, shape, range or device is wrong; the message names the argument and the configuration's field.
    """
    check_whole_numbers(name, ids, device)
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


def check_positions(name: str, positions: Tensor, hidden_states: Tensor) -> None:
    """Whole numbers [B, P] that are places in the sequences [B, S, H], on the same device.

    Raises:
        ValueError: Type, shape, range or device is wrong.
    """
    check_whole_numbers(name, positions, hidden_states.device)
    batch, length = hidden_states.shape[:2]
    if positions.dim() != 2 or len(positions) != batch:
        raise ValueError(f"{name} has shape {tuple(positions.shape)}: must be [{batch}, P]")
    if not positions.is_meta:
        wrong = positions[(positions < 0) | (positions >= length)]
        if wrong.numel():
            raise ValueError(f"{name} holds {wrong[0].item()}: must be from 0 to {length - 1}")


def check_mask(name: str, mask: Tensor, input_ids: Tensor, per_query: bool = True) -> None:
    """Ones and zeros, [B, S], or if it may differ from query to query [B, S, S].

    Raises:
        ValueError: Shape or device are not those of the ids, or there are other numbers.
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
    if mask.is_meta:
        return
    wrong = mask[(mask != 0) & (mask != 1)]
    if wrong.numel():
        raise ValueError(f"{name} holds {wrong[0].item()}: must be 1 (attend) or 0 (padding)")


def check_labels(name: str, labels: Tensor, shape: torch.Size, classes: int, device: torch.device) -> None:
    """Whole numbers of a given shape on this device, each from 0 to `classes` - 1, or -100 for "no loss here".

    Raises:
        ValueError: Type, shape, range or device is wrong.
    """
    check_whole_numbers(name, labels, device)
    if labels.shape != shape:
        raise ValueError(f"{name} has shape {tuple(labels.shape)}: must be {tuple(shape)}")
    if labels.is_meta:
        return
    wrong = labels[((labels < 0) | (labels >= classes)) & (labels != -100)]
    if wrong.numel():
        raise ValueError(f"{name} holds {wrong[0].item()}: must be from 0 to {classes - 1}, or -100 to be ignored")
