"""T5: its published sizes, its configuration, its first weights, loading and saving, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from chance import seeded
from safetensors.torch import load_file, save_file
from torch import Tensor

from plm_lessons.models.t5 import T5Config, T5ForConditionalGeneration
from plm_lessons.training.large_batches import accumulate_gradients

transformers.utils.logging.disable_progress_bar()
ReferenceConfig: Any = transformers.T5Config
Reference: Any = transformers.T5ForConditionalGeneration

TINY = T5Config(vocab_size=30, d_model=12, d_kv=5, d_ff=20, num_layers=2, num_decoder_layers=3, num_heads=2)
V1_1 = dataclasses.replace(TINY, feed_forward_proj="gated-gelu", tie_word_embeddings=False, scale_decoder_outputs=False)
# Tied matrices are counted once; for the tied models the counts are those of transformers. Raffel et al. count 60M,
# 220M, 770M (with a separate output matrix, which the released model lacks), 3B and 11B.
COUNTS = {
    "t5-small": 60_506_624,
    "t5-base": 222_903_552,
    "t5-large": 737_668_096,
    "t5-3b": 2_851_598_336,
    "t5-11b": 11_307_321_344,
    "google/t5-v1_1-small": 76_961_152,
    "google/t5-v1_1-base": 247_577_856,
    "google/t5-v1_1-large": 783_150_080,
    "google/t5-v1_1-xl": 2_849_757_184,
    "google/t5-v1_1-xxl": 11_135_332_352,
}
NAN = float("nan")
COUNTING = (0, -1, 1.5, True, "12", NAN)
IMPOSSIBLE: dict[str, tuple[Any, ...]] = {
    "vocab_size": COUNTING,
    "d_model": COUNTING,
    "d_kv": COUNTING,
    "d_ff": COUNTING,
    "num_layers": COUNTING,
    "num_decoder_layers": COUNTING,
    "num_heads": COUNTING,
    "relative_attention_num_buckets": (*COUNTING, 3),
    "relative_attention_max_distance": (*COUNTING, 16),
    "dropout_rate": (-0.1, 1.0, NAN, None, "0.1"),
    "layer_norm_epsilon": (-1e-6, 1.0, NAN, None),
    "initializer_factor": (-1.0, NAN, float("inf"), None),
    "feed_forward_proj": ("geglu", "gated", "gated-", "relu-gated", "gated-geglu", None, 3),
    "pad_token_id": (-1, 32128, 0.0, None),
    "eos_token_id": (-1, 32128, [1]),
    "decoder_start_token_id": (-1, 32128, 0.0),
    "tie_word_embeddings": (None, "yes", 2),
    "scale_decoder_outputs": ("no", 2),
}


@pytest.fixture(autouse=True)
def no_unexpected_warning() -> Any:
    """A warning that a test does not expect is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def inputs(rows: int = 2) -> dict[str, Any]:
    ids = torch.randint(2, 30, (rows, 6), generator=seeded())
    return {"input_ids": ids, "labels": torch.randint(2, 30, (rows, 4), generator=seeded(1))}


def change(
    folder: Path, config: dict[str, Any] | None = None, tensors: Mapping[str, Tensor | None] | None = None
) -> None:
    """Edit a saved folder; None removes a tensor."""
    values = json.loads((folder / "config.json").read_text(encoding="utf8")) | (config or {})
    (folder / "config.json").write_text(json.dumps(values), encoding="utf8")
    stored = {**load_file(folder / "model.safetensors"), **(tensors or {})}
    save_file({name: value for name, value in stored.items() if value is not None}, folder / "model.safetensors")


# --- sizes and configuration ---


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_published_sizes_have_the_published_number_of_parameters(name: str, count: int) -> None:
    config = T5Config.published(name)
    with torch.device("meta"):
        assert T5ForConditionalGeneration(config).num_parameters() == count
        if config.tie_word_embeddings:
            fields = dataclasses.asdict(config) | {"scale_decoder_outputs": True}
            reference = Reference(ReferenceConfig(**fields))
            assert sum(parameter.numel() for parameter in reference.parameters()) == count


