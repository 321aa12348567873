"""RoBERTa's four input formats: what may share a row or cross the border of a document, and that nothing is lost.

In most documents here the tokens are numbered: every token of the collection has a different id, so a row shows where
its text comes from. The statistical tests hold for any seed: see `assert_plausible`.
"""

from __future__ import annotations

from collections import Counter

import torch
from chance import assert_plausible, numbered, seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from plm_lessons.objectives import (
    IS_NEXT,
    IS_RANDOM,
    PackedRow,
    SentencePair,
    doc_sentences,
    full_sentences,
    packed_batch,
    single_sentence_pairs,
)

CLS, SEP, PAD = 900_000, 900_001, 900_002
shapes_of_documents = st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=8), min_size=1, max_size=6)


@given(shapes=shapes_of_documents, max_length=st.integers(3, 40))
@settings(deadline=None, max_examples=300)
def test_packed_rows_hold_every_token_once(shapes: list[list[int]], max_length: int) -> None:
    documents, room = numbered(shapes), max_length - 2
    source = {token: index for index, document in enumerate(documents) for sentence in document for token in sentence}
    # Where a row may begin: at a sentence, and, in one that is longer than a row, after each full row of it.
    starts = {
        token: sentence[place : place + room]
        for document in documents
        for sentence in document
        for place, token in enumerate(sentence)
        if place % room == 0
    }
    whole = full_sentences(documents, max_length=max_length, sep_token_id=SEP)
    single = doc_sentences(documents, max_length=max_length)
    for rows in (whole, single):
        read = [token for row in rows for token in row.tokens if token != SEP]
        assert read == list(range(len(source))), "every token once, in order"
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            assert 1 <= len(row.tokens) <= room
            assert row.tokens[0] in starts and row.tokens[-1] != SEP
            assert list(row.documents) == sorted({source[token] for token in row.tokens if token != SEP})
            assert row.crosses_documents == (len(row.documents) > 1)
            if following is not None:
                other_document = source[following.tokens[0]] != row.documents[-1]
                if rows is whole or not other_document:
                    needed = len(starts[following.tokens[0]]) + other_document
                    assert len(row.tokens) + needed > room, "a row ends only where the next sentence does not fit"
    for row in whole:  # a separator at each border of documents, and nowhere else
        for place in range(1, len(row.tokens)):
            before, here = row.tokens[place - 1], row.tokens[place]
            if here == SEP:
                assert source[before] != source[row.tokens[place + 1]]
            elif before != SEP:
                assert source[before] == source[here]
    assert not any(row.crosses_documents or SEP in row.tokens for row in single)


def test_an_example_of_each_packing() -> None:
    documents = [[[10, 11], [12]], [[20]], [[30, 31, 32, 33, 34, 35]]]
    assert full_sentences(documents, max_length=7, sep_token_id=3) == [
        PackedRow((10, 11, 12, 3, 20), (0, 1)),
        PackedRow((30, 31, 32, 33, 34), (2,)),
        PackedRow((35,), (2,)),
    ]
    assert [row.tokens for row in doc_sentences(documents, max_length=7)] == [
        (10, 11, 12),
        (20,),
        (30, 31, 32, 33, 34),
        (35,),
    ]


def test_packed_batch() -> None:
    rows = [PackedRow((10, 11, 3, 20), (0, 1)), PackedRow((30,), (2,))]
    batch = packed_batch(rows, cls_token_id=0, sep_token_id=3, pad_token_id=1)
    assert batch.input_ids.tolist() == [[0, 10, 11, 3, 20, 3], [0, 30, 3, 1, 1, 1]]
    assert batch.attention_mask.tolist() == [[1] * 6, [1, 1, 1, 0, 0, 0]]
    assert {tensor.dtype for tensor in batch} == {torch.int64}
    wider = packed_batch(rows, cls_token_id=0, sep_token_id=3, pad_token_id=1, max_length=9)
    assert wider.input_ids.shape == (2, 9) and wider.attention_mask.sum() == 9


@given(
    shapes=st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=8), min_size=2, max_size=5),
    max_length=st.integers(5, 30),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=200)
def test_single_sentences_are_each_used_once(shapes: list[list[int]], max_length: int, seed: int) -> None:
    documents, room = numbered(shapes), max_length - 3
    pairs = single_sentence_pairs(documents, max_length=max_length, generator=seeded(seed))
    assert pairs == single_sentence_pairs(documents, max_length=max_length, generator=seeded(seed))
    place_of = {
        token: (index, place)
        for index, document in enumerate(documents)
        for place, sentence in enumerate(document)
        for token in sentence
    }
    used = []
    for pair in pairs:
        (index, place), (other, other_place) = place_of[pair.first[0]], place_of[pair.second[0]]
        assert (pair.document, pair.second_document) == (index, other)
        assert pair.crosses_documents == (index != other)
        sentences = documents[index][place], documents[other][other_place]
        for segment, sentence in zip((pair.first, pair.second), sentences, strict=True):
            kept = sentence.index(segment[0])
            assert list(segment) == sentence[kept : kept + len(segment)], "a stretch of one sentence"
        total = sum(map(len, sentences))
        assert len(pair.first) + len(pair.second) == min(total, room), "cut only as far as it must be"
        used.append((index, place))
        if pair.label == IS_NEXT:
            assert (other, other_place) == (index, place + 1)
            used.append((other, other_place))
        else:
            assert pair.label == IS_RANDOM and other != index
    assert used == [(index, place) for index, document in enumerate(documents) for place in range(len(document))]


def test_half_of_the_first_single_sentences_have_their_next_one() -> None:
    count = 20_000
    pairs = single_sentence_pairs(numbered([[1, 1]] * count), max_length=8, generator=seeded(1))
    first_pairs: dict[int, SentencePair] = {}
    for pair in pairs:
        first_pairs.setdefault(pair.document, pair)
    assert_plausible(sum(pair.label == IS_NEXT for pair in first_pairs.values()), count, 0.5)


def test_random_single_sentences_come_evenly_from_the_other_documents() -> None:
    runs = 5000
    documents = numbered([[1], [1, 1, 1], [1], [1]])  # the only sentence of document 0 always gets a random partner
    found: Counter[int] = Counter()
    for seed in range(runs):
        found[single_sentence_pairs(documents, max_length=8, generator=seeded(seed))[0].second[0]] += 1
    assert set(found) == {1, 2, 3, 4, 5}
    for token, probability in {1: 1 / 9, 2: 1 / 9, 3: 1 / 9, 4: 1 / 3, 5: 1 / 3}.items():
        assert_plausible(found[token], runs, probability, checks=5)
