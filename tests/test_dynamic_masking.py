"""Dynamic masking: a row's mask depends on (seed, epoch, index) and on nothing else, and no two of them are alike.

The statistical tests hold for any seed: see `assert_plausible`.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from chance import assert_plausible, seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from plm_lessons.objectives import (
    IGNORE_INDEX,
    MaskedBatch,
    RowGenerators,
    choose_positions,
    dynamic_mask,
    mask_tokens,
    static_copy,
)

VOCAB_SIZE, MASK = 50, 4
METHODS: list[dict[str, Any]] = [
    {"max_predictions": 4},
    {"selection": "rounded"},
    {"selection": "bernoulli"},
    {"word_ids": True},
    {"word_ids": True, "max_ngram": 3, "selection": "rounded"},
]


def mask(ids: torch.Tensor, indices: list[int], epoch: int = 0, seed: int = 0, **masking: Any) -> MaskedBatch:
    """Mask rows without special tokens, padded with 0 on the right."""
    attention_mask = ids != 0
    if masking.pop("word_ids", False):  # words of two tokens
        numbers = torch.arange(ids.shape[1]).expand_as(ids) // 2
        masking["word_ids"] = numbers.masked_fill(~attention_mask, -1)
    arguments: dict[str, Any] = {"attention_mask": attention_mask, "mask_token_id": MASK, "vocab_size": VOCAB_SIZE}
    return dynamic_mask(ids, attention_mask, indices, epoch=epoch, seed=seed, **(arguments | masking))


GOLDEN_NUMBERS = [0.6704722626516632, 0.1110146366693816, 0.5115090823948739, 0.35617642615752443]
GOLDEN_POSITIONS = [1, 8, 17, 18, 30]

numbers = st.integers(0, 2**32 - 1)


@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    data=st.data(),
    seed=numbers,
    epoch=numbers,
    method=st.sampled_from(METHODS),
)
@settings(deadline=None, max_examples=80)
def test_neither_the_batch_nor_the_padding_matters(
    lengths: list[int], data: st.DataObject, seed: int, epoch: int, method: dict[str, Any]
) -> None:
    indices = data.draw(st.lists(numbers, min_size=len(lengths), max_size=len(lengths)))
    ids = torch.randint(5, VOCAB_SIZE, (len(lengths), 45), generator=seeded(epoch))
    ids[torch.arange(45) >= torch.tensor(lengths)[:, None]] = 0
    together = mask(ids, indices, epoch, seed, **method)
    order = data.draw(st.permutations(range(len(lengths))))
    shuffled = mask(ids[list(order)], [indices[row] for row in order], epoch, seed, **method)
    for row, length in enumerate(lengths):
        alone = mask(ids[row : row + 1, :length], indices[row : row + 1], epoch, seed, **method)
        for one, all_rows, other in zip(alone, together, shuffled, strict=True):
            assert torch.equal(one[0], all_rows[row, :length])
            assert torch.equal(all_rows[row], other[order.index(row)])


@pytest.mark.parametrize(
    ("seed", "epoch", "shift"), [(8, 3, 0), (7, 4, 0), (7, 3, 1), (3, 7, 0), (8, 2, 0), (6, 3, 1), (7, 3 + 2**16, 0)]
)
def test_neighbours_have_nothing_in_common(seed: int, epoch: int, shift: int) -> None:
    rows, length, rate = 1000, 100, 0.3
    ids = torch.full((rows, length), 5)
    method: dict[str, Any] = {"masking_rate": rate, "selection": "bernoulli", "mask_share": 0.0, "random_share": 1.0}
    one = mask(ids, list(range(rows)), epoch=3, seed=7, **method)
    other = mask(ids, list(range(shift, rows + shift)), epoch=epoch, seed=seed, **method)
    chosen, chosen_again = one.labels != IGNORE_INDEX, other.labels != IGNORE_INDEX
    both = chosen & chosen_again
    assert_plausible(int(both.sum()), rows * length, rate**2, checks=4)
    same = one.input_ids[both] == other.input_ids[both]
    assert_plausible(int(same.sum()), len(same), 1 / VOCAB_SIZE, checks=4)
    # Nor are they the same numbers a few positions further on.
    for places in (1, 2):
        moved = chosen[:, places:] & chosen_again[:, :-places]
        assert_plausible(int(moved.sum()), moved.numel(), rate**2, checks=4)


def test_in_one_row_over_many_epochs_every_position_and_every_fate_has_its_share() -> None:
    epochs, length = 10_000, 20
    generator = RowGenerators(5, 6, range(epochs))
    chosen = choose_positions(torch.ones(epochs, length).bool(), attention_mask=None, generator=generator)
    for count in chosen.sum(dim=0).tolist():
        assert_plausible(count, epochs, 3 / length, checks=length + 3)

    ids = torch.randint(5, VOCAB_SIZE, (1, 128), generator=seeded())
    masked = [mask(ids, [9], epoch) for epoch in range(1000)]
    corrupted, labels = (torch.cat(tensors) for tensors in zip(*masked, strict=True))
    where = labels != IGNORE_INDEX
    trials = int(where.sum())
    assert trials == 19 * 1000
    is_mask, is_same = int((corrupted[where] == MASK).sum()), int((corrupted == labels).sum())
    assert_plausible(is_mask, trials, 0.8 + 0.1 / VOCAB_SIZE, checks=length + 3)
    assert_plausible(is_same, trials, 0.1 + 0.1 / VOCAB_SIZE, checks=length + 3)
    random_ids = corrupted[where & (corrupted != MASK) & (corrupted != labels)]
    assert set(random_ids.tolist()) == set(range(VOCAB_SIZE)) - {MASK}


def test_masks_met_in_forty_epochs() -> None:
    rows, epochs = 8, range(40)
    ids = torch.randint(5, VOCAB_SIZE, (rows, 128), generator=seeded())
    arguments: dict[str, Any] = {"attention_mask": None, "mask_token_id": MASK, "vocab_size": VOCAB_SIZE}
    static = [static_copy(ids, ids != 0, epoch=epoch, seed=1, **arguments).labels for epoch in epochs]
    dynamic = [mask(ids, list(range(rows)), epoch=epoch, seed=1).labels for epoch in epochs]
    for labels_by_epoch, distinct in ((static, 10), (dynamic, 40)):
        met = [len({tuple(labels[row].tolist()) for labels in labels_by_epoch}) for row in range(rows)]
        assert met == [distinct] * rows


@pytest.mark.parametrize("copies", [1, 8, 10, 40])
def test_seeds_that_are_far_apart_give_other_copies_too(copies: int) -> None:
    """torch's generator uses only the last 32 bits of its seed."""
    ids = torch.randint(5, VOCAB_SIZE, (8, 128), generator=seeded())
    arguments: dict[str, Any] = {"attention_mask": None, "mask_token_id": MASK, "vocab_size": VOCAB_SIZE}
    seeds = (0, 2**29, 2**30, 2**31, 2**32 - 1)
    labels = {
        (seed, epoch): static_copy(ids, ids != 0, epoch=epoch, seed=seed, copies=copies, **arguments).labels
        for seed in seeds
        for epoch in range(min(copies, 2))
    }
    assert len({tuple(found.flatten().tolist()) for found in labels.values()}) == len(labels)


