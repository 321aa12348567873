"""ALBERT by itself: what it does differently from BERT, and that its files are those of `transformers`.

That it computes what `transformers` computes is in `test_albert_parity.py`; what BERT does too, in `test_bert.py`.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import randomise
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

import plm_lessons
from plm_lessons import (
    AlbertConfig,
    AlbertForMaskedLM,
    AlbertForPreTraining,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
    AlbertModel,
    BertConfig,
)
from plm_lessons.layers.activations import ACTIVATIONS

transformers.utils.logging.disable_progress_bar()

TINY = AlbertConfig(
    vocab_size=40,
    embedding_size=10,
    hidden_size=24,
    num_hidden_layers=5,
    num_attention_heads=3,
    intermediate_size=50,
    max_position_embeddings=16,
)
CLASSES = [
    getattr(plm_lessons, name) for name in plm_lessons.__all__ if name.startswith("Albert") and name != "AlbertConfig"
]
SHARED = ("all", "attention", "feed_forward", "none")


def tokens(rows: int = 2, length: int = 10, seed: int = 0) -> Tensor:
    return torch.randint(5, TINY.vocab_size, (rows, length), generator=torch.Generator().manual_seed(seed))


def lively(model_class: Any = AlbertModel, **fields: Any) -> Any:
    """A model in evaluation mode whose weights, biases and gains are so large that everything has an effect."""
    model = model_class(dataclasses.replace(TINY, **fields)).double().eval()
    randomise(model, seed=0)
    return model


# --- size ---

# Layers, hidden size, heads; parameters of the encoder, with the masked-LM head, with both heads of pre-training.
COUNTS = {
    "base": (12, 768, 12, 11_683_584, 11_221_680, 11_813_810),
    "large": (24, 1024, 16, 17_683_968, 16_795_824, 17_847_474),
    "xlarge": (24, 2048, 16, 58_724_864, 54_821_040, 59_021_490),
    "xxlarge": (12, 4096, 64, 222_595_584, 206_368_944, 223_158_450),
}
# [paper] table 4: embedding size, what is shared, parameters of the encoder.
TABLE_4 = [
    (768, "all", 31_114_752),
    (768, "attention", 83_078_400),
    (768, "feed_forward", 57_117_696),
    (768, "none", 109_081_344),
    (128, "all", 11_683_584),
    (128, "attention", 63_647_232),
    (128, "feed_forward", 37_686_528),
    (128, "none", 89_650_176),
]


def test_every_published_size_is_counted() -> None:
    names = {f"albert-{size}-{version}" for size in COUNTS for version in ("v1", "v2")}
    assert set(AlbertConfig.published_sizes) == names


@pytest.mark.parametrize("size", COUNTS)
def test_published_sizes_have_exactly_their_parameters(size: str) -> None:
    layers, hidden, heads, *counts = COUNTS[size]
    for version in ("v1", "v2"):
        config = AlbertConfig.published(f"albert-{size}-{version}")
        assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (layers, hidden, heads)
        assert (config.vocab_size, config.embedding_size, config.hidden_act) == (30000, 128, "gelu_new")
        dropout = 0.1 if version == "v1" and size != "xxlarge" else 0.0
        assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == dropout
        with torch.device("meta"):
            models = [AlbertModel(config), AlbertForMaskedLM(config), AlbertForPreTraining(config)]
        assert [model.num_parameters() for model in models] == counts


@pytest.mark.parametrize(("embedding_size", "shared", "count"), TABLE_4)
def test_what_is_shared_gives_the_counts_of_the_papers_table(embedding_size: int, shared: str, count: int) -> None:
    base = AlbertConfig.published("albert-base-v2")
    sizes: dict[str, Any] = {"embedding_size": embedding_size, "shared_parameters": shared}
    with torch.device("meta"):
        model = AlbertModel(dataclasses.replace(base, embedding_mapping="when_sizes_differ", **sizes))
        mapped = AlbertModel(dataclasses.replace(base, **sizes))
    assert model.num_parameters() == count
    extra = 768 * 768 + 768 if embedding_size == 768 else 0  # the map, which transformers has even then
    assert mapped.num_parameters() == count + extra


# --- configuration ---


@st.composite
def configs(draw: st.DrawFn) -> AlbertConfig:
    """Configurations that `transformers` has too."""
    heads, layers, share = draw(st.integers(1, 20)), draw(st.integers(1, 30)), st.floats(0, 1, exclude_max=True)
    return AlbertConfig(
        vocab_size=draw(st.integers(1, 10**6)),
        embedding_size=draw(st.integers(1, 1000)),
        hidden_size=heads * draw(st.integers(1, 100)),
        num_hidden_layers=layers,
        num_hidden_groups=draw(st.integers(1, layers)),
        inner_group_num=draw(st.integers(1, 4)),
        num_attention_heads=heads,
        hidden_act=draw(st.sampled_from(sorted(ACTIVATIONS))),
        hidden_dropout_prob=draw(share),
        attention_probs_dropout_prob=draw(share),
        classifier_dropout_prob=draw(share),
        pad_token_id=draw(st.sampled_from([None, 0])),
        num_labels=draw(st.integers(1, 5)),
    )


def test_the_defaults_are_those_of_transformers_and_of_xxlarge() -> None:
    reference = transformers.AlbertConfig()
    ours_only = {"position_embedding_type": "absolute", "label_names": ()}
    ours_only |= {"shared_parameters": "all", "embedding_mapping": "always"}
    for field in dataclasses.fields(AlbertConfig):
        expected = ours_only.get(field.name, getattr(reference, field.name, "missing"))
        assert getattr(AlbertConfig(), field.name) == expected, field.name
    assert AlbertConfig.published("albert-xxlarge-v2") == AlbertConfig() == AlbertConfig.from_dict({})


@given(configs())
@settings(deadline=None, max_examples=30)
def test_transformers_reads_what_is_written_and_writes_what_is_read(config: AlbertConfig) -> None:
    assert AlbertConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert "shared_parameters" not in config.to_dict() and "classifier_dropout" not in config.to_dict()
    theirs = transformers.AlbertConfig.from_dict(config.to_dict())
    assert AlbertConfig.from_dict(theirs.to_diff_dict()) == config
    assert AlbertConfig.from_dict(json.loads(theirs.to_json_string(use_diff=False))) == config


def test_a_released_file_is_read_with_what_is_left_over_in_it() -> None:
    left_over = {"down_scale_factor": 1, "gap_size": 0, "net_structure_type": 0, "num_memory_blocks": 0}
    released = {  # albert-base-v2
        "architectures": ["AlbertForMaskedLM"],
        "attention_probs_dropout_prob": 0,
        "bos_token_id": 2,
        "classifier_dropout_prob": 0.1,
        "embedding_size": 128,
        "eos_token_id": 3,
        "hidden_act": "gelu_new",
        "hidden_dropout_prob": 0,
        "hidden_size": 768,
        "initializer_range": 0.02,
        "inner_group_num": 1,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "albert",
        "num_attention_heads": 12,
        "num_hidden_groups": 1,
        "num_hidden_layers": 12,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": 30000,
    }
    config = AlbertConfig.from_dict(released | left_over | {"layers_to_keep": []})
    assert config == AlbertConfig.published("albert-base-v2")
    with pytest.raises(ValueError, match="net_structure_type=1: AlbertConfig supports only 0"):
        AlbertConfig.from_dict(released | {"net_structure_type": 1})
    with pytest.raises(ValueError, match="gap_size: not a field of BertConfig"):
        BertConfig.from_dict({"gap_size": 0})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"embedding_size": 0}, "embedding_size=0"),
        ({"num_hidden_groups": 1.5}, "num_hidden_groups=1.5"),
        ({"num_hidden_groups": 13}, "num_hidden_groups=13: must be at most num_hidden_layers=12"),
        ({"inner_group_num": 0}, "inner_group_num=0"),
        ({"classifier_dropout_prob": 1.0}, "classifier_dropout_prob=1.0"),
        ({"classifier_dropout_prob": None}, "classifier_dropout_prob=None"),
        (
            {"shared_parameters": "ffn"},
            "shared_parameters='ffn': must be one of 'all', 'attention', 'feed_forward', 'none'",
        ),
        ({"embedding_mapping": True}, "embedding_mapping=True: must be one of 'always', 'when_sizes_differ'"),
        ({"hidden_size": 100}, "num_attention_heads=64: must divide hidden_size=100"),
        ({"classifier_dropout": 0.1}, "classifier_dropout: not a field of AlbertConfig"),
    ],
)
def test_an_impossible_value_is_refused_by_the_fields_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        AlbertConfig(**fields)


def test_the_order_of_segments_has_exactly_two_scores() -> None:
    with pytest.raises(ValueError, match="num_labels=3: must be 2 in AlbertForPreTraining"):
        AlbertForPreTraining(dataclasses.replace(TINY, num_labels=3))


# --- the factorised embedding ---


def test_embeddings_are_summed_and_normalised_narrow_and_then_mapped() -> None:
    model, ids = lively(), tokens()
    tables, segments = model.embeddings, tokens() % 2
    total = (
        tables.word_embeddings(ids) + tables.token_type_embeddings(segments) + tables.position_embeddings.weight[:10]
    )
    assert total.shape == (2, 10, 10)
    normalised = F.layer_norm(total, (10,), tables.norm.weight, tables.norm.bias, 1e-12)
    expected = normalised @ tables.mapping.weight.T + tables.mapping.bias
    found = model(ids, token_type_ids=segments, output_hidden_states=True).hidden_states
    torch.testing.assert_close(found[0], expected)
    assert len(found) == 6 and found[0].shape == (2, 10, 24)


def test_words_are_scored_from_the_narrow_vector() -> None:
    model, ids = lively(AlbertForMaskedLM), tokens()
    head, hidden = model.masked_lm_head, model.encoder(ids).last_hidden_state
    narrow = F.gelu(hidden @ head.transform.weight.T + head.transform.bias, approximate="tanh")
    narrow = F.layer_norm(narrow, (10,), head.norm.weight, head.norm.bias, 1e-12)
    table = model.encoder.embeddings.word_embeddings.weight
    torch.testing.assert_close(model(ids).logits, narrow @ table.T + head.bias)


# --- shared layers ---


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize(("groups", "inner"), [(1, 1), (2, 1), (2, 2)])
def test_sharing_is_to_have_equal_layers_whose_gradients_add_up(shared: str, groups: int, inner: int) -> None:
    """Compared with a model without sharing whose layers were set to the same numbers."""
    fields: dict[str, Any] = {"num_hidden_groups": groups, "inner_group_num": inner}
    model = lively(shared_parameters=shared, **fields)
    apart = lively(shared_parameters="none", **fields)
    apart.load_state_dict({k: v for k, v in model.state_dict().items() if "groups" not in k}, strict=False)
    assert len(model.layers) == len(apart.layers) == 5 * inner
    assert len({id(layer) for layer in apart.layers}) == 5 * inner
    for layer, twin in zip(model.layers, apart.layers, strict=True):
        twin.load_state_dict(layer.state_dict())

    results = [one(tokens(), output_hidden_states=True) for one in (model, apart)]
    torch.testing.assert_close(*[result.hidden_states for result in results], rtol=0, atol=0)
    for result in results:
        result.pooler_output.sin().sum().backward()
    added: dict[Tensor, Tensor] = {}
    for layer, twin in zip(model.layers, apart.layers, strict=True):
        for parameter, other in zip(layer.parameters(), twin.parameters(), strict=True):
            added[parameter] = added.get(parameter, torch.zeros(())) + other.grad
    for parameter, gradient in added.items():
        torch.testing.assert_close(parameter.grad, gradient)

    layer_groups = [0, 0, 0, 1, 1] if groups == 2 else [0] * 5
    for part in ("attention", "feed_forward"):
        different = [(group, place) for group in layer_groups for place in range(inner)]
        if shared not in ("all", part):
            different = list(range(5 * inner))  # type: ignore[arg-type]
        for module in (part, f"{part}_norm"):
            found = [id(getattr(layer, module)) for layer in model.layers]
            assert [found.index(one) for one in found] == [different.index(one) for one in different]


@pytest.mark.parametrize("shared", SHARED)
def test_what_is_shared_stays_shared(shared: str, tmp_path: Path) -> None:
    model = lively(shared_parameters=shared, num_hidden_groups=2).float()
    expected = model.num_parameters()
    others = [copy.deepcopy(model), model.double(), AlbertModel(model.config)]
    if shared in ("all", "none"):
        model.save_pretrained(tmp_path)
        others.append(AlbertModel.from_pretrained(tmp_path))
    for other in others:
        assert other.num_parameters() == expected
        with torch.no_grad():
            other.layers[0].attention.output.bias += 1
        changed = [
            bool((layer.attention.output.bias == other.layers[0].attention.output.bias).all()) for layer in other.layers
        ]
        assert changed == [True, *[shared in ("all", "attention")] * 2, False, False]


def test_each_parameter_is_drawn_once_from_the_generator_alone() -> None:
    global_state = torch.random.get_rng_state()
    generator = torch.Generator().manual_seed(1)
    config = dataclasses.replace(TINY, pad_token_id=None)  # no row of zeros
    model = AlbertForPreTraining(config, generator)
    end = generator.get_state()
    matrices = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    generator.manual_seed(1)
    for matrix in matrices:
        model.draw_matrix("any", matrix.shape, generator)
    assert torch.equal(generator.get_state(), end)
    assert torch.equal(torch.random.get_rng_state(), global_state)
    assert len(matrices) == 4 + 6 + 1 + 1 + 1  # tables and map, one layer, pooler, two heads
    again = AlbertForPreTraining(config, torch.Generator().manual_seed(1))
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), again.parameters(), strict=True))
    assert len({tuple(matrix.flatten()[:5].tolist()) for matrix in matrices}) == len(matrices)


# --- sentence-order prediction ---


def test_the_two_losses_add_up_and_either_may_be_left_out() -> None:
    model, ids, order = lively(AlbertForPreTraining), tokens(), torch.tensor([1, 0])
    both = model(ids, labels=ids, sentence_order_label=order)
    words, pair = model(ids, labels=ids), model(ids, sentence_order_label=order)
    assert model(ids).loss is None
    torch.testing.assert_close(both.loss, words.loss + pair.loss)
    torch.testing.assert_close((both.masked_lm_loss, both.sentence_order_loss), (words.loss, pair.loss))
    scores = pair.sop_logits.log_softmax(-1)
    torch.testing.assert_close(pair.loss, -(scores[0, 1] + scores[1, 0]) / 2)
    head = model.sentence_order_head
    expected = model.encoder(ids).pooler_output @ head.weight.T + head.bias
    torch.testing.assert_close(both.sop_logits, expected)
    assert both.seq_relationship_logits is None and both.next_sentence_loss is None

    places = torch.tensor([[1, 4], [0, 9]])
    some = model(ids, labels=ids.gather(1, places), sentence_order_label=order, masked_positions=places)
    everywhere = both.prediction_logits.gather(1, places[:, :, None].expand(-1, -1, 40))
    torch.testing.assert_close(some.prediction_logits, everywhere)


@pytest.mark.parametrize(
    "model_class", [AlbertForPreTraining, AlbertForSequenceClassification, AlbertForTokenClassification]
)
def test_classifiers_have_the_dropout_of_their_own_field(model_class: Any) -> None:
    def noisy(rate: float) -> bool:
        model = lively(model_class, classifier_dropout_prob=rate)
        expected, name = model(tokens()), "sop_logits" if model_class is AlbertForPreTraining else "logits"
        torch.manual_seed(0)  # dropout uses no other generator
        return not torch.allclose(getattr(model.train()(tokens()), name), getattr(expected, name))

    assert noisy(0.5) and not noisy(0.0)


# --- files ---


@pytest.mark.parametrize("model_class", CLASSES)
def test_files_go_both_ways_with_no_key_missing_or_left_over(model_class: Any, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, num_hidden_groups=3, inner_group_num=2, pad_token_id=3)
    model = model_class(config)
    randomise(model, seed=0)
    model.save_pretrained(tmp_path / "ours")
    reference_class = getattr(transformers, model_class.__name__)
    reference, report = reference_class.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert {name: set(keys) for name, keys in report.items()} == dict.fromkeys(report, set())
    theirs = dict(reference.named_parameters())
    assert {model.checkpoint_name(name) for name, _ in model.named_parameters()} == theirs.keys()

    randomise(reference, seed=1)
    reference.save_pretrained(tmp_path / "theirs")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        again = model_class.from_pretrained(tmp_path / "theirs")
    assert again.config == config
    assert all(torch.equal(value, theirs[model.checkpoint_name(name)]) for name, value in again.named_parameters())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The folder of a pre-trained model, with both heads."""
    lively(AlbertForPreTraining).float().save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def test_copies_that_older_files_store_are_passed_over_if_they_are_copies(saved: Path) -> None:
    expected, tensors = AlbertForPreTraining.from_pretrained(saved), load_file(saved / "model.safetensors")
    assert sum(tensor.numel() for tensor in tensors.values()) == expected.num_parameters()
    words, bias = tensors["albert.embeddings.word_embeddings.weight"], tensors["predictions.bias"]
    copies = {"predictions.decoder.weight": words.clone(), "predictions.decoder.bias": bias.clone()}
    copies["albert.embeddings.position_ids"] = torch.arange(16)[None]
    save_file(tensors | copies, saved / "model.safetensors")
    found = AlbertForPreTraining.from_pretrained(saved).state_dict()
    assert all(torch.equal(value, found[name]) for name, value in expected.state_dict().items())
    save_file(tensors | {"predictions.decoder.bias": bias + 1}, saved / "model.safetensors")
    with pytest.raises(ValueError, match=r"unexpected predictions\.decoder\.bias$"):
        AlbertForPreTraining.from_pretrained(saved)


