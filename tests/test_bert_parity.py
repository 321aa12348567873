"""BERT computes what `transformers` computes with the same weights: see `parity`.

The relative positions are compared with stored results of version 4: see `tools/write_relative_goldens.py`.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from parity import BOUND, assert_equal, assert_parity, batches, gradients_of, model_pair, outputs_of, thorough
from safetensors.torch import load_file, save_file
from torch import Tensor

from plm_lessons import BertConfig, BertForPreTraining, BertModel
from plm_lessons.layers.activations import ACTIVATIONS

GOLDEN = Path(__file__).parent / "golden"
CLASSES = [
    "BertModel",
    "BertForPreTraining",
    "BertForMaskedLM",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
]


@st.composite
def configs(draw: st.DrawFn) -> BertConfig:
    heads = draw(st.integers(1, 4))
    # Vectors of 8 numbers or more: the norm of two or three would blow up every rounding error.
    head_size = draw(st.integers(-(-8 // heads), 9))
    vocab_size = draw(st.integers(8, 60))
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=heads * head_size,
        num_hidden_layers=draw(st.integers(1, 3)),
        num_attention_heads=heads,
        intermediate_size=draw(st.integers(1, 40)),
        hidden_act=draw(st.sampled_from(sorted(ACTIVATIONS))),
        max_position_embeddings=draw(st.integers(4, 20)),
        type_vocab_size=draw(st.integers(1, 4)),
        layer_norm_eps=draw(st.sampled_from([1e-12, 1e-7, 1e-5, 1e-3])),
        pad_token_id=draw(st.one_of(st.none(), st.integers(0, vocab_size - 1))),
        num_labels=draw(st.integers(1, 4)),
    )


def reference_config(config: BertConfig) -> transformers.BertConfig:
    fields = dataclasses.asdict(config)
    del fields["label_names"], fields["position_embedding_type"]  # version 5 has absolute positions only
    return transformers.BertConfig(**fields)


def pair(class_name: str, config: BertConfig, *more: Any, **options: Any) -> tuple[Any, Any]:
    return model_pair(class_name, config, reference_config(config), *more, **options)


@pytest.mark.parametrize("class_name", CLASSES)
def test_outputs_losses_and_gradients_are_those_of_transformers(class_name: str) -> None:
    @given(st.data(), configs(), st.integers(0, 2**32 - 1), st.booleans())
    @thorough
    def compare(data: st.DataObject, config: BertConfig, seed: int, from_here: bool) -> None:
        if class_name == "BertForQuestionAnswering":
            config = dataclasses.replace(config, num_labels=2)
        batch = data.draw(batches(config, class_name, config.max_position_embeddings))
        assert_parity(*pair(class_name, config, seed, from_here), batch, batch)

    compare()


@given(st.data(), configs(), st.integers(0, 2**32 - 1))
@thorough
def test_a_mask_for_each_query_is_that_of_transformers(data: st.DataObject, config: BertConfig, seed: int) -> None:
    ours, theirs = pair("BertModel", config, seed)
    batch = data.draw(batches(config, "BertModel", config.max_position_embeddings))
    rows, length = batch["input_ids"].shape
    mask = torch.rand(rows, length, length, generator=torch.Generator().manual_seed(seed)) < 0.6
    mask |= torch.eye(length, dtype=torch.bool)
    # transformers expects what is added to the scores
    added = torch.zeros(rows, 1, length, length).masked_fill(~mask[:, None], torch.finfo(torch.float32).min)
    assert_parity(ours, theirs, batch | {"attention_mask": mask.long()}, batch | {"attention_mask": added})


@given(st.data(), configs(), st.integers(0, 2**32 - 1))
@thorough
def test_the_fused_attention_of_transformers_gives_the_same(data: st.DataObject, config: BertConfig, seed: int) -> None:
    ours, theirs = pair("BertModel", config, seed, attention="sdpa")
    batch = data.draw(batches(config, "BertModel", config.max_position_embeddings))
    with torch.no_grad():
        assert_equal(outputs_of(ours(**batch)), outputs_of(theirs(**batch)), BOUND[torch.float32])


@pytest.mark.parametrize("class_name", ["BertModel", "BertForPreTraining"])
def test_a_fully_padded_row_is_finite_and_that_of_transformers(class_name: str) -> None:
    config = BertConfig.published("bert-tiny")
    config = dataclasses.replace(
        config, vocab_size=50, hidden_size=32, intermediate_size=64, max_position_embeddings=12
    )
    ours, theirs = pair(class_name, config)
    ids = torch.randint(50, (3, 10), generator=torch.Generator().manual_seed(0))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    batch["attention_mask"][1] = 0
    batch["attention_mask"][2, 4:] = 0
    if class_name == "BertForPreTraining":
        batch |= {"labels": ids, "next_sentence_label": torch.tensor([0, 1, 0])}
    result = ours(**batch, output_attentions=True)
    assert all(output.isfinite().all() for output in outputs_of(result).values())
    assert all(gradient.isfinite().all() for gradient in gradients_of(ours, result).values())
    torch.testing.assert_close(result.attentions[0][1], torch.full((2, 10, 10), 0.1))
    assert_parity(ours, theirs, batch, batch)


# --- relative positions, as in transformers 4 ---


def golden(kind: str, part: str) -> dict[str, Tensor]:
    prefix = f"{kind}/{part}/"
    tensors = load_file(GOLDEN / "relative_key.safetensors")
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


@pytest.fixture(params=["relative_key", "relative_key_query"])
def old_folder(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A folder as transformers 4.44.2 wrote it."""
    kind = request.param
    config = json.loads((GOLDEN / "relative_key.json").read_text(encoding="utf8"))["config"][kind]
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf8")
    save_file(golden(kind, "weights"), tmp_path / "model.safetensors")
    return kind, tmp_path