def test_every_size_is_counted() -> None:
    assert COUNTS.keys() == T5Config.published_sizes.keys()
    with pytest.raises(ValueError, match="name='t5-huge': must be one of 't5-small'"):
        T5Config.published("t5-huge")


def test_defaults_are_those_of_transformers() -> None:
    """A `config.json` leaves out fields with their defaults, so another default would mean another model."""
    theirs = ReferenceConfig(decoder_start_token_id=0)
    for field in dataclasses.fields(T5Config):
        assert getattr(T5Config(), field.name) == getattr(theirs, field.name), field.name
    assert T5Config.from_dict({"model_type": "t5"}) == T5Config()


def test_what_follows_from_other_fields() -> None:
    config = T5Config(vocab_size=50, num_layers=4, pad_token_id=7)
    assert (config.num_decoder_layers, config.decoder_start_token_id, config.scale_decoder_outputs) == (4, 7, True)
    assert T5Config(tie_word_embeddings=False).scale_decoder_outputs is False
    assert T5Config(feed_forward_proj="gated-gelu").dense_act_fn == "gelu_new"
    assert T5Config(feed_forward_proj="gelu").dense_act_fn == "gelu"


def test_every_field_has_values_that_are_refused() -> None:
    assert IMPOSSIBLE.keys() == {field.name for field in dataclasses.fields(T5Config)}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in IMPOSSIBLE for value in IMPOSSIBLE[field]])
def test_an_impossible_value_is_refused_by_the_fields_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        T5Config(**{field: value})  # type: ignore[arg-type]


def test_a_config_json_as_the_hub_has_it_is_read() -> None:
    """That of google/t5-v1_1-base, with everything that earlier versions of transformers wrote."""
    values = {
        "architectures": ["T5ForConditionalGeneration"],
        "d_ff": 2048,
        "d_kv": 64,
        "d_model": 768,
        "decoder_start_token_id": 0,
        "dense_act_fn": "gelu_new",
        "dropout_rate": 0.1,
        "eos_token_id": 1,
        "feed_forward_proj": "gated-gelu",
        "initializer_factor": 1.0,
        "is_encoder_decoder": True,
        "is_gated_act": True,
        "layer_norm_epsilon": 1e-06,
        "model_type": "t5",
        "n_positions": 512,
        "num_decoder_layers": 12,
        "num_heads": 12,
        "num_layers": 12,
        "output_past": True,
        "pad_token_id": 0,
        "relative_attention_num_buckets": 32,
        "task_specific_params": {"summarization": {"num_beams": 4, "prefix": "summarize: "}},
        "tie_word_embeddings": False,
        "use_cache": True,
        "vocab_size": 32128,
    }
    assert T5Config.from_dict(values) == T5Config.published("google/t5-v1_1-base")
    for wrong, message in (
        ({"is_gated_act": False}, "is_gated_act=False: must agree with feed_forward_proj='gated-gelu'"),
        ({"dense_act_fn": "gelu"}, "dense_act_fn='gelu': must agree with"),
        ({"is_encoder_decoder": False}, "is_encoder_decoder=False: T5Config supports only True"),
        ({"model_type": "mt5"}, "model_type='mt5'"),
        ({"d_modle": 3}, "d_modle: not a field"),
    ):
        with pytest.raises(ValueError, match=message):
            T5Config.from_dict(values | wrong)


# --- loading and saving ---


