"""What the sentence-pair game computes: shared words, the order of the pairs, and scores.

The same is in `sentence_pairs.maths.js`, which also has the intervals of the scores, for the page.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plm_lessons.widgets.gelu import uniforms

TASKS = ("nsp", "sop")
READER, RULE = "you", "word overlap"
Pair = Mapping[str, Any]
_COMMON = """
a about after against all also although an and another any are as at be because been before being between both but
by can could did do does during each either even every few for from had has have having he her here him his how
however i if in into is it its itself just like many may me might more most much must my neither no nor not now of
off often on once one only or other our out over own per s same she should since so some still such t than that the
their them then there these they this those though through thus to too under until up upon us very was we well were
what when where whether which while who whom whose why will with within without would you your
"""
STOP_WORDS = frozenset(_COMMON.split())


def content_words(text: str) -> dict[str, str]:
    """The content words of a text by first occurrence: the form that is compared -> the word in lower case.

    A word is a run of letters, marks and digits of any script; `STOP_WORDS` are not content words. The form that
    is compared has no -s at its end, so that a plural counts as the same word.
    """
    spaced = "".join(sign if unicodedata.category(sign)[0] in "LMN" else " " for sign in text)
    found: dict[str, str] = {}
    for word in (word.lower() for word in spaced.split()):
        if word not in STOP_WORDS:
            found.setdefault(re.sub(r"^(..+[^s])s$", r"\1", word), word)
    return found


def shared_words(first: str, second: str) -> list[str]:
    """The content words of `first` that are also in `second`."""
    others = content_words(second)
    return [word for compared, word in content_words(first).items() if compared in others]


def overlap_guess(pair: Pair) -> int:
    """What the overlap rule says: 0 (is next, or in order) if the sentences share a content word, else 1."""
    return 0 if shared_words(pair["first"], pair["second"]) else 1


def playing_order(pairs: Sequence[Pair], task: str, seed: int) -> list[int]:
    """The indices of a task's pairs in `pairs`, shuffled by the seed, but with a tempting one in front.

    That is the first that shares a word and has label 1; if there is none, the first that the overlap rule gets wrong.
    """
    drawn = uniforms(seed, len(pairs))
    order = sorted((i for i, pair in enumerate(pairs) if pair["task"] == task), key=lambda i: drawn[i])
    wrong = [i for i in order if overlap_guess(pairs[i]) != pairs[i]["label"]]
    tempting = [i for i in wrong if pairs[i]["label"] == 1] or wrong
    return tempting[:1] + [i for i in order if i not in tempting[:1]]


def model_names(pairs: Iterable[Pair]) -> list[str]:
    """The names of all models that give a probability for some pair, in alphabetical order."""
    return sorted({name for pair in pairs for name in pair["probabilities"]})


def scores(pairs: Iterable[tuple[Pair, int | None]], task: str) -> dict[str, tuple[int, int]]:
    """How often each player was right, as name -> (right, asked).

    Args:
        pairs: each with the reader's guess, or None to ask only the rivals.
        task: only its pairs count.
    """
    found: dict[str, tuple[int, int]] = {}
    for pair, guess in pairs:
        if pair["task"] != task:
            continue
        said = {READER: guess, RULE: overlap_guess(pair)}
        said |= {name: int(probability < 0.5) for name, probability in sorted(pair["probabilities"].items())}
        for name, label in said.items():
            if label is not None:
                right, asked = found.get(name, (0, 0))
                found[name] = right + (label == pair["label"]), asked + 1
    return found
