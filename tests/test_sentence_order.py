"""Sentence-order pairs: both segments from one place, swapped half of the time.

In most documents here the tokens are numbered, so a segment shows where it comes from. The statistical tests hold for
any seed: see `assert_plausible`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from chance import assert_plausible, numbered, seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from plm_lessons.objectives import IN_ORDER, SWAPPED, SentencePair, pair_batch, sentence_order_pairs


def in_order(pair: SentencePair) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (pair.first, pair.second) if pair.label == IN_ORDER else (pair.second, pair.first)


@given(
    shapes=st.lists(st.lists(st.integers(1, 12), min_size=2, max_size=8), min_size=1, max_size=5),
    max_length=st.integers(5, 60),
    short=st.sampled_from([0.0, 0.1, 1.0]),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=200)
def test_whatever_is_drawn(shapes: list[list[int]], max_length: int, short: float, seed: int) -> None:
    documents, room = numbered(shapes), max_length - 3
    arguments: dict[str, Any] = {"max_length": max_length, "short_sequence_probability": short}
    pairs = sentence_order_pairs(documents, generator=seeded(seed), **arguments)
    assert pairs == sentence_order_pairs(documents, generator=seeded(seed), **arguments)
    starts = {sentence[0] for document in documents for sentence in document}
    expected, cut_before, here = 0, False, -1
    for pair in pairs:
        full = len(pair.first) + len(pair.second) == room
        begin, end = documents[pair.document][0][0], documents[pair.document][-1][-1]
        if pair.document != here:
            assert expected == begin or cut_before, "the document before was read to its end"
            assert pair.document == here + 1, "every document gives pairs"
            expected, cut_before, here = begin, False, pair.document
        before, after = in_order(pair)
        for segment in (before, after):
            assert segment and list(segment) == list(range(segment[0], segment[-1] + 1)), "one unbroken stretch"
        assert pair.second_document == pair.document and begin <= before[0] and after[-1] <= end
        assert len(pair.first) + len(pair.second) <= room
        # The segments meet between two sentences, and pairs follow each other, except where some had to be cut.
        assert (after[0] == before[-1] + 1 and after[0] in starts) or (after[0] > before[-1] and full)
        assert before[0] == expected or (before[0] > expected and (full or cut_before))
        expected, cut_before = after[-1] + 1, full
    assert here == len(documents) - 1 and (expected == documents[-1][-1][-1] + 1 or cut_before)


def test_half_are_swapped_and_the_split_is_even() -> None:
    count, sentences = 20_000, 6
    documents = numbered([[2] * sentences] * count)
    pairs = sentence_order_pairs(documents, max_length=64, generator=seeded(1), short_sequence_probability=0)
    assert [pair.document for pair in pairs] == list(range(count))
    seen = Counter((pair.label, len(in_order(pair)[0]) // 2) for pair in pairs)
    assert set(seen) == {(label, split) for label in (0, 1) for split in range(1, sentences)}
    for number in seen.values():
        assert_plausible(number, count, 0.5 / (sentences - 1), checks=len(seen))
    # `transformers` calls 0 the original order.
    assert (IN_ORDER, SWAPPED) == (0, 1)
    batch = pair_batch(pairs[:50], cls_token_id=10**6, sep_token_id=10**6, pad_token_id=10**6)
    for row, label in zip(batch.input_ids.tolist(), batch.labels.tolist(), strict=True):
        assert (row[1] < row[-2]) == (label == IN_ORDER)


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ([20, 3, 3], [(0, 2)]),  # a sentence that reaches the target alone takes in a second; the third is left over
        ([20, 3, 20, 3], [(0, 1), (2, 3)]),
        ([5, 5, 5], [(0, 2)]),
    ],
)
def test_no_sentence_is_left_alone(shape: list[int], chunks: list[tuple[int, int]]) -> None:
    documents = numbered([shape])
    sentence_of = {token: place for place, sentence in enumerate(documents[0]) for token in sentence}
    for seed in range(20):
        pairs = sentence_order_pairs(
            documents, max_length=13, generator=seeded(seed), short_sequence_probability=0
        )  # room for 10
        assert len(pairs) == len(chunks)
        for pair, (first, last) in zip(pairs, chunks, strict=True):
            before, after = in_order(pair)
            assert first <= sentence_of[before[0]] < sentence_of[after[-1]] <= last


def test_the_exception_of_the_reference_code() -> None:
    documents = numbered([[4, 4]] * 5000 + [[4]] * 5000 + [[4, 20, 4]] * 5000)
    arguments: dict[str, Any] = {"max_length": 27, "short_sequence_probability": 0}
    pairs = sentence_order_pairs(documents, generator=seeded(2), single_sentences="random", **arguments)
    by_document: dict[int, list[SentencePair]] = {}
    for pair in pairs:
        by_document.setdefault(pair.document, []).append(pair)
    swapped = 0
    for index, group in by_document.items():
        *rest, last = group
        if index >= 5000:  # one sentence, alone or left over
            assert last.label == SWAPPED and last.crosses_documents
            assert list(last.first) == documents[index][-1]
        else:
            rest = group
        assert len(rest) == (index < 5000 or index >= 10_000)
        for pair in rest:
            assert not pair.crosses_documents
            swapped += pair.label == SWAPPED
    assert_plausible(swapped, 10_000, 0.5)
