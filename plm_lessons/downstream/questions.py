"""Finding an answer in a text: the question is an article's description, the answer its title.

    question  American blues guitarist, singer, and songwriter
    context   ... Riley B. King, known professionally as B. B. King, was an American blues guitarist, ... Herod I or ...
    answer    B. B. King

The context is the first sentences of four articles of one topic, in random order. All four could be asked for, so only
its own sentence distinguishes the right title from the other three.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from plm_lessons.checks import is_whole
from plm_lessons.corpus import TOPICS, Document
from plm_lessons.downstream.splits import articles

LEADS = 4
"""Number of sentences in a context."""
MOST_LEAD_WORDS = 22
"""The most words in a sentence of a context; with it, all but a few questions fit into 128 word pieces."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a text that holds its answer.

    Attributes:
        question: what is asked.
        context: the text.
        answer: a part of the context.
        start: where the answer begins in the context, in characters.
    """

    question: str
    context: str
    answer: str
    start: int

    def __post_init__(self) -> None:
        is_place = is_whole(self.start) and self.start >= 0
        if not is_place or not self.answer or self.context[self.start : self.end] != self.answer:
            raise ValueError(f"answer={self.answer!r}: must be in the context, from start={self.start} on")

    @property
    def end(self) -> int:
        """Where the answer ends, in characters: the position after its last one."""
        return self.start + len(self.answer)


def find(title: str, text: str) -> int | None:
    """Where a title first occurs in a text, as whole words and in the same case; None if it does not."""
    match = re.search(rf"(?<!\w){re.escape(title)}(?!\w)", text)
    return match.start() if match else None


def askable(document: Document) -> bool:
    """Whether an article has a topic, a short first sentence with its title, and a description without the title."""
    lead, title = document.sentences[0], document.title.lower()
    if not (document.topic and document.description) or find(title, document.description.lower()) is not None:
        return False
    return len(lead.split()) <= MOST_LEAD_WORDS and find(document.title, lead) is not None


def title_questions(split: str) -> list[Question]:
    """A question for every askable article for which there are three others to fill its context."""
    usable = [article for article in articles(split) if askable(article)]
    groups = [[article for article in usable if article.topic == topic] for topic in TOPICS]
    return [question for group in groups for question in _questions(group)]


def _questions(group: Sequence[Document]) -> Iterator[Question]:
    for article in group:
        draws = random.Random(f"{article.title} among others")
        shuffled = draws.sample(group, len(group))
        others = list(islice((other.sentences[0] for other in shuffled if not _confusing(article, other)), LEADS - 1))
        if len(others) == LEADS - 1:
            place = draws.randrange(LEADS)
            before = "".join(f"{lead} " for lead in others[:place])
            start = find(article.title, article.sentences[0])
            assert start is not None
            context = " ".join([*others[:place], article.sentences[0], *others[place:]])
            yield Question(str(article.description), context, article.title, len(before) + start)


def _confusing(article: Document, other: Document) -> bool:
    """Whether the other would spoil the question: it is the article, is described alike, or names the title, too."""
    same = str(article.description).lower() == str(other.description).lower()
    return same or find(article.title.lower(), other.sentences[0].lower()) is not None
