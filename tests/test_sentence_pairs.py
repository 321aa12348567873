"""Next-sentence pairs: what is next, what is random, what is cut, and that nothing is lost.

In most documents here the tokens are numbered: every token of the collection has a different id, so a segment shows
where it comes from. The statistical tests hold for any seed: see `assert_plausible`.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest
import torch
from chance import FALSE_ALARM, assert_plausible, numbered, seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from plm_lessons.objectives import IS_NEXT, IS_RANDOM, SentencePair, next_sentence_pairs, pair_batch

CLS, SEP, PAD = 2, 3, 0

Outcome = tuple[int, int, tuple[int, ...], tuple[int, ...]]  # document, label, first segment, second segment


def by_document(pairs: list[SentencePair], count: int) -> list[list[SentencePair]]:
    groups: list[list[SentencePair]] = [[] for _ in range(count)]
    for pair in pairs:
        groups[pair.document].append(pair)
    return groups


shapes_of_documents = st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=8), min_size=2, max_size=5)


@given(
    shapes=shapes_of_documents,
    max_length=st.integers(5, 60),
    short=st.sampled_from([0.0, 0.1, 1.0]),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=200)
def test_whatever_is_drawn(shapes: list[list[int]], max_length: int, short: float, seed: int) -> None:
    documents = numbered(shapes)
    spans = [(document[0][0], document[-1][-1]) for document in documents]
    room = max_length - 3
    arguments: dict[str, Any] = {"max_length": max_length, "short_sequence_probability": short}
    pairs = next_sentence_pairs(documents, generator=seeded(seed), **arguments)
    assert pairs == next_sentence_pairs(documents, generator=seeded(seed), **arguments)

    for pair in pairs:
        length = len(pair.first) + len(pair.second)
        assert pair.first and pair.second and length <= room
        for segment, index in ((pair.first, pair.document), (pair.second, pair.second_document)):
            assert list(segment) == list(range(segment[0], segment[-1] + 1)), "one unbroken stretch"
            assert spans[index][0] <= segment[0] and segment[-1] <= spans[index][1], "inside its document"
        if pair.label == IS_NEXT:
            assert pair.second_document == pair.document
            assert pair.second[0] > pair.first[-1]
            # Tokens may be missing between the two only if the pair had to be cut to fit.
            assert pair.second[0] == pair.first[-1] + 1 or length == room
        else:
            assert pair.label == IS_RANDOM
            assert pair.second_document != pair.document

    for (begin, end), group in zip(spans, by_document(pairs, len(documents)), strict=True):
        # Read along a document: its text comes once and in order, and only pairs that were cut leave holes.
        expected, cut_before = begin, False
        for pair in group:
            full = len(pair.first) + len(pair.second) == room
            assert pair.first[0] == expected or (pair.first[0] > expected and (full or cut_before))
            expected, cut_before = (pair.second if pair.label == IS_NEXT else pair.first)[-1] + 1, full
        assert expected == end + 1 or cut_before


@given(shapes=shapes_of_documents, short=st.sampled_from([0.0, 0.5, 1.0]), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=100)
def test_where_nothing_is_cut_every_sentence_is_used_once(shapes: list[list[int]], short: float, seed: int) -> None:
    documents = numbered(shapes)
    starts = {sentence[0] for document in documents for sentence in document}
    ends = {sentence[-1] for document in documents for sentence in document}
    room = 2 * 8 * 12  # room for any two documents
    pairs = next_sentence_pairs(
        documents, max_length=room + 3, generator=seeded(seed), short_sequence_probability=short
    )
    for pair in pairs:
        for segment in (pair.first, pair.second):
            assert segment[0] in starts and segment[-1] in ends, "segments are made of whole sentences"
    for document, group in zip(documents, by_document(pairs, len(documents)), strict=True):
        read = [token for pair in group for token in pair.first + (pair.second if pair.label == IS_NEXT else ())]
        assert read == [token for sentence in document for token in sentence]


def test_labels_follow_the_reference_code() -> None:
    assert (IS_NEXT, IS_RANDOM) == (0, 1)


def test_a_document_of_two_sentences() -> None:
    # Half of the time the two sentences are a pair. Otherwise the second goes back and, being alone, gets a random one.
    count = 20_000
    pairs = next_sentence_pairs(
        numbered([[4, 4]] * count), max_length=64, generator=seeded(1), short_sequence_probability=0
    )
    labels = Counter(tuple(pair.label for pair in group) for group in by_document(pairs, count))
    assert set(labels) == {(IS_NEXT,), (IS_RANDOM, IS_RANDOM)}
    assert_plausible(labels[(IS_NEXT,)], count, 0.5)


def test_a_single_sentence_never_has_a_next_one() -> None:
    pairs = next_sentence_pairs(numbered([[5]] * 50), max_length=16, generator=seeded())
    assert [pair.label for pair in pairs] == [IS_RANDOM] * 50


def test_half_of_the_first_pairs_are_next_ones_and_the_split_is_even() -> None:
    count, sentences = 20_000, 6
    documents = numbered([[2] * sentences] * count)
    pairs = next_sentence_pairs(documents, max_length=64, generator=seeded(2), short_sequence_probability=0)
    first_pairs = [group[0] for group in by_document(pairs, count)]
    assert_plausible(sum(pair.label == IS_NEXT for pair in first_pairs), count, 0.5, checks=sentences)
    splits = Counter(len(pair.first) // 2 for pair in first_pairs)
    assert set(splits) == set(range(1, sentences))
    for split in splits.values():
        assert_plausible(split, count, 1 / (sentences - 1), checks=sentences)


def test_random_segments_come_evenly_from_the_other_documents_and_their_sentences() -> None:
    here, sentences = 1, 5
    documents = numbered([[1] * sentences] * 4)
    sources: Counter[int] = Counter()
    starts: Counter[int] = Counter()
    trials = 0
    for seed in range(5000):
        pairs = next_sentence_pairs(documents, max_length=64, generator=seeded(seed), short_sequence_probability=0)
        found = [pair for pair in pairs if pair.document == here and pair.label == IS_RANDOM]
        if found:  # one per seed, so that the trials are independent
            trials += 1
            sources[found[0].second_document] += 1
            starts[found[0].second[0] % sentences] += 1
    for other in (0, 2, 3):
        assert_plausible(sources[other], trials, 1 / 3, checks=3 + sentences)
    for start in range(sentences):
        assert_plausible(starts[start], trials, 1 / sentences, checks=3 + sentences)


@pytest.mark.parametrize("short", [0.1, 1.0])
def test_some_documents_are_cut_short(short: float) -> None:
    count, room = 20_000, 20
    documents = numbered([[1] * 30] * count)  # one token per sentence, so a chunk has exactly the target length
    pairs = next_sentence_pairs(documents, max_length=room + 3, generator=seeded(4), short_sequence_probability=short)
    first_pairs = [group[0] for group in by_document(pairs, count)]
    targets = Counter(len(p.first) + len(p.second) for p in first_pairs if p.label == IS_NEXT)
    assert set(targets) == set(range(2, room + 1))
    for target in range(2, room + 1):  # a short target is drawn evenly from 2 to 20, the full length included
        expected = short / (room - 1) + (1 - short) * (target == room)
        assert_plausible(targets[target], sum(targets.values()), expected, checks=room)


@pytest.mark.parametrize(
    ("lengths", "room", "kept"),
    [((20, 30), 40, (20, 20)), ((30, 20), 41, (21, 20)), ((20, 20), 39, (20, 19)), ((25, 28), 41, (21, 20))],
)
def test_the_longer_segment_is_cut_at_both_ends(lengths: tuple[int, int], room: int, kept: tuple[int, int]) -> None:
    documents = numbered([list(lengths)] * 3000)
    pairs = next_sentence_pairs(documents, max_length=room + 3, generator=seeded(5), short_sequence_probability=0)
    following = [pair for pair in pairs if pair.label == IS_NEXT]
    cut_at_the_front = 0
    for pair in following:
        first, second = documents[pair.document]
        assert (len(pair.first), len(pair.second)) == kept
        cut_at_the_front += pair.first[0] - first[0] + pair.second[0] - second[0]
    assert_plausible(cut_at_the_front, (sum(lengths) - room) * len(following), 0.5)


def naive_pairs(documents: list[list[list[int]]], max_length: int, short: float, rng: random.Random) -> list[Outcome]:
    """The rule once more, written from its description, token by token, with Python's random numbers."""
    pairs: list[Outcome] = []
    for here in range(len(documents)):
        limit = max_length - 3
        goal = rng.randint(2, limit) if rng.random() < short else limit
        waiting = list(documents[here])
        while waiting:
            chunk = [waiting.pop(0)]
            while waiting and sum(map(len, chunk)) < goal:
                chunk.append(waiting.pop(0))
            cut = rng.choice(range(1, len(chunk))) if len(chunk) > 1 else 1
            a = [token for sentence in chunk[:cut] for token in sentence]
            rest = chunk[cut:]
            if rest and rng.random() >= 0.5:
                label, b = 0, [token for sentence in rest for token in sentence]
            else:
                label, b = 1, []
                waiting = rest + waiting
                away = rng.choice([index for index in range(len(documents)) if index != here])
                at = rng.randrange(len(documents[away]))
                while at < len(documents[away]) and (not b or len(a) + len(b) < goal):
                    b = b + documents[away][at]
                    at += 1
            while len(a) + len(b) > limit:
                longer = a if len(a) > len(b) else b
                longer.pop(0 if rng.random() < 0.5 else -1)
            pairs.append((here, label, tuple(a), tuple(b)))
    return pairs


