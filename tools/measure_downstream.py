"""Measure what pre-training is worth: the downstream tasks, fine-tuned, from scratch, and by counting words.

python tools/measure_downstream.py                       # all tasks with the small BERT
python tools/measure_downstream.py --curve --longer      # also fewer examples of topics, and longer runs from scratch
python tools/measure_downstream.py --models bert roberta albert --seeds 0 1 2

Each run is one line of plm_lessons/checkpoints/downstream.jsonl. What is already there is not run again, so the command
can be interrupted, and later be asked for more; downstream.md, beside it, holds the tables. A line counts only for the
weights, settings and number of examples that it was made with.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from downstream_baselines import BASELINES
from downstream_tables import COUNTING, EPOCHS, LEAST_STEPS, LONGER, PRE_TRAINED, STARTS, tables

from plm_lessons.commands.finetune import drawn, head_of, with_new_head
from plm_lessons.commands.loading import CHECKPOINTS
from plm_lessons.downstream import TASKS
from plm_lessons.files import write_atomically
from plm_lessons.models.checkpoint_files import WEIGHTS
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training.downstream import EncodedTask, encode_task, evaluate_task, fitting
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.fine_tuning import Model, fine_tune
from plm_lessons.training.optimization import best_device

RESULTS = CHECKPOINTS / "downstream.jsonl"

ENCODERS = [name for name in FAMILIES if name != "t5"]
MAX_LENGTH = 128
DROPOUT = 0.1
BATCH_SIZE = 16
TOKENS_A_SECOND = 7000  # of a model with 4 layers, H 128, in training on a server's core without bfloat16
LEARNING_RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
"""The best of these on the validation split is used for each task, model and start, chosen with seed 0 and the largest
number of examples: the best rate for few examples, and so for few steps, may be far too large for many. A learning
curve has one rate for all its numbers of examples, chosen with `CURVE_TRIAL` examples."""
FIRST_TRIED = LEARNING_RATES[2:6]
"""Other rates are tried only if they are neighbours of the best one so far."""
CURVE_TRIAL = 500
CURVE = (10, 30, 100, 300, 1000)
CURVE_TASK = "topics"
MOST_EXAMPLES = {"sentiment": 2000, "pairs": 2000, "capitals": 1500, "questions": 1000}
"""The largest number of examples used for these tasks, to save time; the learning curve goes up to all examples."""


@dataclass(frozen=True)
class Run:
    """Everything that determines the figures of a run.

    Attributes:
        task, model: the names of the task and of the model's family; `model` is empty if words are only counted.
        start: one of `STARTS`, or `COUNTING`.
        weights: the beginning of the SHA-256 of the checkpoint's configuration, weights and tokenizer; without the
            weights if the model starts from scratch.
        examples: the number of training examples, which the seed draws.
        seed: also fixes the new weights, the order of the examples and dropout.
        split: the split that the figures are about, `"validation"` or `"held_out"`.
    """

    task: str
    model: str
    start: str
    weights: str
    examples: int
    seed: int
    split: str
    learning_rate: float = 0.0
    epochs: int = 0
    batch_size: int = 0

    def __str__(self) -> str:
        rate = f", learning rate {self.learning_rate:g}" if self.learning_rate else ""
        return f"{self.task}, {self.model or 'words'} {self.start}, {self.examples} examples, seed {self.seed}{rate}"


class Results:
    """The completed runs, in a file with one JSON object per line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = self._read()

    def _read(self) -> list[dict[str, Any]]:
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        return [json.loads(line) for line in lines]

    def figures(self, run: Run) -> dict[str, float] | None:
        """Return the figures of a run, or None if it is not done."""
        return next((entry["figures"] for entry in self.entries if entry["run"] == asdict(run)), None)

    def add(self, run: Run, figures: dict[str, float], seconds: float) -> None:
        """Add a run as one line, written at once, so that what other processes add meanwhile is kept."""
        rounded = {name: round(value, 6) for name, value in figures.items()}
        new = {"run": asdict(run), "figures": rounded, "seconds": round(seconds, 1)}
        before = self.path.read_bytes() if self.path.is_file() else b""
        line_break = "\n" if before and not before.endswith(b"\n") else ""  # an editor may have taken away the last one
        with self.path.open("ab", buffering=0) as file:
            file.write((line_break + json.dumps(new) + "\n").encode("utf-8"))
        self.entries = self._read()