@pytest.mark.parametrize("config", [TINY, V1_1], ids=["v1.0", "v1.1"])
def test_transformers_loads_what_is_saved_with_no_key_missing_or_left_over(config: T5Config, tmp_path: Path) -> None:
    model = T5ForConditionalGeneration(dataclasses.replace(config, decoder_start_token_id=3), seeded(5))
    model.save_pretrained(tmp_path)
    theirs, report = Reference.from_pretrained(tmp_path, output_loading_info=True)
    assert {name: set(keys) for name, keys in report.items()} == dict.fromkeys(report, set())
    named = {model.checkpoint_name(name): value for name, value in model.named_parameters()}
    assert named.keys() == dict(theirs.named_parameters()).keys()
    assert all(torch.equal(named[name], value) for name, value in theirs.named_parameters())
    assert (theirs.config.decoder_start_token_id, theirs.config.num_decoder_layers) == (3, 3)
    again = T5ForConditionalGeneration.from_pretrained(tmp_path)
    assert again.config == model.config and not again.training
    assert all(torch.equal(one, two) for one, two in zip(again.parameters(), model.parameters(), strict=True))


def test_copies_of_the_embedding_and_the_unused_bias_of_old_checkpoints_are_read(tmp_path: Path) -> None:
    model = T5ForConditionalGeneration(TINY)
    model.save_pretrained(tmp_path)
    copies = {
        name: model.shared.weight.detach().clone()
        for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
    }
    unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    change(tmp_path, tensors=copies | {unused: torch.ones(32, 2)})
    again = T5ForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(again(**inputs()).logits, model.eval()(**inputs()).logits)

    change(tmp_path, tensors={"decoder.embed_tokens.weight": torch.zeros(30, 12)})
    with pytest.raises(ValueError, match="unexpected decoder.embed_tokens.weight"):
        T5ForConditionalGeneration.from_pretrained(tmp_path)


def test_a_checkpoint_that_does_not_fit_is_refused_by_the_tensors_name(tmp_path: Path) -> None:
    T5ForConditionalGeneration(V1_1).save_pretrained(tmp_path)
    bias = "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    for tensors, message in (
        ({"lm_head.weight": None}, "missing lm_head.weight"),
        ({"lm_head.weight": torch.ones(30, 12), bias: torch.ones(8, 2)}, rf"{bias} has shape \(8, 2\)"),
        (
            {bias: torch.ones(32, 2), "decoder.block.3.layer.0.layer_norm.weight": torch.ones(12)},
            "unexpected decoder.bl",
        ),
    ):
        change(tmp_path, tensors=tensors)
        with pytest.raises(ValueError, match=message):
            T5ForConditionalGeneration.from_pretrained(tmp_path)


def test_v1_1_as_transformers_5_writes_it_is_still_untied(tmp_path: Path) -> None:
    """It writes `tie_word_embeddings: true` whatever the tensors are; another field says that nothing is scaled."""
    model = T5ForConditionalGeneration(V1_1).eval()
    model.save_pretrained(tmp_path)
    change(tmp_path, config={"tie_word_embeddings": True, "scale_decoder_outputs": False})
    again = T5ForConditionalGeneration.from_pretrained(tmp_path)
    assert again.config == V1_1 and torch.equal(again(**inputs()).logits, model(**inputs()).logits)

    change(tmp_path, tensors={"lm_head.weight": None})
    tied = T5ForConditionalGeneration.from_pretrained(tmp_path)
    assert tied.config.tie_word_embeddings and not tied.config.scale_decoder_outputs
    assert tied.num_parameters() == model.num_parameters() - 30 * 12


