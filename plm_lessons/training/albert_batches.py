"""Batches for the pre-training of ALBERT: pairs of segments with a question about them, and masked n-grams.

Like `bert_batches`, with two differences: the question about a pair is by default that of sentence order, and up to
three consecutive whole words are masked together.

Letters: B batch, N pairs, S sequence length, P positions predicted.

Source: ALBERT (arXiv:1909.11942v6), sections 3.1 and 4.1; google-research/albert, create_pretraining_data.py at commit
b772393.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, get_args

import torch
from tokenizers import Tokenizer
from torch import Tensor

from plm_lessons.checks import check_choice
from plm_lessons.objectives.checks import check_kind
from plm_lessons.objectives.masking import MaskedBatch, candidate_positions, mask_tokens
from plm_lessons.objectives.sentence_order import sentence_order_pairs
from plm_lessons.objectives.sentence_pairs import Document, SentencePairBatch, next_sentence_pairs
from plm_lessons.objectives.whole_words import number_words, word_starts
from plm_lessons.tokenization import token_id
from plm_lessons.training.bert_batches import bert_batch, framed_pairs, rows_of_copies
from plm_lessons.training.large_batches import Batch

Question = Literal["sentence_order", "next_sentence"]


def albert_pairs(
    documents: Sequence[Document],
    tokenizer: Tokenizer,
    max_length: int,
    generator: torch.Generator,
    question: Question = "sentence_order",
) -> SentencePairBatch:
    """Make all pairs from the documents (document -> sentence -> ids) as one batch of N, padded to `max_length`.

    Args:
        question: "sentence_order" asks whether the segments were swapped, and needs documents of two sentences or more
            (see `sentence_order_pairs`); "next_sentence" asks BERT's question, for the comparison in ALBERT's table 5.
    """
    check_choice("question", question, get_args(Question))
    make = sentence_order_pairs if question == "sentence_order" else next_sentence_pairs
    return framed_pairs(make(documents, max_length=max_length, generator=generator), tokenizer, max_length)


def mask_ngrams(
    pairs: SentencePairBatch, tokenizer: Tokenizer, generator: torch.Generator, max_ngram: int = 3
) -> MaskedBatch:
    """Mask runs of up to `max_ngram` whole words in each row of `pairs`: see `choose_whole_words`."""
    check_kind("pairs", pairs, SentencePairBatch)
    special = [token_id(tokenizer, token) for token in ("<pad>", "[CLS]", "[SEP]")]
    vocabulary = [str(tokenizer.id_to_token(token)) for token in range(tokenizer.get_vocab_size())]
    candidates = candidate_positions(pairs.input_ids, special, pairs.attention_mask)
    return mask_tokens(
        pairs.input_ids,
        candidates,
        attention_mask=pairs.attention_mask,
        mask_token_id=token_id(tokenizer, "[MASK]"),
        vocab_size=len(vocabulary),
        generator=generator,
        word_ids=number_words(pairs.input_ids, word_starts(vocabulary, "unigram"), candidates),
        max_ngram=max_ngram,
    )


def albert_batch(pairs: SentencePairBatch, masked: MaskedBatch, rows: Tensor) -> Batch:
    """Make a batch of some rows of the masked pairs, cut to the longest of these rows.

    The label of a pair is called `sentence_order_label` whichever question was asked: ALBERT has one head for pairs,
    and, as in its reference code, only the data decide what that head learns.

    Returns:
        `input_ids`, `attention_mask`, `token_type_ids` [B, S]; `masked_positions`, `labels` [B, P];
        `sentence_order_label` [B].
    """
    batch = bert_batch(pairs, masked, rows)
    batch["sentence_order_label"] = batch.pop("next_sentence_label")
    return batch


def albert_batches(
    documents: Sequence[Document],
    tokenizer: Tokenizer,
    *,
    max_length: int,
    batch_size: int,
    seed: int = 0,
    copies: int = 40,
    question: Question = "sentence_order",
    max_ngram: int = 3,
    epochs: Iterable[int] | None = None,
) -> Iterator[Batch]:
    """Yield batches, epoch after epoch.

    As in the reference code, the data exist in 40 copies, each with its own pairs and masks: epoch e reads copy
    e mod 40. Nothing is stored: each copy is made anew from (seed, copy).

    Args:
        documents, question: As for `albert_pairs`.
        max_length: S, the largest number of tokens in a row.
        batch_size: B; the last batch of an epoch may be smaller.
        seed: Fixes pairs, masks and order.
        copies: The number of copies of the data.
        max_ngram: The most consecutive words that are masked together; 1 is whole-word masking.
        epochs: The epochs to make; None means 0, 1, 2 ... without end.
    """

    def make_copy(generator: torch.Generator) -> tuple[SentencePairBatch, MaskedBatch]:
        pairs = albert_pairs(documents, tokenizer, max_length, generator, question)
        return pairs, mask_ngrams(pairs, tokenizer, generator, max_ngram)

    for pairs, masked, rows in rows_of_copies(
        make_copy, batch_size=batch_size, seed=seed, copies=copies, epochs=epochs
    ):
        yield albert_batch(pairs, masked, rows)
