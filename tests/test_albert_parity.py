"""ALBERT computes what `transformers` computes with the same weights: see `parity`."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from parity import assert_parity, batches, model_pair, thorough

from plm_lessons import AlbertConfig
from plm_lessons.layers.activations import ACTIVATIONS

CLASSES = [
    "AlbertModel",
    "AlbertForPreTraining",
    "AlbertForMaskedLM",
    "AlbertForSequenceClassification",
    "AlbertForTokenClassification",
    "AlbertForQuestionAnswering",
]


@st.composite
def configs(draw: st.DrawFn) -> AlbertConfig:
    heads = draw(st.integers(1, 4))
    # Vectors of 8 numbers or more: the norm of two or three would blow up every rounding error.
    hidden_size = heads * draw(st.integers(-(-8 // heads), 9))
    vocab_size, layers = draw(st.integers(8, 60)), draw(st.integers(1, 4))
    return AlbertConfig(
        vocab_size=vocab_size,
        embedding_size=draw(st.just(hidden_size) | st.integers(8, 40)),
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_hidden_groups=draw(st.integers(1, layers)),
        inner_group_num=draw(st.integers(1, 2)),
        num_attention_heads=heads,
        intermediate_size=draw(st.integers(1, 40)),
        hidden_act=draw(st.sampled_from(sorted(ACTIVATIONS))),
        max_position_embeddings=draw(st.integers(4, 20)),
        type_vocab_size=draw(st.integers(1, 4)),
        layer_norm_eps=draw(st.sampled_from([1e-12, 1e-7, 1e-5, 1e-3])),
        pad_token_id=draw(st.none() | st.integers(0, vocab_size - 1)),
        num_labels=draw(st.integers(1, 4)),
    )


def reference_config(config: AlbertConfig) -> transformers.AlbertConfig:
    fields = dataclasses.asdict(config)
    for ours_only in ("position_embedding_type", "label_names", "shared_parameters", "embedding_mapping"):
        del fields[ours_only]
    return transformers.AlbertConfig(**fields)


def pair(class_name: str, config: AlbertConfig, *more: Any) -> tuple[Any, Any]:
    return model_pair(class_name, config, reference_config(config), *more)


@pytest.mark.parametrize("class_name", CLASSES)
def test_outputs_losses_and_gradients_are_those_of_transformers(class_name: str) -> None:
    @given(st.data(), configs(), st.integers(0, 2**32 - 1), st.booleans())
    @thorough
    def compare(data: st.DataObject, config: AlbertConfig, seed: int, from_here: bool) -> None:
        if class_name in ("AlbertForQuestionAnswering", "AlbertForPreTraining"):
            config = dataclasses.replace(config, num_labels=2)
        batch = data.draw(batches(config, class_name, config.max_position_embeddings))
        assert_parity(*pair(class_name, config, seed, from_here), batch, batch)

    compare()


@pytest.mark.parametrize(("layers", "groups"), [(18, 14), (22, 22), (44, 22), (12, 1), (12, 12)])
def test_rounding_puts_a_layer_into_the_group_of_transformers(layers: int, groups: int) -> None:
    """18 / 14 and 44 / 22 reveal the order of the operations: see `AlbertConfig.group_of_layer`."""
    config = AlbertConfig(
        vocab_size=9,
        embedding_size=8,
        hidden_size=8,
        num_hidden_layers=layers,
        num_hidden_groups=groups,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=4,
    )
    ids = torch.arange(8).reshape(2, 4)
    assert_parity(*pair("AlbertModel", config), {"input_ids": ids}, {"input_ids": ids})
