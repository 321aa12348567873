"""The options that say which text to read, shared by several commands."""

from __future__ import annotations

import argparse
from pathlib import Path

from plm_lessons.text_sources import CorpusText, DatasetText, FileText, TextSource


def add_text_options(parser: argparse.ArgumentParser) -> None:
    """Add `--text`, `--dataset` and the options that go with `--dataset`."""
    about = "The default is the text that ships with the book. A tenth of the documents is held out."
    group = parser.add_argument_group("text", about)
    either = group.add_mutually_exclusive_group()
    about = "UTF-8; a blank line ends a document. In a .jsonl file each line is a document, in its field text"
    either.add_argument("--text", type=Path, nargs="+", metavar="FILE", help=about)
    either.add_argument(
        "--dataset", metavar="NAME", help="a data set on the Hugging Face hub; needs the package datasets"
    )
    group.add_argument("--dataset-config", metavar="NAME", help="which of its configurations")
    group.add_argument("--dataset-part", metavar="NAME", help="which of its parts (default: train)")
    group.add_argument("--column", metavar="NAME", help="which column holds the text (default: text)")


def chosen_text(chosen: argparse.Namespace) -> TextSource:
    """Return the text that the options name.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: An option for a data set is given, but no data set is named.
    """
    options = {"configuration": "dataset_config", "part": "dataset_part", "column": "column"}
    given = {field: value for field, name in options.items() if (value := getattr(chosen, name)) is not None}
    if given and not chosen.dataset:
        field, value = next(iter(given.items()))
        raise ValueError(f"{options[field]}={value!r}: must not be given without dataset")
    if chosen.text:
        return FileText(tuple(chosen.text))
    if chosen.dataset:
        return DatasetText(chosen.dataset, **given)
    return CorpusText()