def test_the_masks_are_the_same_everywhere() -> None:
    """On every machine and in every process; a change here would change every run that is repeated."""
    numbers = RowGenerators(1, 2, [3]).uniform((1, 4))
    torch.testing.assert_close(numbers, torch.tensor([GOLDEN_NUMBERS], dtype=torch.float64), rtol=0, atol=1e-12)
    labels = mask(torch.arange(5, 37)[None], [3], epoch=2, seed=1).labels[0]
    assert (labels != IGNORE_INDEX).nonzero().flatten().tolist() == GOLDEN_POSITIONS
    ids = torch.arange(5, 37)[None]
    arguments: dict[str, Any] = {"attention_mask": None, "mask_token_id": MASK, "vocab_size": VOCAB_SIZE}
    copy = static_copy(ids, ids != 0, epoch=13, seed=2, **arguments)
    drawn = mask_tokens(ids, ids != 0, generator=torch.Generator().manual_seed(23), **arguments)
    assert torch.equal(copy.labels, drawn.labels) and torch.equal(copy.input_ids, drawn.input_ids)


@pytest.mark.parametrize(("length", "low", "share"), [(128, 19, 0.2), (3, 0, 0.45), (20, 3, 0.0)])
def test_the_count_is_rounded_by_chance(length: int, low: int, share: float) -> None:
    rows = 2000
    ids = torch.full((rows, length), 5)
    counts = (mask(ids, list(range(rows)), selection="rounded").labels != IGNORE_INDEX).sum(dim=1)
    assert set(counts.tolist()) == ({low, low + 1} if share else {low})
    if share:
        assert_plausible(int((counts > low).sum()), rows, share)
    capped = mask(ids, list(range(rows)), selection="rounded", max_predictions=1).labels != IGNORE_INDEX
    assert torch.equal(capped.sum(dim=1), counts.clamp(max=1))


@pytest.mark.parametrize("random_token_ids", [range(5, VOCAB_SIZE, 7), torch.arange(5, VOCAB_SIZE, 7)])
def test_random_tokens_come_evenly_from_those_allowed(random_token_ids: Any) -> None:
    ids = torch.full((500, 40), 6)
    masked = mask(ids, list(range(500)), mask_share=0.0, random_share=1.0, random_token_ids=random_token_ids)
    drawn = masked.input_ids[masked.labels != IGNORE_INDEX]
    allowed = [5, 12, 19, 26, 33, 40, 47]
    for token in allowed:
        assert_plausible(int((drawn == token).sum()), len(drawn), 1 / 7, checks=7)
    assert torch.isin(drawn, torch.tensor(allowed)).all()
