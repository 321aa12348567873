"""Training a unigram language model of pieces (Kudo 2018, arXiv:1804.10959, section 3.2): from many pieces to few.

The model gives each piece a probability, and a word cut into pieces the product of theirs. Where to cut is not known,
so the probabilities are learnt by expectation-maximisation (EM), which weights each way to cut by its probability:

1. Begin with far too many pieces: all characters, and the longer parts of words that cover most of the text.
2. E: how often is each piece expected in the text, over all ways to cut it? M: that count, divided by the sum of all,
   is the piece's new probability. Repeat.
3. Remove the quarter of the pieces whose absence costs least, if each is cut in the next best way instead. Characters
   stay, so that every word can still be spelled.
4. Go back to 2, until only the wanted number is left.

Why not use the library? The `UnigramTrainer` of `tokenizers` works the same way, but it sums in the order of a hash
table: its scores differ from run to run in the third decimal place, and with them the ids. Here no such order matters,
and numbers are rounded at every step, so that the last bits of a sum, in which processors differ, decide nothing.

SentencePiece (google/sentencepiece, src/unigram_model_trainer.cc) differs in details: its M step takes a little off all
counts (by the digamma function) and drops pieces with a count below one half; it estimates the cost of an absence from
the best way to cut alone; and it stops at 1.1 times the wanted number and then keeps the most probable.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LONGEST_PIECE = 16  # characters, as in SentencePiece
SEED_PIECES = 50_000  # pieces of several characters at the start
KEPT = 0.75  # the share of the pieces that each round keeps, as in SentencePiece
STEPS = 2  # steps of EM in each round, as in SentencePiece
LEAST_COUNT = 0.5  # the lowest count of a piece, so that its logarithm is finite
DIGITS = 6  # decimals of scores and losses
SPECIAL_SCORE = -100.0  # so low that a special token, also a piece, is never the best way to cut its own name


class Lattice:
    """All ways to cut some words into pieces, as one graph.

    A word of n characters has n + 1 places to cut, including its two ends: the nodes. Each piece that fits between two
    of them is an edge. So each path from the first node of a word to its last is one way to cut it.
    """

    def __init__(self, words: Sequence[str], numbers: Mapping[str, int], whole: bool = True) -> None:
        """Find the pieces in the words.

        Args:
            words: the words to cut.
            numbers: the pieces, each with its number.
            whole: whether a word may stay in one piece.
        """
        lengths = np.array([len(word) for word in words])
        self.last = np.cumsum(lengths + 1) - 1
        self.first = self.last - lengths
        edges = [
            (end, node + end, node + start, number)
            for word, node in zip(words, self.first.tolist(), strict=True)
            for start, end in _spans(word)
            if (number := numbers.get(word[start:end])) is not None and (whole or end - start < len(word))
        ]
        # Sorted by how far into their words they end: when a node's turn comes, all that leads to it is done.
        table = np.array(edges, dtype=np.int64).reshape(-1, 4)
        self.depth, self.end, self.start, self.piece = table[np.lexsort((table[:, 1], table[:, 0]))].T.copy()

    def keep(self, pieces: NDArray[np.bool_]) -> None:
        """Remove the edges of all pieces that are not marked True."""
        kept = pieces[self.piece]
        self.depth, self.end, self.start, self.piece = (
            values[kept] for values in (self.depth, self.end, self.start, self.piece)
        )

    def _groups(self) -> list[slice]:
        bounds = [0, *_changes(self.depth), len(self.depth)]
        return [slice(*pair) for pair in itertools.pairwise(bounds)]

    def forward(self, scores: Floats, combine: np.ufunc) -> Floats:
        """For each node, the sum (`np.logaddexp`) or the best (`np.maximum`) of all paths to it, as logarithms."""
        reached = np.full(self.last[-1] + 1, -np.inf)
        reached[self.first] = 0.0
        for group in self._groups():
            runs = [0, *_changes(self.end[group])]
            through = reached[self.start[group]] + scores[self.piece[group]]
            reached[self.end[group][runs]] = combine.reduceat(through, runs)
        return reached

    def expected_counts(self, scores: Floats, word_counts: Floats) -> Floats:
        """The expected count of each piece over all ways to cut the words, which occur `word_counts` times."""
        reached = self.forward(scores, np.logaddexp)
        # How often each node is passed: the last node always; any other as often as the edges that start there.
        passed = np.zeros(len(reached))
        passed[self.last] = word_counts
        counts = np.zeros(len(scores))
        for group in reversed(self._groups()):
            start, end, piece = self.start[group], self.end[group], self.piece[group]
            share = passed[end] * np.exp(reached[start] + scores[piece] - reached[end])
            np.add.at(passed, start, share)
            counts += np.bincount(piece, share, len(scores))
        return counts


def _spans(word: str) -> list[tuple[int, int]]:
    ends = len(word) + 1
    return [
        (start, end) for start in range(len(word)) for end in range(start + 1, min(start + LONGEST_PIECE + 1, ends))
    ]


def _changes(values: NDArray[np.int64]) -> list[int]:
    return (np.flatnonzero(np.diff(values)) + 1).tolist()


def _log_probabilities(counts: Floats, alive: NDArray[np.bool_]) -> Floats:
    scores = np.full(len(counts), -np.inf)
    scores[alive] = np.round(np.log(counts[alive] / counts[alive].sum()), DIGITS)
    return scores


def seed_pieces(words: Mapping[str, int]) -> dict[str, int]:
    """The pieces that training begins with: all characters of the words, then longer parts, each with its count.

    A longer part must occur at least twice, and not always inside the same longer one (as "overnmen" in "government").
    Of these, the ones that cover the most characters of the text are taken.
    """
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for start, end in _spans(word):
            counts[word[start:end]] += count
    inside = {less for part in counts for less in (part[1:], part[:-1]) if counts[less] == counts[part]}
    characters = sorted(part for part in counts if len(part) == 1)
    longer = [part for part, count in counts.items() if len(part) > 1 and count > 1 and part not in inside]
    longer.sort(key=lambda part: (-len(part) * counts[part], part))
    return {part: counts[part] for part in characters + longer[:SEED_PIECES]}


def train_scores(words: Mapping[str, int], vocab_size: int, special_tokens: Sequence[str]) -> list[tuple[str, float]]:
    """Train the pieces and their scores; every run gives the same result.

    Args:
        words: how often each word occurs. No piece crosses the end of a word.
        vocab_size: the most pieces in all.
        special_tokens: the pieces that come first.

    Returns:
        The pieces in the order of their ids, each with its score, the natural logarithm of its probability: first the
        special tokens (which all score `SPECIAL_SCORE`), then the others, the most probable first.

    Raises:
        ValueError: if `vocab_size` cannot hold the special tokens and the characters of the words.
    """
    words = dict(sorted(words.items()))
    seed = seed_pieces(words)
    pieces, counts = list(seed), np.array(list(seed.values()), dtype=np.float64)
    single = np.array([len(piece) == 1 for piece in pieces], dtype=bool)
    size = vocab_size - len(special_tokens)
    if size < single.sum():
        needed = len(special_tokens) + single.sum()
        raise ValueError(f"vocab_size is {vocab_size}; it must be at least {needed} (special tokens and alphabet)")
    first = [(token, SPECIAL_SCORE) for token in special_tokens]
    if not words:
        return first
    numbers = {piece: number for number, piece in enumerate(pieces)}
    text, alone = Lattice(list(words), numbers), Lattice(pieces, numbers, whole=False)
    word_counts = np.array(list(words.values()), dtype=np.float64)
    alive = np.ones(len(pieces), dtype=bool)
    while True:
        for _ in range(STEPS):
            scores = _log_probabilities(counts, alive)
            counts = np.maximum(text.expected_counts(scores, word_counts), LEAST_COUNT)
        scores = _log_probabilities(counts, alive)
        if alive.sum() <= size:
            break
        longer = np.flatnonzero(alive & ~single)
        instead = alone.forward(scores, np.maximum)[alone.last[longer]]
        losses = np.round(counts[longer] * (scores[longer] - instead), DIGITS)
        most = max(size, int(KEPT * alive.sum())) - single.sum()
        alive[longer[np.argsort(-losses, kind="stable")[most:]]] = False
        text.keep(alive)
        alone.keep(alive)
    trained = [(pieces[number], float(scores[number])) for number in np.flatnonzero(alive)]
    trained.sort(key=lambda pair: (-pair[1], pair[0]))
    return first + trained
