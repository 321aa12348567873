"""The log of a run: a file of JSON lines, each with the means over some steps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from plm_lessons.files import write_atomically
from plm_lessons.training.large_batches import Batch


class Means:
    """Sums over the steps since the last entry of the log, from which the next entry is made."""

    def __init__(self, sums: dict[str, float] | None = None) -> None:
        self.sums = sums or {}

    def _add(self, name: str, value: float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + value

    def counting(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches unchanged, and count their tokens."""
        for batch in batches:
            self._add("tokens", int(batch["attention_mask"].sum()))
            yield batch

    def add(self, entry: dict[str, float], seconds: float) -> None:
        """Add an entry of `training_steps`, and how long its step took."""
        for name, value in entry.items():
            if name != "step":
                self._add(name, value)
        self._add("steps", 1)
        self._add("seconds", seconds)

    def take(self, step: int) -> dict[str, Any]:
        """Return the entry for the log, and reset the sums; `tokens` counts those of the inputs without padding."""
        steps, seconds, tokens = (self.sums.pop(name) for name in ("steps", "seconds", "tokens"))
        means = rounded({name: value / steps for name, value in self.sums.items()})
        self.sums.clear()
        return {"step": step, **means, "tokens": int(tokens), "tokens_per_second": round(tokens / seconds, 1)}


class Log:
    """A file of JSON lines, one for each entry; entries of steps that will be repeated are removed first."""

    def __init__(self, path: Path, done: int) -> None:
        kept = []
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        for number, line in enumerate(lines, 1):
            try:
                step = int(json.loads(line)["step"])
            except (ValueError, LookupError, TypeError):
                if number == len(lines) and line[:9] == '{"step": '[: len(line)]:
                    break  # it was being written when the run was killed
                raise ValueError(f"{path}, line {number}: not the log of a run; name another file") from None
            if step <= done:
                kept.append(line + "\n")
        write_atomically(path, "".join(kept).encode("utf-8"))
        self.path = path

    def write(self, entry: dict[str, Any]) -> None:
        """Append an entry."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def rounded(figures: dict[str, float]) -> dict[str, float]:
    """Round the figures to seven digits, about the precision of a float32."""
    return {name: float(f"{value:.7g}") for name, value in figures.items()}
