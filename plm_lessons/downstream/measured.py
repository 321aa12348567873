"""What the models that ship with the package came to on these tasks: the runs of tools/measure_downstream.py."""

from __future__ import annotations

import json
from importlib.resources import files

from plm_lessons.downstream.tasks import TASKS


def held_out_figures() -> dict[tuple[str, int, str, str], list[float]]:
    """The first figure of each task on held-out examples, in percent, one for each seed.

    Returns:
        By task, number of examples learnt from, model ("" where only words were counted), and start ("pre-trained",
        "from scratch" or "counting").
    """
    figures: dict[tuple[str, int, str, str], list[float]] = {}
    lines = (files("plm_lessons") / "checkpoints" / "downstream.jsonl").read_text(encoding="utf8").splitlines()
    for run, found in ((entry["run"], entry["figures"]) for entry in map(json.loads, lines)):
        if run["split"] == "held_out":
            key = run["task"], run["examples"], run["model"], run["start"]
            figures.setdefault(key, []).append(100 * found[TASKS[run["task"]].figures[0]])
    return figures
