"""RoBERTa: its size, its positions, its heads, and that it computes what `transformers` computes (see `parity`)."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_parity, batches, model_pair, randomise, thorough
from safetensors.torch import load_file, save_file
from torch import Tensor

import plm_lessons
from plm_lessons import (
    BertConfig,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForSequenceClassification,
    RobertaModel,
)
from plm_lessons.layers.activations import ACTIVATIONS
from plm_lessons.models.roberta import position_ids

CLASSES = sorted(name for name in plm_lessons.__all__ if name.startswith("Roberta") and name != "RobertaConfig")
TINY = RobertaConfig(
    vocab_size=40,
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=50,
    max_position_embeddings=18,  # 16 tokens
    type_vocab_size=1,
)
PAD = 1


def tokens(rows: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(4, TINY.vocab_size, (rows, length), generator=torch.Generator().manual_seed(seed))


def lively(class_name: str = "RobertaModel", config: RobertaConfig = TINY) -> Any:
    model = getattr(plm_lessons, class_name)(config).eval()
    randomise(model, seed=0)
    return model


# --- parity ---


@st.composite
def configs(draw: st.DrawFn) -> RobertaConfig:
    heads = draw(st.integers(1, 4))
    head_size = draw(st.integers(-(-8 // heads), 9))
    pad_token_id = draw(st.integers(0, 3))
    return RobertaConfig(
        vocab_size=draw(st.integers(8, 60)),
        hidden_size=heads * head_size,
        num_hidden_layers=draw(st.integers(1, 3)),
        num_attention_heads=heads,
        intermediate_size=draw(st.integers(1, 40)),
        hidden_act=draw(st.sampled_from(sorted(ACTIVATIONS))),
        max_position_embeddings=pad_token_id + 1 + draw(st.integers(4, 20)),
        type_vocab_size=draw(st.integers(1, 3)),
        layer_norm_eps=draw(st.sampled_from([1e-12, 1e-5, 1e-3])),
        pad_token_id=pad_token_id,
        num_labels=draw(st.integers(1, 4)),
    )


def reference_config(config: RobertaConfig) -> transformers.RobertaConfig:
    fields = dataclasses.asdict(config)
    del fields["position_embedding_type"], fields["label_names"]
    return transformers.RobertaConfig(**fields)


@pytest.mark.parametrize("class_name", CLASSES)
def test_outputs_losses_and_gradients_are_those_of_transformers(class_name: str) -> None:
    """The random ids contain padding on the left, on the right and in between, and masks hide any place."""

    @given(st.data(), configs(), st.integers(0, 2**32 - 1), st.booleans())
    @thorough
    def compare(data: st.DataObject, config: RobertaConfig, seed: int, from_here: bool) -> None:
        if class_name == "RobertaForQuestionAnswering":
            config = dataclasses.replace(config, num_labels=2)
        assert config.pad_token_id is not None
        batch = data.draw(batches(config, class_name, config.max_position_embeddings - config.pad_token_id - 1))
        if "attention_mask" in batch and data.draw(st.booleans()):  # as a tokenizer pads: hidden places hold <pad>
            batch["input_ids"] = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, config.pad_token_id)
        ours, theirs = model_pair(class_name, config, reference_config(config), seed, from_here)
        assert_parity(ours, theirs, batch, batch)

    compare()


@pytest.mark.parametrize("class_name", CLASSES)
def test_checkpoints_go_both_ways_with_no_key_missing_or_left_over(class_name: str, tmp_path: Path) -> None:
    model, theirs_class = lively(class_name), getattr(transformers, class_name)
    model.save_pretrained(tmp_path / "ours")
    reference, report = theirs_class.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert {name: set(keys) for name, keys in report.items()} == dict.fromkeys(report, set())
    theirs = dict(reference.named_parameters())
    assert {model.checkpoint_name(name) for name, _ in model.named_parameters()} == theirs.keys()

    reference.save_pretrained(tmp_path / "theirs")
    again = type(model).from_pretrained(tmp_path / "theirs")
    assert again.config == TINY
    assert all(torch.equal(value, theirs[again.checkpoint_name(name)]) for name, value in again.named_parameters())


def test_a_checkpoint_that_repeats_the_tied_output_is_the_same_model(tmp_path: Path) -> None:
    """Released files store the embedding and the bias again, as the output layer, and the position numbers too."""
    model = lively("RobertaForMaskedLM")
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["lm_head.decoder.weight"] = tensors["roberta.embeddings.word_embeddings.weight"].clone()
    tensors["lm_head.decoder.bias"] = tensors["lm_head.bias"].clone()
    tensors["roberta.embeddings.position_ids"] = torch.arange(18)[None]
    save_file(tensors, tmp_path / "model.safetensors")
    again = RobertaForMaskedLM.from_pretrained(tmp_path)
    assert all(map(torch.equal, again.state_dict().values(), model.state_dict().values()))


# --- sizes and configuration ---


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("roberta-base", (124_645_632, 124_055_040, 124_697_433)),
        ("roberta-large", (355_359_744, 354_310_144, 355_412_057)),
    ],
)
def test_published_sizes_have_exactly_their_parameters(name: str, counts: tuple[int, ...]) -> None:
    config = RobertaConfig.published(name)
    with torch.device("meta"):
        models = RobertaModel(config), RobertaModel(config, add_pooling_layer=False), RobertaForMaskedLM(config)
        reference = transformers.RobertaForMaskedLM(reference_config(config))
    assert tuple(model.num_parameters() for model in models) == counts
    assert sum(parameter.numel() for parameter in reference.parameters()) == counts[-1]
    assert (config.max_position_embeddings, config.type_vocab_size, config.layer_norm_eps) == (514, 1, 1e-5)


def test_the_vocabulary_is_what_makes_it_larger_than_bert() -> None:
    """The paper's section 4.4: about 15 and 20 million parameters more."""
    for name, bert_name, more in (
        ("roberta-base", "bert-base-uncased", 15_162_624),
        ("roberta-large", "bert-large-uncased", 20_216_832),
    ):
        config, bert = RobertaConfig.published(name), BertConfig.published(bert_name)
        assert (config.vocab_size - bert.vocab_size) * config.hidden_size == more


