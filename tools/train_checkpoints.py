"""Train the small models that ship with the package, and write their cards.

python tools/train_checkpoints.py            # all four, one after the other
python tools/train_checkpoints.py bert t5

Each is trained in build/checkpoints/NAME by the engine behind `python -m plm_lessons pretrain`. If it is interrupted,
the same command resumes it there, and the weights are the same as if it had never stopped. A model that is finished
there is only measured on the held-out split, and copied to plm_lessons/checkpoints/NAME.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from plm_lessons.commands.finetune import drawn
from plm_lessons.commands.loading import CHECKPOINTS
from plm_lessons.files import write_atomically
from plm_lessons.models.checkpoint_files import WEIGHTS, save_tokenizer
from plm_lessons.objectives.text_to_text import TASKS
from plm_lessons.text_sources import CorpusText
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.held_out import held_out_figures
from plm_lessons.training.memory import keep_freed_memory
from plm_lessons.training.optimization import best_device
from plm_lessons.training.recipes import SHIPPED, Recipe
from plm_lessons.training.runs import LOG, RECIPE, Run, Stopped
from plm_lessons.training.streams import held_out_batches
from plm_lessons.training.t5_evaluation import commonest_answer, task_figures, write_texts

ROOT = Path(__file__).parent.parent
TITLES = {"bert": "BERT", "roberta": "RoBERTa", "albert": "ALBERT", "t5": "T5"}
CHECKED = 2  # held-out Wikipedia batches for which a card gives separate figures, quick to reproduce
WRITTEN = 1000  # held-out examples of each task of T5 that are measured, drawn at random if there are more
Figures = dict[str, dict[str, float]]


def train(name: str, folder: Path) -> None:
    """Train a model to the end, or resume its training; do nothing if it is finished.

    Raises:
        ValueError: The model in the folder was made with another recipe.
    """
    if not (folder / WEIGHTS).exists():
        Run(SHIPPED[name], folder, log_every=20, evaluate_every=400, evaluation_batches=16).execute()
    elif json.loads((folder / RECIPE).read_text(encoding="utf-8"))["recipe"] != dataclasses.asdict(SHIPPED[name]):
        raise ValueError(f"{folder} holds a model made with another recipe: remove it first")


def publish(name: str, finished: Path, folder: Path) -> None:
    """Copy a finished model to the folder with which it ships, and write its card."""
    copies = {LOG: "training_log.jsonl"}
    for file in ("config.json", WEIGHTS, RECIPE, LOG):
        write_atomically(folder / copies.get(file, file), (finished / file).read_bytes())
    recipe, tokenizer = SHIPPED[name], load_tokenizer(finished)
    model = FAMILIES[recipe.family].model_class.from_pretrained(folder).to(best_device())
    save_tokenizer(folder, tokenizer, model.config)
    figures = held_out_figures(model, tokenizer, recipe, CorpusText())
    some = islice(held_out_batches(CorpusText("wikipedia"), tokenizer, recipe), CHECKED)
    checked = FAMILIES[recipe.family].evaluate(model, some)
    tasks = written_tasks(model, tokenizer) if recipe.task_share else {}
    log = [json.loads(line) for line in (folder / "training_log.jsonl").read_text(encoding="utf-8").splitlines()]
    card = model_card(name, model, log, figures, checked, tasks)
    write_atomically(folder / "README.md", card.encode("utf-8"))


def written_tasks(model: Any, tokenizer: Tokenizer) -> dict[str, Figures]:
    """Compute figures of a T5's tasks on the held-out split, decoded greedily, and those of the commonest answer."""
    figures: dict[str, Figures] = {}
    for name, task in TASKS.items():
        examples = drawn(task.examples("held_out"), WRITTEN, seed=0)
        targets = [example.target for example in examples]
        written = write_texts(model, tokenizer, [example.source for example in examples])
        baseline = [commonest_answer(task.examples("train"))] * len(targets)
        figures[name] = {
            "model": task_figures(task, written, targets),
            "commonest answer": task_figures(task, baseline, targets),
            "examples": {"examples": len(examples)},
        }
    return figures


# --- Cards -----------------------------------------------------------------------------------------------------------


