"""BERT computes what `transformers` computes with the same weights: outputs, losses and gradients.

In float32 within 1e-5, and in float64 within 1e-10, which only the same mathematics can do. Hypothesis draws the
configurations and the inputs.

The relative positions are compared with stored results of version 4: see `tools/write_relative_goldens.py`.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import plm_lessons
from plm_lessons import BertConfig, BertForPreTraining, BertModel
from plm_lessons.layers.activations import ACTIVATIONS
from plm_lessons.models.outputs import ModelOutput

transformers.utils.logging.disable_progress_bar()

GOLDEN = Path(__file__).parent / "golden"
BOUND = {torch.float32: 1e-5, torch.float64: 1e-10}
CLASSES = [
    "BertModel",
    "BertForPreTraining",
    "BertForMaskedLM",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
]


# A failing example is small as it is: making it smaller would take minutes.
thorough = settings(deadline=None, max_examples=20, phases=(Phase.explicit, Phase.reuse, Phase.generate))


@st.composite
def configs(draw: st.DrawFn) -> BertConfig:
    heads = draw(st.integers(1, 4))
    # From 8 numbers a vector on: the norm of two or three would blow up every rounding error.
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


@st.composite
def batches(draw: st.DrawFn, config: BertConfig, class_name: str = "BertModel") -> dict[str, Tensor]:
    """Arguments for a model: ids, perhaps segments, perhaps padding (in front, behind or anywhere), labels."""
    rows, length = draw(st.integers(1, 4)), draw(st.integers(2, config.max_position_embeddings))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))

    def whole(high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=generator)

    batch = {"input_ids": whole(config.vocab_size, rows, length)}
    if draw(st.booleans()):
        batch["token_type_ids"] = whole(config.type_vocab_size, rows, length)
    padding = draw(st.sampled_from(["none", "behind", "in front", "anywhere"]))
    kept = torch.arange(length) < 1 + whole(length, rows, 1)
    if padding == "anywhere":
        kept = whole(2, rows, length).bool()
        kept[torch.arange(rows), whole(length, rows)] = True
    if padding != "none":
        batch["attention_mask"] = (kept.flip(1) if padding == "in front" else kept).long()

    if class_name in ("BertForPreTraining", "BertForMaskedLM", "BertForTokenClassification"):
        classes = config.num_labels if class_name == "BertForTokenClassification" else config.vocab_size
        labels = whole(classes, rows, length)
        labels[whole(3, rows, length) > 0] = -100
        labels[0, 1] = 0  # at least one
        batch["labels"] = labels
    if class_name == "BertForPreTraining":
        batch["next_sentence_label"] = whole(2, rows)
    if class_name == "BertForQuestionAnswering":
        batch |= {"start_positions": whole(length, rows), "end_positions": whole(length, rows)}
    if class_name == "BertForSequenceClassification":
        if config.num_labels == 1:  # regression
            batch["labels"] = torch.randn(rows, generator=generator)
        elif draw(st.booleans()):  # one class of several
            batch["labels"] = whole(config.num_labels, rows)
        else:  # several at once
            batch["labels"] = whole(2, rows, config.num_labels).float()
    return batch


def reference_config(config: BertConfig, attention: str = "eager") -> transformers.BertConfig:
    fields = dataclasses.asdict(config) | {"attn_implementation": attention}
    del fields["position_embedding_type"]  # version 5 has absolute positions only
    return transformers.BertConfig(**fields)


def randomise(model: nn.Module, seed: int) -> None:
    """So large that a term left out would be seen, and not so large that the network blows up rounding errors."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 2:
                noise = 0.15 * noise
            elif "norm" in name.lower() and name.endswith("weight"):
                noise = 1 + 0.3 * noise
            else:
                noise = 0.3 * noise
            parameter.copy_(noise)


def model_pair(
    class_name: str, config: BertConfig, seed: int = 0, from_here: bool = False, attention: str = "eager"
) -> tuple[Any, Any]:
    """Our model and theirs, with the same random weights, handed over through a folder that one of the two wrote."""
    ours_class, theirs_class = getattr(plm_lessons, class_name), getattr(transformers, class_name)
    with tempfile.TemporaryDirectory() as folder:
        if from_here:
            ours = ours_class(config).eval()
            randomise(ours, seed)
            ours.save_pretrained(folder)
            theirs = theirs_class.from_pretrained(folder, attn_implementation=attention).eval()
        else:
            theirs = theirs_class(reference_config(config, attention)).eval()
            randomise(theirs, seed)
            theirs.save_pretrained(folder)
            ours = ours_class.from_pretrained(folder)
    return ours, theirs


