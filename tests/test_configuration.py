"""A configuration holds what is possible, says which field is not, and goes through `config.json` unchanged."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from plm_lessons import BertConfig
from plm_lessons.layers.activations import ACTIVATIONS

NAN, INFINITY = float("nan"), float("inf")
COUNTS = (0, -1, 1.5, 12.0, True, "12", None, NAN, [12])
RATES = (-0.1, 1.0, 1, 1.5, NAN, INFINITY, -INFINITY, True, "0.1", [0.1], 10**400)
IMPOSSIBLE: dict[str, tuple[Any, ...]] = {
    "vocab_size": COUNTS,
    "hidden_size": COUNTS,
    "num_hidden_layers": COUNTS,
    "num_attention_heads": (*COUNTS, 5, 13, 769),
    "intermediate_size": COUNTS,
    "hidden_act": ("geglu", "GELU", "", None, 3, ["gelu"]),
    "hidden_dropout_prob": (*RATES, None),
    "attention_probs_dropout_prob": (*RATES, None),
    "max_position_embeddings": COUNTS,
    "type_vocab_size": COUNTS,
    "initializer_range": (-0.02, NAN, INFINITY, True, "0.02", None),
    "layer_norm_eps": (*RATES, None),
    "pad_token_id": (-1, 30522, 0.0, True, "0", NAN),
    "position_embedding_type": ("relative", "rotary", None, 1),
    "classifier_dropout": RATES,
    "num_labels": COUNTS,
    "label_names": (("no",), ("no", "no"), ("no", "yes", "maybe"), ("no", 1), ["no", "yes"], "no", None),
}


@st.composite
def configs(draw: st.DrawFn) -> BertConfig:
    labels = draw(st.integers(1, 50))
    heads, vocab_size, share = draw(st.integers(1, 20)), draw(st.integers(1, 10**6)), st.floats(0, 1, exclude_max=True)
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=heads * draw(st.integers(1, 100)),
        num_hidden_layers=draw(st.integers(1, 100)),
        num_attention_heads=heads,
        intermediate_size=draw(st.integers(1, 10**5)),
        hidden_act=draw(st.sampled_from(sorted(ACTIVATIONS))),
        hidden_dropout_prob=draw(share),
        attention_probs_dropout_prob=draw(share),
        max_position_embeddings=draw(st.integers(1, 10**5)),
        type_vocab_size=draw(st.integers(1, 10)),
        initializer_range=draw(st.floats(0, 10)),
        layer_norm_eps=draw(share),
        pad_token_id=draw(st.none() | st.integers(0, vocab_size - 1)),
        position_embedding_type=draw(st.sampled_from(["absolute", "relative_key", "relative_key_query"])),
        classifier_dropout=draw(st.none() | share),
        num_labels=labels,
        label_names=draw(st.just(()) | st.just(tuple(f"class {label}" for label in range(labels)))),
    )


def test_every_field_has_values_that_are_refused() -> None:
    assert set(IMPOSSIBLE) == {field.name for field in dataclasses.fields(BertConfig)}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in IMPOSSIBLE for value in IMPOSSIBLE[field]])
def test_an_impossible_value_is_refused_by_the_fields_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        BertConfig(**{field: value})  # type: ignore[arg-type]


def test_the_message_says_the_value_and_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="num_attention_heads=5: must divide hidden_size=768"):
        BertConfig(num_attention_heads=5)
    with pytest.raises(ValueError, match=r"hidden_dropout_prob=1.5: must be a number in \[0.0, 1.0\)"):
        BertConfig(hidden_dropout_prob=1.5)
    with pytest.raises(ValueError, match="pad_token_id=9: must be None or an id from 0 to vocab_size - 1 = 8"):
        BertConfig(vocab_size=9, pad_token_id=9)


def test_an_unknown_field_is_refused_by_name_wherever_it_comes_from() -> None:
    message = "hiden_size: not a field of BertConfig, which has vocab_size, hidden_size"
    with pytest.raises(ValueError, match=message):
        BertConfig(hiden_size=768)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(BertConfig(), hiden_size=768)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=message):
        BertConfig.from_dict({"hiden_size": 768})


def test_a_configuration_stays_as_it_is_and_gives_changed_copies() -> None:
    config = BertConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.hidden_size = 1024  # type: ignore[misc]
    larger = dataclasses.replace(config, hidden_size=1024, num_attention_heads=16)
    assert (config.hidden_size, larger.hidden_size, larger.vocab_size) == (768, 1024, 30522)
    assert config == BertConfig() != larger and len({config, BertConfig(), larger}) == 2
    with pytest.raises(ValueError, match="hidden_size=770"):
        dataclasses.replace(config, hidden_size=770)


def test_the_defaults_are_those_of_transformers_and_of_bert_base() -> None:
    reference = transformers.BertConfig()
    for field in dataclasses.fields(BertConfig):
        if field.name not in ("position_embedding_type", "label_names"):  # version 5 has only absolute positions
            assert getattr(BertConfig(), field.name) == getattr(reference, field.name), field.name
    assert BertConfig().position_embedding_type == "absolute"
    assert BertConfig.published("bert-base-uncased") == BertConfig()


def test_an_unpublished_name_is_refused_and_the_published_ones_are_told() -> None:
    with pytest.raises(ValueError, match="name='bert-huge': must be one of 'bert-base-uncased'.*'bert-tiny'"):
        BertConfig.published("bert-huge")
    with pytest.raises(ValueError, match=r"name=\['bert-tiny'\]: must be one of"):
        BertConfig.published(["bert-tiny"])  # type: ignore[arg-type]


# --- config.json ---


@given(configs())
@settings(deadline=None)
def test_a_configuration_comes_back_from_its_dictionary_through_json(config: BertConfig) -> None:
    assert BertConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@given(configs())
@settings(deadline=None, max_examples=30)
def test_transformers_reads_what_is_written_and_writes_what_is_read(config: BertConfig) -> None:
    theirs = transformers.BertConfig.from_dict(config.to_dict())
    for field in dataclasses.fields(BertConfig):
        if field.name != "label_names":
            assert getattr(theirs, field.name) == getattr(config, field.name), field.name
    names = config.label_names or [f"LABEL_{label}" for label in range(config.num_labels)]
    assert theirs.id2label == dict(enumerate(names))
    assert theirs.label2id == {name: label for label, name in enumerate(names)}
    assert BertConfig.from_dict(json.loads(theirs.to_json_string(use_diff=False))) == config


def test_a_file_is_written_and_read(tmp_path: Path) -> None:
    config = BertConfig(hidden_size=24, num_attention_heads=3, num_labels=5)
    config.save_pretrained(tmp_path / "new" / "folder")
    assert BertConfig.from_pretrained(tmp_path / "new" / "folder") == config
    assert BertConfig.from_pretrained(str(tmp_path / "new" / "folder")) == config
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["config.json"]


def test_numbers_of_numpy_are_taken_and_written(tmp_path: Path) -> None:
    numbers: dict[str, Any] = {name: np.int64(12) for name in IMPOSSIBLE if IMPOSSIBLE[name][: len(COUNTS)] == COUNTS}
    numbers |= {"pad_token_id": np.int32(3), "layer_norm_eps": np.float32(0.5), "initializer_range": np.float64(0.02)}
    plain = BertConfig(**{name: number.item() for name, number in numbers.items()})
    assert BertConfig(**numbers) == plain
    BertConfig(**numbers).save_pretrained(tmp_path)
    assert BertConfig.from_pretrained(tmp_path) == plain
    with pytest.raises(ValueError, match=r"hidden_size=.*0.*: must be a whole number of at least 1"):
        BertConfig(hidden_size=np.int64(0))  # type: ignore[arg-type]


def test_bookkeeping_of_real_files_is_passed_over() -> None:
    # The fields of bert-base-uncased as published, and what later versions of transformers added to their files.
    published = {
        "architectures": ["BertForMaskedLM"],
        "attention_probs_dropout_prob": 0.1,
        "gradient_checkpointing": False,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 768,
        "initializer_range": 0.02,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "bert",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "transformers_version": "4.6.0.dev0",
        "type_vocab_size": 2,
        "use_cache": True,
        "vocab_size": 30522,
    }
    later = {"torch_dtype": "float32", "_attn_implementation_autoset": True, "classifier_dropout": None}
    assert BertConfig.from_dict(published) == BertConfig.from_dict(published | later) == BertConfig()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "roberta"}, "model_type='roberta': BertConfig reads only 'bert'"),
        ({"is_decoder": True}, "is_decoder=True: BertConfig supports only False"),
        ({"add_cross_attention": True}, "add_cross_attention=True"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings=False: BertConfig supports only True"),
        ({"output_attentions": True}, "output_attentions=True"),
        ({"quantization_config": {}}, "quantization_config: not a field of BertConfig"),
        ({"hidden_size": "768"}, "hidden_size='768'"),
        ({"id2label": None}, "id2label=None"),
        ({"id2label": ["a", "b"]}, "id2label="),
        ({"id2label": {}}, "num_labels=0"),
        ({"id2label": {"1": "a", "2": "b"}}, "id2label="),
        (
            {"id2label": {"0": "a", "1": "b"}, "num_labels": 3},
            "num_labels=3: must be 2, the number of labels in id2label",
        ),
    ],
)
def test_what_the_model_cannot_do_is_refused_not_passed_over(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BertConfig.from_dict(values)


def test_the_number_of_labels_is_that_of_their_names() -> None:
    assert BertConfig.from_dict({"id2label": {"0": "a", "1": "b", "2": "c"}}).num_labels == 3
    assert BertConfig.from_dict({"num_labels": 3}).num_labels == 3
    labels = {str(label): f"class {label}" for label in reversed(range(11))}
    names = BertConfig.from_dict({"id2label": labels}).label_names
    assert names == tuple(f"class {label}" for label in range(11)), "in the order of their numbers"


@pytest.mark.parametrize("content", [b"{", b"", b"weights", b"[1, 2]", b'"text"', b"null", b"\xff\xfe\x00\x01"])
def test_a_file_that_is_no_json_object_is_refused_by_its_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match="config.json: "):
        BertConfig.from_pretrained(tmp_path)


def test_json_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"hidden_dropout_prob": NaN}')
    with pytest.raises(ValueError, match="hidden_dropout_prob=nan"):
        BertConfig.from_pretrained(tmp_path)


def test_a_folder_without_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="config.json"):
        BertConfig.from_pretrained(tmp_path)
