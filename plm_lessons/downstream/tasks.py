"""The tasks, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from plm_lessons.corpus import SENTIMENTS, TOPICS, LabelledText, opening
from plm_lessons.downstream.capitals import CASES, lower_cased_openings
from plm_lessons.downstream.pairs import ANSWERS, description_pairs
from plm_lessons.downstream.questions import title_questions
from plm_lessons.downstream.splits import articles, reviews


@dataclass(frozen=True, slots=True)
class Task:
    """A fine-tuning task.

    Attributes:
        kind: what an example is: `"text"` (`LabelledText`), `"pair"` (`LabelledPair`), `"words"` (`LabelledWords`) or
            `"question"` (`Question`).
        question: what is asked.
        labels: the names of the classes; empty for questions, whose answers are parts of their texts.
        figures: the measures of success, the most telling first; see `training.downstream.evaluate_task`.
        make: returns the examples of a split.
    """

    kind: str
    question: str
    labels: tuple[str, ...]
    figures: tuple[str, ...]
    make: Callable[[str], list[Any]]

    def examples(self, split: str = "train") -> list[Any]:
        """All examples of a split, the same at every call.

        Args:
            split: `"train"`, `"validation"` or `"held_out"`.

        Raises:
            ValueError: for any other split.
        """
        return self.make(split)


def _topics(split: str) -> list[LabelledText]:
    usable = [article for article in articles(split) if article.topic and opening(article)]
    return [LabelledText(opening(article), TOPICS.index(str(article.topic))) for article in usable]


TASKS = {
    "topics": Task("text", "what topic is the article about?", TOPICS, ("accuracy", "macro_f1"), _topics),
    "sentiment": Task("text", "does the critic like the film?", SENTIMENTS, ("accuracy",), reviews),
    "pairs": Task("pair", "does the description belong to the article?", ANSWERS, ("accuracy",), description_pairs),
    "capitals": Task("words", "which words had capitals?", CASES, ("macro_f1", "accuracy"), lower_cased_openings),
    "questions": Task("question", "which title is described?", (), ("exact_match", "f1"), title_questions),
}
