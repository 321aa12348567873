"""Whole words and n-grams: what a word is, that it stays whole, how many are chosen and how often.

The statistical tests hold for any seed: see `assert_plausible`.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import pytest
import torch
from chance import assert_plausible, seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from plm_lessons import corpus
from plm_lessons.objectives import (
    IGNORE_INDEX,
    candidate_positions,
    choose_whole_words,
    mask_tokens,
    ngram_probabilities,
    number_words,
    prediction_count,
    word_starts,
)
from plm_lessons.tokenization import load_tokenizer


@pytest.mark.parametrize(
    ("scheme", "text", "words"),
    [
        ("wordpiece", "phil ##am ##mon , ran", [0, 0, 0, 1, 2]),
        ("wordpiece", "ran [SEP] ##mon ##am", [0, -1, 1, 1]),  # after a special token there is nothing to continue
        ("byte_level", "<s> Phil am mon , Ġran </s>", [-1, 0, 0, 0, 0, 1, -1]),
        ("unigram", "[CLS] ▁phil am mon , ▁ran ▁19 98 é [SEP]", [-1, 0, 0, 0, 1, 2, 3, 4, 5, -1]),
    ],
)
def test_words(scheme: str, text: str, words: list[int]) -> None:
    tokens = text.split()
    vocabulary = sorted(set(tokens))
    ids = torch.tensor([[vocabulary.index(token) for token in tokens]])
    candidates = torch.tensor([[token not in ("[CLS]", "[SEP]", "<s>", "</s>") for token in tokens]])
    assert number_words(ids, word_starts(vocabulary, scheme), candidates).tolist() == [words]


def test_words_of_real_text_are_those_of_the_tokenizer() -> None:
    tokenizer = load_tokenizer("wordpiece")
    vocabulary = tokenizer.get_vocab()
    starts = word_starts(sorted(vocabulary, key=vocabulary.__getitem__), "wordpiece")
    special = [vocabulary["[CLS]"], vocabulary["[SEP]"]]
    for document in corpus.documents("wikipedia", "held_out")[:50]:
        encoding = tokenizer.encode(document.text)
        ids = torch.tensor([encoding.ids])
        found = number_words(ids, starts, candidate_positions(ids, special))[0].tolist()
        assert found == [-1 if word is None else word for word in encoding.word_ids]


def rows_of_words(rows: list[list[int]]) -> torch.Tensor:
    """Rows with a word of each length, a position without a word for each 0, and padding."""
    width = max(sum(max(1, length) for length in row) for row in rows)
    numbered = []
    for row in rows:
        numbers = [word for word, length in enumerate(row) for _ in range(length or 1)]
        numbers = [word if row[word] else -1 for word in numbers]
        numbered.append(numbers + [-1] * (width - len(numbers)))
    return torch.tensor(numbered)


@given(
    rows=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=15), min_size=1, max_size=5),
    masking_rate=st.floats(0, 1),
    cap=st.none() | st.integers(1, 8),
    max_ngram=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=120)
def test_whatever_is_drawn(
    rows: list[list[int]], masking_rate: float, cap: int | None, max_ngram: int, seed: int
) -> None:
    word_ids = rows_of_words(rows)
    lengths = [sum(length or 1 for length in row) for row in rows]
    attention_mask = torch.arange(word_ids.shape[1]) < torch.tensor(lengths)[:, None]
    arguments: dict[str, Any] = {"masking_rate": masking_rate, "max_predictions": cap, "max_ngram": max_ngram}

    def choose() -> torch.Tensor:
        return choose_whole_words(word_ids, attention_mask=attention_mask, generator=seeded(seed), **arguments)

    chosen = choose()
    assert torch.equal(chosen, choose())
    assert not chosen[word_ids < 0].any(), "special tokens and padding are never chosen"
    for row, lengths_of_words in enumerate(rows):
        count = prediction_count(lengths[row], masking_rate, cap)
        total = int(chosen[row].sum())
        assert total <= count
        unused = []
        for word, length in enumerate(lengths_of_words):
            if length:
                in_word = chosen[row][word_ids[row] == word]
                assert in_word.all() or not in_word.any(), "words are whole"
                unused += [] if in_word.all() else [length]
        if max_ngram == 1:
            assert all(total + length > count for length in unused), "a word is left out only for want of room"


def exact_distribution(lengths: list[int], count: int, max_ngram: int) -> dict[frozenset[int], Fraction]:
    """How likely each set of words is, from all orders and all draws of n, by the docstring's rule; 0 is a gap."""
    probabilities = [
        Fraction(1, n) / sum(Fraction(1, k) for k in range(1, max_ngram + 1)) for n in range(1, max_ngram + 1)
    ]
    words = [word for word, length in enumerate(lengths) if length]
    orders = list(permutations(words))
    outcomes: dict[frozenset[int], Fraction] = {}
    for sizes in product(range(1, max_ngram + 1), repeat=len(words)):
        weight = Fraction(1, len(orders))
        for size in sizes:
            weight *= probabilities[size - 1]
        size_of = dict(zip(words, sizes, strict=True))
        for order in orders:
            chosen: set[int] = set()
            for word in order:
                ngram = []
                for neighbour in range(word, min(word + size_of[word], len(lengths))):
                    if not lengths[neighbour]:
                        break
                    ngram.append(neighbour)
                while ngram and sum(lengths[w] for w in [*chosen, *ngram]) > count:
                    ngram.pop()
                if chosen.isdisjoint(ngram):
                    chosen.update(ngram)
            outcomes[frozenset(chosen)] = outcomes.get(frozenset(chosen), Fraction(0)) + weight
    return outcomes


