"""`pretrain`: train a model from scratch, in one process or under `torchrun`."""

from __future__ import annotations

import argparse
import dataclasses
import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from plm_lessons.checks import check_choice, check_whole
from plm_lessons.commands.texts import add_text_options, chosen_text
from plm_lessons.files import read_object
from plm_lessons.text_sources import CorpusText
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.held_out import why_nothing_is_held_out
from plm_lessons.training.large_batches import process_rank
from plm_lessons.training.memory import keep_freed_memory
from plm_lessons.training.optimization import PRECISIONS, SCHEDULES, best_device
from plm_lessons.training.recipes import SHIPPED, Recipe
from plm_lessons.training.runs import Run

EXAMPLES = """examples:
  python -m plm_lessons pretrain bert --steps 500
  python -m plm_lessons pretrain roberta --text book.txt --set num_hidden_layers=2 --out checkpoints/mine
  python -m plm_lessons pretrain t5 --size t5-small --dataset Salesforce/wikitext --dataset-config wikitext-103-raw-v1
  torchrun --nproc-per-node 2 -m plm_lessons pretrain albert

After Ctrl-C, SIGTERM, a kill or a full disk, the same command resumes the run from its last saved state, and the result
is the same model. Exit codes: 0 finished, 2 failed, 130 stopped by Ctrl-C, 143 stopped by SIGTERM.
Under torchrun, the processes share the rows of each batch; all of them must be able to see the folder.
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "pretrain",
        help="train a model from scratch, or resume its training",
        description="Pre-train a model. The defaults are those of the family's small model that ships with the book "
        "(plm_lessons/training/recipes.py).",
        usage="python -m plm_lessons pretrain FAMILY [option ...]",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("family", metavar="FAMILY", choices=list(SHIPPED), help=", ".join(SHIPPED))
    parser.add_argument("--out", type=Path, metavar="DIR", help="the model's folder (default: checkpoints/FAMILY)")
    parser.add_argument(
        "--log", type=Path, metavar="FILE", help="the log, JSON lines (default: log.jsonl in that folder)"
    )
    add_text_options(parser)
    _add_recipe_options(parser)
    _add_model_options(parser)
    group = parser.add_argument_group("while it runs")
    group.add_argument("--log-every", type=int, default=1, metavar="N", help="steps per entry of the log (default: 1)")
    group.add_argument("--evaluate-every", type=int, default=0, metavar="N",
                       help="steps between evaluations on held-out text (default: only after the last)")  # fmt: skip
    group.add_argument(
        "--save-minutes", type=float, default=1.0, metavar="M", help="minutes between saves (default: 1)"
    )
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: PyTorch decides)")
    group.add_argument("--precision", choices=PRECISIONS, default="auto",
                       help="auto (default): bfloat16 products where the hardware is faster with them")  # fmt: skip
    group.add_argument(
        "--quiet", action="store_true", help="show no progress; none is shown either if stderr is not a terminal"
    )
    parser.set_defaults(run=run)


def _add_recipe_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("recipe")
    group.add_argument("--steps", type=int, metavar="N", help="updates; the parts of the schedule keep their shares")
    group.add_argument(
        "--seed", type=int, metavar="S", help="random seed for initial weights, order, masks and dropout (default: 0)"
    )
    group.add_argument("--batch-size", type=int, metavar="B", help="rows per batch")
    group.add_argument("--accumulation-steps", type=int, metavar="N", help="batches per update")
    group.add_argument("--max-length", type=int, metavar="S", help="tokens per row")
    group.add_argument("--short-epochs", type=int, metavar="N", help="first passes over the text, with shorter rows")
    group.add_argument("--short-length", type=int, metavar="S", help="tokens per row in those passes")
    group.add_argument("--learning-rate", type=float, metavar="R", help="peak learning rate")
    group.add_argument("--schedule", choices=SCHEDULES, help="course of the learning rate after the warm-up")
    group.add_argument(
        "--warmup-steps", type=int, metavar="N", help="steps in which the learning rate climbs to its peak"
    )
    group.add_argument(
        "--cooldown-steps", type=int, metavar="N", help="last steps, in which the learning rate falls to 0"
    )
    group.add_argument(
        "--weight-decay", type=float, metavar="W", help="for AdamW; not for T5, whose AdaFactor has none"
    )


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model", "The tokenizer determines the vocabulary size and the padding token.")
    group.add_argument("--tokenizer", metavar="NAME|PATH", help="the name of one of the book's, or a tokenizer.json")
    either = group.add_mutually_exclusive_group()
    either.add_argument("--size", metavar="NAME", help="the shape of a published model, such as bert-mini or t5-small")
    either.add_argument("--config", type=Path, metavar="FILE", help="a config.json")
    group.add_argument("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE",
                       help="fields of the configuration; they override --size, --config and the book's")  # fmt: skip


def run(chosen: argparse.Namespace) -> None:
    """Train a model, then print its folder and its held-out figures."""
    recipe = chosen_recipe(chosen)
    folder = chosen.out or Path("checkpoints") / chosen.family
    run_names = ("log_every", "evaluate_every", "save_minutes", "precision")
    settings = {name: getattr(chosen, name) for name in run_names}
    training = Run(recipe, folder, chosen_text(chosen), chosen.log, **settings)
    if chosen.threads is not None:
        check_whole("threads", chosen.threads, least=1, most=max(64, os.cpu_count() or 1))
        torch.set_num_threads(chosen.threads)
    keep_freed_memory()
    with _processes():
        first, tell = process_rank()[0] == 0, not chosen.quiet and sys.stderr.isatty()
        check_memory(recipe)
        if first and tell:
            print(f"{folder}: {recipe.steps} steps on {best_device()}; {training.source.describe()}", file=sys.stderr)
        try:
            training.execute(progress=tell)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            saved = "the last saved state is whole, and with more room the same command resumes from there"
            none = "nothing was saved yet, and with more room the same command begins"
            raise ValueError(f"{folder}: {error.strerror}; {saved if training.state.is_file() else none}") from error
        if first:
            last = json.loads(training.log_file.read_text(encoding="utf-8").splitlines()[-1])
            figures = ", ".join(f"{name} {value:,.4g}" for name, value in last.get("held_out", {}).items())
            print(f"model: {folder}")
            print(f"held out: {figures or f'nothing of the text, because {why_nothing_is_held_out(training.source)}'}")


def chosen_recipe(chosen: argparse.Namespace) -> Recipe:
    """Return the recipe of the book with the changes that the options ask for.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: An option is impossible or does not fit another.
    """
    recipe = SHIPPED[chosen.family]
    if not isinstance(chosen_text(chosen), CorpusText):
        recipe = dataclasses.replace(recipe, task_share=0.0, late_task_share=0.0, late_steps=0, short_epochs=0)
    if chosen.steps is not None:
        recipe = recipe.with_steps(chosen.steps)
    names = {field.name for field in dataclasses.fields(Recipe)} - {"steps", "family"}
    changes = {name: value for name, value in vars(chosen).items() if name in names and value is not None}
    if "schedule" in changes:
        changes.setdefault("cooldown_steps", 0)
    if "short_length" not in changes and changes.get("max_length", recipe.short_length) < recipe.short_length:
        changes.setdefault("short_epochs", 0)
    recipe = dataclasses.replace(recipe, **changes, model=_chosen_fields(chosen, recipe.model))
    if "short_length" in changes and not recipe.short_epochs:
        raise ValueError(f"short_length={recipe.short_length}: must not be given without short_epochs")
    if "weight_decay" in changes and recipe.family == "t5":
        raise ValueError(f"weight_decay={recipe.weight_decay}: must not be given for t5, whose AdaFactor has none")
    FAMILIES[recipe.family].config(recipe, load_tokenizer(recipe.tokenizer))  # refuses what does not fit
    return recipe


def _chosen_fields(chosen: argparse.Namespace, fields: dict[str, Any]) -> dict[str, Any]:
    config_class = FAMILIES[chosen.family].config_class
    if chosen.size is not None:
        check_choice("size", chosen.size, config_class.published_sizes)
        fields = dict(config_class.published_sizes[chosen.size])
    elif chosen.config is not None:
        values = read_object(chosen.config)
        config_class.from_dict(values)  # refuses what it does not know
        fields = {field.name: values[field.name] for field in dataclasses.fields(config_class) if field.name in values}
    fields = {name: value for name, value in fields.items() if name != "vocab_size"}  # that is the tokenizer's
    return fields | dict(_field(entry) for entry in chosen.set)


def _field(entry: str) -> tuple[str, Any]:
    name, equals, value = entry.partition("=")
    if not equals:
        raise ValueError(f"--set {entry}: must be FIELD=VALUE")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):  # not JSON, or nested too deeply to be read
        return name, value


def check_memory(recipe: Recipe) -> None:
    """Refuse a model whose weights and gradients alone, 8 bytes a parameter, exceed the memory of the GPU or machine.

    Raises:
        ValueError: The model is too large.
    """
    with torch.device("meta"):
        parameters = FAMILIES[recipe.family].model(recipe, load_tokenizer(recipe.tokenizer)).num_parameters()
    if best_device().type == "cuda":
        memory = torch.cuda.get_device_properties(0).total_memory
    elif hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    else:
        return  # Windows does not say
    if 8 * parameters > memory:
        needed = f"{parameters:,} parameters need {8 * parameters / 1e9:,.0f} GB for weights and gradients alone"
        raise ValueError(f"{needed}, but the machine has {memory / 1e9:,.0f}: choose a smaller size")


@contextmanager
def _processes() -> Iterator[None]:
    """Under `torchrun`, keep a process group while the processes share the work; otherwise do nothing."""
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        yield
        return
    gpus, processes = torch.cuda.device_count(), int(os.environ["LOCAL_WORLD_SIZE"])
    if gpus:
        if processes > gpus:
            allowed = f"must be at most {gpus}, one for each GPU (set CUDA_VISIBLE_DEVICES= to train on the CPU)"
            raise ValueError(f"torchrun --nproc-per-node {processes}: {allowed}")
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if gpus else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()