def model_card(
    name: str,
    model: Any,
    log: list[dict[str, Any]],
    figures: Figures,
    checked: dict[str, float],
    tasks: dict[str, Figures],
) -> str:
    """Return the README.md of a checkpoint.

    Args:
        log: The entries of the training's log.
        figures: From `held_out_figures`, on the whole held-out split.
        checked: The model's figures on the first `CHECKED` held-out batches of Wikipedia.
        tasks: From `written_tasks`, for a T5; otherwise empty.
    """
    recipe, title = SHIPPED[name], TITLES[SHIPPED[name].family]
    article = "An" if title.startswith("A") else "A"
    asked = "tokens of targets, sentinels included" if tasks else "masked words"
    reviews = ", sentences of film reviews (Rotten Tomatoes, CC BY 4.0)" if tasks else ""
    critics = " The reviews are from film critics alone." if tasks else ""
    words = figures["model"]["words"]
    minutes = sum(entry["tokens"] / entry["tokens_per_second"] for entry in log) / 60
    table = "\n".join(
        f"| {who} | {found['loss']:.3f} | {found['perplexity']:,.1f} | {found['accuracy']:.1%} |"
        for who, found in figures.items()
    )
    return f"""# A tiny {title}

{article} {title} of {model.num_parameters():,} parameters, made for the {title} chapter of the book, which shows what
it has learnt. It is far too small to be useful otherwise.

- **Text.** The training split of what ships with the package: openings of English Wikipedia articles (CC BY-SA 4.0),
  State of the Union addresses (public domain){reviews}. See `../../data`.
- **Tokenizer.** `../../data/tokenizers/{recipe.tokenizer}`, {model.config.vocab_size:,} words; a copy is here.
- **Shape.** {_listed(recipe.model)}.
- **Training.** {_training(recipe)} {sum(entry["tokens"] for entry in log):,} tokens were read. Seed {recipe.seed}.
- **Command.** `python tools/train_checkpoints.py {name}`: {minutes:.0f} minutes of training where it was made. On
  another processor the weights will differ in their last digits, and so, after thousands of steps, the figures will
  differ a little.
- **Files.** `recipe.json` has every setting, `training_log.jsonl` the losses, means over 20 steps.

## Figures

On the held-out split: {words:,.0f} {asked}. Perplexity is the exponential of the loss. The unigram model knows how
common each word is. The trigram model has counted the training text and mixes what followed the last two words, the
last one, and none; it sees the words on the left as they are in the text, even where they are hidden from this model.
(`plm_lessons/training/held_out.py`)

| | loss | perplexity | accuracy |
|:--|--:|--:|--:|
{table}
{_pairs(figures["model"])}{_task_table(tasks)}
To check, on the first {CHECKED} batches of 64 rows of the held-out articles alone: {_figures(checked)}.

## Limits

It writes and fills in what sounds likely, not what is true. It has read some three million tokens again and again, most
of them from presidents' speeches, the rest from openings of encyclopedia articles, and has their views and gaps. It
knows English only.{critics}

## Licence

Weights trained on the text above. Insofar as they are derived from Wikipedia's text, they are under the same licence,
CC BY-SA 4.0, with the same attribution.
"""


def _listed(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items())


def _figures(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}".removesuffix(".0000") for name, value in figures.items())


def _training(recipe: Recipe) -> str:
    tasks = recipe.task_share or recipe.late_task_share
    what = {
        "bert": "Masked words and next sentence prediction.",
        "roberta": "Masked words, drawn anew in each pass, in rows of full sentences.",
        "albert": "Masked n-grams of whole words, and sentence order prediction.",
        "t5": "Span corruption (15% noise, mean span 3)" + (
            " and the five tasks of `plm_lessons.objectives.text_to_text` in one mixture. "
            f"{1 - recipe.task_share:.0%} of the rows are span corruption, in the last {recipe.late_steps:,} steps "
            f"{1 - recipe.late_task_share:.0%}; the tasks share the others by their sizes, limited to "
            f"{recipe.task_limit:,}." if tasks else "."
        ),
    }[recipe.family]  # fmt: skip
    count = recipe.batch_size * recipe.accumulation_steps
    if recipe.short_epochs:
        many = recipe.of_epoch(0).batch_size * recipe.accumulation_steps
        rows = (
            f"{recipe.steps:,} steps. In the first {recipe.short_epochs} passes over the text a batch has {many} rows "
            f"of {recipe.short_length} tokens, after that {count} rows of {recipe.max_length}"
        )
    else:
        rows = f"{recipe.steps:,} steps of {count} rows of {recipe.max_length} tokens"
    if recipe.family == "t5":
        rate = f"AdaFactor with the learning rate min({recipe.learning_rate:g}, 1 / sqrt(n)) in step n"
    else:
        rate = f"AdamW with learning rate {recipe.learning_rate:g} and weight decay {recipe.weight_decay:g}"
    rate += (
        f", {recipe.schedule} schedule after {recipe.warmup_steps:,} steps of warm-up" if recipe.warmup_steps else ""
    )
    rate += f", falling to 0 in the last {recipe.cooldown_steps:,}" if recipe.cooldown_steps else ""
    return f"{what} {rows}. {rate}."


def _pairs(figures: dict[str, float]) -> str:
    for task, question in (("next_sentence", "Is B next?"), ("sentence_order", "Are A and B in order?")):
        if f"{task}_accuracy" in figures:
            right, pairs = figures[f"{task}_accuracy"], figures["pairs"]
            answered = f"{right:.1%} of {pairs:,.0f} pairs are answered correctly"
            return f"\n{question} {answered}; the answer is yes for about half.\n"
    return ""


def _task_table(tasks: dict[str, Figures]) -> str:
    if not tasks:
        return ""
    rows = []
    for name, found in tasks.items():
        for figure, value in found["model"].items():
            beside = found["commonest answer"].get(figure)
            count = found["examples"]["examples"]
            rows.append(
                f"| {name} | {count:,} | {figure} | {value:.3f} | {'' if beside is None else f'{beside:.3f}'} |"
            )
    return "\n".join([
        "", "Its tasks, decoded greedily; the last column is what always writing the commonest answer reaches.", "",
        "| task | examples | figure | model | commonest answer |", "|:--|--:|:--|--:|--:|", *rows, "",
    ])  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Train the models named, or resume their training, and write their folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(SHIPPED)}; by default all")
    parser.add_argument("--scratch", type=Path, default=ROOT / "build" / "checkpoints", help="where they are trained")
    parser.add_argument("--out", type=Path, default=CHECKPOINTS, help="folder that holds the finished ones")
    chosen = parser.parse_args(arguments)
    for name in chosen.names:
        if name not in SHIPPED:
            parser.error(f"NAME {name!r}: must be one of {', '.join(SHIPPED)}")
    keep_freed_memory()
    for name in chosen.names or SHIPPED:
        print(name, file=sys.stderr, flush=True)
        try:
            train(name, chosen.scratch / name)
        except Stopped as stopped:
            print(stopped, file=sys.stderr)
            return 128 + stopped.signal_number
        publish(name, chosen.scratch / name, chosen.out / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
