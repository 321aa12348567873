"""Batches for ALBERT's pre-training: what is asked about the pairs, which words are masked, and that a model learns."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from plm_lessons import AlbertConfig, AlbertForPreTraining
from plm_lessons.corpus import documents
from plm_lessons.objectives import SentencePairBatch
from plm_lessons.tokenization import encode_documents, load_tokenizer, token_id
from plm_lessons.training.albert_batches import albert_batch, albert_batches, albert_pairs, mask_ngrams
from plm_lessons.training.evaluation import evaluate_pretraining
from plm_lessons.training.large_batches import Batch
from plm_lessons.training.pretraining import pretrain


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer("unigram")


@pytest.fixture(scope="module")
def document_ids(tokenizer: Tokenizer) -> list[list[list[int]]]:
    some = encode_documents(tokenizer, documents("wikipedia", "train")[:120])
    return [document for document in some if len(document) > 1]


@pytest.fixture(scope="module")
def pairs(document_ids: list[list[list[int]]], tokenizer: Tokenizer) -> SentencePairBatch:
    return albert_pairs(document_ids, tokenizer, 64, torch.Generator().manual_seed(0))


def first_batches(document_ids: list[list[list[int]]], tokenizer: Tokenizer, count: int, **more: Any) -> list[Batch]:
    settings = {"max_length": 48, "batch_size": 16, "seed": 5} | more
    return list(itertools.islice(albert_batches(document_ids, tokenizer, **settings), count))


def segments(pairs: SentencePairBatch, row: int) -> tuple[list[int], list[int]]:
    """The ids of A and of B, without [CLS] and [SEP]."""
    tokens, second = pairs.attention_mask[row] == 1, pairs.token_type_ids[row] == 1
    first, last = pairs.input_ids[row][tokens & ~second].tolist(), pairs.input_ids[row][second].tolist()
    return first[1:-1], last[:-1]


def place(document: list[int], segment: list[int]) -> int | None:
    """Where a segment begins in the running text of a document."""
    starts = range(len(document) - len(segment) + 1)
    return next((start for start in starts if document[start : start + len(segment)] == segment), None)


def test_label_0_is_the_order_of_the_document_and_1_the_reverse(
    pairs: SentencePairBatch, document_ids: list[list[list[int]]], tokenizer: Tokenizer
) -> None:
    texts = [list(itertools.chain.from_iterable(document)) for document in document_ids]
    seen = {0: 0, 1: 0}
    for row, label in enumerate(pairs.labels.tolist()):
        first, second = segments(pairs, row)
        found = [(place(text, first), place(text, second)) for text in texts]
        both = [(a, b) for a, b in found if a is not None and b is not None]
        assert both, "both segments come from one document"
        if all(min(len(first), len(second)) > 5 and (a < b) == (label == 0) for a, b in both):
            seen[label] += 1
    assert seen[0] + seen[1] > 0.8 * len(pairs.labels)  # the others are short, or occur twice
    assert min(seen.values()) > 0.35 * len(pairs.labels)
    cls, sep, pad = (token_id(tokenizer, token) for token in ("[CLS]", "[SEP]", "<pad>"))
    assert (pairs.input_ids[:, 0] == cls).all() and ((pairs.input_ids == sep).sum(dim=1) == 2).all()
    assert torch.equal(pairs.input_ids == pad, pairs.attention_mask == 0)


def test_the_other_question_is_that_of_bert(document_ids: list[list[list[int]]], tokenizer: Tokenizer) -> None:
    asked = albert_pairs(document_ids, tokenizer, 64, torch.Generator().manual_seed(0), "next_sentence")
    texts = [list(itertools.chain.from_iterable(document)) for document in document_ids]
    for row in range(0, len(asked.labels), 7):
        first, second = segments(asked, row)
        if min(len(first), len(second)) > 8:
            together = any(place(text, first) is not None and place(text, second) is not None for text in texts)
            assert together == (asked.labels[row] == 0)
    [batch] = first_batches(document_ids, tokenizer, 1, batch_size=10_000, question="next_sentence")
    assert batch["sentence_order_label"].double().mean() > 0.55  # random pairs are the majority there, see NSP


def test_whole_words_are_masked_and_several_in_a_row(pairs: SentencePairBatch, tokenizer: Tokenizer) -> None:
    runs: dict[int, float] = {}
    for longest in (1, 3):
        masked = mask_ngrams(pairs, tokenizer, torch.Generator().manual_seed(0), max_ngram=longest)
        chosen = masked.labels != -100
        hidden = masked.input_ids[chosen] == token_id(tokenizer, "[MASK]")
        assert hidden.double().mean() == pytest.approx(0.8, abs=0.06)
        special = torch.tensor([token_id(tokenizer, token) for token in ("[CLS]", "[SEP]", "<pad>")])
        assert not (chosen & torch.isin(pairs.input_ids, special)).any()
        assert chosen.sum() / pairs.attention_mask.sum() == pytest.approx(0.15, abs=0.015)
        tokens = [[str(tokenizer.id_to_token(i)) for i in row] for row in pairs.input_ids.tolist()]
        continued = torch.tensor([[token.isascii() and token.isalpha() for token in row] for row in tokens])
        # A piece of plain letters continues the word before it, except at the start of a segment.
        inside = continued[:, 1:] & ~torch.isin(pairs.input_ids[:, :-1], special)
        assert torch.equal((chosen[:, 1:] & inside), (chosen[:, :-1] & inside))
        runs[longest] = chosen.sum().item() / (chosen[:, 1:] & ~chosen[:, :-1]).sum().item()  # tokens in a run
    assert runs[3] > runs[1] + 0.5
    assert torch.equal(
        mask_ngrams(pairs, tokenizer, torch.Generator().manual_seed(0)).labels,
        mask_ngrams(pairs, tokenizer, torch.Generator().manual_seed(0), max_ngram=3).labels,
    )


def test_batches_hold_the_rows_and_nothing_else(pairs: SentencePairBatch, tokenizer: Tokenizer) -> None:
    masked = mask_ngrams(pairs, tokenizer, torch.Generator().manual_seed(0))
    rows = pairs.attention_mask.sum(dim=1).argsort()[:5]  # the shortest
    batch = albert_batch(pairs, masked, rows)
    length = int(pairs.attention_mask[rows].sum(dim=1).max())
    assert length < pairs.input_ids.shape[1]
    assert torch.equal(batch["input_ids"], masked.input_ids[rows, :length])
    assert torch.equal(batch["sentence_order_label"], pairs.labels[rows])
    assert "next_sentence_label" not in batch
    asked = batch["labels"] != -100
    restored = batch["input_ids"].clone()
    row_of, column = asked.nonzero().unbind(1)
    restored[row_of, batch["masked_positions"][row_of, column]] = batch["labels"][asked]
    assert torch.equal(restored, pairs.input_ids[rows, :length])


def test_copies_come_round_in_another_order(document_ids: list[list[list[int]]], tokenizer: Tokenizer) -> None:
    epochs = first_batches(document_ids, tokenizer, 3, batch_size=10_000, copies=2)
    rows = [epoch["input_ids"].tolist() for epoch in epochs]
    assert sorted(rows[0]) == sorted(rows[2]) and rows[0] != rows[2]
    assert sorted(rows[0]) != sorted(rows[1])
    again = first_batches(document_ids, tokenizer, 1, batch_size=10_000, copies=2)
    assert torch.equal(again[0]["input_ids"], epochs[0]["input_ids"])
    other = first_batches(document_ids, tokenizer, 1, batch_size=10_000, copies=2, seed=6)
    assert sorted(other[0]["input_ids"].tolist()) not in (sorted(rows[0]), sorted(rows[1]))


def test_an_epoch_reads_every_pair_once(document_ids: list[list[list[int]]], tokenizer: Tokenizer) -> None:
    [whole] = first_batches(document_ids, tokenizer, 1, batch_size=10_000)
    count = len(whole["sentence_order_label"])
    parts = first_batches(document_ids, tokenizer, -(-count // 16))
    assert sum(len(part["labels"]) for part in parts) == count and count % 16 != 0
    assert torch.equal(
        torch.cat([part["sentence_order_label"] for part in parts]).bincount(),
        whole["sentence_order_label"].bincount(),
    )


def test_a_document_of_one_sentence_is_refused_and_not_dropped(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match=r"documents\[1\]"):
        albert_pairs([[[5, 6], [7]], [[8, 9]]], tokenizer, 16, torch.Generator().manual_seed(0))


def test_albert_trains_on_them_and_is_evaluated_on_both_questions(
    document_ids: list[list[list[int]]], tokenizer: Tokenizer
) -> None:
    config = AlbertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        embedding_size=16,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=48,
    )
    model = AlbertForPreTraining(config)
    batches = first_batches(document_ids, tokenizer, 2)
    log = pretrain(model, itertools.cycle(batches), steps=40, learning_rate=1e-2, warmup_steps=4, progress=False)
    assert log[-1]["masked_lm_loss"] < log[0]["masked_lm_loss"] - 1
    assert log[0]["sentence_order_loss"] == pytest.approx(0.69, abs=0.2)
    figures = evaluate_pretraining(model, batches)
    assert figures["pairs"] == 32 and 0 <= figures["sentence_order_accuracy"] <= 1
    assert figures["masked_words"] == sum(int((batch["labels"] != -100).sum()) for batch in batches)
