"""Checks that the objectives share: each raises a `ValueError` that names the argument and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from plm_lessons.checks import LARGEST, check_number, check_whole


def check_share(name: str, value: Any) -> None:
    """A share or probability lies in [0, 1]."""
    check_number(name, value, 0, 1)


def check_tensor(name: str, value: Any) -> None:
    """A tensor."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{name}={value!r:.80}: must be a tensor")


def check_ids(input_ids: Any, vocab_size: Any = None, name: str = "input_ids") -> None:
    """Ids are int64 of shape [B, S] and, where a vocabulary is given, lie in it."""
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
    """Ids of special tokens, each by the name of its argument."""
    for name, token in ids.items():
        check_whole(name, token)


def as_bool(name: str, mask: Any, shape: torch.Size | None = None) -> Tensor:
    """The mask as bool; it has this shape and holds only 0 and 1 (or False and True)."""
    check_tensor(name, mask)
    if shape is not None and mask.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(mask.shape)}")
    if mask.dtype != torch.bool and not bool(((mask == 0) | (mask == 1)).all()):
        raise ValueError(f"{name} must hold only 0 and 1 (or False and True), got other values")
    return mask.to(torch.bool)


def check_list(name: str, values: Any, of: str) -> None:
    """A list, a tuple or another sequence, but no text."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(f"{name}={values!r:.80}: must be a list of {of}")


def check_kind(name: str, value: Any, kind: type) -> None:
    """A thing of one kind."""
    if not isinstance(value, kind):
        raise ValueError(f"{name}={value!r:.80}: must be a {kind.__name__}")


def check_items(name: str, items: Any, kind: type) -> None:
    """A list of things of one kind."""
    check_list(name, items, kind.__name__)
    for number, item in enumerate(items):
        check_kind(f"{name}[{number}]", item, kind)


def whole_numbers(name: str, values: Any, least: int = 0) -> list[int]:
    """The numbers of a list, a range or a tensor [N], which are whole ones of at least `least`."""
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
