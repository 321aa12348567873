"""Span corruption: how much becomes noise and where, and which inputs and targets result."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from itertools import combinations
from typing import Any

import pytest
import torch
from chance import assert_plausible, seeded
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from plm_lessons.objectives.draws import RowGenerators
from plm_lessons.objectives.masking import IGNORE_INDEX
from plm_lessons.objectives.span_corruption import (
    TextToText,
    bert_style,
    corrupt_spans,
    drop_tokens,
    iid_mask,
    mass_style,
    random_partition,
    sentinel_ids,
    span_counts,
    span_lengths,
    span_mask,
    text_to_text_batch,
)

EOS = 1
T5: dict[str, Any] = {"sentinels": sentinel_ids(), "eos_token_id": EOS}
WORDS = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week", "."]


def spans_of(mask: Tensor) -> list[tuple[int, int]]:
    """(start, end) of each stretch of noise, found by looking at every token."""
    flags, spans, start = [*mask.tolist(), False], [], None
    for place, is_noise in enumerate(flags):
        if is_noise and start is None:
            start = place
        if not is_noise and start is not None:
            spans.append((start, place))
            start = None
    return spans


def restored(example: TextToText, sentinels: range) -> list[int]:
    """The original text: each sentinel of the inputs is replaced by what follows it in the targets."""
    followers: dict[int, list[int]] = {}
    for token in example.targets[:-1]:
        if token in sentinels:
            assert token not in followers, "each sentinel once"
            followers[token] = []
        else:
            followers[list(followers)[-1]].append(token)
    text = []
    for token in example.inputs[:-1]:
        text += followers.pop(token) if token in sentinels else [token]
    assert list(followers.values()) in ([], [[]]), "only a final sentinel may be left"
    return text


# --- the example of the paper ---


def in_words(mask_words: set[str], corrupt: Any, **options: Any) -> tuple[str, str]:
    """Inputs and targets of the paper's sentence, with its letters for the sentinels, without end tokens."""
    names = dict(enumerate(WORDS, start=10)) | dict(zip(sentinel_ids(), ("<X>", "<Y>", "<Z>"), strict=False))
    mask = torch.tensor([word in mask_words for word in WORDS])
    example = corrupt(list(range(10, 10 + len(WORDS))), mask, **T5, **options)
    assert example.inputs[-1] == example.targets[-1] == EOS
    inputs, targets = (" ".join(names[token] for token in part[:-1]) for part in example)
    return inputs, targets


def test_the_example_of_the_paper() -> None:
    noise = {"for", "inviting", "last"}
    inputs, targets = "Thank you <X> me to your party <Y> week .", "<X> for inviting <Y> last <Z>"
    assert in_words(noise, corrupt_spans) == (inputs, targets)
    assert in_words(noise, corrupt_spans, final_sentinel=True) == (inputs, targets)
    assert sentinel_ids()[:3] == range(32_099, 32_096, -1) and sentinel_ids()[-1] == 32_000


def test_a_text_that_ends_in_noise_gets_a_final_sentinel_only_on_request() -> None:
    noise = {"you", ".", "week"}
    inputs, targets = "Thank <X> for inviting me to your party last <Y>", "<X> you <Y> week ."
    assert in_words(noise, corrupt_spans) == (inputs, targets)
    assert in_words(noise, corrupt_spans, final_sentinel=True) == (inputs, targets + " <Z>")
    # given masks may begin with noise, although random ones never do
    assert in_words({"Thank"}, corrupt_spans)[1] == "<X> Thank <Y>"


def test_the_alternatives_of_the_paper() -> None:
    noise, whole = {"for", "inviting", "last"}, " ".join(WORDS)
    assert in_words(noise, mass_style) == ("Thank you <X> <X> me to your party <X> week .", whole)
    assert in_words(noise, drop_tokens) == ("Thank you me to your party week .", "for inviting last")
    options = {"generator": seeded(), "random_token_ids": [17]}  # "party"
    masked = in_words(noise, bert_style, **options, random_share=0.0)
    assert masked == in_words(noise, mass_style)
    assert in_words(noise, bert_style, **options, random_share=1.0) == (
        "Thank you party party me to your party party week .",
        whole,
    )


