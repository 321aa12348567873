"""The results of `measure_downstream.py` as tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from train_checkpoints import TITLES

from plm_lessons.downstream import TASKS
from plm_lessons.downstream.measured import current_runs
from plm_lessons.notebook import markdown_table

NAMES = {"": "counting words"} | TITLES
COUNTS = {
    "text": "TF-IDF of the words, logistic regression",
    "pair": "TF-IDF of the words that both texts have, logistic regression",
    "words": "the label that a word has most often, at the beginning of a sentence or within one",
    "question": "the beginning of the sentence whose TF-IDF vector is nearest to the question's",
}
"""What the baseline counts, for each kind of task."""
COUNTING, PRE_TRAINED, SCRATCH = "counting", "pre-trained", "from scratch"
LONGER = "from scratch, longer"
"""A network trained from scratch needs more steps than a pre-trained one; a comparison at the same number of steps
would say less about labels than about steps."""
STARTS = (PRE_TRAINED, SCRATCH, LONGER)
EPOCHS = 4
LEAST_STEPS = {PRE_TRAINED: 100, SCRATCH: 100, LONGER: 1000}
"""If examples are few, they are read more than `EPOCHS` times, until this many steps are done."""

Column = tuple[str, str]
"""A model and how it started."""


def tables(entries: Sequence[dict[str, Any]]) -> str:
    """Return tables of all tasks at their largest size, and learning curves, for the latest weights and settings."""
    current = current_runs(entries)
    cells: dict[tuple[str, int, Column], list[dict[str, float]]] = {}
    for entry in current:
        run = entry["run"]
        cells.setdefault((run["task"], run["examples"], (run["model"], run["start"])), []).append(entry["figures"])
    found_columns = {column for _, _, column in cells}
    columns = [(name, start) for name in NAMES for start in (COUNTING, *STARTS) if (name, start) in found_columns]
    sizes = {task: sorted({size for name, size, _ in cells if name == task}) for task in TASKS}
    sizes = {task: found for task, found in sizes.items() if found}

    rows = [
        [task, figure.replace("_", " "), f"{found[-1]:,}", *(_text(cells.get((task, found[-1], column)), figure)
        for column in columns)]
        for task, found in sizes.items() for figure in TASKS[task].figures
    ]  # fmt: skip
    parts = [
        "# Downstream tasks",
        "Made by `python tools/measure_downstream.py` from downstream.jsonl, beside this file. Figures on the held-out "
        "split, in percent: the mean over the seeds and, after ±, the standard deviation (a seed fixes the training "
        "examples if not all are used, the new weights, the order and dropout). A number without ± is from one run, a "
        f"dash means that nothing was measured. The examples are read {EPOCHS} times, or more often if they are few, "
        f"until {LEAST_STEPS[SCRATCH]} steps are done; “longer” means until {LEAST_STEPS[LONGER]:,} steps are done.",
        _rates(entries, current),
        markdown_table(["task", "figure", "learnt from", *map(_title, columns)], rows),
        "Counting words: "
        + "; ".join(f"{', '.join(t for t in sizes if TASKS[t].kind == kind)}: {what}" for kind, what in COUNTS.items()
                    if any(TASKS[task].kind == kind for task in sizes)) + ".",
    ]  # fmt: skip
    for task, found in sizes.items():
        if len(found) > 1:
            figure = TASKS[task].figures[0]
            measured = [column for column in columns if any((task, size, column) in cells for size in found)]
            curve = [[f"{size:,}", *(_text(cells.get((task, size, column)), figure) for column in measured)]
                     for size in found]  # fmt: skip
            parts += [
                f"## {task}: {figure.replace('_', ' ')} by the number of labelled examples",
                markdown_table(["learnt from", *map(_title, measured)], curve),
            ]
    return "\n\n".join(parts) + "\n"


def _rates(entries: Sequence[dict[str, Any]], current: Sequence[dict[str, Any]]) -> str:
    """Say how the learning rates were chosen, and for which runs a better one may lie outside the range tried."""
    used = {_series(entry["run"]): entry["run"]["learning_rate"] for entry in current if entry["run"]["model"]}
    weights = {entry["run"]["weights"] for entry in current}
    most: dict[str, int] = {}
    for run in (entry["run"] for entry in current):
        most[run["task"]] = max(run["examples"], most.get(run["task"], 0))
    fewer, edges = [], []
    for series, rate in used.items():
        runs = [entry["run"] for entry in entries if _series(entry["run"]) == series]
        trials = [run for run in runs if run["split"] == "validation" and run["weights"] in weights]
        rates, (task, model, start) = [run["learning_rate"] for run in trials], series
        if trials and trials[-1]["examples"] < most[task]:
            fewer.append(f"{task} {NAMES[model]} {start} ({trials[-1]['examples']})")
        if trials and rate in (min(rates), max(rates)):
            edges.append(f"{task} {NAMES[model]} {start} ({rate:g})")
    parts = [
        "The learning rate is the one that did best on a validation split, which is taken from the training examples"
    ]
    if fewer:
        parts.append(f"chosen with fewer examples, for a whole learning curve: {', '.join(fewer)}")
    if edges:
        parts.append(f"at the edge of those tried, so that another might do better: {', '.join(edges)}")
    return "; ".join(parts) + "."


def _series(run: dict[str, Any]) -> tuple[str, str, str]:
    return run["task"], run["model"], run["start"]


def _title(column: Column) -> str:
    model, start = column
    return f"{NAMES[model]}, {start}" if model else NAMES[model]


def _text(found: Sequence[dict[str, float]] | None, figure: str) -> str:
    if not found:
        return "–"
    values = [100 * figures[figure] for figures in found]
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
