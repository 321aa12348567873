"""How refusals are written down; the tables are in the modules `refused_...`, and `test_bad_input` reads them.

A `Part` is a callable, arguments that it accepts, and, for each of its arguments, values that it must refuse while the
others stay as they are. A refusal is a `ValueError`, unless another error is given beside the value. Its message has
the argument's name, the value (if it is a number or a text), and the texts given beside the value, mostly what is
allowed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from plm_lessons.tokenization import load_tokenizer

Values = list[tuple[Any, ...]]
"""Values that are refused, each with what the message says."""
INSIDE = object()  # given beside a value: the message does not name the argument, but what is wrong in it
NAN, INF = float("nan"), float("inf")
COUNTS: Values = [(value, "whole number") for value in (0, 1.5, "8", NAN, None)]
CAPS = COUNTS[:-1]  # for limits, where None means that there is no limit
WHOLE = [(-1, "whole number"), *COUNTS[1:]]
SHARES: Values = [(value, "0", "1") for value in (-0.1, 1.1, NAN, "0.5", None)]
TEXT: Values = [(value, "text") for value in (None, 3, b"text")]
TEXTS: Values = [
    ("one text", "list"),
    (3, "list"),
    (["a text", 3], "[1]", "text"),
    (["a text", "\ud800"], "[1]", "half a character"),
]


class Part(NamedTuple):
    """A callable, arguments that it accepts, and values that it refuses."""

    call: Callable[..., object]
    good: Callable[[], dict[str, Any]] | None  # None: valid arguments would take too much work to make here
    bad: dict[str, Values]


def part(call: Callable[..., object], good: Callable[[], dict[str, Any]] | None, /, **bad: Values) -> Part:
    return Part(call, good, bad)


def positional(function: Callable[..., object]) -> Callable[..., object]:
    """Return a version of a variadic function that takes its positional arguments by name."""

    @functools.wraps(function)
    def call(**arguments: Any) -> object:
        return function(*arguments.values())

    return call


def first(function: Callable[..., Iterator[Any]]) -> Callable[..., object]:
    """Return a version of a generator function that asks for the first item only."""

    @functools.wraps(function)
    def ask(**arguments: Any) -> object:
        return list(islice(function(**arguments), 1))

    return ask


@functools.cache
def tokenizer(name: str = "wordpiece") -> Tokenizer:
    return load_tokenizer(name)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


GENERATORS: Values = [(None, "Generator"), (0, "Generator")]
TOKENIZERS: Values = [("wordpiece", "Tokenizer"), (None, "Tokenizer")]


def ids(*rows: list[int]) -> Tensor:
    return torch.tensor(rows)


def fault(call: Callable[..., object], arguments: dict[str, Any], argument: str, value: Any, told: list[Any]) -> str:
    """Call with the value as the argument; return what is wrong with the refusal, "" if it is as it should be."""
    error = next((item for item in told if isinstance(item, type)), ValueError)
    says = [text for text in told if isinstance(text, str)]
    if error is not FileNotFoundError and INSIDE not in told:
        says.append(argument)
    if isinstance(value, str | int | float) and len(str(value)) < 40:
        says.append(str(value))
    try:
        call(**arguments | {argument: value})
    except Exception as caught:
        if type(caught) is not error:
            return f"{argument}={value!r} raised {type(caught).__name__}: {caught}"
        missing = [text for text in says if text not in str(caught)]
        return f"{argument}={value!r}: {str(caught)!r} does not say {missing}" if missing else ""
    return f"{argument}={value!r} was taken"