# --- first weights ---


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_first_weights_have_the_deviations_of_the_reference_code(factor: float) -> None:
    config = T5Config(
        vocab_size=400,
        d_model=128,
        d_kv=48,
        d_ff=320,
        num_layers=1,
        num_heads=4,
        relative_attention_num_buckets=800,
        relative_attention_max_distance=1600,
        initializer_factor=factor,
    )
    config = dataclasses.replace(config, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    expected = {
        "shared": 1.0,
        "query": (128 * 48) ** -0.5,
        "key": 128**-0.5,
        "value": 128**-0.5,
        "output": (4 * 48) ** -0.5,
        "gate": 128**-0.5,
        "linear": 128**-0.5,
        "contract": 320**-0.5,
        "table": 128**-0.5,
        "lm_head": 128**-0.5,
    }
    for name, parameter in T5ForConditionalGeneration(config, seeded(3)).named_parameters():
        if parameter.dim() == 1:
            assert (parameter == 1).all()
            continue
        wanted = factor * expected[name.split(".")[-2]]
        assert parameter.std().item() == pytest.approx(wanted, rel=0.08), name
        assert abs(parameter.mean().item()) < 6 * wanted / parameter.numel() ** 0.5, name
        assert parameter.abs().max() > 2.5 * wanted, "not cut off"


def test_weights_follow_from_the_generator_alone() -> None:
    state = torch.random.get_rng_state()
    first, second = T5ForConditionalGeneration(TINY, seeded(1)), T5ForConditionalGeneration(TINY, seeded(1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(one, two) for one, two in zip(first.parameters(), second.parameters(), strict=True))
    other = T5ForConditionalGeneration(TINY, seeded(2))
    assert not torch.equal(first.shared.weight, other.shared.weight)


def test_an_untied_model_begins_by_guessing_and_a_tied_one_by_repeating() -> None:
    """If the output matrix is the embedding, the token that the decoder has just read scores sqrt(H) too high."""
    ids = torch.randint(2000, (2, 40), generator=seeded())
    losses, repeated = [], []
    for name in ("google/t5-v1_1-small", "t5-small"):
        config = dataclasses.replace(T5Config.published(name), vocab_size=2000, num_layers=2, num_decoder_layers=2)
        with torch.no_grad():
            result = T5ForConditionalGeneration(config).eval()(ids, decoder_input_ids=ids, labels=ids.roll(-1, 1))
        losses.append(result.loss.item())
        repeated.append((result.logits.argmax(-1) == ids).double().mean().item())
    assert 7.6 < losses[0] < 8.6 and losses[1] > 10  # ln 2000 is 7.6, and logits with deviation 1 add a half
    assert repeated[0] < 0.05 and repeated[1] > 0.95


# --- what the model sees ---


def test_a_target_token_sees_those_before_it_and_all_of_the_source() -> None:
    model, batch = T5ForConditionalGeneration(TINY).double().eval(), inputs(rows=1)
    before = model(**batch).logits[0]
    other = batch["labels"].clone()
    other[0, 2] = (other[0, 2] + 1) % 30
    after = model(batch["input_ids"], labels=other).logits[0]
    # label 2 is read at place 3, to predict the one after it
    assert torch.equal(after[:3], before[:3]) and not torch.allclose(after[3], before[3])
    for place in range(6):
        ids = batch["input_ids"].clone()
        ids[0, place] = (ids[0, place] + 1) % 30
        assert not torch.allclose(model(ids, labels=batch["labels"]).logits[0, 0], before[0])


@pytest.mark.parametrize("tied", [True, False])
def test_loss_without_the_scores_is_the_loss_with_them(tied: bool) -> None:
    ids = inputs(rows=3)["input_ids"]
    labels = torch.tensor([[5, 6, 1, -100], [-100, 7, 8, 1], [1, -100, -100, -100]])
    model = T5ForConditionalGeneration(dataclasses.replace(TINY, tie_word_embeddings=tied, dropout_rate=0.0)).double()
    found = []
    for output_logits in (True, False):
        model.zero_grad()
        output = model(ids, labels=labels, output_logits=output_logits)
        output.loss.backward()
        assert (output.logits is not None) == output_logits
        found.append([output.loss, *(parameter.grad for parameter in model.parameters())])
    torch.testing.assert_close(*found, atol=1e-12, rtol=1e-12)
    assert model(ids, labels=torch.full((3, 2), -100), output_logits=False).loss == 0


def test_training_scores_words_only_where_there_is_a_label(monkeypatch: pytest.MonkeyPatch) -> None:
    model, scored = T5ForConditionalGeneration(TINY), []
    score_words = model.score_words

    def counted(states: Tensor) -> Tensor:
        scored.append(states.shape[:-1].numel())
        return score_words(states)

    monkeypatch.setattr(model, "score_words", counted)
    batch = {"input_ids": inputs()["input_ids"], "labels": torch.tensor([[5, 6, 1], [1, -100, -100]])}
    accumulate_gradients(model, [batch])
    assert scored == [4]


def test_labels_are_shifted_right_behind_the_start_token() -> None:
    model = T5ForConditionalGeneration(dataclasses.replace(TINY, decoder_start_token_id=9)).eval()
    labels = torch.tensor([[5, 6, -100, 7], [8, 1, -100, -100]])
    assert model.shift_right(labels).tolist() == [[9, 5, 6, 0], [9, 8, 1, 0]]
    ids = inputs()["input_ids"]
    given, shifted = model(ids, labels=labels, decoder_input_ids=model.shift_right(labels)), model(ids, labels=labels)
    assert torch.equal(given.loss, shifted.loss)
    assert model(ids, labels=torch.full((2, 3), -100)).loss == 0


def test_31_of_the_encoders_32_rows_of_biases_can_learn_and_all_of_the_decoders() -> None:
    model = T5ForConditionalGeneration(TINY).eval()
    ids = torch.randint(30, (1, 130), generator=seeded())
    loss = model(ids, labels=ids).loss
    assert loss is not None
    loss.backward()
    grads = [stack.position_bias.table.weight.grad for stack in (model.encoder, model.decoder)]
    unused = [(grad.abs().sum(dim=1) == 0).nonzero().flatten().tolist() for grad in grads if grad is not None]
    assert unused == [[16], []]


def test_a_source_of_any_length_can_be_read() -> None:
    model = T5ForConditionalGeneration(TINY).eval()
    with torch.no_grad():
        states = model.encode(torch.ones(1, 1500, dtype=torch.int64)).last_hidden_state
    assert states is not None and states.shape == (1, 1500, 12)


def test_without_gradients_the_numbers_are_the_same_and_weights_are_there_if_asked_for() -> None:
    model, batch = T5ForConditionalGeneration(TINY).double().eval(), inputs()
    batch["attention_mask"] = torch.tensor([[0] * 6, [0] * 2 + [1] * 4])
    expected = model(**batch, output_attentions=True)
    with torch.no_grad():
        fused, asked = model(**batch), model(**batch, output_attentions=True)
    torch.testing.assert_close(fused.logits, expected.logits, rtol=0, atol=1e-10)
    for name in ("encoder_attentions", "decoder_attentions", "cross_attentions"):
        assert getattr(fused, name) is None
        assert all(torch.equal(*weights) for weights in zip(getattr(asked, name), getattr(expected, name), strict=True))


def test_a_source_of_padding_only_gives_finite_numbers() -> None:
    model, batch = T5ForConditionalGeneration(TINY).eval(), inputs()
    mask = torch.tensor([[0] * 6, [1] * 6])
    result = model(**batch, attention_mask=mask, output_attentions=True)
    assert result.logits.isfinite().all()
    torch.testing.assert_close(result.cross_attentions[0][0], torch.full((2, 4, 6), 1 / 6))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": torch.tensor(3)}, r"labels has shape \(\): must be \(2,\)"),
        ({"decoder_input_ids": torch.tensor([[1, 2]]), "labels": None}, "decoder_input_ids has shape .* 2 rows"),
        (
            {"attention_mask": torch.ones(2, 5)},
            r"attention_mask has shape \(2, 5\): must be \(2, 6\), to fit input_ids",
        ),
        ({"decoder_attention_mask": torch.ones(2, 6)}, r"must be \(2, 4\), to fit decoder_input_ids"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        T5ForConditionalGeneration(TINY)(**inputs() | arguments)
