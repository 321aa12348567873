"""RoBERTa's batches: full rows, dynamic or static masks that follow from seed, epoch and row, and nothing lost."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from chance import assert_plausible
from tokenizers import Tokenizer

from plm_lessons import RobertaConfig, RobertaForMaskedLM
from plm_lessons.corpus import documents
from plm_lessons.objectives import PackedBatch
from plm_lessons.tokenization import encode_documents, load_tokenizer, train_byte_level_bpe
from plm_lessons.training.encoding import encode_texts
from plm_lessons.training.evaluation import evaluate_pretraining
from plm_lessons.training.inference import fill_mask
from plm_lessons.training.large_batches import Batch
from plm_lessons.training.pretraining import pretrain
from plm_lessons.training.roberta_batches import roberta_batches, roberta_rows

LENGTH, ROWS = 48, 40


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer("byte_level_bpe")


@pytest.fixture(scope="module")
def rows(tokenizer: Tokenizer) -> PackedBatch:
    texts = encode_documents(tokenizer, documents("wikipedia", "train")[:60], separator=" ")
    made = roberta_rows(texts, tokenizer, LENGTH)
    return PackedBatch(made.input_ids[:ROWS], made.attention_mask[:ROWS])


def epochs(rows: PackedBatch, tokenizer: Tokenizer, count: int, *, batch_size: int = ROWS, **more: int | None) -> list:
    """For each epoch, the input and the labels of each row, by its place in the data set."""
    stream = roberta_batches(rows, tokenizer, batch_size=batch_size, **more)  # type: ignore[arg-type]
    found = []
    for _ in range(count):
        batches = list(itertools.islice(stream, -(-ROWS // batch_size)))
        epoch = {}
        for batch in batches:
            for ids, positions, labels in zip(
                batch["input_ids"], batch["masked_positions"], batch["labels"], strict=True
            ):
                original = ids.clone()
                original[positions[labels != -100]] = labels[labels != -100]
                [place] = [place for place, row in enumerate(rows.input_ids) if torch.equal(row, original)]
                epoch[place] = (ids.tolist(), sorted(positions[labels != -100].tolist()))
        assert len(epoch) == ROWS, "each row comes once"
        found.append(epoch)
    return found


def test_rows_hold_the_text_of_the_documents(tokenizer: Tokenizer) -> None:
    some = documents("wikipedia", "train")[:20]
    made = roberta_rows(encode_documents(tokenizer, some, separator=" "), tokenizer, LENGTH, seed=3)
    assert made.input_ids.shape[1] == LENGTH
    assert set(made.input_ids[:, 0].tolist()) == {tokenizer.token_to_id("<s>")}
    ids = [i for row, mask in zip(made.input_ids, made.attention_mask, strict=True) for i in row[mask == 1].tolist()]
    text = tokenizer.decode(ids, skip_special_tokens=True)
    for document in some:
        assert " ".join(document.sentences) in text


def test_dynamic_masks_differ_from_epoch_to_epoch_and_static_ones_come_round(
    rows: PackedBatch, tokenizer: Tokenizer
) -> None:
    dynamic, static = epochs(rows, tokenizer, 4), epochs(rows, tokenizer, 4, copies=2)
    long = [place for place in range(ROWS) if rows.attention_mask[place].sum() > LENGTH // 2]
    assert len(long) > ROWS / 2
    for place in long:  # a short row, with one place to mask, may draw the same place twice
        assert len({tuple(epoch[place][1]) for epoch in dynamic}) == 4
        assert static[0][place][1] != static[1][place][1]
    assert static[0] == static[2] and static[1] == static[3]


def test_a_rows_mask_depends_on_neither_batch_nor_order(rows: PackedBatch, tokenizer: Tokenizer) -> None:
    assert epochs(rows, tokenizer, 2, batch_size=7) == epochs(rows, tokenizer, 2)
    assert epochs(rows, tokenizer, 1, seed=1) != epochs(rows, tokenizer, 1)


def test_special_tokens_are_neither_asked_for_nor_put_in() -> None:
    """With so few pieces, one in 65 is special: if they were put in, there would be dozens of them."""
    bytes_alone = train_byte_level_bpe(["a"], vocab_size=261)
    rows = roberta_rows([[list(range(5, 261))]] * 80, bytes_alone, max_length=64)
    special = torch.tensor([bytes_alone.token_to_id(token) for token in ("<s>", "<pad>", "</s>", "<unk>")])
    hidden = drawn = questions = 0
    for batch in roberta_batches(rows, bytes_alone, batch_size=400, epochs=range(10)):
        asked: Any = batch["labels"] != -100
        answers = batch["labels"][asked]
        shown = batch["input_ids"].gather(1, batch["masked_positions"])[asked]
        assert not torch.isin(answers, special).any() and not torch.isin(shown, special).any()
        is_mask: Any = shown == bytes_alone.token_to_id("<mask>")
        hidden, questions = hidden + int(is_mask.sum()), questions + len(shown)
        drawn += int((~is_mask & (shown != answers)).sum())
    assert_plausible(hidden, questions, 0.8)
    assert drawn > 2000


def test_a_roberta_is_trained_evaluated_and_asked(rows: PackedBatch, tokenizer: Tokenizer) -> None:
    config = RobertaConfig(
        vocab_size=8192,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=LENGTH + 2,
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = RobertaForMaskedLM(config)
    batches: list[Batch] = list(itertools.islice(roberta_batches(rows, tokenizer, batch_size=20), 2))
    before = evaluate_pretraining(model, batches)
    log = pretrain(model, itertools.cycle(batches), steps=60, learning_rate=1e-2, warmup_steps=6, progress=False)
    after = evaluate_pretraining(model, batches)
    assert set(after) == {"masked_lm_loss", "masked_lm_accuracy", "masked_words"} and set(log[0]) == {
        "step",
        "loss",
        "learning_rate",
        "gradient_norm",
    }
    assert after["masked_words"] == sum(int((batch["labels"] != -100).sum()) for batch in batches)
    assert after["masked_lm_loss"] < before["masked_lm_loss"] - 2
    [answer] = fill_mask(model, tokenizer, "Carmen is an <mask>.", top=3)
    assert len(answer) == 3
    with pytest.raises(ValueError, match="must hold <mask>"):
        fill_mask(model, tokenizer, "nothing is missing here")


def test_texts_are_framed_and_padded_as_the_tokenizer_does(tokenizer: Tokenizer) -> None:
    inputs = encode_texts(tokenizer, ["A cat.", "The cat sat on the mat."], max_length=12)
    assert (inputs["input_ids"][0] == 1).sum() == (inputs["attention_mask"][0] == 0).sum() > 0
    assert inputs["input_ids"][:, 0].tolist() == [0, 0] and not inputs["token_type_ids"].any()


def test_a_seed_of_numpy_is_the_same_seed(rows: PackedBatch, tokenizer: Tokenizer) -> None:
    """Even the largest, to which the number of the epoch is added."""
    seeds: list[Any] = [2**32 - 1, np.uint32(2**32 - 1)]
    ours, numpys = (
        next(roberta_batches(rows, tokenizer, batch_size=ROWS, seed=seed, epochs=range(1, 2))) for seed in seeds
    )
    assert torch.equal(ours["input_ids"], numpys["input_ids"])