@pytest.mark.parametrize("dtype", BOUND)
def test_relative_positions_are_those_of_transformers_4(old_folder: tuple[str, Path], dtype: torch.dtype) -> None:
    kind, folder = old_folder
    model = BertForPreTraining.from_pretrained(folder).to(dtype)
    assert model.config.position_embedding_type == kind
    result = model(**golden(kind, "inputs"), output_hidden_states=True, output_attentions=True)
    found = {name: value.double() for name, value in outputs_of(result).items()}
    expected = golden(kind, "outputs")
    for part in ("hidden_states", "attentions"):
        expected |= {f"{part}[{number}]": value for number, value in golden(kind, part).items()}
    assert_equal(found, expected, BOUND[dtype])

    gradients = {name: value.double() for name, value in gradients_of(model, result, model.checkpoint_name).items()}
    assert any("distance_embedding" in name for name in gradients)
    assert_equal(gradients, golden(kind, "gradients"), BOUND[dtype])


def test_a_relative_model_is_saved_and_read_again(old_folder: tuple[str, Path], tmp_path_factory: Any) -> None:
    kind, folder = old_folder
    model, copy = BertForPreTraining.from_pretrained(folder), tmp_path_factory.mktemp("copy")
    model.save_pretrained(copy)
    again = BertForPreTraining.from_pretrained(copy)
    assert again.config == model.config
    batch = golden(kind, "inputs")
    assert torch.equal(again(**batch).loss, model(**batch).loss)


def test_the_three_kinds_of_positions_differ_in_their_parameters() -> None:
    sizes = {"vocab_size": 30, "hidden_size": 12, "num_attention_heads": 3, "max_position_embeddings": 9}
    configs = {
        kind: BertConfig(**sizes, num_hidden_layers=2, position_embedding_type=kind)  # type: ignore[arg-type]
        for kind in ("absolute", "relative_key", "relative_key_query")
    }
    counts = {kind: BertModel(config).num_parameters() for kind, config in configs.items()}
    # one table [P, H] at the input, or one of [2P - 1, D] in each layer, shared by its heads
    assert counts["relative_key"] - counts["absolute"] == 2 * 17 * 4 - 9 * 12
    assert counts["relative_key_query"] == counts["relative_key"]
