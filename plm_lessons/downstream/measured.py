"""Measured results on these tasks of the models that ship with the package: the runs of tools/measure_downstream.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from plm_lessons.checks import check_whole
from plm_lessons.downstream.tasks import TASKS


def current_runs(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The held-out entries that count: those with the latest weights and the latest settings of each model and start.

    Args:
        entries: Lines of `downstream.jsonl` in their order, each with a `run` and its `figures`.
    """

    def cell(run: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(run[name] for name in ("task", "examples", "model", "start", "split"))

    def settings(run: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(run[name] for name in ("learning_rate", "epochs", "batch_size"))

    def series(run: dict[str, Any]) -> tuple[str, str]:
        return run["model"], run["start"]

    weights = {series(entry["run"]): entry["run"]["weights"] for entry in entries}
    last = {cell(entry["run"]): settings(entry["run"]) for entry in entries}
    held_out = [entry for entry in entries if entry["run"]["split"] == "held_out"]
    now = [entry for entry in held_out if entry["run"]["weights"] == weights[series(entry["run"])]]
    return [entry for entry in now if settings(entry["run"]) == last[cell(entry["run"])]]


def recorded_figures(place: int = 0) -> dict[tuple[str, int, str, str], list[float]]:
    """One figure of each task on held-out examples, in percent, one value per seed.

    Args:
        place: Of a task's `figures`, the place of the one to return, from 0; tasks that have fewer are left out.

    Returns:
        Lists of values by task, number of training examples, model ("" where only words were counted), and start
        ("pre-trained", "from scratch" or "counting").

    Raises:
        ValueError: `place` is not a whole number from 0 on.
    """
    check_whole("place", place, least=0)
    figures: dict[tuple[str, int, str, str], list[float]] = {}
    lines = (files("plm_lessons") / "checkpoints" / "downstream.jsonl").read_text(encoding="utf8").splitlines()
    for entry in current_runs([json.loads(line) for line in lines]):
        run = entry["run"]
        key = run["task"], run["examples"], run["model"], run["start"]
        for name in TASKS[run["task"]].figures[place : place + 1]:
            figures.setdefault(key, []).append(100 * entry["figures"][name])
    return figures
