"""`finetune`: train a pre-trained model further on a labelled task of the book, and measure it on held-out examples."""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tqdm.auto import tqdm

import plm_lessons
from plm_lessons import T5ForConditionalGeneration
from plm_lessons.checks import check_choice, check_number, check_whole
from plm_lessons.commands.loading import about_models, find_model, load_model
from plm_lessons.downstream import TASKS, Task
from plm_lessons.files import made_folder
from plm_lessons.models.checkpoint_files import (
    CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
    refuse_finished,
    save_tokenizer,
)
from plm_lessons.objectives import text_to_text
from plm_lessons.training.downstream import encode_task, evaluate_task, fitting
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.fine_tuning import fine_tune
from plm_lessons.training.large_batches import Batch
from plm_lessons.training.memory import keep_freed_memory
from plm_lessons.training.optimization import adafactor, best_device, share_of_peak
from plm_lessons.training.pretraining import training_steps
from plm_lessons.training.runs import STATE
from plm_lessons.training.t5_batches import TaskExamples, batches_in_order
from plm_lessons.training.t5_evaluation import task_figures, write_texts

HEADS = {
    "text": "ForSequenceClassification",
    "pair": "ForSequenceClassification",
    "words": "ForTokenClassification",
    "question": "ForQuestionAnswering",
}
WRITTEN = 500  # held-out examples that a T5 answers
MAX_LENGTH = 128


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""

    def table(tasks: Mapping[str, Any]) -> str:
        return "\n".join(f"  {name:10} {task.question}" for name, task in tasks.items())

    parser = commands.add_parser(
        "finetune",
        help="train a pre-trained model further on a labelled task",
        usage="python -m plm_lessons finetune TASK [option ...]",
        description="Fine-tune a model on a task made from the book's text, and measure it on held-out examples.\n\n"
        f"tasks for BERT, RoBERTa and ALBERT:\n{table(TASKS)}\n"
        f"tasks for T5, as text to text:\n{table(text_to_text.TASKS)}",
        epilog="""examples:
  python -m plm_lessons finetune topics
  python -m plm_lessons finetune questions --model checkpoints/roberta --examples 1000 --epochs 4
  python -m plm_lessons finetune sentiment --model t5

Labelled data of your own is for Python: plm_lessons.training.fine_tuning.fine_tune, with rows from encode_texts,
encode_pairs, encode_words or encode_questions of plm_lessons.training.encoding.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("task", metavar="TASK", help="one of the names above")
    parser.add_argument("--model", metavar="FOLDER_OR_NAME", default="bert", help=f"{about_models()} (default: bert)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the new model's folder (default: finetuned/TASK)")
    parser.add_argument("--examples", type=int, metavar="N", help="train on at most N examples, drawn by the seed")
    parser.add_argument("--epochs", type=int, default=2, metavar="N", help="passes over the examples (default: 2)")
    parser.add_argument("--batch-size", type=int, default=32, metavar="B", help="examples per step (default: 32)")
    parser.add_argument("--learning-rate", type=float, metavar="R",
                        help="peak (default: 0.001; for T5 0.01, relative to the size of the weights; "
                             "a large model needs less)")  # fmt: skip
    parser.add_argument("--dropout", type=float, default=0.1, metavar="P", help="probability of dropout (default: 0.1)")
    parser.add_argument("--max-length", type=int, metavar="S",
                        help=f"tokens per row (default: {MAX_LENGTH}, or fewer if the model reads no more); "
                             "not for T5: it reads whole texts")  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="random seed for order, new weights and dropout (default: 0)"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="show no progress bar; none is shown either if stderr is not a terminal"
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Load the model, train, save and measure it, and print its figures."""
    for name in ("epochs", "batch_size", "max_length", "examples"):
        given = getattr(chosen, name)
        check_whole(name, 1 if given is None else given, least=1)
    check_whole("seed", chosen.seed, most=2**31 - 1)
    check_number("dropout", chosen.dropout, 0, 0.99)
    if chosen.learning_rate is not None:
        check_number("learning_rate", chosen.learning_rate, 0, above=True)
    out = chosen.out or Path("finetuned") / chosen.task
    refuse_finished(out, STATE, CONFIG, TOKENIZER, TOKENIZER_CONFIG)
    folder, family = find_model(chosen.model)
    _check_task(chosen.task, family)
    if family == "t5" and chosen.max_length is not None:
        raise ValueError(f"max_length={chosen.max_length}: must not be given for a T5, which reads whole texts")
    keep_freed_memory()
    chosen.progress = not chosen.quiet and sys.stderr.isatty()
    with made_folder(out):  # before the training: a folder that cannot be written to fails now
        model, tokenizer, measure = _text_to_text(chosen, folder) if family == "t5" else _labels(chosen, folder, family)
        save_tokenizer(out, tokenizer, model.config)
        model.save_pretrained(out)
    print(f"model: {out}")
    figures, asked = measure()
    print(f"held out: {', '.join(f'{name} {value:,.4g}' for name, value in figures.items())}, on {asked:,} examples")


def _check_task(task: str, family: str) -> None:
    """Check that the task is one of those of the model's family."""
    own, others = (text_to_text.TASKS, TASKS) if family == "t5" else (TASKS, text_to_text.TASKS)
    if task in others and task not in own:
        whose = "BERT, RoBERTa and ALBERT" if family == "t5" else "T5"
        names = ", ".join(map(repr, own))
        raise ValueError(f"task={task!r}: must be one of {names} for this model, a {family}; this is one for {whose}")
    check_choice("task", task, own)


Trained = tuple[Any, Tokenizer, Callable[[], tuple[dict[str, float], int]]]
"""A model, its tokenizer, and a function that returns its figures and the number of held-out examples used."""


def _labels(chosen: argparse.Namespace, folder: Path, family: str) -> Trained:
    """Fine-tune BERT, RoBERTa or ALBERT with a new head that predicts labels."""
    task = TASKS[chosen.task]
    model, tokenizer = with_new_head(folder, family, task, chosen.dropout, chosen.seed)
    if chosen.max_length is None:
        chosen.max_length = min(MAX_LENGTH, model.config.longest)
    check_whole("max_length", chosen.max_length, 1, model.config.longest, why=": this model reads no more")
    model.to(best_device())
    examples, held_out = (_fitting(chosen, task, split, tokenizer) for split in ("train", "held_out"))
    learnt = encode_task(task, drawn(examples, chosen.examples, chosen.seed), tokenizer, chosen.max_length)
    fine_tune(
        model,
        learnt.inputs,
        learnt.labels,
        epochs=chosen.epochs,
        learning_rate=1e-3 if chosen.learning_rate is None else chosen.learning_rate,
        batch_size=chosen.batch_size,
        seed=chosen.seed,
        progress=chosen.progress,
    )

    def measure() -> tuple[dict[str, float], int]:
        figures = evaluate_task(model, held_out, encode_task(task, held_out, tokenizer, chosen.max_length))
        return {name: figures[name] for name in task.figures}, len(held_out)

    return model, tokenizer, measure


def head_of(family: str, task: Task, dropout: float) -> tuple[Any, dict[str, Any]]:
    """Return the class of a family's model for a task, and the configuration fields that task and dropout set."""
    before_the_head = "classifier_dropout_prob" if family == "albert" else "classifier_dropout"
    places = "hidden_dropout_prob", "attention_probs_dropout_prob", before_the_head
    fields: dict[str, Any] = dict.fromkeys(places, dropout)
    fields |= {"num_labels": len(task.labels) or 2, "label_names": task.labels}  # a question has two, start and end
    name = FAMILIES[family].model_class.__name__.partition("For")[0]
    return getattr(plm_lessons, name + HEADS[task.kind]), fields


def with_new_head(folder: Path, family: str, task: Task, dropout: float, seed: int) -> tuple[Any, Tokenizer]:
    """Return a pre-trained encoder with a new head for a task, whose weights the seed fixes, and its tokenizer.

    A head that the folder holds, perhaps for another task, is ignored. (If it lacks a pooler, that is drawn by seed 0.)
    """
    model_class, fields = head_of(family, task, dropout)
    encoder, tokenizer = load_model(folder, model_class.encoder_class)
    model = model_class(dataclasses.replace(encoder.config, **fields)).eval()
    model.encoder.load_state_dict({name: encoder.get_parameter(name) for name, _ in model.encoder.named_parameters()})
    heads = {name for name, _ in model.named_parameters() if not name.startswith("encoder.")}
    model.initialise(torch.Generator().manual_seed(seed), only=heads)
    return model, tokenizer


def _fitting(chosen: argparse.Namespace, task: Task, split: str, tokenizer: Tokenizer) -> list[Any]:
    """Return the examples of a split that fit into `max_length`, and print how many are left out."""
    examples = task.examples(split)
    kept = fitting(task, examples, tokenizer, chosen.max_length)
    if len(kept) < len(examples):
        what = f"{len(examples) - len(kept)} of {len(examples)} {split.replace('_', '-')} examples"
        if not kept:
            raise ValueError(f"max_length={chosen.max_length}: must be larger, because {what} are longer")
        print(f"{what} are longer than {chosen.max_length} tokens and are left out", file=sys.stderr)
    return kept


def _text_to_text(chosen: argparse.Namespace, folder: Path) -> Trained:
    """Fine-tune a T5, for which nothing is new but the prefix."""
    task = text_to_text.TASKS[chosen.task]
    model, tokenizer = load_model(folder, T5ForConditionalGeneration, dropout_rate=chosen.dropout)
    model.to(best_device())
    pairs = drawn(task.examples("train"), chosen.examples, chosen.seed)
    steps = chosen.epochs * math.ceil(len(pairs) / chosen.batch_size)
    peak = 1e-2 if chosen.learning_rate is None else chosen.learning_rate

    def batches() -> Iterator[Batch]:
        """Each pair once in every epoch, in a new order."""
        examples, generator = TaskExamples(pairs, tokenizer), torch.Generator().manual_seed(chosen.seed)
        for _ in range(chosen.epochs):
            order = torch.randperm(len(pairs), generator=generator).tolist()
            yield from batches_in_order(examples, tokenizer, batch_size=chosen.batch_size, order=order)

    entries = training_steps(
        model,
        adafactor(model, peak),
        batches(),
        steps=range(1, steps + 1),
        learning_rate=lambda step: peak * share_of_peak(step - 1, 0, steps),
        seed=chosen.seed,
    )
    for _ in tqdm(entries, total=steps, desc="fine-tuning", unit="step", disable=not chosen.progress):
        pass

    def measure() -> tuple[dict[str, float], int]:
        held_out = drawn(task.examples("held_out"), WRITTEN, seed=0)
        written = write_texts(model, tokenizer, [pair.source for pair in held_out])
        return task_figures(task, written, [pair.target for pair in held_out]), len(held_out)

    return model, tokenizer, measure


def drawn(examples: Sequence[Any], most: int | None, seed: int) -> list[Any]:
    """Draw at most `most` examples; with the same seed, a larger number includes those of a smaller one."""
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed))
    return [examples[place] for place in order[:most].tolist()]
