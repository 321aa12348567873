"""Stored results of the chapters' long experiments, so that a chapter need not train for minutes to show them.

A chapter writes an experiment as a function of its settings, and runs it through `recorded`. The results of a function
NAME are in `data/records/NAME.jsonl`, one JSON object per line: the settings, the result, a fingerprint of the source,
and how, where and in what time it was computed. `make notebooks` computes and stores what is missing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import os
import platform
import textwrap
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from plm_lessons.files import write_atomically

FOLDER = Path(__file__).parent / "data" / "records"
KEEP = "PLM_LESSONS_KEEP_RECORDS"
"""The environment variable that, with any non-empty value, says that new results are to be kept."""


def recorded(experiment: Callable[..., Any], /, **settings: Any) -> Any:
    """Return the result of `experiment(**settings)`: from the record or, if that does not hold it, by running it.

    A record is valid only for exactly this source of the experiment and these settings: whoever changes either gets a
    new result, and waits for it. Whatever else the experiment reads or calls (texts, other functions, the package) is
    not compared: if that has changed, the record must be removed.

    Args:
        experiment: A function, written in Python, whose result can be written as JSON.
        settings: Its arguments: numbers, texts, lists, dictionaries, configurations (dataclasses) and None.

    Returns:
        The result as JSON gives it back: tuples have become lists, and all keys of dictionaries texts.

    Raises:
        ValueError: `experiment` is not such a function, a setting or the result cannot be written as JSON, or a line of
            the record is damaged.
    """
    code = source(experiment)
    known = {"source": fingerprint(code), "settings": {name: plain(name, value) for name, value in settings.items()}}
    path = FOLDER / f"{experiment.__name__}.jsonl"
    for entry in entries(path):
        if _text({name: entry[name] for name in known}) == _text(known):  # as text: as values, 1 == 1.0 == True
            return entry["result"]
    start = time.perf_counter()
    result = plain(f"the result of {experiment.__name__}", experiment(**settings))
    if os.environ.get(KEEP):
        made = {"seconds": round(time.perf_counter() - start, 1), "torch": version("torch")}
        made |= {"processor": platform.machine(), "cores": os.cpu_count()}
        kept = [entry for entry in entries(path) if entry["source"] == known["source"]]  # nothing from older code
        lines = (json.dumps(entry) + "\n" for entry in [*kept, {**known, "result": result, "made": made}])
        write_atomically(path, "".join(lines).encode())
    return result


def source(experiment: Callable[..., Any]) -> str:
    """Return the source of a function as it is written in the chapter, without its indentation."""
    try:
        if not inspect.isfunction(experiment) or not experiment.__name__.isidentifier():
            raise TypeError("it has no name, or is not a function")
        return textwrap.dedent(inspect.getsource(experiment)).strip()
    except (TypeError, OSError) as error:
        raise ValueError(f"experiment={experiment!r:.80}: must be a function written in Python ({error})") from None


def fingerprint(code: str) -> str:
    """Twelve hexadecimal digits that change with the text."""
    return hashlib.sha256(code.encode()).hexdigest()[:12]


def plain(name: str, value: Any) -> Any:
    """Return a value as it comes back from JSON, with configurations as dictionaries."""
    try:
        return json.loads(json.dumps(value, default=_fields, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}={value!r:.80}: must be something that JSON can hold ({error})") from None


def entries(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a record; if there is no such file, there are none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            found.append({key: entry[key] for key in ("source", "settings", "result", "made")})
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path.name}, line {number}: not a result of an experiment ({error!r:.80})") from None
    return found


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _fields(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} is not")
