"""What a run writes down on the way: a file of JSON lines, one for some steps, with means over them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from plm_lessons.files import write_atomically
from plm_lessons.training.large_batches import Batch


class Means:
    """What the next entry of the log will tell: sums over the steps since the last one."""

    def __init__(self, sums: dict[str, float] | None = None) -> None:
        self.sums = sums or {}

    def _add(self, name: str, value: float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + value

    def counting(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches themselves, while their tokens are counted."""
        for batch in batches:
            self._add("tokens", int(batch["attention_mask"].sum()))
            yield batch

    def add(self, entry: dict[str, float], seconds: float) -> None:
        """A step of `training_steps`, and how long it took."""
        for name, value in entry.items():
            if name != "step":
                self._add(name, value)
        self._add("steps", 1)
        self._add("seconds", seconds)

    def take(self, step: int) -> dict[str, Any]:
        """The entry for the log; sums begin anew. `tokens` are those of the inputs, padding aside."""
        steps, seconds, tokens = (self.sums.pop(name) for name in ("steps", "seconds", "tokens"))
        means = rounded({name: value / steps for name, value in self.sums.items()})
        self.sums.clear()
        return {"step": step, **means, "tokens": int(tokens), "tokens_per_second": round(tokens / seconds, 1)}


class Log:
    """JSON lines: one object for each entry. Those of steps that will be done again are taken out first."""

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
        """One more line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def rounded(figures: dict[str, float]) -> dict[str, float]:
    """To seven digits, about what a float32 holds."""
    return {name: float(f"{value:.7g}") for name, value in figures.items()}