@pytest.mark.parametrize("max_ngram", [1, 3])
@pytest.mark.parametrize(
    ("lengths", "count"), [([1, 1, 1, 1, 1], 2), ([1, 1, 1, 1, 1], 3), ([1, 2, 1, 3, 1], 4), ([2, 1, 0, 1, 2], 4)]
)
def test_every_set_of_words_is_as_likely_as_the_rule_says(lengths: list[int], count: int, max_ngram: int) -> None:
    rows = 20_000
    word_ids = rows_of_words([lengths]).expand(rows, -1)
    rate = count / word_ids.shape[1]
    arguments: dict[str, Any] = {"masking_rate": rate, "max_ngram": max_ngram}
    chosen = choose_whole_words(word_ids, attention_mask=None, generator=seeded(max_ngram), **arguments)
    seen = Counter(frozenset(word_ids[0][row].tolist()) for row in chosen)
    expected = exact_distribution(lengths, count, max_ngram)
    assert set(seen) <= set(expected) and sum(expected.values()) == 1
    for words, probability in expected.items():
        if probability < 1:
            assert_plausible(seen[words], rows, float(probability), checks=len(expected) + 1)
    # All sets of neighbours taken together: p(n) decides how many there are.
    side_by_side = [words for words in expected if max(words) - min(words) == len(words) - 1]
    share = float(sum(expected[words] for words in side_by_side))
    if share < 1:
        assert_plausible(sum(seen[words] for words in side_by_side), rows, share, checks=len(expected) + 1)


def test_ngram_probabilities() -> None:
    assert ngram_probabilities(1) == [1.0]
    assert ngram_probabilities(3) == pytest.approx([6 / 11, 3 / 11, 2 / 11])


def test_the_fate_of_each_token_of_a_word_is_its_own() -> None:
    rows = 20_000
    ids = torch.full((rows, 20), 7)
    word_ids = (torch.arange(20) // 2).expand(rows, -1)
    arguments: dict[str, Any] = {"attention_mask": None, "mask_token_id": 4, "vocab_size": 1000}
    masked = mask_tokens(
        ids, ids == 7, word_ids=word_ids, masking_rate=0.1, generator=seeded(8), **arguments
    )  # one word of each row
    pairs = masked.input_ids[masked.labels != IGNORE_INDEX].reshape(rows, 2)
    p = 0.8 + 0.1 / 1000
    assert_plausible(int((pairs == 4).all(dim=1).sum()), rows, p**2, checks=2)
    assert_plausible(int((pairs == 4).sum()), 2 * rows, p, checks=2)


def test_mask_tokens_corrupts_the_words_chosen() -> None:
    ids = torch.randint(5, 1000, (50, 40), generator=seeded(9))
    word_ids = (torch.arange(40) // 2).expand(50, -1)
    counting: dict[str, Any] = {"attention_mask": None, "masking_rate": 0.4, "max_predictions": 12, "max_ngram": 3}
    chosen = choose_whole_words(word_ids, generator=seeded(10), selection="rounded", **counting)
    masked = mask_tokens(
        ids,
        word_ids >= 0,
        word_ids=word_ids,
        mask_token_id=4,
        vocab_size=1000,
        generator=seeded(10),
        selection="rounded",
        **counting,
    )
    assert torch.equal(masked.labels, ids.masked_fill(~chosen, IGNORE_INDEX))
