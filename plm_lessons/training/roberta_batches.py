"""Batches for the pre-training of RoBERTa: rows packed with full sentences, masked anew each time they are read.

Letters: B batch, N rows of the data set, S sequence length, P positions predicted.

Source: RoBERTa (arXiv:1907.11692), sections 4.1 and 4.2; fairseq at commit 3d262bb, data/mask_tokens_dataset.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from tokenizers import Tokenizer

from plm_lessons.checks import check_whole
from plm_lessons.objectives.checks import check_kind
from plm_lessons.objectives.draws import check_seed, seeded
from plm_lessons.objectives.dynamic_masking import dynamic_mask
from plm_lessons.objectives.input_formats import PackedBatch, full_sentences, packed_batch
from plm_lessons.objectives.masking import candidate_positions, gather_masked
from plm_lessons.objectives.sentence_pairs import Document, check_documents
from plm_lessons.tokenization import token_id
from plm_lessons.training.bert_batches import epoch_numbers
from plm_lessons.training.large_batches import Batch


def roberta_rows(documents: Sequence[Document], tokenizer: Tokenizer, max_length: int, seed: int = 0) -> PackedBatch:
    """Pack the whole text into rows of full sentences, [N, S]: see `full_sentences`.

    Args:
        documents: document -> sentence -> token ids.
        max_length: S.
        seed: Fixes the order of the documents, and thus which of them share a row.
    """
    check_documents(documents)  # in the caller's order, so that an error names the right one
    check_seed(seed)
    order = torch.randperm(len(documents), generator=seeded(seed)).tolist()
    begin, end = token_id(tokenizer, "<s>"), token_id(tokenizer, "</s>")
    rows = full_sentences([documents[index] for index in order], max_length=max_length, sep_token_id=end)
    padding = token_id(tokenizer, "<pad>")
    return packed_batch(rows, cls_token_id=begin, sep_token_id=end, pad_token_id=padding, max_length=max_length)


def roberta_batches(
    rows: PackedBatch,
    tokenizer: Tokenizer,
    *,
    batch_size: int,
    seed: int = 0,
    copies: int | None = None,
    epochs: Iterable[int] | None = None,
) -> Iterator[Batch]:
    """Yield batches, epoch after epoch, in a new order each time.

    A row's mask depends on (seed, epoch, row) alone. fairseq may also mask `<s>` and `</s>`; here they never are,
    so that figures are about words only. Otherwise masking is as in fairseq: see `dynamic_mask`.

    Args:
        rows: From `roberta_rows`.
        batch_size: B; the last batch of an epoch may be smaller.
        seed: Fixes masks and order.
        copies: None for dynamic masking; a number for static masking with that many copies (BERT had ten).
        epochs: The epochs to make; None means 0, 1, 2 ... without end.

    Returns:
        Batches of `input_ids`, `attention_mask` [B, S]; `masked_positions`, `labels` [B, P].
    """
    check_kind("rows", rows, PackedBatch)
    check_whole("batch_size", batch_size, least=1)
    if copies is not None:
        check_whole("copies", copies, least=1)
    check_seed(seed)
    special = [token_id(tokenizer, token) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    candidates = candidate_positions(rows.input_ids, special, rows.attention_mask)
    settings = {
        "mask_token_id": token_id(tokenizer, "<mask>"),
        "vocab_size": tokenizer.get_vocab_size(),
        "selection": "rounded",
        "random_token_ids": torch.tensor([i for i in range(tokenizer.get_vocab_size()) if i not in special]),
    }
    for epoch in epoch_numbers(epochs):
        order = torch.randperm(len(rows.input_ids), generator=seeded(int(seed) + epoch))
        for chosen in order.split(batch_size):
            input_ids, attention_mask = rows.input_ids[chosen], rows.attention_mask[chosen]
            # A static mask is the dynamic mask of an earlier epoch, used again.
            mask_epoch = epoch if copies is None else epoch % copies
            masked = dynamic_mask(
                input_ids,
                candidates[chosen],
                chosen,
                epoch=mask_epoch,
                seed=seed,
                attention_mask=attention_mask,
                **settings,
            )
            masked_positions, labels = gather_masked(masked.labels)
            yield {
                "input_ids": masked.input_ids,
                "attention_mask": attention_mask,
                "masked_positions": masked_positions,
                "labels": labels,
            }
