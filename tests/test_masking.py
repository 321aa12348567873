"""BERT's masking: how many tokens, which ones, what becomes of them, and what stays untouched.

The statistical tests hold for any seed: see `assert_plausible`.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import pytest
import torch
from chance import assert_plausible, seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from plm_lessons.objectives import (
    IGNORE_INDEX,
    candidate_positions,
    choose_positions,
    corrupt_positions,
    gather_masked,
    mask_tokens,
    prediction_count,
    static_copy,
)

PAD, CLS, SEP, MASK = 0, 2, 3, 4


def text_batch(rows: int, length: int, vocab_size: int) -> torch.Tensor:
    """[CLS] random words [SEP] random words [SEP], without padding; the words are ids from 5 up."""
    ids = torch.randint(5, vocab_size, (rows, length), generator=seeded(0))
    ids[:, 0], ids[:, length // 2], ids[:, -1] = CLS, SEP, SEP
    return ids


@st.composite
def padded_batches(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Rows [CLS] words [SEP] and padding, of any lengths (or no rows at all), their attention mask, the vocabulary."""
    vocab_size = draw(st.integers(6, 40))
    lengths = draw(st.lists(st.integers(0, 30), max_size=6))
    width = max(lengths, default=0) + draw(st.integers(0, 3))
    word = st.integers(1, vocab_size - 1)  # [UNK], [MASK] and the rest may occur in a text
    rows = []
    for length in lengths:
        tokens = draw(st.lists(word, min_size=length, max_size=length))
        if length >= 2:
            tokens[0], tokens[-1] = CLS, SEP
        rows.append(tokens + [PAD] * (width - length))
    ids = torch.tensor(rows, dtype=torch.int64).reshape(len(rows), width)
    attention_mask = torch.arange(width) < torch.tensor(lengths, dtype=torch.int64)[:, None]
    return ids, attention_mask, vocab_size


shares = st.floats(0, 1)


@given(
    batch=padded_batches(),
    seed=st.integers(0, 2**32),
    masking_rate=shares,
    mask_share=shares,
    rest=shares,
    cap=st.none() | st.integers(1, 8),
    selection=st.sampled_from(["fixed_count", "bernoulli"]),
)
@settings(deadline=None, max_examples=200)
def test_whatever_is_drawn(
    batch: tuple[torch.Tensor, torch.Tensor, int],
    seed: int,
    masking_rate: float,
    mask_share: float,
    rest: float,
    cap: int | None,
    selection: str,
) -> None:
    ids, attention_mask, vocab_size = batch
    original = ids.clone()
    candidates = candidate_positions(ids, [PAD, CLS, SEP], attention_mask)
    arguments: dict[str, Any] = {
        "attention_mask": attention_mask,
        "mask_token_id": MASK,
        "vocab_size": vocab_size,
        "masking_rate": masking_rate,
        "mask_share": mask_share,
        "random_share": rest * (1 - mask_share),
        "max_predictions": cap if selection == "fixed_count" else None,
        "selection": selection,
    }
    masked = mask_tokens(ids, candidates, generator=seeded(seed), **arguments)
    chosen = masked.labels != IGNORE_INDEX

    assert torch.equal(ids, original), "the input is not written to"
    assert not (chosen & ~candidates).any(), "special tokens and padding are never chosen"
    assert torch.equal(masked.input_ids[~chosen], ids[~chosen]), "what was not chosen is untouched"
    assert torch.equal(torch.where(chosen, masked.labels, masked.input_ids), ids), "the original can be put back"
    assert ((masked.input_ids >= 0) & (masked.input_ids < vocab_size)).all()
    if selection == "fixed_count":
        for row in range(len(ids)):  # the rule of the reference code, for one row at a time
            tokens = [token for token, on in zip(ids[row].tolist(), attention_mask[row].tolist(), strict=True) if on]
            eligible = [token for token in tokens if token not in (PAD, CLS, SEP)]
            wanted = max(1, round(len(tokens) * masking_rate))
            wanted = wanted if cap is None else min(cap, wanted)
            assert chosen[row].sum() == min(wanted, len(eligible))

    again = mask_tokens(ids, candidates, generator=seeded(seed), **arguments)
    assert torch.equal(masked.input_ids, again.input_ids) and torch.equal(masked.labels, again.labels)


