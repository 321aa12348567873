"""Which words of a lower-cased text were written with capital letters? A label for every word.

Words are separated by white space and keep their punctuation marks. A capital begins a sentence or a name, so the
answer depends on both the word and its context.
"""

from __future__ import annotations

from dataclasses import dataclass

from plm_lessons.corpus import opening
from plm_lessons.downstream.splits import articles

CASES = ("lower", "capitalised", "other")
"""Lower case throughout; only the first letter in upper case; all else: upper case (`NASA`) or mixed (`McCartney`).

(`İzmir` and `İsmâil` are "other", too, as lower case does not lead back to them: Python's `i̇` is two characters.)
"""


@dataclass(frozen=True, slots=True)
class LabelledWords:
    """A text and, for each of its words, the index of its class, here in `CASES`."""

    text: str
    labels: tuple[int, ...]


def capitalised(word: str) -> str:
    """The word with its first letter in upper case; this need not be its first character: `(the` -> `(The`."""
    place = next((place for place, character in enumerate(word) if character.isalpha()), None)
    return word if place is None else word[:place] + word[place].upper() + word[place + 1 :]


def case_of(word: str) -> int:
    """The index in `CASES` of a word as it was written."""
    lower = word.lower()
    return 0 if word == lower else 1 if word == capitalised(lower) else 2


def lower_cased_openings(split: str) -> list[LabelledWords]:
    """The openings of all articles of a split in lower case, each word labelled with the case it had."""
    openings = [text for article in articles(split) if (text := opening(article))]
    return [LabelledWords(text.lower(), tuple(map(case_of, text.split()))) for text in openings]