def test_bert_style_makes_one_in_ten_random_and_draws_it_evenly() -> None:
    length, choice = 60_000, range(50, 60)
    mask = torch.arange(length) % 2 == 0
    tokens = [7] * length
    inputs = bert_style(tokens, mask, **T5, generator=seeded(), random_token_ids=choice).inputs
    found = Counter(inputs[0:length:2])
    assert set(inputs[1:length:2]) == {7} and set(found) == {sentinel_ids()[0], *choice}
    assert_plausible(length // 2 - found[sentinel_ids()[0]], length // 2, 0.1, checks=11)
    for token in choice:
        assert_plausible(found[token], length // 2, 0.01, checks=11)


def test_masks_of_zeros_and_ones_and_sentinels_in_a_tensor_make_the_same_plain_lists() -> None:
    text, mask = list(range(100, 160)), torch.arange(60) % 5 == 4
    for corrupt in (corrupt_spans, mass_style, drop_tokens, bert_style):

        def example(noise: Tensor, ids: Any, corrupt: Any = corrupt, tokens: Any = text) -> TextToText:
            more: dict[str, Any] = {"generator": seeded(), "random_token_ids": [17], "random_share": 0.5}
            more = more if corrupt is bert_style else {}
            return corrupt(tokens, noise, sentinels=ids, eos_token_id=EOS, **more)

        found = example(mask.float(), torch.tensor(sentinel_ids()))
        assert found == example(mask, sentinel_ids())
        assert found == example(mask, iter(sentinel_ids()), tokens=iter(text))
        assert {type(token) for part in found for token in part} == {int}


# --- how much ---


@pytest.mark.parametrize(("inputs_length", "length", "targets_length"), [(512, 568, 114), (128, 141, 29), (64, 70, 14)])
def test_lengths_are_those_of_the_reference_code(inputs_length: int, length: int, targets_length: int) -> None:
    assert span_lengths(inputs_length) == (length, targets_length)
    example = corrupt_spans(range(100, 100 + length), span_mask(length, generator=seeded()), **T5)
    assert (len(example.inputs), len(example.targets)) == (inputs_length, targets_length)
    longer = corrupt_spans(range(100, 101 + length), span_mask(length + 1, generator=seeded()), **T5)
    assert len(longer.inputs) > inputs_length


def test_a_text_of_hardly_anything_but_noise_may_be_very_long() -> None:
    length, targets_length = span_lengths(512, 0.999999, 1e9)
    assert length == 510_500_000 and targets_length == 1 + 1 + round(length * 0.999999)
    with pytest.raises(ValueError, match=r"noise_density=1\.0: must be below 1"):
        span_lengths(512, 1.0, 1e9)


@given(inputs_length=st.integers(3, 200), density=st.floats(0.01, 0.95), mean=st.floats(1, 9))
@example(4, 0.6, 1.5)
@example(6, 0.6642288416239932, 2.0)
@example(166, 0.8572553220969008, 6.005515124555745)
def test_no_longer_text_fits_the_inputs(inputs_length: int, density: float, mean: float) -> None:
    """This length is refused only if its own spans do not fit, whatever is true of shorter and longer ones."""

    def after(length: int) -> int:
        tokens = min(max(round(length * density), 1), length - 1)
        return length - tokens + max(round(tokens / mean), 1) + 1

    expected = next(length for length in itertools.count(2) if after(length + 1) > inputs_length)
    try:
        counts = span_counts(expected, density, mean)
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            span_lengths(inputs_length, density, mean)
    else:
        assert span_lengths(inputs_length, density, mean) == (expected, sum(counts) + 1)


def test_counts_are_rounded_with_at_least_one_token_on_either_side() -> None:
    assert span_counts(568) == (85, 28)
    assert span_counts(20) == (3, 1)
    assert span_counts(2) == (1, 1) and span_counts(2, 0.99) == (1, 1)
    assert span_counts(10) == (2, 1) and span_counts(30) == (4, 1)  # 1.5 and 4.5: halves to the even neighbour
    assert span_counts(100, 0.5, 10.0) == (50, 5)
    assert span_counts(100, 0.0) == (1, 1)


# --- where ---

settings_of_masks = st.tuples(st.integers(2, 300), st.floats(0, 0.6), st.floats(1.6, 12))


@given(settings_of_masks, st.integers(0, 2**32), st.booleans())
@settings(deadline=None, max_examples=150)
def test_whatever_is_drawn(shape: tuple[int, float, float], seed: int, final_sentinel: bool) -> None:
    length, noise_density, mean_span_length = shape
    options: dict[str, float] = {"noise_density": noise_density, "mean_span_length": mean_span_length}
    tokens, spans = span_counts(length, **options)
    mask = span_mask(length, generator=seeded(seed), **options)
    assert mask.shape == (length,) and mask.dtype == torch.bool
    assert mask.sum() == tokens == min(max(round(noise_density * length), 1), length - 1)
    assert len(spans_of(mask)) == spans == max(round(tokens / mean_span_length), 1)
    assert not mask[0] and mask[-1]
    assert torch.equal(mask, span_mask(length, generator=seeded(seed), **options))

    text = torch.randint(2, 31_900, (length,), generator=seeded(seed)).tolist()
    sentinels = sentinel_ids(num_sentinels=spans + final_sentinel)  # exactly as many as needed
    example = corrupt_spans(text, mask, sentinels=sentinels, eos_token_id=EOS, final_sentinel=final_sentinel)
    assert restored(example, sentinels) == text
    used = [token for token in example.inputs if token in sentinels]
    assert used == list(sentinels[:spans]), "in the order of their ids, from the top down"
    assert [token for token in example.targets if token in sentinels] == list(sentinels)
    assert len(example.inputs) == length - tokens + spans + 1
    assert len(example.targets) == tokens + spans + final_sentinel + 1


@given(st.lists(st.booleans(), min_size=1, max_size=40))
@settings(deadline=None)
def test_any_mask_can_be_undone(flags: list[bool]) -> None:
    text, mask = list(range(100, 100 + len(flags))), torch.tensor(flags)
    assert restored(corrupt_spans(text, mask, **T5), sentinel_ids()) == text
    kept, dropped = drop_tokens(text, mask, **T5)
    assert sorted([*kept[:-1], *dropped[:-1]]) == text and dropped[:-1] == [
        token for token, flag in zip(text, flags, strict=True) if flag
    ]
    masked = mass_style(text, mask, **T5)
    assert masked.targets[:-1] == text and len(masked.inputs) == len(text) + 1


@pytest.mark.parametrize(("total", "parts"), [(6, 3), (5, 1), (4, 4), (7, 2)])
def test_all_partitions_are_equally_likely(total: int, parts: int) -> None:
    trials, generator = 6_000, seeded(1)
    found = Counter(tuple(random_partition(total, parts, generator).tolist()) for _ in range(trials))
    every = [
        tuple(end - start for start, end in zip((0, *cuts), (*cuts, total), strict=True))
        for cuts in combinations(range(1, total), parts - 1)
    ]
    assert set(found) == set(every) and len(every) == math.comb(total - 1, parts - 1)
    if len(every) > 1:
        for partition in every:
            assert_plausible(found[partition], trials, 1 / len(every), checks=len(every))


def test_spans_of_one_token_are_as_frequent_as_partitions_have_them() -> None:
    """85 tokens in 28 spans: the first has length 1 with probability C(83, 26) / C(84, 27), which is 27 / 84."""
    trials, generator = 3_000, seeded(2)
    masks = [span_mask(568, generator=generator) for _ in range(trials)]
    lengths = [[end - start for start, end in spans_of(mask)] for mask in masks]
    assert {(len(row), sum(row)) for row in lengths} == {(28, 85)}
    for place in (0, 13, 27):
        assert_plausible(sum(row[place] == 1 for row in lengths), trials, 27 / 84, checks=4)
    # the stretches between are drawn too, not all of 17 tokens: the first has one token with probability 27 / 482
    assert_plausible(sum(bool(mask[1]) for mask in masks), trials, 27 / 482, checks=4)


def test_each_text_has_its_own_mask_in_each_epoch() -> None:
    def drawn(seed: int, epoch: int, index: int) -> list[bool]:
        return span_mask(100, generator=RowGenerators(seed, epoch, [index])).tolist()

    assert drawn(0, 3, 7) == drawn(0, 3, 7)
    assert len({tuple(drawn(*place)) for place in ((0, 3, 7), (1, 3, 7), (0, 4, 7), (0, 3, 8))}) == 4


def test_independent_noise_hits_each_token_with_its_probability() -> None:
    mask = iid_mask(40_000, generator=seeded(), noise_density=0.15)
    assert_plausible(int(mask.sum()), 40_000, 0.15, checks=2)
    both = int((mask[:-1] & mask[1:])[::2].sum())
    assert_plausible(both, 20_000, 0.15**2, checks=2)


# --- batches and errors ---


def test_a_batch_is_padded_on_the_right_and_padding_has_no_label() -> None:
    examples = [TextToText([5, 6, 7, EOS], [8, EOS]), TextToText([9, EOS], [5, 6, EOS])]
    batch = text_to_text_batch(examples, pad_token_id=0)
    assert batch.input_ids.tolist() == [[5, 6, 7, EOS], [9, EOS, 0, 0]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch.labels.tolist() == [[8, EOS, IGNORE_INDEX], [5, 6, EOS]]
    assert all(part.dtype == torch.int64 for part in batch)