@pytest.mark.parametrize(("length", "cap", "count"), [(128, 20, 19), (128, None, 19), (512, 80, 77), (512, 20, 20)])
def test_published_lengths(length: int, cap: int | None, count: int) -> None:
    ids = text_batch(8, length, 1000)
    masked = mask_tokens(
        ids,
        candidate_positions(ids, [CLS, SEP]),
        attention_mask=None,
        mask_token_id=MASK,
        vocab_size=1000,
        generator=seeded(),
        max_predictions=cap,
    )
    assert (masked.labels != IGNORE_INDEX).sum(dim=1).tolist() == [count] * 8


def test_halves_are_rounded_to_the_even_neighbour() -> None:
    assert [prediction_count(length) for length in (1, 3, 10, 30, 50)] == [
        1,
        1,
        2,
        4,
        8,
    ]  # 1.5 -> 2, 4.5 -> 4, 7.5 -> 8


def test_eighty_ten_ten() -> None:
    vocab_size, rows, length = 1000, 5000, 128
    ids = text_batch(rows, length, vocab_size)
    masked = mask_tokens(
        ids,
        candidate_positions(ids, [CLS, SEP]),
        attention_mask=None,
        mask_token_id=MASK,
        vocab_size=vocab_size,
        generator=seeded(1),
    )
    chosen = masked.labels != IGNORE_INDEX
    trials = int(chosen.sum())
    assert trials == 19 * rows
    # The random token is [MASK] once in `vocab_size` draws, and the original token just as often.
    is_mask = int((masked.input_ids[chosen] == MASK).sum())
    is_same = int((masked.input_ids[chosen] == ids[chosen]).sum())
    assert_plausible(is_mask, trials, 0.8 + 0.1 / vocab_size, checks=3)
    assert_plausible(is_same, trials, 0.1 + 0.1 / vocab_size, checks=3)
    assert_plausible(trials - is_mask - is_same, trials, 0.1 * (1 - 2 / vocab_size), checks=3)


def test_random_tokens_come_evenly_from_the_whole_vocabulary() -> None:
    vocab_size = 40
    ids = text_batch(2000, 64, vocab_size)
    chosen = candidate_positions(ids, [CLS, SEP])
    masked = corrupt_positions(
        ids, chosen, mask_token_id=MASK, vocab_size=vocab_size, generator=seeded(2), mask_share=0.0, random_share=1.0
    )
    drawn = masked.input_ids[chosen]
    for count in torch.bincount(drawn, minlength=vocab_size).tolist():  # special tokens too
        assert_plausible(count, len(drawn), 1 / vocab_size, checks=vocab_size + 1)
    assert_plausible(int((drawn == ids[chosen]).sum()), len(drawn), 1 / vocab_size, checks=vocab_size + 1)


def test_every_set_of_positions_is_equally_likely() -> None:
    rows = 60_000
    candidates = torch.tensor([[False, True, True, True, False, True, True, True]]).expand(rows, -1)
    chosen = choose_positions(candidates, attention_mask=None, generator=seeded(3), masking_rate=0.25)  # 2 of 6
    sets = list(combinations([1, 2, 3, 5, 6, 7], 2))
    for first, second in sets:
        count = int((chosen[:, first] & chosen[:, second]).sum())
        assert_plausible(count, rows, 1 / len(sets), checks=len(sets))


def test_every_position_of_a_long_row_is_equally_likely() -> None:
    rows, length = 20_000, 128
    candidates = torch.ones(rows, length, dtype=torch.bool)
    chosen = choose_positions(candidates, attention_mask=None, generator=seeded(4))
    for count in chosen.sum(dim=0).tolist():
        assert_plausible(count, rows, 19 / length, checks=length)


def test_bernoulli_chooses_each_candidate_by_itself() -> None:
    rows, length, rate = 60_000, 6, 0.15
    candidates = torch.ones(rows, length, dtype=torch.bool)
    chosen = choose_positions(
        candidates, attention_mask=None, generator=seeded(5), masking_rate=rate, selection="bernoulli"
    )
    for number, count in enumerate(torch.bincount(chosen.sum(dim=1), minlength=length + 1).tolist()):
        expected = math.comb(length, number) * rate**number * (1 - rate) ** (length - number)
        assert_plausible(count, rows, expected, checks=2 * length + 2)
    for count in chosen.sum(dim=0).tolist():
        assert_plausible(count, rows, rate, checks=2 * length + 2)
    assert_plausible(int(chosen.sum()), rows * length, rate, checks=2 * length + 2)


