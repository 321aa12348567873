"""`evaluate`: measure how well a pre-trained model does its own task on held-out text, compared with two baselines."""

from __future__ import annotations

import argparse

from plm_lessons.checks import check_whole
from plm_lessons.commands.loading import about_models, find_model, load_model, read_recipe
from plm_lessons.commands.texts import add_text_options, chosen_text
from plm_lessons.files import read_object
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.held_out import held_out_figures
from plm_lessons.training.optimization import best_device
from plm_lessons.training.runs import RECIPE


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "evaluate",
        help="held-out loss, perplexity and accuracy of a pre-trained model and of two baselines",
        description="Measure a pre-trained model on held-out text by its own task: masked words, or for T5 the targets "
        "of span corruption. Two baselines are measured with it: a unigram model, which knows how common each word is, "
        "and an interpolated trigram model, which has counted the training text and sees the two words on the left "
        "unmasked.",
        epilog="python -m plm_lessons evaluate checkpoints/bert",
    )
    parser.add_argument("model", metavar="FOLDER_OR_NAME", help=about_models())
    parser.add_argument("--batches", type=int, metavar="N", help="use at most N batches of 64 rows (default: all)")
    add_text_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Load the model, measure it, and print a table."""
    if chosen.batches is not None:
        check_whole("batches", chosen.batches, least=1)
    source = chosen_text(chosen)
    folder, family = find_model(chosen.model)
    model, tokenizer = load_model(folder, FAMILIES[family].model_class, whole=True)
    recipe = read_recipe(folder, family, model, tokenizer)
    figures = held_out_figures(model.to(best_device()), tokenizer, recipe, source, chosen.batches)
    asked = "tokens of targets" if family == "t5" else "masked words"
    told = read_object(folder / RECIPE).get("text") if (folder / RECIPE).is_file() else None
    print(f"{folder}: {model.num_parameters():,} parameters{f', trained on {told}' if told else ''}")
    print(f"{source.describe()}: {figures['model']['words']:,.0f} {asked} of held-out text\n")
    print(f"{'':10}{'loss':>8}{'perplexity':>12}{'accuracy':>10}")
    for name, found in figures.items():
        print(f"{name:10}{found['loss']:8.3f}{found['perplexity']:12,.1f}{found['accuracy']:10.1%}")
    for task in ("next_sentence", "sentence_order"):
        if f"{task}_loss" in figures["model"]:
            loss, accuracy, pairs = (figures["model"][name] for name in (f"{task}_loss", f"{task}_accuracy", "pairs"))
            print(f"\n{task.replace('_', ' ')}: loss {loss:.3f}, accuracy {accuracy:.1%} of {pairs:,.0f} pairs")
