"""Which split an article or a review sentence belongs to: as a whole, to exactly one."""

from __future__ import annotations

from plm_lessons import corpus
from plm_lessons.checks import check_choice
from plm_lessons.corpus import Document, LabelledText, documents, sentiment_examples

SPLITS = ("train", "validation", "held_out")


def split_of(key: str) -> str:
    """The split a key belongs to, chosen for the same reasons and in the same way as by `corpus.split_of`.

    What the corpus holds out is held out here too, so that no model has seen it in pre-training. A tenth of the rest is
    for validation: settings such as the learning rate are chosen on it.
    """
    if corpus.split_of(key) == "held_out":
        return "held_out"
    return "validation" if corpus.split_of(f"validation: {key}") == "held_out" else "train"


def articles(split: str) -> list[Document]:
    """The articles of a split, in a fixed order.

    Raises:
        ValueError: The split is not one of `SPLITS`.
    """
    check_choice("split", split, SPLITS)
    return [document for document in documents("wikipedia", "all") if split_of(document.title) == split]


def reviews(split: str) -> list[LabelledText]:
    """The sentences of film reviews of a split, in a fixed order.

    Raises:
        ValueError: The split is not one of `SPLITS`.
    """
    check_choice("split", split, SPLITS)
    return [example for example in sentiment_examples("all") if split_of(example.text) == split]
