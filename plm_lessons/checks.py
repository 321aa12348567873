"""Argument checks shared by all parts. A failed check raises a `ValueError` naming the argument and what is allowed."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Iterable, Iterator
from typing import Any

LARGEST = 2**63 - 1  # the largest whole number that a tensor can hold


def told(value: Any, most: int = 80) -> str:
    """Write a refused value for an error message, cut to `most` characters. Python cannot write very long integers."""
    try:
        return f"{value!r:.{most}}"
    except ValueError:
        return f"a value too long to be written ({type(value).__name__})"


def is_whole(value: Any) -> bool:
    """Whether the value is a whole number, of Python or NumPy; True and False are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Whether the value is a real number, of Python or NumPy, perhaps infinite or NaN; True and False are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_whole(name: str, value: Any, least: int = 0, most: int | None = None, why: str = "") -> None:
    """Check for a whole number from `least` to `most`; by default, up to the largest that a tensor can hold."""
    if not is_whole(value) or not least <= value <= (LARGEST if most is None else most):
        allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
        if most is None and is_whole(value) and value > LARGEST:
            allowed += " and below 2**63"
        raise ValueError(f"{name}={told(value)}: must be a whole number {allowed}{why}")


def check_sizes(**sizes: Any) -> None:
    """Check that all arguments, given by name, are whole numbers of at least 1."""
    for name, size in sizes.items():
        check_whole(name, size, least=1)


def check_number(
    name: str, value: Any, low: float = -float("inf"), high: float = float("inf"), above: bool = False
) -> None:
    """Check for a finite number from `low` (exclusive if `above`) to `high`; NaN, True and False are refused."""
    if not is_real(value) or not is_finite(value) or not low <= value <= high or (above and value == low):
        allowed = "" if low == -float("inf") else f" above {low:g}" if above else f" of at least {low:g}"
        if high < float("inf"):
            allowed = f"{allowed} and at most {high:g}" if above else f" from {low:g} to {high:g}"
        raise ValueError(f"{name}={told(value)}: must be a finite number{allowed}")


def is_finite(value: Any) -> bool:
    """Whether a number is finite as a float; a whole number of 400 digits is not, as it does not fit."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Check that the value is one of several names."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}={told(value)}: must be one of {', '.join(map(repr, choices))}")


def check_text(name: str, value: Any) -> None:
    """Check for a string of whole characters: half a surrogate pair is not one, and no tokenizer or file accepts it."""
    if not isinstance(value, str):
        raise ValueError(f"{name}={told(value)}: must be text (str)")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name}={told(value)}: must be text of whole characters, but has half a character at place {error.start}"
        ) from None


def each_text(name: str, values: Iterable[Any]) -> Iterator[str]:
    """Yield the texts one by one, each checked; a single string is refused, as it would be read letter by letter."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name}={values!r:.80}: must be a list or another iterable of texts, not a single value")
    for number, value in enumerate(values):
        check_text(f"{name}[{number}]", value)
        yield value
