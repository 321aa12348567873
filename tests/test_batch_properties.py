"""Batches of every family, from documents of any shape: what they hold, and that models take them."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.recipes import Recipe

SHAPE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
SHAPES: dict[str, dict[str, Any]] = {
    "bert": SHAPE,
    "roberta": SHAPE,
    "albert": SHAPE | {"embedding_size": 4},
    "t5": {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2},
}
TOKENIZERS = {"bert": "wordpiece", "roberta": "byte_level_bpe", "albert": "unigram", "t5": "t5_unigram"}
# Two documents at least, of two sentences at least: what all families can read. Ids of words, not of special tokens.
sentences = st.lists(st.integers(300, 8000), min_size=1, max_size=12)
texts = st.lists(st.lists(sentences, min_size=2, max_size=6), min_size=2, max_size=5)
cached = functools.cache(load_tokenizer)
every_family = pytest.mark.parametrize("family", FAMILIES)


def rows(family: str, documents: list[list[list[int]]], batch_size: int, epoch: int) -> list[dict[str, Any]]:
    """The rows of an epoch, without their padding."""
    recipe = Recipe(family, TOKENIZERS[family], SHAPES[family], batch_size=batch_size, max_length=20, seed=3)
    found = []
    for batch in FAMILIES[family].batches(documents, cached(recipe.tokenizer), recipe, epoch):
        for row in range(len(batch["input_ids"])):
            one = {name: value[row] for name, value in batch.items()}
            asked, length = one["labels"] != -100, int(one["attention_mask"].sum())
            for name, value in one.items():
                if name in ("labels", "masked_positions"):
                    one[name] = value[asked]
                elif value.dim():
                    one[name] = value[:length]
            found.append({name: value.tolist() for name, value in one.items()})
    return found


@every_family
@given(documents=texts, sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)), epoch=st.integers(0, 50))
@settings(deadline=None, max_examples=15)
def test_an_epoch_holds_the_same_rows_in_batches_of_any_size(
    family: str, documents: list[list[list[int]]], sizes: tuple[int, int], epoch: int
) -> None:
    if family == "t5":  # its epochs are whole batches, so only the first begins with the same row
        one, other = (rows(family, documents, size, 0) for size in sizes)
        one, other = one[: len(other)], other[: len(one)]
    else:
        one, other = (rows(family, documents, size, epoch) for size in sizes)
    assert one and one == other


@every_family
@given(documents=texts, batch_size=st.integers(1, 9), epoch=st.integers(0, 50))
@settings(deadline=None, max_examples=10)
def test_the_model_takes_every_batch_and_has_something_to_learn(
    family: str, documents: list[list[list[int]]], batch_size: int, epoch: int
) -> None:
    recipe = Recipe(family, TOKENIZERS[family], SHAPES[family], batch_size=batch_size, max_length=20)
    tokenizer = cached(recipe.tokenizer)
    model = FAMILIES[family].model(recipe, tokenizer)
    batches = list(FAMILIES[family].batches(documents, tokenizer, recipe, epoch))
    assert batches
    for batch in batches:
        assert batch["input_ids"].shape[1] <= recipe.max_length
        assert torch.isfinite(model(**batch).loss)
        asked = (batch["labels"] != -100).sum()
        assert family == "roberta" or asked >= len(batch["labels"])  # its count is rounded at random, perhaps to 0
