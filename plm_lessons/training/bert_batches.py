"""Batches for the pre-training of BERT: masked sentence pairs, in ten copies made beforehand.

Letters: B batch, S sequence length, P positions predicted.

Source: BERT (arXiv:1810.04805v2), section 3.1; google-research/bert, create_pretraining_data.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count

import torch
from tokenizers import Tokenizer
from torch import Tensor

from plm_lessons.checks import check_sizes, check_whole
from plm_lessons.objectives.checks import check_kind
from plm_lessons.objectives.draws import seeded
from plm_lessons.objectives.dynamic_masking import generator_of_copy
from plm_lessons.objectives.masking import MaskedBatch, candidate_positions, gather_masked, mask_tokens
from plm_lessons.objectives.sentence_pairs import (
    Document,
    SentencePair,
    SentencePairBatch,
    next_sentence_pairs,
    pair_batch,
)
from plm_lessons.tokenization import token_id
from plm_lessons.training.large_batches import Batch


def framed_pairs(
    pairs: Sequence[SentencePair], tokenizer: Tokenizer, max_length: int | None = None
) -> SentencePairBatch:
    """Apply `pair_batch` with the tokenizer's ids of [CLS], [SEP] and padding."""
    return pair_batch(
        pairs,
        cls_token_id=token_id(tokenizer, "[CLS]"),
        sep_token_id=token_id(tokenizer, "[SEP]"),
        pad_token_id=token_id(tokenizer, "[PAD]", "<pad>"),
        max_length=max_length,
    )


def bert_pairs(
    documents: Sequence[Document], tokenizer: Tokenizer, max_length: int, generator: torch.Generator
) -> SentencePairBatch:
    """Make one batch of all next-sentence pairs of documents (document -> sentence -> ids), padded to `max_length`."""
    pairs = next_sentence_pairs(documents, max_length=max_length, generator=generator)
    return framed_pairs(pairs, tokenizer, max_length)


def mask_pairs(pairs: SentencePairBatch, tokenizer: Tokenizer, generator: torch.Generator) -> MaskedBatch:
    """Mask every row of `pairs` as BERT does: see `objectives.masking.mask_tokens`."""
    check_kind("pairs", pairs, SentencePairBatch)
    special = [token_id(tokenizer, token) for token in ("[PAD]", "[CLS]", "[SEP]")]
    return mask_tokens(
        pairs.input_ids,
        candidate_positions(pairs.input_ids, special, pairs.attention_mask),
        attention_mask=pairs.attention_mask,
        mask_token_id=token_id(tokenizer, "[MASK]"),
        vocab_size=tokenizer.get_vocab_size(),
        generator=generator,
    )


def bert_batch(pairs: SentencePairBatch, masked: MaskedBatch, rows: Tensor) -> Batch:
    """Make a batch of some rows of the masked pairs, cut to the longest of these rows.

    Returns:
        `input_ids`, `attention_mask`, `token_type_ids` [B, S]; `masked_positions`, `labels` [B, P];
        `next_sentence_label` [B].
    """
    attention_mask = pairs.attention_mask[rows]
    length = int(attention_mask.sum(dim=1).max())  # the columns after it hold only padding
    masked_positions, labels = gather_masked(masked.labels[rows])
    return {
        "input_ids": masked.input_ids[rows, :length],
        "attention_mask": attention_mask[:, :length],
        "token_type_ids": pairs.token_type_ids[rows, :length],
        "masked_positions": masked_positions,
        "labels": labels,
        "next_sentence_label": pairs.labels[rows],
    }


def bert_batches(
    documents: Sequence[Document],
    tokenizer: Tokenizer,
    *,
    max_length: int,
    batch_size: int,
    seed: int = 0,
    copies: int = 10,
    epochs: Iterable[int] | None = None,
) -> Iterator[Batch]:
    """Yield batches, epoch after epoch.

    As in the reference code, the data exist in ten copies, each with its own pairs and masks, used in turn: epoch e
    reads copy e mod 10. Nothing is stored: each copy is made anew from (seed, copy).

    Args:
        documents: document -> sentence -> token ids.
        max_length: S, the largest number of tokens in a row.
        batch_size: B; the last batch of an epoch may be smaller.
        seed: Fixes pairs, masks and order.
        copies: The number of copies of the data.
        epochs: The epochs to make; None means 0, 1, 2 ... without end.
    """

    def make_copy(generator: torch.Generator) -> tuple[SentencePairBatch, MaskedBatch]:
        pairs = bert_pairs(documents, tokenizer, max_length, generator)
        return pairs, mask_pairs(pairs, tokenizer, generator)

    for pairs, masked, rows in rows_of_copies(
        make_copy, batch_size=batch_size, seed=seed, copies=copies, epochs=epochs
    ):
        yield bert_batch(pairs, masked, rows)


def rows_of_copies(
    make_copy: Callable[[torch.Generator], tuple[SentencePairBatch, MaskedBatch]],
    *,
    batch_size: int,
    seed: int,
    copies: int,
    epochs: Iterable[int] | None = None,
) -> Iterator[tuple[SentencePairBatch, MaskedBatch, Tensor]]:
    """Yield, epoch after epoch, the current copy and the rows of each batch, in a new order for each epoch.

    Args:
        make_copy: Draws the pairs and masks of a copy from a generator; the same state must give the same ones.
        batch_size, seed, copies, epochs: As for `bert_batches`.
    """
    check_sizes(batch_size=batch_size, copies=copies)
    for epoch in epoch_numbers(epochs):
        pairs, masked = make_copy(generator_of_copy(seed, copies, epoch))
        order = torch.randperm(len(pairs.labels), generator=seeded(int(seed) + epoch))
        for rows in order.split(batch_size):
            yield pairs, masked, rows


def epoch_numbers(epochs: Iterable[int] | None) -> Iterator[int]:
    """Yield the epochs to make, checking each; None means 0, 1, 2 ... without end."""
    if epochs is not None and not isinstance(epochs, Iterable):
        raise ValueError(f"epochs={epochs!r:.80}: must be the numbers of the epochs, such as range(3), or None")
    for epoch in count() if epochs is None else epochs:
        check_whole("epochs", epoch)
        yield epoch
