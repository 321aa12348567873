"""Does this description belong to this article? The wrong descriptions are those of similar articles.

Random wrong pairs could be told apart by their topic, or by a single word. Here the articles of each topic are paired,
the most similar first, and partners exchange their descriptions. So every description and every opening occurs twice,
once in a right pair and once in a wrong one: neither of them alone says anything about the label. Data sets in which
one half does can be solved without reading the other half (Gururangan et al., arXiv:1803.02324).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from plm_lessons.corpus import TOPICS, Document, opening
from plm_lessons.downstream.splits import articles

ANSWERS = ("no", "yes")


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Two texts, and the index of their class: here a description, an opening, and an index in `ANSWERS`."""

    first: str
    second: str
    label: int


def similarities(texts: Sequence[str]) -> np.ndarray:
    """The similarity of texts: the cosine of their TF-IDF vectors, [texts, texts].

    A word's weight is (1 + ln count) * ln(texts / texts that have it); words that only one text has connect nothing and
    are left out. The result is rounded, so that equal values stay equal whatever order a processor adds in.
    """
    counts = [Counter(re.findall(r"\w+", text.lower())) for text in texts]
    spread = Counter(word for count in counts for word in count)
    columns = {word: column for column, word in enumerate(word for word in spread if spread[word] > 1)}
    vectors = np.zeros((len(texts), len(columns)))
    for vector, count in zip(vectors, counts, strict=True):
        for word in count.keys() & columns.keys():
            vector[columns[word]] = (1 + log(count[word])) * log(len(texts) / spread[word])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.round(vectors @ vectors.T, 9)


def partners(group: Sequence[Document]) -> list[tuple[Document, Document]]:
    """Pair articles greedily: always the two most similar of those that are left.

    Two articles with the same description are never partners, because the wrong pairs would then be right. So a few may
    be left without a partner; at least one, if their number is odd.
    """
    alike = similarities([f"{document.description} {opening(document)}" for document in group])
    one, other = np.triu_indices(len(group), k=1)
    order = np.argsort(-alike[one, other], kind="stable")
    found, free = [], set(range(len(group)))
    for pair in zip(one[order].tolist(), other[order].tolist(), strict=True):
        if free.issuperset(pair):
            first, second = (group[index] for index in pair)
            if str(first.description).lower() != str(second.description).lower():
                free.difference_update(pair)
                found.append((first, second))
    return found


def description_pairs(split: str) -> list[LabelledPair]:
    """For each pair of partners, the two right and the two wrong combinations of description and opening."""
    usable = [article for article in articles(split) if article.topic and article.description and opening(article)]
    pairs = []
    for topic in TOPICS:
        for both in partners([article for article in usable if article.topic == topic]):
            for described in both:
                pairs += [
                    LabelledPair(str(described.description), opening(article), int(article is described))
                    for article in both
                ]
    return pairs
