"""The formulas of `costs` say what the built models have, do and keep, for any configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import plm_lessons
from plm_lessons import AlbertConfig, BertConfig, RobertaConfig, T5Config, T5ForConditionalGeneration
from plm_lessons.layers.activations import ACTIVATIONS
from plm_lessons.models.costs import count_activations, count_multiply_adds, count_parameters, training_bytes

CLASS_NAMES = {"none": "Model", "masked_lm": "ForMaskedLM", "pre_training": "ForPreTraining"}
SHARED = ("all", "attention", "feed_forward", "none")


@st.composite
def configs(draw: st.DrawFn) -> BertConfig:
    heads, rates = draw(st.integers(1, 4)), st.sampled_from([0.0, 0.1])
    sizes: dict[str, Any] = {
        "vocab_size": draw(st.integers(8, 60)),
        "hidden_size": heads * draw(st.integers(1, 9)),
        "num_hidden_layers": draw(st.integers(1, 4)),
        "num_attention_heads": heads,
        "intermediate_size": draw(st.integers(1, 40)),
        "hidden_act": draw(st.sampled_from(sorted(ACTIVATIONS))),
        "hidden_dropout_prob": draw(rates),
        "attention_probs_dropout_prob": draw(rates),
        "max_position_embeddings": draw(st.integers(8, 20)),
        "type_vocab_size": draw(st.integers(1, 3)),
    }
    family = draw(st.sampled_from([BertConfig, RobertaConfig, AlbertConfig]))
    if family is not RobertaConfig:
        sizes["position_embedding_type"] = draw(st.sampled_from(["absolute", "relative_key", "relative_key_query"]))
    if family is AlbertConfig:
        sizes |= {
            "embedding_size": draw(st.just(sizes["hidden_size"]) | st.integers(1, 20)),
            "num_hidden_groups": draw(st.integers(1, sizes["num_hidden_layers"])),
            "inner_group_num": draw(st.integers(1, 2)),
            "classifier_dropout_prob": draw(rates),
            "shared_parameters": draw(st.sampled_from(SHARED)),
            "embedding_mapping": draw(st.sampled_from(["always", "when_sizes_differ"])),
        }
    return family(**sizes)


def heads_of(config: BertConfig) -> list[str]:
    return [head for head in CLASS_NAMES if head != "pre_training" or not isinstance(config, RobertaConfig)]


def build(config: BertConfig, head: str) -> Any:
    return getattr(plm_lessons, type(config).__name__.removesuffix("Config") + CLASS_NAMES[head])(config)


def batch_for(config: BertConfig, head: str, rows: int, length: int, predicted: int | None) -> dict[str, Tensor]:
    """The batch of a training step, with token 5 everywhere, because only the sizes matter."""
    ids = torch.full((rows, length), 5)
    batch = {"input_ids": ids, "token_type_ids": ids * 0, "attention_mask": ids // 5}
    if head != "none":
        batch["labels"] = ids.clone()
        if predicted is not None:
            batch |= {"labels": ids[:, :predicted].clone(), "masked_positions": torch.arange(predicted).repeat(rows, 1)}
    if head == "pre_training":
        name = "sentence_order_label" if isinstance(config, AlbertConfig) else "next_sentence_label"
        batch[name] = torch.zeros(rows, dtype=torch.int64)
    return batch


PARTS = {  # by what the names of their parameters contain; the first match counts
    "masked-LM head": ("masked_lm_head",),
    "pair head": ("next_sentence_head", "sentence_order_head"),
    "word embeddings": ("word_embeddings",),
    "position and segment embeddings": ("position_embeddings", "token_type_embeddings", "distance_embedding"),
    "embedding mapping": ("mapping",),
    "layer norms": ("norm",),
    "attention": ("attention",),
    "feed-forward": ("feed_forward",),
    "pooler": ("pooler",),
}


@given(configs())
@settings(deadline=None, max_examples=60)
def test_parameters_are_those_of_the_built_model_part_by_part(config: BertConfig) -> None:
    for head in heads_of(config):
        with torch.device("meta"):
            model = build(config, head)
        expected = dict.fromkeys(PARTS, 0)
        for name, parameter in model.named_parameters():
            expected[next(part for part in PARTS if any(word in name for word in PARTS[part]))] += parameter.numel()
        assert count_parameters(config, head) == expected
        assert sum(count_parameters(config, head).values()) == model.num_parameters()


@given(st.data(), configs(), st.integers(1, 3), st.integers(1, 5))
@settings(deadline=None, max_examples=30)
def test_multiply_adds_are_those_that_torch_counts(data: Any, config: BertConfig, rows: int, length: int) -> None:
    predicted = data.draw(st.none() | st.integers(1, length))
    head = data.draw(st.sampled_from(heads_of(config)))
    counted = count_multiply_adds(config, head, length, predicted)
    with torch.device("meta"):
        model, batch = build(config, head), batch_for(config, head, rows, length, predicted)
        batch = {name: value.to("meta") for name, value in batch.items()}
    with FlopCounterMode(display=False) as forward:
        result = model(**batch)
    assert forward.get_total_flops() == 2 * rows * sum(counted.values())

    found = forward.get_flop_counts()
    flops = [sum(found[name].values()) for name in found if name.endswith(".position_scores")]
    assert found["Global"][torch.ops.aten.bmm] + sum(flops) == 2 * rows * counted["attention scores"]
    for part, module in (
        ("embedding mapping", "embeddings.mapping"),
        ("pooler", "pooler"),
        ("pair head", "next_sentence_head"),
        ("pair head", "sentence_order_head"),
    ):
        flops = [sum(found[name].values()) for name in found if name.endswith("." + module)]
        assert sum(flops) in (0, 2 * rows * counted[part]), part
    flops = [sum(found[name].values()) for name in found if name.endswith("feed_forward")]
    assert sum(flops) == 2 * rows * counted["feed-forward"]

    if head != "none":  # without labels there is no backward pass
        with FlopCounterMode(display=False) as backward:
            result.loss.backward()
        assert backward.get_total_flops() == 2 * forward.get_total_flops()


def kept(model: Any, batch: dict[str, Tensor], run: Callable[..., Any] | None = None) -> tuple[int, int]:
    """Count the numbers, and the bytes, in all storages that a forward pass, or `run`, keeps.

    Parameters, the batch, ids and scalars do not count: only floats, and the masks of dropout.
    """
    known = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *batch.values())}
    found: dict[int, tuple[int, int]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if tensor.dim() and tensor.dtype in (torch.float32, torch.uint8) and storage.data_ptr() not in known:
            found[storage.data_ptr()] = storage.nbytes() // tensor.itemsize, storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = (run or model)(**batch)
    del result  # alive until here, otherwise a storage could take the place of another
    return sum(numbers for numbers, _ in found.values()), sum(size for _, size in found.values())


@given(st.data(), configs(), st.integers(1, 3), st.integers(1, 5))
@settings(deadline=None, max_examples=150)
def test_activations_are_what_autograd_keeps(data: Any, config: BertConfig, rows: int, length: int) -> None:
    predicted = data.draw(st.none() | st.integers(1, length))
    head = data.draw(st.sampled_from(heads_of(config)))
    model, batch = build(config, head).train(), batch_for(config, head, rows, length, predicted)
    torch.manual_seed(0)  # dropout knows no other generator
    counted = count_activations(config, head, rows, length, predicted)
    in_bytes = training_bytes(config, head, rows, length, predicted)["activations"]
    assert kept(model, batch) == (sum(counted.values()), in_bytes), head


# --- T5 ---


@st.composite
def t5_configs(draw: st.DrawFn) -> T5Config:
    activation = draw(st.sampled_from(sorted(ACTIVATIONS)))
    return T5Config(
        vocab_size=draw(st.integers(8, 60)),
        d_model=draw(st.integers(1, 20)),
        d_kv=draw(st.integers(1, 9)),
        d_ff=draw(st.integers(1, 40)),
        num_layers=draw(st.integers(1, 3)),
        num_decoder_layers=draw(st.integers(1, 3)),
        num_heads=draw(st.integers(1, 4)),
        relative_attention_num_buckets=draw(st.integers(4, 32)),
        dropout_rate=draw(st.sampled_from([0.0, 0.1])),
        feed_forward_proj=draw(st.sampled_from(["", "gated-"])) + activation,
        tie_word_embeddings=draw(st.booleans()),
        scale_decoder_outputs=draw(st.booleans()),
    )


def t5_batch(rows: int, source: int, target: int, masks: bool = True) -> dict[str, Tensor]:
    batch = {"input_ids": torch.full((rows, source), 5), "labels": torch.full((rows, target), 5)}
    if masks:
        batch |= {"attention_mask": batch["input_ids"] // 5, "decoder_attention_mask": batch["labels"] // 5}
    return batch


def stacks_part(counted: dict[str, int], stack: str) -> int:
    """The sum of all counted parts that belong to the encoder, or to the decoder."""
    own = {"encoder": ("encoder ",), "decoder": ("decoder ", "cross-")}[stack]
    return sum(number for part, number in counted.items() if part.startswith(own))


T5_PARTS = {  # like PARTS; the parts of a stack come under its name
    "word embeddings": ("shared",),
    "output matrix": ("lm_head",),
    "norms": ("norm",),
    "position biases": ("position_bias",),
    "cross-attention": ("cross_attention",),
    "attention": (".attention",),
    "feed-forward": ("feed_forward",),
}


@given(t5_configs())
@settings(deadline=None, max_examples=40)
def test_parameters_of_a_t5_part_by_part(config: T5Config) -> None:
    with torch.device("meta"):
        model = T5ForConditionalGeneration(config)
    counted = count_parameters(config)
    expected = dict.fromkeys(counted, 0)
    for name, parameter in model.named_parameters():
        part = next(part for part in T5_PARTS if any(word in name for word in T5_PARTS[part]))
        stack = name.split(".")[0]
        expected[f"{stack} {part}" if f"{stack} {part}" in expected else part] += parameter.numel()
    assert counted == expected
    assert sum(counted.values()) == model.num_parameters()


@given(t5_configs(), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6))
@settings(deadline=None, max_examples=25)
def test_multiply_adds_of_a_t5_are_those_that_torch_counts(
    config: T5Config, rows: int, source: int, target: int
) -> None:
    counted = count_multiply_adds(config, sequence_length=source, target_length=target)
    with torch.device("meta"):
        model = T5ForConditionalGeneration(config)
        batch = {name: value.to("meta") for name, value in t5_batch(rows, source, target).items()}
    with FlopCounterMode(display=False) as forward:
        result = model(**batch)
    found = forward.get_flop_counts()

    def flops(stack: str, module: str, *operations: Any) -> int:
        """Those of all modules with this name in the stack, in these operations or in all."""
        names = [name for name in found if f".{stack}" in name and name.endswith(f".{module}")]
        counts = [found[name] for name in names]
        return sum(by[operation] for by in counts for operation in by if operation in (operations or by))

    assert forward.get_total_flops() == 2 * rows * sum(counted.values())
    mm, bmm = torch.ops.aten.mm, torch.ops.aten.bmm
    for stack in ("encoder", "decoder"):
        assert flops(stack, stack) == 2 * rows * stacks_part(counted, stack)
        assert flops(stack, "feed_forward") == 2 * rows * counted[f"{stack} feed-forward"]
        assert flops(stack, "attention", bmm) == 2 * rows * counted[f"{stack} attention scores"]
        # Two of four maps, because keys and values are computed before the module is called.
        assert 2 * flops(stack, "attention", mm) == 2 * rows * counted[f"{stack} attention"]
    assert flops("decoder", "cross_attention", bmm) == 2 * rows * counted["cross-attention scores"]

    with FlopCounterMode(display=False) as backward:
        result.loss.backward()
    assert backward.get_total_flops() == 2 * forward.get_total_flops()


@given(t5_configs(), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.booleans())
@settings(deadline=None, max_examples=150)
def test_activations_of_a_t5_are_what_autograd_keeps(
    config: T5Config, rows: int, source: int, target: int, masks: bool
) -> None:
    model, batch = T5ForConditionalGeneration(config).train(), t5_batch(rows, source, target, masks)
    counted = count_activations(config, batch_size=rows, sequence_length=source, target_length=target)
    torch.manual_seed(0)  # dropout knows no other generator
    in_bytes = training_bytes(config, batch_size=rows, sequence_length=source, target_length=target)["activations"]
    assert kept(model, batch) == (sum(counted.values()), in_bytes)
    # The encoder by itself keeps the same, except for its output, which the decoder reads.
    of_encoder = stacks_part(counted, "encoder") - counted["encoder output"]
    assert kept(model, {"input_ids": batch["input_ids"]}, model.encode)[0] == of_encoder


def test_the_target_of_a_t5_is_as_long_as_the_source_if_nothing_is_said() -> None:
    config = T5Config()
    for count in (count_multiply_adds, count_activations, training_bytes):
        assert count(config, sequence_length=9) == count(config, sequence_length=9, target_length=9)
        assert count(config, sequence_length=9) != count(config, sequence_length=9, target_length=8)


# --- all families ---


@given(configs() | t5_configs(), st.integers(1, 4))
@settings(deadline=None, max_examples=20)
def test_bytes_are_those_of_weights_gradients_and_adams_state(config: BertConfig | T5Config, rows: int) -> None:
    model: Any
    if isinstance(config, T5Config):
        model, batch = T5ForConditionalGeneration(config), t5_batch(rows, 5, 3)
        arguments: dict[str, Any] = {"batch_size": rows, "sequence_length": 5, "target_length": 3}
    else:
        model, batch = build(config, "masked_lm"), batch_for(config, "masked_lm", rows, 5, None)
        arguments = {"head": "masked_lm", "batch_size": rows, "sequence_length": 5}
    optimizer = torch.optim.Adam(model.parameters())
    activations = kept(model.train(), batch)[1]
    model(**batch).loss.backward()
    optimizer.step()
    parameters = list(model.parameters())
    moments = [state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    expected = {
        "weights": sum(parameter.nbytes for parameter in parameters),
        "gradients": sum(parameter.grad.nbytes for parameter in parameters),
        "Adam moments": sum(moment.nbytes for moment in moments),
        "activations": activations,
    }
    assert training_bytes(config, **arguments) == expected


# --- published sizes ---

# Million multiply-adds per token at length 128: layers and map, without pooler and heads.
WORK = {
    "bert-base-uncased": 87,
    "bert-large-uncased": 308,
    "albert-base-v2": 87,
    "albert-large-v2": 308,
    "albert-xlarge-v2": 1221,
    "albert-xxlarge-v2": 2429,
}


@pytest.mark.parametrize(("name", "millions"), WORK.items())
def test_the_work_of_published_sizes(name: str, millions: int) -> None:
    config = (BertConfig if name.startswith("bert") else AlbertConfig).published(name)
    work = count_multiply_adds(config, sequence_length=128)
    assert round((sum(work.values()) - work["pooler"]) / 128 / 1e6) == millions


@pytest.mark.parametrize("config", [BertConfig(), RobertaConfig.published("roberta-large"), AlbertConfig()])
def test_published_sizes_have_the_parameters_of_the_formula(config: BertConfig) -> None:
    with torch.device("meta"):
        for head in heads_of(config):
            assert sum(count_parameters(config, head).values()) == build(config, head).num_parameters()


@pytest.mark.parametrize("name", T5Config.published_sizes)
def test_published_t5s_have_the_parameters_of_the_formula(name: str) -> None:
    with torch.device("meta"):
        model = T5ForConditionalGeneration(T5Config.published(name))
    assert sum(count_parameters(model.config).values()) == model.num_parameters()


def test_the_parameters_of_t5_small_and_large_by_stack() -> None:
    small = count_parameters(T5Config.published("t5-small"))
    assert small["word embeddings"] == 16_449_536 and small["output matrix"] == 0
    assert (stacks_part(small, "encoder"), stacks_part(small, "decoder")) == (18_881_280, 25_175_808)
    untied = dataclasses.replace(T5Config.published("t5-large"), tie_word_embeddings=False)
    assert sum(count_parameters(untied).values()) == 770_567_168


@pytest.mark.parametrize("shared", SHARED)
def test_sharing_saves_parameters_and_neither_work_nor_activations(shared: str) -> None:
    base = AlbertConfig.published("albert-base-v2")
    config = dataclasses.replace(base, shared_parameters=shared)
    assert count_multiply_adds(config, "pre_training", 512, 20) == count_multiply_adds(base, "pre_training", 512, 20)
    assert count_activations(config, "pre_training", 8) == count_activations(base, "pre_training", 8)
    copies = {"all": (1, 1), "attention": (1, 12), "feed_forward": (12, 1), "none": (12, 12)}[shared]
    attention, feed_forward = (count_parameters(config)[part] for part in ("attention", "feed-forward"))
    assert (attention, feed_forward) == (copies[0] * 2_362_368, copies[1] * 4_722_432)