@cache
def examples(task: str, split: str) -> list[Any]:
    """Return all examples of a task in a split."""
    return TASKS[task].examples(split)


def chosen(run: Run) -> list[Any]:
    """Return the training examples of a run; with the same seed, more examples include those of a smaller run."""
    return drawn(examples(run.task, "train"), run.examples, run.seed)


def fingerprint(folder: Path, start: str) -> str:
    """Return a hash of what a run takes from a checkpoint, as twelve hexadecimal digits: see `Run.weights`."""
    files = [folder / name for name in ("config.json", WEIGHTS, "tokenizer.json")]
    if start != PRE_TRAINED:
        files.remove(folder / WEIGHTS)
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


def build(run: Run, folder: Path) -> Model:
    """Return the model of a run, with a new head."""
    task = TASKS[run.task]
    if run.start != PRE_TRAINED:
        model_class, fields = head_of(run.model, task, DROPOUT)
        config = model_class.config_class.from_pretrained(folder)
        return model_class(dataclasses.replace(config, **fields), torch.Generator().manual_seed(run.seed))
    model, _ = with_new_head(folder, run.model, task, DROPOUT, run.seed)
    return model


def encoded(task: str, found: Sequence[Any], folder: Path) -> tuple[list[Any], EncodedTask]:
    """Encode examples for a model, leaving out those that are too long, whose number is printed."""
    tokenizer = load_tokenizer(folder)
    kept = fitting(TASKS[task], found, tokenizer, MAX_LENGTH)
    if len(kept) < len(found):
        print(f"{task}: {len(found) - len(kept)} of {len(found)} examples are longer than {MAX_LENGTH} tokens and are "
              "left out", file=sys.stderr)  # fmt: skip
    return kept, encode_task(TASKS[task], kept, tokenizer, MAX_LENGTH)


@cache
def asked(task: str, split: str, folder: Path) -> tuple[list[Any], EncodedTask]:
    """Return the examples that a run is measured on, and their encoding."""
    return encoded(task, examples(task, split), folder)


def fine_tuned_figures(run: Run, folder: Path) -> dict[str, float]:
    """Fine-tune a model and return its figures."""
    _, train = encoded(run.task, chosen(run), folder)
    model = build(run, folder).to(best_device())
    fine_tune(
        model,
        train.inputs,
        train.labels,
        epochs=run.epochs,
        learning_rate=run.learning_rate,
        batch_size=run.batch_size,
        seed=run.seed,
        progress=False,
    )
    return evaluate_task(model, *asked(run.task, run.split, folder))


def counted_figures(run: Run) -> dict[str, float]:
    """Return the figures of the baseline that counts words."""
    others = (examples(run.task, split) for split in ("validation", run.split))
    return BASELINES[TASKS[run.task].kind](chosen(run), *others)


# --- Planning the runs -----------------------------------------------------------------------------------------------


def epochs_for(count: int, start: str) -> int:
    """Return how many times `count` examples are read."""
    return max(EPOCHS, math.ceil(LEAST_STEPS[start] / math.ceil(count / BATCH_SIZE)))


def starts(longer: bool) -> tuple[str, ...]:
    """Return the ways in which models start."""
    return tuple(start for start in STARTS if longer or start != LONGER)


def sizes(task: str, curve: bool, limit: int | None) -> list[int]:
    """Return the numbers of examples from which a task is learnt."""
    most = min(len(examples(task, "train")), MOST_EXAMPLES.get(task, sys.maxsize), limit or sys.maxsize)
    return [*(size for size in CURVE if curve and task == CURVE_TASK and size < most), most]


def trial_size(task: str, most: int, curve: bool) -> int:
    """Return the number of examples with which the learning rate is chosen."""
    return min(CURVE_TRIAL, most) if curve and task == CURVE_TASK else most


def reached(run: Run, results: Results) -> float:
    """Return the first of the task's figures for a completed run."""
    figures = results.figures(run)
    assert figures is not None
    return figures[TASKS[run.task].figures[0]]