def test_same_distribution_as_the_rule_written_naively() -> None:
    documents = numbered([[5, 3, 9, 4, 2, 6], [7, 2, 8], [1], [12, 4, 4]])
    runs, max_length, short = 20_000, 23, 0.5
    rng = random.Random(6)
    ours: Counter = Counter()
    naive: Counter = Counter()

    def count(statistics: Counter, pairs: list[Outcome]) -> None:
        group = [pair for pair in pairs if pair[0] == 0]
        statistics["pairs", len(group)] += 1
        statistics["labels", tuple(label for _, label, _, _ in group)] += 1
        for number, (_, label, first, second) in enumerate(group[:3]):
            statistics["lengths", number, label, len(first), len(second)] += 1
            statistics["total length", number, label, len(first) + len(second)] += 1
            statistics["first starts", number, first[0]] += 1
            statistics["second starts", number, second[0]] += 1

    for seed in range(runs):
        arguments: dict[str, Any] = {"max_length": max_length, "short_sequence_probability": short}
        pairs = next_sentence_pairs(documents, generator=seeded(seed), **arguments)
        count(ours, [(pair.document, pair.label, pair.first, pair.second) for pair in pairs])
        count(naive, naive_pairs(documents, max_length, short, rng))

    # Hoeffding on the difference of two shares of `runs` runs each: P(|difference| >= t) <= 2 exp(-runs * t**2).
    # There are fewer than 4,000 possible outcomes: 3 * 2 * 20 * 20 for the lengths, and some hundreds.
    bound = math.sqrt(math.log(2 * 4000 / FALSE_ALARM) / runs)
    for outcome in set(ours) | set(naive):
        assert abs(ours[outcome] - naive[outcome]) / runs < bound, outcome


def test_pair_batch() -> None:
    pairs = [SentencePair((11, 12), (13,), IS_NEXT, 0, 0), SentencePair((14,), (15,), IS_RANDOM, 1, 2)]
    batch = pair_batch(pairs, cls_token_id=CLS, sep_token_id=SEP, pad_token_id=PAD)
    assert batch.input_ids.tolist() == [[CLS, 11, 12, SEP, 13, SEP], [CLS, 14, SEP, 15, SEP, PAD]]
    assert batch.token_type_ids.tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]]
    assert batch.labels.tolist() == [0, 1]
    assert {tensor.dtype for tensor in batch} == {torch.int64}

    wider = pair_batch(pairs, cls_token_id=CLS, sep_token_id=SEP, pad_token_id=9, max_length=8)
    assert wider.input_ids.tolist() == [[CLS, 11, 12, SEP, 13, SEP, 9, 9], [CLS, 14, SEP, 15, SEP, 9, 9, 9]]
    assert wider.attention_mask.sum(dim=1).tolist() == [6, 5]
