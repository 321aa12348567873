"""N-gram models, which predict a word from counts of the words before it, and which neural models have replaced.

How often w came after (u, v), after v alone, and at all give three estimates, from specific but sparse to general but
reliable. They are mixed (interpolated): the more often the words before were seen, the more the specific one counts:

    p(w | u, v) = a * count(u v w) / count(u v) + (1 - a) * p(w | v)
    p(w | v)    = b * count(v w) / count(v) + (1 - b) * p(w)
    p(w)        = (count(w) + 1) / (N + V)

All (u, v) that were seen about equally often share one weight a: never (a = 0), once, 2 or 3 times, 4 to 7 times, and
so on; likewise for b. The weights are fitted by expectation maximisation on text that is not counted, to at most 0.999.

Letters: N words counted, V vocabulary, n the order (3: trigrams), M n-grams asked about.

Source: Jelinek & Mercer, Interpolated estimation of Markov source parameters from sparse data (1980).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]

LEVELS = 64  # of how often a context was seen: level k means at least 2 ** (k - 1) times, and less than twice that


class NgramModel:
    """An interpolated n-gram model.

    Args:
        rows: Token ids of stretches of text; no n-gram reaches from one into the next. The weights are fitted on every
            tenth row, and are all 0.5 if those rows or the others hold no word. Then all rows are counted.
        vocab_size: V.
        order: n, at least 1.

    Raises:
        ValueError: There is no word, an id is not from 0 to V - 1, or there are too many n-grams to number them.
    """

    def __init__(self, rows: Sequence[Sequence[int]], vocab_size: int, order: int = 3) -> None:
        if order < 1 or (vocab_size + 1) ** order >= 2**63:
            raise ValueError(f"order={order}: must be at least 1, and (vocab_size + 1) ** order less than 2 ** 63")
        self.vocab_size, self.order = vocab_size, order
        self.weights = [np.append(0.0, np.full(LEVELS - 1, 0.5)) for _ in range(order - 1)]
        fitted, others = rows[9::10], [row for number, row in enumerate(rows, 1) if number % 10]
        if any(map(len, fitted)) and any(map(len, others)):
            self._count(self._ngrams(others))
            self._fit_weights(self._ngrams(fitted))
        self._count(self._ngrams(rows))

    def probabilities(self, ngrams: Ids) -> Floats:
        """Return the probability of the last word of each n-gram given the others.

        Args:
            ngrams: [M, n], or fewer columns for fewer preceding words. V stands for places before the start of a row.

        Returns:
            [M].
        """
        if ngrams.shape[1] == 1:
            return self._unigrams[ngrams[:, 0]]
        share, level = self._shares(ngrams)
        weight = self.weights[ngrams.shape[1] - 2][level]
        return weight * share + (1 - weight) * self.probabilities(ngrams[:, 1:])

    def best_words(self, contexts: Ids) -> Ids:
        """Return the most probable word after each context; of equally probable words, any.

        Args:
            contexts: [M, n - 1], or fewer columns for fewer words.

        Returns:
            [M].
        """
        if contexts.shape[1] == 0:
            return np.full(len(contexts), self._unigrams.argmax())
        codes, place = np.unique(self._codes(contexts), return_inverse=True)
        # Of the words that never came after a context, none beats the best after the shorter context.
        others = self.best_words(self._words(codes, contexts.shape[1])[:, 1:])
        size, seen = self.vocab_size + 1, self._counts[contexts.shape[1]][0]
        candidates = np.union1d(seen[np.isin(seen // size, codes)], codes * size + others)
        scores = self.probabilities(self._words(candidates, contexts.shape[1] + 1))
        candidates = candidates[np.lexsort((scores, candidates // size))]  # by context, the best last
        best = candidates[np.searchsorted(candidates // size, codes, side="right") - 1]
        return (best % size)[place]

    def _ngrams(self, rows: Sequence[Sequence[int]]) -> Ids:
        """Return [N, n]: each word of the rows, preceded by the words before it."""
        words = np.fromiter(chain.from_iterable(rows), np.int64)
        if not len(words) or words.min() < 0 or words.max() >= self.vocab_size:
            raise ValueError(f"rows: must hold at least one word, and ids from 0 to {self.vocab_size - 1} only")
        before = [self.vocab_size] * (self.order - 1)
        flat = np.fromiter(chain.from_iterable(chain(before, row) for row in rows), np.int64)
        ngrams = np.lib.stride_tricks.sliding_window_view(flat, self.order)
        return ngrams[ngrams[:, -1] != self.vocab_size]

    def _count(self, ngrams: Ids) -> None:
        counts = np.bincount(ngrams[:, -1], minlength=self.vocab_size) + 1
        self._unigrams = counts / counts.sum()
        # For each length, the codes of the n-grams that were seen, sorted, and how often each was seen.
        self._counts = [
            np.unique(self._codes(ngrams[:, -length:]), return_counts=True) for length in range(1, self.order + 1)
        ]
        self._context_counts = []
        for codes, seen in self._counts[1:]:
            contexts, first = np.unique(codes // (self.vocab_size + 1), return_index=True)
            self._context_counts.append((contexts, np.add.reduceat(seen, first)))

    def _shares(self, ngrams: Ids) -> tuple[Floats, Ids]:
        """Return count(u v w) / count(u v), 0 if (u, v) was never seen, and the level of count(u v)."""
        length = ngrams.shape[1]
        times = _look_up(self._counts[length - 1], self._codes(ngrams))
        of = _look_up(self._context_counts[length - 2], self._codes(ngrams[:, :-1]))
        return times / np.maximum(of, 1), np.frexp(of)[1]

    def _fit_weights(self, ngrams: Ids) -> None:
        for length in range(2, self.order + 1):
            share, level = self._shares(ngrams[:, -length:])
            lower = self.probabilities(ngrams[:, 1 - length :])
            total, weights = np.bincount(level, minlength=LEVELS), self.weights[length - 2]
            for _ in range(50):
                sharp = weights[level] * share
                came_from_it = np.bincount(level, sharp / (sharp + (1 - weights[level]) * lower), minlength=LEVELS)
                weights = np.where(total > 0, came_from_it / np.maximum(total, 1), weights)
            # Never 1, even where all of a few n-grams had been counted: no word may be impossible.
            self.weights[length - 2] = np.minimum(weights, 0.999)

    def _codes(self, words: Ids) -> Ids:
        """Encode [M, k] words as [M] numbers, one for each different n-gram."""
        codes = np.zeros(len(words), np.int64)
        for column in words.T:
            codes = codes * (self.vocab_size + 1) + column
        return codes

    def _words(self, codes: Ids, length: int) -> Ids:
        """Decode the numbers of `_codes` to words."""
        size = self.vocab_size + 1
        return np.stack([codes // size**place % size for place in reversed(range(length))], axis=1)


def _look_up(table: tuple[Ids, Ids], codes: Ids) -> Ids:
    """Return how often each n-gram was seen."""
    known, counts = table
    place = np.searchsorted(known, codes).clip(max=len(known) - 1)
    return np.where(known[place] == codes, counts[place], 0)
