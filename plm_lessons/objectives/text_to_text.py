"""Every task as text to text: a prefix names the task, and the answer is always written out as text.

    topic: Carmen is an opera in four acts by ...                      -> Arts
    describe: Carmen is an opera in four acts by ...                   -> 1875 opera by Georges Bizet
    sentiment: a gorgeous , witty , seductive movie .                  -> positive
    order: first: It was ... second: The opera was ...                 -> swapped
    decade: The Public Debt which had been created by ...              -> 1810

A class becomes its name. Two texts become one, each with its own small prefix. A number becomes its digits, rounded so
that few different ones are left: here a year to its decade, as T5 rounds the similarity of two sentences (STS-B, from 1
to 5 according to the paper, from 0 in its code) to a multiple of 0.2. So one model with one loss learns all of the
tasks. If it writes something that is not an answer of the task, that counts as wrong.

Source: T5 (arXiv 1910.10683), section 2.4 and appendix D.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from plm_lessons.checks import check_whole, each_text
from plm_lessons.corpus import MOST_WORDS, SENTIMENTS, TOPICS, Document, documents, opening, sentiment_examples

ORDERS = ("in order", "swapped")
DECADES = tuple(str(year) for year in range(1790, 2030, 10))


class TextPair(NamedTuple):
    """An example as text: what is read, with its prefix, and what should be written."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Task:
    """A task in the form of text to text.

    Attributes:
        prefix: put before every input.
        question: what is asked.
        answers: all possible answers; None if any text can be right.
        make: returns the pairs of a split, without the prefix.
    """

    prefix: str
    question: str
    answers: tuple[str, ...] | None
    make: Callable[[str], Iterator[TextPair]]

    def examples(self, split: str = "train") -> list[TextPair]:
        """All examples, the same at every call.

        Args:
            split: `"train"`, `"held_out"` or `"all"`.

        Raises:
            ValueError: for any other split.
        """
        return [TextPair(self.prefix + source, target) for source, target in self.make(split)]


def passages(sentences: tuple[str, ...], most_words: int = MOST_WORDS) -> Iterator[str]:
    """Cut a text into passages, each with as many sentences as fit within `most_words`.

    A sentence longer than that is left out, since it would have to be cut. No passage extends across one.
    """
    check_whole("most_words", most_words, least=1)
    passage: list[str] = []
    for sentence in each_text("sentences", sentences):
        length = len(sentence.split())
        if passage and sum(len(part.split()) for part in passage) + length > most_words:
            yield " ".join(passage)
            passage = []
        if length <= most_words:
            passage.append(sentence)
    if passage:
        yield " ".join(passage)


def _leads(split: str) -> Iterator[tuple[Document, str]]:
    """Each article whose first sentence is short enough, with its opening."""
    return ((document, lead) for document in documents("wikipedia", split) if (lead := opening(document)))


def _topic(split: str) -> Iterator[TextPair]:
    return (TextPair(lead, document.topic) for document, lead in _leads(split) if document.topic is not None)


def _description(split: str) -> Iterator[TextPair]:
    return (TextPair(lead, document.description) for document, lead in _leads(split) if document.description)


def _sentiment(split: str) -> Iterator[TextPair]:
    return (TextPair(example.text, SENTIMENTS[example.label]) for example in sentiment_examples(split))


def _order(split: str) -> Iterator[TextPair]:
    """Neighbouring sentences of an article, in both orders, so that half of the answers are of each kind."""
    for document in documents("wikipedia", split):
        for first, second in pairwise(document.sentences):
            if len(first.split()) + len(second.split()) <= MOST_WORDS:
                yield TextPair(f"first: {first} second: {second}", "in order")
                yield TextPair(f"first: {second} second: {first}", "swapped")


def _decade(split: str) -> Iterator[TextPair]:
    """Passages of the State of the Union addresses, each with its decade. A passage may mention one year or several."""
    for document in documents("sotu", split):
        decade = f"{year_of(document) // 10}0"
        for passage in passages(document.sentences):
            yield TextPair(passage, decade)


def year_of(document: Document) -> int:
    """The year of an address, from its title: "John Adams, 1797-11-22, spoken"."""
    found = re.search(r", (\d{4})-", document.title)
    if found is None:
        raise ValueError(f"document has the title {document.title!r}: must be that of an address, with its date")
    return int(found[1])


TASKS = {
    "topic": Task("topic: ", "what topic is the article about?", TOPICS, _topic),
    "describe": Task("describe: ", "what is it, in a few words?", None, _description),
    "sentiment": Task("sentiment: ", "does the critic like the film?", SENTIMENTS, _sentiment),
    "order": Task("order: ", "are the sentences in their original order?", ORDERS, _order),
    "decade": Task("decade: ", "when was it said?", DECADES, _decade),
}