def best_rate(trials: Mapping[float, Run], results: Results) -> float:
    """Return the learning rate of the best of these runs; of equally good ones, the first that was tried."""
    return max(trials, key=lambda rate: reached(trials[rate], results))


def untried(trials: Mapping[float, Run], results: Results) -> list[float]:
    """Return the neighbours of the best learning rate that are still to be tried; `FIRST_TRIED` if none was tried."""
    if not trials:
        return list(FIRST_TRIED)
    place = LEARNING_RATES.index(best_rate(trials, results))
    return [rate for rate in LEARNING_RATES[max(0, place - 1) : place + 2] if rate not in trials]


def planned(options: argparse.Namespace, results: Results) -> Iterator[Run]:
    """Yield all runs in order; a run on which others depend comes first, and must be done before the next one."""
    for task in options.tasks:
        counts = sizes(task, options.curve, options.limit)
        for count in counts:
            everything = count == len(examples(task, "train"))  # then a seed has nothing to choose
            for seed in options.seeds[:1] if everything else options.seeds:
                yield Run(task, "", COUNTING, "", count, 0 if everything else seed, "held_out")
        for model in options.models:
            for start in starts(options.longer):
                weights = fingerprint(options.checkpoints / model, start)
                size = trial_size(task, counts[-1], options.curve)
                tried: dict[float, Run] = {}
                while rates := untried(tried, results):
                    for rate in rates:
                        settings = (rate, epochs_for(size, start), BATCH_SIZE)
                        tried[rate] = Run(task, model, start, weights, size, 0, "validation", *settings)
                        yield tried[rate]
                rate = best_rate(tried, results)
                for count in counts:
                    for seed in options.seeds:
                        settings = (rate, epochs_for(count, start), BATCH_SIZE)
                        yield Run(task, model, start, weights, count, seed, "held_out", *settings)


def estimated_minutes(options: argparse.Namespace) -> float:
    """Estimate the training time of all runs on one core if none is done; evaluation and counting add about a tenth."""
    tokens = 0.0
    for task in options.tasks:
        counts = sizes(task, options.curve, options.limit)
        trial = trial_size(task, counts[-1], options.curve)
        read = 0
        for start in starts(options.longer):
            read += len(FIRST_TRIED) * trial * epochs_for(trial, start)
            read += len(options.seeds) * sum(count * epochs_for(count, start) for count in counts)
        for model in options.models:
            some, encoded_some = encoded(task, examples(task, "train")[:500], options.checkpoints / model)
            length = int(encoded_some.inputs["attention_mask"].sum()) / len(some)
            tokens += length * read
    return tokens / TOKENS_A_SECOND / 60


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are not yet done, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--models", nargs="+", choices=ENCODERS, default=["bert"], metavar="MODEL",
                        help=f"{', '.join(ENCODERS)}; by default bert")  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED", help="by default 0 1 2")
    parser.add_argument(
        "--curve", action="store_true", help=f"also {CURVE_TASK} from {', '.join(map(str, CURVE))} examples"
    )
    parser.add_argument(
        "--longer", action="store_true", help=f"also from scratch with {LEAST_STEPS[LONGER]:,} steps or more"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="learn from at most N examples of each task")
    parser.add_argument("--checkpoints", type=Path, default=CHECKPOINTS, help="folder with one folder for each model")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of the results; the tables are put beside it")
    options = parser.parse_args(arguments)
    for model in options.models:
        if not (options.checkpoints / model / WEIGHTS).is_file():
            parser.error(f"{options.checkpoints / model} has no {WEIGHTS}: train it with `make checkpoints`")
    if options.limit is not None and options.limit < 1:
        parser.error(f"--limit {options.limit}: must be at least 1")

    results = Results(options.out)
    print(f"about {estimated_minutes(options):.0f} minutes of training in all", file=sys.stderr)
    for run in planned(options, results):
        if results.figures(run) is None:
            start = time.perf_counter()
            folder = options.checkpoints / run.model
            figures = counted_figures(run) if run.start == COUNTING else fine_tuned_figures(run, folder)
            seconds = time.perf_counter() - start
            results.add(run, figures, seconds)
            told = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
            print(f"{run}: {told} ({seconds:.0f} s)", file=sys.stderr, flush=True)
    write_atomically(options.out.with_suffix(".md"), tables(results.entries).encode("utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