def test_the_defaults_are_those_of_transformers() -> None:
    """`transformers` leaves a field out of config.json if it has its default."""
    reference = transformers.RobertaConfig()
    for field in dataclasses.fields(RobertaConfig):
        if field.name not in ("position_embedding_type", "label_names"):
            assert getattr(RobertaConfig(), field.name) == getattr(reference, field.name), field.name
    for config in (TINY, RobertaConfig.published("roberta-base")):
        assert RobertaConfig.from_dict(json.loads(reference_config(config).to_json_string(use_diff=True))) == config


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pad_token_id": None}, "pad_token_id=None"),
        ({"max_position_embeddings": 2}, "max_position_embeddings=2: must be at least pad_token_id \\+ 2 = 3"),
        (
            {"position_embedding_type": "relative_key"},
            "position_embedding_type='relative_key': must be one of 'absolute'",
        ),
        ({"hidden_size": 0}, "hidden_size=0"),
    ],
)
def test_an_impossible_configuration_is_refused_by_its_field(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        RobertaConfig(**fields)


# --- positions ---


@given(st.lists(st.lists(st.integers(0, 5), min_size=7, max_size=7), min_size=1, max_size=4), st.integers(0, 5))
def test_positions_count_the_tokens_and_skip_padding_wherever_it_stands(rows: list[list[int]], pad: int) -> None:
    found = position_ids(torch.tensor(rows), pad)
    for row, positions in zip(rows, found.tolist(), strict=True):
        real = [position for token, position in zip(row, positions, strict=True) if token != pad]
        assert real == list(range(pad + 1, pad + 1 + len(real)))
        assert all(position == pad for token, position in zip(row, positions, strict=True) if token == pad)


@given(st.integers(1, 10), st.integers(0, 6), st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_a_text_is_read_the_same_wherever_its_padding_stands(length: int, padding: int, seed: int) -> None:
    model, text = lively().double(), tokens(1, length, seed)
    with torch.no_grad():
        alone = model(text).last_hidden_state[0]
        places = torch.randperm(length + padding, generator=torch.Generator().manual_seed(seed))[:length].sort().values
        padded = torch.full((1, length + padding), PAD)
        padded[0, places] = text[0]
        hidden = model(padded, attention_mask=(padded != PAD).long()).last_hidden_state[0, places]
    torch.testing.assert_close(hidden, alone)


def test_512_tokens_need_514_rows_of_which_two_are_never_a_tokens() -> None:
    config = dataclasses.replace(TINY, max_position_embeddings=514)
    model = lively(config=config)
    ids = torch.full((1, 520), PAD)
    ids[0, 8:] = 5  # 512 tokens after 8 tokens of padding
    model(ids, attention_mask=(ids != PAD).long()).last_hidden_state[0, 8:].sum().backward()
    gradient = model.embeddings.position_embeddings.weight.grad
    assert gradient.abs().sum(1).nonzero().flatten().tolist() == list(range(2, 514))
    with pytest.raises(ValueError, match="input_ids has a row of 513 tokens without padding: must be at most .* = 512"):
        model(torch.full((1, 513), 5))


def test_the_row_of_padding_starts_at_zero_and_stays_there() -> None:
    model = RobertaForMaskedLM(TINY)
    table = model.encoder.embeddings.position_embeddings.weight
    ids = tokens(2, 8)
    ids[:, 5:] = PAD
    model(ids, labels=ids).loss.backward()
    assert table.grad is not None and not table[PAD].any() and not table.grad[PAD].any()
    assert table.grad[PAD + 1].any()


def test_there_is_one_segment() -> None:
    ids = tokens(2, 5)
    model = lively()
    assert torch.equal(model(ids).last_hidden_state, model(ids, token_type_ids=torch.zeros_like(ids)).last_hidden_state)
    with pytest.raises(ValueError, match="token_type_ids holds 1: must be from 0 to type_vocab_size - 1 = 0"):
        model(ids, token_type_ids=torch.ones_like(ids))


# --- heads ---


def test_a_sequence_is_classified_from_its_first_token_by_two_layers_without_a_pooler() -> None:
    model, ids = lively("RobertaForSequenceClassification"), tokens(3, 7)
    assert model.encoder.pooler is None
    hidden = model.encoder(ids).last_hidden_state
    head = model.classifier
    assert torch.equal(model(ids).logits, head.out_proj(torch.tanh(head.dense(hidden[:, 0]))))


def test_the_classifier_drops_before_both_of_its_layers() -> None:
    model: Any = RobertaForSequenceClassification(
        dataclasses.replace(TINY, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout=0.5)
    )
    seen = []
    model.classifier.dropout.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    randomise(model, 0)
    model.train()
    first, second = model(tokens(3, 7)).logits, model(tokens(3, 7)).logits
    assert seen == [(3, 24)] * 4 and not torch.equal(first, second)


def test_the_word_head_is_an_exact_gelu_whatever_the_layers_use() -> None:
    model, ids = lively("RobertaForMaskedLM", dataclasses.replace(TINY, hidden_act="relu")), tokens(2, 6)
    head, hidden = model.masked_lm_head, model.encoder(ids).last_hidden_state
    words = model.encoder.embeddings.word_embeddings.weight
    expected = head.norm(torch.nn.functional.gelu(head.transform(hidden))) @ words.T + head.bias
    torch.testing.assert_close(model(ids).logits, expected)


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    models = [RobertaForSequenceClassification(TINY, torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(map(torch.equal, models[0].state_dict().values(), models[1].state_dict().values()))
