"""What models, their parts, their configurations and the counts of their costs refuse."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from refusals import CAPS, COUNTS, INF, NAN, Values, generator, ids, part
from torch import Tensor

import plm_lessons
from plm_lessons import AlbertConfig, BertConfig, RobertaConfig, T5Config
from plm_lessons.layers import activations, attention, feed_forward, normalization, positions
from plm_lessons.models import costs, decoding, heads
from plm_lessons.models.checkpoint_files import checkpoint_folder

SIZES: dict[str, Any] = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 9,
}
CONFIGS: dict[str, Any] = {
    "Bert": BertConfig(**SIZES),
    "Roberta": RobertaConfig(**SIZES),  # its positions begin after those of padding, so it reads 7 tokens
    "Albert": AlbertConfig(**SIZES, embedding_size=4),
    "T5": T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2),
}
FAMILY = {name: family for name in plm_lessons.__all__ for family in CONFIGS if name.startswith(family)}


@functools.cache
def model(name: str) -> Any:
    """A small model of a class, in evaluation mode."""
    return getattr(plm_lessons, name)(CONFIGS[FAMILY[name]]).eval()


def method(class_name: str, name: str = "forward") -> Callable[..., object]:
    """A method of a small model of a class."""

    @functools.wraps(getattr(getattr(plm_lessons, class_name), name))
    def call(**arguments: Any) -> object:
        return getattr(model(class_name), name)(**arguments)

    call.__qualname__ = f"{class_name}.{name}"
    return call


WORDS = ids([2, 3, 4, 5], [6, 7, 8, 9])
ONES = torch.ones(2, 4, dtype=torch.int64)
NOT_WHOLE = [([[2, 3]], "list", "int64"), (None, "int64"), (WORDS.float(), "float32"), (WORDS.bool(), "bool")]
BAD_WORDS = [
    *NOT_WHOLE,
    (WORDS[0], "(4,)", "[batch, sequence]"),
    (WORDS[:0], "(0, 4)", "empty"),
    (WORDS[:, :0], "(2, 0)", "empty"),
    (WORDS - 7, "-5", "vocab_size - 1 = 19"),
    (WORDS + 11, "20", "vocab_size - 1 = 19"),
    (WORDS.to("meta"), "meta", "cpu"),
]
TOO_LONG = {
    family: (torch.full((1, limit + 1), 5), str(limit + 1), f"= {limit}")
    for family, limit in (("Bert", 9), ("Roberta", 7), ("Albert", 9))
}
BAD_ATTENTION = [
    ([[1, 1]], "list", "tensor"),
    (ONES[:, :3], "(2, 3)", "(2, 4)"),
    (ONES[:1], "(1, 4)", "(2, 4)"),
    (ONES * 2, "2", "1 (attend) or 0 (padding)"),
    (ONES - 2, "-1", "1 (attend) or 0 (padding)"),
    (ONES * NAN, "nan", "1 (attend) or 0 (padding)"),
    (ONES.to("meta"), "meta", "cpu"),
]
BAD_SEGMENTS = [
    *NOT_WHOLE[:1],
    *NOT_WHOLE[2:],
    (ONES[:, :3], "(2, 3)", "(2, 4)"),
    (ONES + 1, "2", "type_vocab_size - 1 = 1"),
    (ONES - 2, "-1", "type_vocab_size - 1 = 1"),
    (ONES.to("meta"), "meta", "cpu"),
]


def bad_labels(good: Tensor, classes: int) -> Values:
    """Return values that are not labels, where `good` would be labels of so many `classes`."""
    return [
        (good.tolist(), "list", "tensor"),
        (good.double(), "float64"),
        (good[..., :1] if good.dim() > 1 else good[:1], "shape"),
        (good.new_full(good.shape, classes), str(classes), str(classes - 1)),
        (good.new_full(good.shape, -1), "-1", "-100"),
        (good.to("meta"), "meta", "cpu"),
    ]


PAIR_LABELS = torch.tensor([0, 1])
PLACES = ids([1, 2], [0, 3])
WORD_LABELS = {"labels": bad_labels(WORDS, 20)}
MASKED_POSITIONS: dict[str, Values] = {
    "masked_positions": [
        (PLACES.tolist(), "list", "int64"),
        (PLACES.float(), "float32"),
        (PLACES[0], "(2,)", "[2, P]"),
        (PLACES[:1], "(1, 2)", "[2, P]"),
        (PLACES + 1, "4", "0 to 3"),
        (PLACES - 1, "-1", "0 to 3"),
        (PLACES.to("meta"), "meta", "cpu"),
    ],
}
MASKED = WORD_LABELS | MASKED_POSITIONS
SPAN = {name: bad_labels(PAIR_LABELS, 4) for name in ("start_positions", "end_positions")}
# For each kind of class: what it is given besides the ids, and which values of that it refuses.
HEADS: dict[str, tuple[dict[str, Any], dict[str, Values]]] = {
    "Model": ({}, MASKED_POSITIONS),
    "ForMaskedLM": ({}, MASKED),
    "ForPreTraining": ({}, MASKED),
    "ForSequenceClassification": (
        {"labels": PAIR_LABELS},
        {
            "labels": [
                *(case for case in bad_labels(PAIR_LABELS, 2) if "float64" not in case),
                (PAIR_LABELS.float(), "(2,)", "(2, 2)"),
                (torch.full((2, 2), NAN), "nan", "0 to 1"),
                (torch.full((2, 2), 1.5), "1.5", "0 to 1"),
            ]
        },
    ),
    "ForTokenClassification": ({}, {"labels": bad_labels(ONES, 2)}),
    "ForQuestionAnswering": (
        {"start_positions": PAIR_LABELS, "end_positions": PAIR_LABELS},
        {name: [*cases, (None, "both or neither")] for name, cases in SPAN.items()},
    ),
}
ORDER = {"Bert": "next_sentence_label", "Albert": "sentence_order_label"}
TEMPERATURES: Values = [(value, "finite number above 0") for value in (0, -1, NAN, INF, "1", None)]
NUCLEI: Values = [(value, "above 0 and at most 1") for value in (0, 1.5, NAN, "1")]
MODEL_PARTS = [
    *(
        part(
            getattr(plm_lessons, name),
            functools.partial(dict, config=CONFIGS[family]),
            config=[
                *((None, "type NoneType", type(CONFIGS[family]).__name__), (SIZES, "dict")),
                *((other, type(other).__name__, name) for of, other in CONFIGS.items() if of != family),
            ],
            generator=[(0, "torch.Generator")],
        )
        for name, family in FAMILY.items()
        if not name.endswith("Config")
    ),
    part(
        heads.class_loss,
        lambda: {"logits": torch.zeros(2, 4, 20), "labels": WORDS},
        labels=bad_labels(WORDS, 20),
    ),
    part(
        checkpoint_folder,
        lambda: {"folder_or_hub_name": Path(__file__).parent},
        folder_or_hub_name=[(None, "path"), (3, "path"), ("no/such/folder", FileNotFoundError, "no/such/folder")],
    ),
    *(
        part(
            method(name),
            functools.partial(dict, input_ids=WORDS, **HEADS[kind][0]),
            input_ids=[*BAD_WORDS, TOO_LONG[family]],
            attention_mask=BAD_ATTENTION,
            token_type_ids=BAD_SEGMENTS,
            **HEADS[kind][1],
            **({ORDER[family]: bad_labels(PAIR_LABELS, 2)} if kind == "ForPreTraining" else {}),
        )
        for name, family in FAMILY.items()
        if (kind := name.removeprefix(family)) in HEADS
    ),
    part(
        method("T5ForConditionalGeneration"),
        lambda: {"input_ids": WORDS, "decoder_input_ids": WORDS},
        input_ids=BAD_WORDS,
        attention_mask=[*BAD_ATTENTION, (torch.ones(2, 4, 4), "(2, 4, 4)", "(2, 4)")],
        decoder_input_ids=[case for case in BAD_WORDS if case[0] is not None],
        decoder_attention_mask=BAD_ATTENTION,
        labels=bad_labels(WORDS, 20),
    ),
    part(
        method("T5ForConditionalGeneration"),
        lambda: {"input_ids": WORDS, "labels": WORDS},
        labels=[
            (None, "decoder_input_ids"),
            (WORDS[:1], "(1, 4)", "(2, 4)"),
            (WORDS[0], "(4,)"),
            (WORDS[:, :0], "(2, 0)"),
        ],
    ),
    part(
        method("T5ForConditionalGeneration", "encode"),
        lambda: {"input_ids": WORDS},
        input_ids=BAD_WORDS,
        attention_mask=BAD_ATTENTION,
    ),
    part(
        method("T5ForConditionalGeneration", "generate"),
        lambda: {"input_ids": WORDS, "max_new_tokens": 2},
        input_ids=BAD_WORDS,
        attention_mask=[*BAD_ATTENTION, (torch.ones(2, 4, 4), "(2, 4, 4)", "(2, 4)")],
        max_new_tokens=COUNTS,
        num_beams=COUNTS,
        length_penalty=[(value, "from -10 to 10") for value in (NAN, INF, -INF, "1", None, 11)]
        + [(0.6, "num_beams=1")],
        temperature=[*TEMPERATURES, (0.5, "only with do_sample=True")],
        top_k=[*CAPS, (5, "only with do_sample=True")],
        top_p=[*NUCLEI, (0.5, "only with do_sample=True")],
        generator=[(0, "torch.Generator")],
    ),
    part(
        method("T5ForConditionalGeneration", "generate"),
        lambda: {"input_ids": WORDS, "max_new_tokens": 2, "do_sample": True},
        num_beams=[(2, "must be 1 with do_sample=True")],
        temperature=TEMPERATURES,
        top_k=CAPS,
        top_p=NUCLEI,
    ),
]
COSTS = {"config": [(None, "BERT, RoBERTa, ALBERT or T5"), ({"hidden_size": 8}, "BERT, RoBERTa, ALBERT or T5")]}
LENGTHS = {
    "sequence_length": [*COUNTS, (10, "1 to 9")],
    "positions_predicted": [*CAPS, (5, "1 to 4 = sequence_length")],
}
BERTS_HEADS = {"head": [("sop", "'masked_lm'"), (None, "'pre_training'")]}
BERTS_LENGTHS = {**LENGTHS, "target_length": [(8, "only a T5")], **BERTS_HEADS, **COSTS}
T5S_LENGTHS = {
    "head": [("masked_lm", "'none'")],
    "sequence_length": COUNTS,
    "target_length": CAPS,
    "positions_predicted": [(3, "T5")],
}
COST_PARTS = [
    part(costs.count_parameters, lambda: {"config": CONFIGS["Bert"], "head": "masked_lm"}, **COSTS, **BERTS_HEADS),
    *(
        part(count, functools.partial(dict, config=CONFIGS[family], sequence_length=4), **bad, **more)
        for family, bad in (("Bert", BERTS_LENGTHS), ("T5", T5S_LENGTHS))
        for count, more in (
            (costs.count_multiply_adds, {}),
            (costs.count_activations, {"batch_size": COUNTS}),
            (costs.training_bytes, {"batch_size": COUNTS}),
        )
    ),
]
HIDDEN = torch.ones(1, 3, 8)
LAYER_PARTS = [
    *(
        part(
            layer,
            lambda: {"hidden_size": 8, "intermediate_size": 6, "hidden_act": "gelu"},
            hidden_size=COUNTS,
            intermediate_size=COUNTS,
            hidden_act=[("geglu", "gelu_new"), (None, "relu"), (["gelu"], "relu")],
        )
        for layer in (feed_forward.FeedForward, feed_forward.UnbiasedFeedForward, feed_forward.GatedFeedForward)
    ),
    part(
        normalization.RMSNorm,
        lambda: {"hidden_size": 8, "eps": 1e-6},
        hidden_size=COUNTS,
        eps=[(value, "at least 0") for value in (-1, NAN, INF, "0", None)],
    ),
    part(
        activations.gelu,
        lambda: {"x": HIDDEN, "approximate": "tanh"},
        x=[([1.0], "tensor"), (WORDS, "int64", "floating-point")],
        approximate=[("erf", "'tanh'"), (None, "'none'")],
    ),
    part(
        activations.activation,
        lambda: {"hidden_act": "gelu"},
        hidden_act=[("geglu", "gelu_new"), (None, "relu"), (["gelu"], "relu")],
    ),
    part(
        attention.additive_mask,
        lambda: {"attention_mask": ONES, "dtype": torch.float32},
        attention_mask=[([[1]], "tensor"), (ONES[0], "(4,)"), (ONES[:, None, None], "(2, 1, 1, 4)")],
        dtype=[(torch.int64, "int64", "floating-point"), ("float", "floating-point")],
    ),
    part(
        attention.MultiHeadAttention,
        lambda: {"hidden_size": 8, "num_attention_heads": 2, "dropout": 0.1},
        hidden_size=[*COUNTS, (9, "divide")],
        num_attention_heads=[*COUNTS, (3, "divide")],
        dropout=[(1.5, "between 0 and 1")],
    ),
    part(
        attention.UnscaledAttention,
        lambda: {"hidden_size": 8, "num_attention_heads": 2, "head_size": 3, "dropout": 0.1},
        hidden_size=COUNTS,
        num_attention_heads=COUNTS,
        head_size=COUNTS,
    ),
    part(
        positions.relative_position_bucket,
        lambda: {"relative_position": WORDS},
        relative_position=[([1, 2], "tensor"), (WORDS.float(), "float32", "whole numbers")],
        num_buckets=[*COUNTS, (3, "at least 4")],
        max_distance=[*COUNTS, (8, "more than the 8")],
    ),
    part(
        positions.RelativePositionBias,
        lambda: {"num_attention_heads": 2, "num_buckets": 8, "max_distance": 20},
        num_attention_heads=COUNTS,
        num_buckets=[*COUNTS, (3, "at least 4")],
        max_distance=[*COUNTS, (2, "more than the 2")],
    ),
    part(
        positions.RelativePositionScores,
        lambda: {"head_size": 4, "max_position_embeddings": 9, "with_key": False},
        head_size=COUNTS,
        max_position_embeddings=COUNTS,
    ),
    part(
        decoding.sample,
        lambda: {"logits": HIDDEN[0], "generator": generator()},
        temperature=TEMPERATURES,
        top_k=CAPS,
        top_p=NUCLEI,
    ),
]
# No field of a configuration is any of these.
NOTHING_USUAL: Values = [(NAN, "must"), (-1, "must"), ([], "must"), ("impossible", "must")]
CONFIG_PARTS = [
    part(
        type(config),
        functools.partial(dict, **{field.name: getattr(config, field.name) for field in dataclasses.fields(config)}),
        **{field.name: NOTHING_USUAL for field in dataclasses.fields(config)},
        hiden_size=[([], "not a field", "vocab_size")],
    )
    for config in CONFIGS.values()
]

PARTS = [*MODEL_PARTS, *COST_PARTS, *LAYER_PARTS, *CONFIG_PARTS]
