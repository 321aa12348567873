"""Argument checks that the objectives share: each raises a `ValueError` naming the argument and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from plm_lessons.checks import LARGEST, check_number, check_whole


def check_share(name: str, value: Any) -> None:
    """Check that a share or probability is in [0, 1]."""
    check_number(name, value, 0, 1)


def check_tensor(name: str, value: Any) -> None:
    """Check for a tensor."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{name}={value!r:.80}: must be a tensor")


def check_ids(input_ids: Any, vocab_size: Any = None, name: str = "input_ids") -> None:
    """Check that ids are int64 of shape [B, S] and, where `vocab_size` is given, within the vocabulary."""
    check_tensor(name, input_ids)
    if input_ids.dim() != 2 or input_ids.dtype != torch.int64:
        found = f"{input_ids.dtype} of shape {list(input_ids.shape)}"
        raise ValueError(f"{name} must be int64 of shape [B, S], got {found}")
    if vocab_size is None:
        return
    check_whole("vocab_size", vocab_size, least=1)
    if input_ids.numel():
        low, high = (int(limit) for limit in input_ids.aminmax())
        if low < 0 or high >= vocab_size:
            raise ValueError(f"{name} must be in [0, vocab_size={vocab_size}), got {low if low < 0 else high}")


def check_token_ids(**ids: Any) -> None:
    """Check the ids of special tokens, each given by the name of its argument."""
    for name, token in ids.items():
        check_whole(name, token)


def as_bool(name: str, mask: Any, shape: torch.Size | None = None) -> Tensor:
    """Return the mask as bool; it must have this shape, if given, and hold only 0 and 1 (or False and True)."""
    check_tensor(name, mask)
    if shape is not None and mask.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(mask.shape)}")
    if mask.dtype != torch.bool and not bool(((mask == 0) | (mask == 1)).all()):
        raise ValueError(f"{name} must hold only 0 and 1 (or False and True), got other values")
    return mask.to(torch.bool)


def check_list(name: str, values: Any, of: str) -> None:
    """Check for a list, a tuple or another sequence, but not a string."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(f"{name}={values!r:.80}: must be a list of {of}")


def check_kind(name: str, value: Any, kind: type) -> None:
    """Check that the value is an instance of `kind`."""
    if not isinstance(value, kind):
        raise ValueError(f"{name}={value!r:.80}: must be a {kind.__name__}")


def check_items(name: str, items: Any, kind: type) -> None:
    """Check for a sequence of instances of `kind`."""
    check_list(name, items, kind.__name__)
    for number, item in enumerate(items):
        check_kind(f"{name}[{number}]", item, kind)


def whole_numbers(name: str, values: Any, least: int = 0) -> list[int]:
    """Return the numbers of a list, a range or a tensor [N], all of which must be whole and at least `least`."""
    if isinstance(values, Tensor):
        values = values.tolist()
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name}={values!r:.80}: must be a list of whole numbers")
    numbers = list(values)
    if set(map(type, numbers)) <= {int} and (not numbers or (min(numbers) >= least and max(numbers) <= LARGEST)):
        return numbers  # the usual case, quickly
    for number, value in enumerate(numbers):
        check_whole(f"{name}[{number}]", value, least)
    return list(map(int, numbers))