def test_padding_does_not_count_towards_the_length() -> None:
    ids = torch.full((1, 100), PAD)
    ids[0, :20] = torch.arange(5, 25)
    attention_mask = (ids != PAD).long()
    candidates = candidate_positions(ids, [PAD], attention_mask)
    chosen = choose_positions(candidates, attention_mask=attention_mask, generator=seeded())
    assert chosen.sum() == 3  # 15% of 20, not of 100


def test_other_seeds_give_other_masks() -> None:
    ids = text_batch(16, 128, 1000)
    candidates = candidate_positions(ids, [CLS, SEP])
    one, other = (choose_positions(candidates, attention_mask=None, generator=seeded(seed)) for seed in (0, 1))
    assert (one != other).any(dim=1).all()  # two rows agree with a chance of 1 in C(125, 19), about 1e22


def test_static_copies_come_round_every_ten_epochs() -> None:
    ids = text_batch(16, 128, 1000)
    candidates = candidate_positions(ids, [CLS, SEP])

    def labels(epoch: int, seed: int) -> torch.Tensor:
        arguments: dict[str, Any] = {"attention_mask": None, "mask_token_id": MASK, "vocab_size": 1000}
        return static_copy(ids, candidates, epoch=epoch, seed=seed, **arguments).labels

    distinct = [labels(epoch, seed) for seed in (0, 1) for epoch in range(10)]
    for one, other in combinations(distinct, 2):
        assert (one != other).any(dim=1).all(), "ten copies a seed, and none in common with the next seed"
    for epoch in (0, 3, 9):
        assert torch.equal(labels(epoch + 10, 0), labels(epoch, 0))
        assert torch.equal(labels(epoch + 40, 0), labels(epoch, 0))


def test_candidates_without_special_tokens_and_padding() -> None:
    ids = torch.tensor([[CLS, 7, 1, SEP, 8, SEP, PAD]])
    expected = torch.tensor([[False, True, True, False, True, False, False]])
    assert torch.equal(candidate_positions(ids, [PAD, CLS, SEP]), expected)
    # Padding is told from the attention mask as well, whatever id fills it.
    assert torch.equal(candidate_positions(ids, [CLS, SEP], torch.tensor([[1, 1, 1, 1, 1, 1, 0]])), expected)


@given(
    st.integers(0, 5).flatmap(
        lambda width: st.lists(st.lists(st.sampled_from([IGNORE_INDEX, 0, 7]), min_size=width, max_size=width))
    )
)
@settings(deadline=None)
def test_gather_masked_finds_the_chosen_positions(rows: list[list[int]]) -> None:
    labels = torch.tensor(rows, dtype=torch.int64).reshape(len(rows), len(rows[0]) if rows else 0)
    found = [[(i, label) for i, label in enumerate(row) if label != IGNORE_INDEX] for row in rows]
    largest = max(map(len, found), default=0)
    positions, masked_labels = gather_masked(labels)
    filled = [pairs + [(0, IGNORE_INDEX)] * (largest - len(pairs)) for pairs in found]
    assert positions.shape == masked_labels.shape == (len(rows), largest)
    assert positions.tolist() == [[position for position, _ in row] for row in filled]
    assert masked_labels.tolist() == [[label for _, label in row] for row in filled]


def test_the_loss_on_gathered_positions_is_the_loss_on_all() -> None:
    ids = text_batch(4, 32, 50)
    candidates = candidate_positions(ids, [CLS, SEP])
    chosen = choose_positions(candidates, attention_mask=None, generator=seeded(6), selection="bernoulli")
    labels = ids.masked_fill(~chosen, IGNORE_INDEX)
    logits = torch.randn(4, 32, 50, generator=seeded(7))
    positions, masked_labels = gather_masked(labels)
    gathered = logits.gather(1, positions[:, :, None].expand(-1, -1, 50))
    loss = torch.nn.functional.cross_entropy  # ignores -100 by default
    torch.testing.assert_close(loss(gathered.flatten(0, 1), masked_labels.flatten()), loss(logits.mT, labels))


def test_the_default_type_does_not_change_the_masks() -> None:
    ids = torch.arange(200).reshape(2, 100)
    everything = torch.ones(ids.shape, dtype=torch.bool)

    def masked() -> tuple[torch.Tensor, ...]:
        batch = mask_tokens(ids, everything, attention_mask=None, mask_token_id=3, vocab_size=200, generator=seeded(0))
        return batch.input_ids, batch.labels

    expected = masked()
    for dtype in (torch.float64, torch.bfloat16):
        torch.set_default_dtype(dtype)
        try:
            found = masked()
        finally:
            torch.set_default_dtype(torch.float32)
        assert all(map(torch.equal, found, expected))