def test_an_encoder_is_found_without_its_prefix_and_gets_a_new_head(saved: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"also has predictions.*sop_classifier.*: not used by AlbertModel"):
        bare = AlbertModel.from_pretrained(saved)
    bare.save_pretrained(tmp_path / "bare")
    assert "encoder.embedding_hidden_mapping_in.weight" in load_file(tmp_path / "bare" / "model.safetensors")
    with pytest.warns(UserWarning, match="has no classifier.weight, classifier.bias: drawn anew"):
        model = AlbertForSequenceClassification.from_pretrained(tmp_path / "bare", num_labels=3)
    assert torch.equal(model.encoder(tokens()).pooler_output, bare(tokens()).pooler_output)


def test_a_missing_layer_is_named(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | {"num_hidden_groups": 2}))
    with pytest.raises(
        ValueError, match=r"missing albert\.encoder\.albert_layer_groups\.1\.albert_layers\.0\.attention"
    ):
        AlbertForPreTraining.from_pretrained(saved)


@pytest.mark.parametrize(
    "fields",
    [
        {"shared_parameters": "attention"},
        {"shared_parameters": "feed_forward"},
        {"embedding_mapping": "when_sizes_differ", "embedding_size": 24},
    ],
)
def test_what_transformers_does_not_have_is_not_saved(fields: dict[str, Any], tmp_path: Path) -> None:
    field, value = next(iter(fields.items()))
    with pytest.raises(ValueError, match=f"{field}='{value}': cannot be saved"):
        lively(**fields).save_pretrained(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_layers_that_share_nothing_are_saved_as_groups_of_one(tmp_path: Path) -> None:
    model = lively(AlbertForMaskedLM, shared_parameters="none", embedding_mapping="when_sizes_differ").float()
    model.save_pretrained(tmp_path)
    again, ids = AlbertForMaskedLM.from_pretrained(tmp_path), tokens()
    assert again.config == dataclasses.replace(TINY, num_hidden_groups=5)
    assert torch.equal(again(ids).logits, model(ids).logits)
    reference = transformers.AlbertForMaskedLM.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(reference(ids).logits, model(ids).logits, rtol=0, atol=1e-5)