def outputs_of(result: Any) -> dict[str, Tensor]:
    """All that a model returned, by name."""
    found: dict[str, Tensor] = {}
    for name in (field.name for field in dataclasses.fields(ModelOutput)):
        value = getattr(result, name, None)
        if isinstance(value, tuple):
            found |= {f"{name}[{number}]": part for number, part in enumerate(value)}
        elif value is not None:
            found[name] = value
    return found


def gradients_of(model: Any, result: Any, names: Any = str) -> dict[str, Tensor]:
    """Backpropagate the loss (or, without one, a sum that weighs every number differently)."""
    loss = getattr(result, "loss", None)
    if loss is None:
        parts = [result.last_hidden_state, result.pooler_output]
        loss = torch.stack(
            [(part * torch.arange(part.numel()).reshape(part.shape).cos()).sum() for part in parts]
        ).sum()
    model.zero_grad()
    loss.backward()
    return {names(name): parameter.grad for name, parameter in model.named_parameters()}


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor], bound: float, scale: float = 1.0) -> None:
    """All of their names are among ours, and no number is further apart than `bound * scale`."""
    assert ours.keys() >= theirs.keys()
    for name in theirs:
        assert ours[name].shape == theirs[name].shape, name
        difference = (ours[name] - theirs[name]).abs().max().item()
        assert difference <= bound * scale, f"{name}: {difference:.2e}, allowed {bound * scale:.2e}"


def assert_parity(ours: Any, theirs: Any, batch: dict[str, Tensor], reference_batch: dict[str, Tensor]) -> None:
    for dtype, bound in BOUND.items():
        ours, theirs = ours.to(dtype), theirs.to(dtype)
        more: dict[str, Any] = {"output_hidden_states": True, "output_attentions": True}

        def as_type(batch: dict[str, Tensor], dtype: torch.dtype = dtype) -> dict[str, Tensor]:
            return {name: value.to(dtype) if value.is_floating_point() else value for name, value in batch.items()}

        result, expected = ours(**as_type(batch), **more), theirs(**as_type(reference_batch), **more)
        assert_equal(outputs_of(result), outputs_of(expected), bound)
        gradients = gradients_of(theirs, expected)
        largest = max(gradient.abs().max().item() for gradient in gradients.values())
        assert_equal(gradients_of(ours, result, ours.checkpoint_name), gradients, bound, max(1.0, largest))


@pytest.mark.parametrize("class_name", CLASSES)
def test_outputs_losses_and_gradients_are_those_of_transformers(class_name: str) -> None:
    @given(st.data(), configs(), st.integers(0, 2**32 - 1), st.booleans())
    @thorough
    def compare(data: st.DataObject, config: BertConfig, seed: int, from_here: bool) -> None:
        if class_name == "BertForQuestionAnswering":
            config = dataclasses.replace(config, num_labels=2)
        batch = data.draw(batches(config, class_name))
        assert_parity(*model_pair(class_name, config, seed, from_here), batch, batch)

    compare()


@given(st.data(), configs(), st.integers(0, 2**32 - 1))
@thorough
def test_a_mask_for_each_query_is_that_of_transformers(data: st.DataObject, config: BertConfig, seed: int) -> None:
    ours, theirs = model_pair("BertModel", config, seed)
    batch = data.draw(batches(config))
    rows, length = batch["input_ids"].shape
    mask = torch.rand(rows, length, length, generator=torch.Generator().manual_seed(seed)) < 0.6
    mask |= torch.eye(length, dtype=torch.bool)
    # transformers wants what is added to the scores
    added = torch.zeros(rows, 1, length, length).masked_fill(~mask[:, None], torch.finfo(torch.float32).min)
    assert_parity(ours, theirs, batch | {"attention_mask": mask.long()}, batch | {"attention_mask": added})


@given(st.data(), configs(), st.integers(0, 2**32 - 1))
@thorough
def test_the_fused_attention_of_transformers_gives_the_same(data: st.DataObject, config: BertConfig, seed: int) -> None:
    ours, theirs = model_pair("BertModel", config, seed, attention="sdpa")
    batch = data.draw(batches(config))
    with torch.no_grad():
        assert_equal(outputs_of(ours(**batch)), outputs_of(theirs(**batch)), BOUND[torch.float32])


@pytest.mark.parametrize("class_name", ["BertModel", "BertForPreTraining"])
def test_a_fully_padded_row_is_finite_and_that_of_transformers(class_name: str) -> None:
    config = BertConfig.published("bert-tiny")
    config = dataclasses.replace(
        config, vocab_size=50, hidden_size=32, intermediate_size=64, max_position_embeddings=12
    )
    ours, theirs = model_pair(class_name, config)
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
