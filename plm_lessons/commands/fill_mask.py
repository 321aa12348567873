"""`fill-mask`: print the most probable words for a gap."""

from __future__ import annotations

import argparse

from plm_lessons import AlbertForMaskedLM, BertForMaskedLM, RobertaForMaskedLM
from plm_lessons.commands.loading import about_models, find_model, load_model
from plm_lessons.tokenization import token_id
from plm_lessons.training.inference import fill_mask

CLASSES = {"bert": BertForMaskedLM, "roberta": RobertaForMaskedLM, "albert": AlbertForMaskedLM}


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "fill-mask",
        help="the most probable words for each [MASK] in a text",
        description="Print the most probable words for each [MASK] (or <mask>) in a text, with their probabilities.",
        epilog='python -m plm_lessons fill-mask bert "The capital of [MASK] is Paris." --top 3',
    )
    parser.add_argument("model", metavar="FOLDER_OR_NAME", help=about_models(CLASSES))
    parser.add_argument("text", metavar="TEXT", help="a text with at least one [MASK], whatever the model calls it")
    parser.add_argument(
        "--top", type=int, default=5, metavar="K", help="how many words to print for each [MASK] (default: 5)"
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Load the model, and print its most probable words."""
    folder, family = find_model(chosen.model, CLASSES)
    model, tokenizer = load_model(folder, CLASSES[family], whole=True)
    mask = tokenizer.id_to_token(token_id(tokenizer, "[MASK]", "<mask>"))
    text = chosen.text.replace("[MASK]", mask).replace("<mask>", mask)
    answers = fill_mask(model, tokenizer, text, chosen.top)
    for number, answer in enumerate(answers, 1):
        if len(answers) > 1:
            print(f"mask {number}")
        for piece, probability in answer:
            word = tokenizer.decode([token_id(tokenizer, piece)], skip_special_tokens=False).strip()
            print(f"{probability:7.2%}  {word or piece}")
