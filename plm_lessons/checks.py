"""Checks of arguments that all parts share. Each raises a `ValueError` that names the argument and what is allowed."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Iterable, Iterator
from typing import Any

LARGEST = 2**63 - 1  # that a tensor of whole numbers can hold


def told(value: Any, most: int = 80) -> str:
    """A refused value as a message has it, cut where it is long. Python does not write whole numbers of any length."""
    try:
        return f"{value!r:.{most}}"
    except ValueError:
        return f"what is too long to be written ({type(value).__name__})"


def is_whole(value: Any) -> bool:
    """Whether it is a whole number, of Python or numpy; True and False are none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_whole(name: str, value: Any, least: int = 0, most: int | None = None, why: str = "") -> None:
    """A whole number from `least` to `most`, or where there is no limit to what a tensor can hold."""
    if not is_whole(value) or not least <= value <= (LARGEST if most is None else most):
        allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
        if most is None and is_whole(value) and value > LARGEST:
            allowed += " and below 2**63"
        raise ValueError(f"{name}={told(value)}: must be a whole number {allowed}{why}")


def check_sizes(**sizes: Any) -> None:
    """Whole numbers of at least 1, each by the name of its argument."""
    for name, size in sizes.items():
        check_whole(name, size, least=1)


def check_number(
    name: str, value: Any, low: float = -float("inf"), high: float = float("inf"), above: bool = False
) -> None:
    """A finite number from `low` (if `above`, beyond it) to `high`; NaN is none, nor are True and False."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not is_finite(value) or not low <= value <= high or (above and value == low):
        allowed = "" if low == -float("inf") else f" above {low:g}" if above else f" of at least {low:g}"
        if high < float("inf"):
            allowed = f"{allowed} and at most {high:g}" if above else f" from {low:g} to {high:g}"
        raise ValueError(f"{name}={told(value)}: must be a finite number{allowed}")


def is_finite(value: Any) -> bool:
    """Whether a number can be computed with as a float, which a whole number of 400 digits cannot."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """One of several names."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}={told(value)}: must be one of {', '.join(map(repr, choices))}")


def check_text(name: str, value: Any) -> None:
    """A string of whole characters: half a surrogate pair is none, and no tokenizer or file takes it."""
    if not isinstance(value, str):
        raise ValueError(f"{name}={told(value)}: must be a text (str)")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name}={told(value)}: must be a text of whole characters, and at place {error.start} is half a character"
        ) from None


def each_text(name: str, values: Iterable[Any]) -> Iterator[str]:
    """The texts one by one, each checked; a single string is refused, for it would be taken letter by letter."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name}={values!r:.80}: must be a list or another iterable of texts, not a single value")
    for number, value in enumerate(values):
        check_text(f"{name}[{number}]", value)
        yield value
