"""BERT by itself: its size, what each part of its input does, its objective, its first weights, and what it refuses.

That it computes what `transformers` computes is tested in `test_bert_parity.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import scipy.stats
import torch
import transformers
from chance import seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

import plm_lessons
from plm_lessons import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)
from plm_lessons.models.heads import class_loss, sequence_loss, span_loss

TINY = BertConfig(
    vocab_size=40,
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=50,
    max_position_embeddings=16,
)
seeds = st.integers(0, 2**32 - 1)


def tokens(rows: int = 2, length: int = 10, seed: int = 0) -> Tensor:
    return torch.randint(5, TINY.vocab_size, (rows, length), generator=seeded(seed))


def lively(class_name: str = "BertModel", seed: int = 0, **fields: Any) -> Any:
    """A model in evaluation mode whose weights, biases and gains are so large that everything has an effect."""
    model = getattr(plm_lessons, class_name)(dataclasses.replace(TINY, **fields)).double().eval()
    generator = seeded(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=0.5, generator=generator)
            if name.endswith("norm.weight"):
                parameter.add_(1)
    return model


# --- size ---

# Layers, hidden size, vocabulary; parameters of the encoder, without its pooler, with the masked-LM head, with both
# heads of pre-training. Computed from the architecture; those of `transformers` are compared below.
COUNTS = {
    "bert-base-uncased": (12, 768, 30522, 109_482_240, 108_891_648, 109_514_298, 110_106_428),
    "bert-base-cased": (12, 768, 28996, 108_310_272, 107_719_680, 108_340_804, 108_932_934),
    "bert-base-chinese": (12, 768, 21128, 102_267_648, 101_677_056, 102_290_312, 102_882_442),
    "bert-large-uncased": (24, 1024, 30522, 335_141_888, 334_092_288, 335_174_458, 336_226_108),
    "bert-large-cased": (24, 1024, 28996, 333_579_264, 332_529_664, 333_610_308, 334_661_958),
    "bert-tiny": (2, 128, 30522, 4_385_920, 4_369_408, 4_416_698, 4_433_468),
    "bert-mini": (4, 256, 30522, 11_170_560, 11_104_768, 11_201_594, 11_267_900),
    "bert-small": (4, 512, 30522, 28_763_648, 28_500_992, 28_795_194, 29_058_876),
    "bert-medium": (8, 512, 30522, 41_373_184, 41_110_528, 41_404_730, 41_668_412),
}


def test_every_published_size_is_counted() -> None:
    assert set(COUNTS) == set(BertConfig.published_sizes)


@pytest.mark.parametrize("name", COUNTS)
def test_published_sizes_have_exactly_their_parameters(name: str) -> None:
    layers, hidden, vocabulary, *counts = COUNTS[name]
    config = BertConfig.published(name)
    assert (config.num_hidden_layers, config.hidden_size, config.vocab_size) == (layers, hidden, vocabulary)
    with torch.device("meta"):
        models = [
            BertModel(config),
            BertModel(config, add_pooling_layer=False),
            BertForMaskedLM(config),
            BertForPreTraining(config),
        ]
    assert [model.num_parameters() for model in models] == counts

    # The same from the architecture: tables and norm, layers, pooler, heads.
    inner, positions, segments = 4 * hidden, 512, 2
    layer = 4 * (hidden**2 + hidden) + 2 * hidden
    layer += (hidden * inner + inner) + (inner * hidden + hidden) + 2 * hidden
    encoder = (vocabulary + positions + segments) * hidden + 2 * hidden + layers * layer
    pooler = hidden**2 + hidden
    words = (hidden**2 + hidden) + 2 * hidden + vocabulary
    pair = 2 * hidden + 2
    assert counts == [encoder + pooler, encoder, encoder + words, encoder + pooler + words + pair]


@pytest.mark.parametrize("name", ["bert-base-uncased", "bert-large-uncased", "bert-tiny"])
def test_the_counts_are_those_of_transformers(name: str) -> None:
    config = BertConfig.published(name)
    fields = dataclasses.asdict(config)
    del fields["position_embedding_type"], fields["label_names"]
    reference = transformers.BertConfig(**fields)
    with torch.device("meta"):
        models = [
            transformers.BertModel(reference),
            transformers.BertModel(reference, add_pooling_layer=False),
            transformers.BertForMaskedLM(reference),
            transformers.BertForPreTraining(reference),
        ]
    assert [sum(parameter.numel() for parameter in model.parameters()) for model in models] == list(COUNTS[name][3:])


def test_a_model_on_the_meta_device_takes_shapes_through_without_numbers() -> None:
    with torch.device("meta"):
        model = BertForPreTraining(BertConfig.published("bert-large-uncased"))
        ids = torch.zeros(2, 128, dtype=torch.int64)
        result = model(ids, torch.ones_like(ids), ids, ids[:, :19], ids[:, 0], ids[:, :19])
    assert all(parameter.is_meta for parameter in model.parameters())
    assert result.prediction_logits.shape == (2, 19, 30522) and result.seq_relationship_logits.shape == (2, 2)


# --- what the input does ---


def test_shapes_and_what_is_returned_on_request() -> None:
    model, ids = lively(), tokens(3, 7)
    result = model(ids)
    assert result.last_hidden_state.shape == (3, 7, 24) and result.pooler_output.shape == (3, 24)
    assert result.hidden_states is None and result.attentions is None and result.loss is None
    result = model(ids, output_hidden_states=True, output_attentions=True)
    assert [state.shape for state in result.hidden_states] == [(3, 7, 24)] * 3
    assert [weights.shape for weights in result.attentions] == [(3, 3, 7, 7)] * 2
    assert torch.equal(result.hidden_states[-1], result.last_hidden_state)
    for weights in result.attentions:
        torch.testing.assert_close(weights.sum(-1), torch.ones(3, 3, 7, dtype=torch.float64))
    assert "last_hidden_state=[3, 7, 24]" in repr(result) and "attentions=2 x [3, 3, 7, 7]" in repr(result)
    assert BertModel(TINY, add_pooling_layer=False)(ids).pooler_output is None


def test_the_pooler_looks_at_the_first_token_only() -> None:
    model, ids = lively(), tokens()
    result = model(ids)
    first = result.last_hidden_state[:, 0]
    dense = model.pooler.dense
    torch.testing.assert_close(result.pooler_output, torch.tanh(first @ dense.weight.T + dense.bias))


def test_each_layer_normalises_after_adding() -> None:
    """Post-norm: with sub-layers that give zero a layer is norm(norm(x)); in pre-norm it would be x itself."""
    model, ids = lively(), tokens()
    layer = model.layers[0]
    with torch.no_grad():
        for silent in (layer.attention.output, layer.feed_forward.contract):
            silent.weight.zero_()
            silent.bias.zero_()
    before, after, _ = model(ids, output_hidden_states=True).hidden_states
    for norm in (layer.attention_norm, layer.feed_forward_norm):
        before = F.layer_norm(before, (24,), norm.weight, norm.bias, TINY.layer_norm_eps)
    torch.testing.assert_close(after, before)


def test_the_embedding_is_word_plus_position_plus_segment_normalised() -> None:
    model, ids = lively(), tokens(2, 6)
    segments = torch.tensor([[0, 0, 1, 1, 1, 0], [0, 1, 0, 1, 0, 1]])
    tables = model.embeddings
    total = tables.word_embeddings.weight[ids] + tables.token_type_embeddings.weight[segments]
    total = total + tables.position_embeddings.weight[:6]
    centred = total - total.mean(-1, keepdim=True)
    normalised = centred / (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()
    expected = normalised * tables.norm.weight + tables.norm.bias
    found = model(ids, token_type_ids=segments, output_hidden_states=True).hidden_states[0]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kind", ["absolute", "relative_key", "relative_key_query"])
def test_order_is_seen_through_the_positions_and_only_through_them(kind: str) -> None:
    model, ids = lively(position_embedding_type=kind), tokens(2, 8)
    order = torch.tensor([4, 1, 7, 0, 2, 6, 3, 5])

    def moved() -> float:
        change = model(ids[:, order]).last_hidden_state - model(ids).last_hidden_state[:, order]
        return change.abs().max().item()

    assert moved() > 1e-3
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "position_embeddings" in name or "distance_embedding" in name:
                parameter.zero_()
    assert moved() < 1e-12


@pytest.mark.parametrize(
    ("kind", "expected"), [("absolute", False), ("relative_key", True), ("relative_key_query", True)]
)
def test_moving_a_text_changes_nothing_for_relative_positions_but_does_for_absolute(kind: str, expected: bool) -> None:
    model, words = lively(position_embedding_type=kind), tokens(1, 6)
    padding = torch.zeros(1, 3, dtype=torch.int64)
    mask = torch.ones(1, 9, dtype=torch.int64)
    mask[:, 6:] = 0
    early = model(torch.cat([words, padding], 1), mask).last_hidden_state[:, :6]
    late = model(torch.cat([padding, words], 1), mask.flip(1)).last_hidden_state[:, 3:]
    assert torch.allclose(early, late, rtol=0, atol=1e-12) == expected


def test_segments_matter_and_the_first_is_the_default() -> None:
    model, ids = lively(), tokens()
    plain = model(ids).last_hidden_state
    assert torch.equal(plain, model(ids, token_type_ids=torch.zeros_like(ids)).last_hidden_state)
    assert (plain - model(ids, token_type_ids=torch.ones_like(ids)).last_hidden_state).abs().max() > 1e-3


def test_every_token_sees_every_other_in_both_directions() -> None:
    model, ids = lively(num_hidden_layers=1), tokens(1, 6)
    plain = model(ids).last_hidden_state
    for place in range(6):
        other = ids.clone()
        other[0, place] = 5 + (ids[0, place] - 4) % 30
        assert ((model(other).last_hidden_state - plain).abs().amax(-1) > 0).all()


@given(st.integers(1, 9), st.integers(1, 6), seeds)
@settings(deadline=None, max_examples=20)
def test_padding_changes_no_result(length: int, padding: int, seed: int) -> None:
    model, words = lively("BertForPreTraining", seed), tokens(2, length, seed)
    padded = torch.cat([words, torch.randint(40, (2, padding), generator=seeded(seed))], dim=1)
    mask = (torch.arange(length + padding) < length).expand(2, -1)
    labels = torch.where(mask, padded, -100)
    pair = torch.tensor([0, 1])
    short, long = model(words, labels=words, next_sentence_label=pair), model(padded, mask, None, labels, pair)
    torch.testing.assert_close(long.prediction_logits[:, :length], short.prediction_logits, rtol=0, atol=1e-10)
    torch.testing.assert_close(long.seq_relationship_logits, short.seq_relationship_logits, rtol=0, atol=1e-10)
    torch.testing.assert_close(long.loss, short.loss, rtol=0, atol=1e-10)


def test_without_gradients_the_numbers_are_the_same_and_weights_are_there_if_asked_for() -> None:
    model, ids = lively(), tokens()
    mask = torch.arange(10) < torch.tensor([[10], [6]])
    expected = model(ids, mask, output_attentions=True)
    with torch.no_grad():
        fused, asked = model(ids, mask), model(ids, mask, output_attentions=True)
    torch.testing.assert_close(fused.last_hidden_state, expected.last_hidden_state, rtol=0, atol=1e-10)
    assert fused.attentions is None
    assert all(torch.equal(*weights) for weights in zip(asked.attentions, expected.attentions, strict=True))


def test_dropout_is_active_in_training_and_not_in_evaluation() -> None:
    model, ids = lively(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2), tokens()
    assert torch.equal(model(ids).last_hidden_state, model(ids).last_hidden_state)
    model.train()
    torch.manual_seed(0)  # dropout knows no other generator
    assert not torch.allclose(model(ids).last_hidden_state, model(ids).last_hidden_state)


@pytest.mark.parametrize(("place", "count"), [("hidden_dropout_prob", 5), ("attention_probs_dropout_prob", 2)])
def test_each_dropout_rate_rules_its_own_places(place: str, count: int) -> None:
    rates: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0} | {place: 0.3}
    model = BertModel(dataclasses.replace(TINY, **rates)).train()
    active = [module for module in model.modules() if isinstance(module, torch.nn.Dropout) and module.p == 0.3]
    calls = 0

    def counted(*_: object) -> None:
        nonlocal calls
        calls += 1

    for module in active:
        module.register_forward_hook(counted)
    model(tokens())
    assert calls == count  # once after the embeddings and after each of 4 sub-layers; or once in each attention


@pytest.mark.parametrize("class_name", ["BertForSequenceClassification", "BertForTokenClassification"])
def test_a_classifier_has_a_dropout_rate_of_its_own_or_that_of_the_encoder(class_name: str) -> None:
    def noisy(hidden: float, classifier: float | None) -> bool:
        rates: dict[str, Any] = {
            "hidden_dropout_prob": hidden,
            "attention_probs_dropout_prob": 0.0,
            "classifier_dropout": classifier,
        }
        model, ids = lively(class_name, **rates), tokens()
        with torch.no_grad():
            for layer in (model.encoder.embeddings, *model.encoder.layers):
                layer.dropout.p = 0.0  # only the classifier's is left
        expected = model(ids).logits
        torch.manual_seed(0)  # dropout knows no other generator
        return not torch.allclose(model.train()(ids).logits, expected)

    assert noisy(0.0, 0.5) and noisy(0.5, None)
    assert not noisy(0.0, None) and not noisy(0.5, 0.0)


# --- the objective ---


@contextmanager
def no_global_draws() -> Iterator[None]:
    before = torch.random.get_rng_state()
    yield
    assert torch.equal(torch.random.get_rng_state(), before)


def test_pre_training_reaches_every_parameter() -> None:
    model, ids = lively("BertForPreTraining"), tokens(4, 16)
    segments = torch.arange(16).ge(8).long().expand(4, -1)
    labels = torch.where(torch.rand(ids.shape, generator=seeded()) < 0.5, ids, -100)
    model(ids, None, segments, labels, torch.tensor([0, 1, 0, 1])).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if name.endswith("attention.key.bias"):
            # It adds the same to all scores of a query, which softmax ignores: a parameter without effect.
            assert parameter.grad.abs().max() < 1e-12, name
        else:
            assert parameter.grad.abs().max() > 1e-6, name


def test_the_two_losses_add_up_and_either_may_be_left_out() -> None:
    model, ids, pair = lively("BertForPreTraining"), tokens(), torch.tensor([1, 0])
    both = model(ids, labels=ids, next_sentence_label=pair)
    words, order = model(ids, labels=ids), model(ids, next_sentence_label=pair)
    torch.testing.assert_close(both.loss, words.loss + order.loss)
    assert model(ids).loss is None
    scores = words.prediction_logits.log_softmax(-1)
    torch.testing.assert_close(words.loss, -scores.gather(-1, ids[:, :, None]).mean())
    scores = order.seq_relationship_logits.log_softmax(-1)
    torch.testing.assert_close(order.loss, -(scores[0, 1] + scores[1, 0]) / 2)


@given(st.integers(1, 4), st.integers(1, 8), st.integers(2, 12), seeds)
@settings(deadline=None, max_examples=30)
def test_only_labelled_places_count_in_the_loss(rows: int, length: int, classes: int, seed: int) -> None:
    logits = torch.randn(rows, length, classes, generator=seeded(seed), dtype=torch.float64)
    labels = torch.randint(classes, (rows, length), generator=seeded(seed))
    labels[torch.rand(rows, length, generator=seeded(seed)) < 0.5] = -100
    kept = labels != -100
    noise = torch.where(kept[:, :, None], logits, 1e4 * logits.flip(-1))
    assert torch.equal(class_loss(noise, labels), class_loss(logits, labels))
    if kept.any():
        expected = F.cross_entropy(logits[kept], labels[kept])
        torch.testing.assert_close(class_loss(logits, labels), expected)


def test_without_any_label_the_loss_is_zero_and_so_are_its_gradients() -> None:
    model, ids = lively("BertForPreTraining"), tokens()
    nothing = torch.full_like(ids, -100)
    loss = model(ids, labels=nothing, next_sentence_label=nothing[:, 0]).loss
    loss.backward()
    assert loss == 0
    assert all(parameter.grad is None or (parameter.grad == 0).all() for parameter in model.parameters())
    ids, none = torch.zeros(2, 5), torch.tensor([-100, -100])
    assert sequence_loss(ids, none) == 0 and span_loss(ids, ids, none, none) == 0


def test_class_0_is_a_label_like_any_other() -> None:
    logits = torch.tensor([[[2.0, 0.0], [0.0, 3.0]]])
    assert class_loss(logits, torch.tensor([[0, -100]])) == pytest.approx(0.126928, abs=1e-5)  # ln(1 + e^-2)
    assert sequence_loss(logits[0], torch.tensor([0, -100])) == pytest.approx(0.126928, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_of_half_precision_are_those_of_the_same_numbers_in_float32(dtype: torch.dtype) -> None:
    logits, words = torch.randn(7000, 100, generator=seeded(0)).mul(5).to(dtype), torch.arange(7000) % 100
    several, numbers = (logits[:, :2] > 0).float(), logits[:, 0].float().square()  # which half precision would round
    for loss, scores, labels in (
        (class_loss, logits, words),
        (sequence_loss, logits, words),
        (sequence_loss, logits[:, :2], several),
        (sequence_loss, 200 * logits[:, :1], numbers),
    ):
        assert loss(scores, labels).dtype == torch.float32
        assert torch.equal(loss(scores, labels), loss(scores.float(), labels))


def test_scoring_masked_positions_only_gives_the_same_loss_and_gradients() -> None:
    model, ids = lively("BertForPreTraining"), tokens(2, 10)
    places = torch.tensor([[1, 4, 7, 0], [3, 2, 9, 5]])
    chosen = torch.tensor([[31, 6, 0, -100], [17, -100, 8, 8]])  # positions that are padding have no label
    labels = torch.full_like(ids, -100).scatter(1, places, chosen)

    losses, gradients = [], []
    for more in ({"labels": labels}, {"labels": chosen, "masked_positions": places}):
        model.zero_grad()
        result = model(ids, next_sentence_label=torch.tensor([0, 1]), **more)
        result.loss.backward()
        losses.append(result.loss.detach())
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*gradients)
    picked = result.prediction_logits
    everywhere = model(ids).prediction_logits
    torch.testing.assert_close(picked, everywhere.gather(1, places[:, :, None].expand(-1, -1, 40)))


def test_the_output_matrix_is_the_embedding_and_the_bias_is_the_heads_own() -> None:
    model, ids = lively("BertForMaskedLM"), tokens()
    before = model(ids).logits
    with torch.no_grad():
        model.masked_lm_head.bias[7] += 2
    change = model(ids).logits - before
    torch.testing.assert_close(change[:, :, 7], torch.full((2, 10), 2.0, dtype=torch.float64))
    assert change.abs().sum() == change[:, :, 7].abs().sum()
    with torch.no_grad():
        model.encoder.embeddings.word_embeddings.weight[39] += 1  # a word that is not in the text
    assert 39 not in ids
    change = model(ids).logits - before
    assert (change[:, :, 39] != 0).all() and change[:, :, 8:39].abs().max() == 0


def test_classification_losses_follow_the_labels() -> None:
    ids = tokens(3, 6)
    three = lively("BertForSequenceClassification", num_labels=3)
    logits = three(ids).logits
    assert logits.shape == (3, 3)
    classes = torch.tensor([2, 0, 1])
    torch.testing.assert_close(three(ids, labels=classes).loss, F.cross_entropy(logits, classes))
    several = torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1]], dtype=torch.float64)
    expected = F.binary_cross_entropy(torch.sigmoid(logits), several)
    torch.testing.assert_close(three(ids, labels=several).loss, expected)

    number = lively("BertForSequenceClassification", num_labels=1)
    targets = torch.tensor([0.5, -2.0, 3.0], dtype=torch.float64)
    expected = (number(ids).logits[:, 0] - targets).square().mean()
    torch.testing.assert_close(number(ids, labels=targets).loss, expected)
    torch.testing.assert_close(number(ids, labels=targets[:, None]).loss, expected)


def test_an_answer_is_a_start_and_an_end() -> None:
    model, ids = lively("BertForQuestionAnswering"), tokens(2, 8)
    start, end = torch.tensor([1, 6]), torch.tensor([3, -100])  # the second row has no end
    result = model(ids, start_positions=start, end_positions=end)
    expected = F.cross_entropy(result.start_logits, start), F.cross_entropy(result.end_logits[:1], end[:1])
    torch.testing.assert_close(result.loss, sum(expected) / 2)


def test_every_token_gets_its_classes() -> None:
    model, ids = lively("BertForTokenClassification", num_labels=5), tokens(2, 8)
    result = model(ids)
    assert result.logits.shape == (2, 8, 5)
    hidden = model.encoder(ids).last_hidden_state
    torch.testing.assert_close(result.logits, hidden @ model.classifier.weight.T + model.classifier.bias)


def test_mixed_precision_gives_the_loss_and_finite_gradients_with_padding_too() -> None:
    model, ids = lively("BertForPreTraining").float(), tokens(3, 12)
    mask = torch.ones_like(ids)
    mask[1, 5:], mask[2] = 0, 0
    arguments = {"attention_mask": mask, "labels": ids, "next_sentence_label": torch.tensor([0, 1, 0])}
    expected = model(ids, **arguments).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(ids, **arguments).loss
    loss.backward()
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(expected.item(), rel=0.03)
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


# --- first weights ---


def test_the_same_seed_gives_the_same_weights_whatever_the_global_state() -> None:
    torch.manual_seed(1)
    first = BertForPreTraining(TINY, seeded(5)).state_dict()
    torch.manual_seed(2)
    again, other = BertForPreTraining(TINY, seeded(5)).state_dict(), BertForPreTraining(TINY, seeded(6)).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    matrices = [name for name in first if first[name].dim() == 2]
    assert all(not torch.equal(first[name], other[name]) for name in matrices)
    default = BertForPreTraining(TINY).state_dict()
    assert all(torch.equal(value, default[name]) for name, value in BertForPreTraining(TINY).state_dict().items())


def test_no_two_matrices_start_with_the_same_numbers() -> None:
    model = BertForPreTraining(dataclasses.replace(TINY, pad_token_id=None))  # no row of zeros
    first_numbers = [tuple(value.flatten()[:5].tolist()) for value in model.parameters() if value.dim() == 2]
    assert len(set(first_numbers)) == len(first_numbers)


def test_building_leaves_global_random_state_alone() -> None:
    with no_global_draws():
        BertForPreTraining(TINY)
        BertModel(TINY, seeded(1))


@given(seeds)
@settings(deadline=None, max_examples=5)
def test_matrices_start_normal_with_standard_deviation_002_cut_at_two(seed: int) -> None:
    config = dataclasses.replace(TINY, vocab_size=500, hidden_size=120, num_hidden_layers=1, intermediate_size=300)
    model = BertForPreTraining(config, seeded(seed))
    for name, parameter in model.named_parameters():
        if "norm" in name:
            assert (parameter == (1.0 if name.endswith("weight") else 0.0)).all(), name
        elif parameter.dim() == 1:
            assert (parameter == 0).all(), name
        else:
            values = parameter.detach()
            if "word_embeddings" in name:
                assert (values[config.pad_token_id] == 0).all()
                values = values[1:]
            units = values.flatten().double().numpy() / 0.02
            assert abs(units).max() <= 2 + 1e-6, name
            # A correct program fails one of the 15 or so such tests of an example with a chance of 15e-12.
            assert scipy.stats.kstest(units, scipy.stats.truncnorm(-2, 2).cdf).pvalue > 1e-12, name


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_first_weights_are_the_same_in_every_floating_point_type(dtype: torch.dtype) -> None:
    expected = BertForPreTraining(TINY).state_dict()
    torch.set_default_dtype(dtype)
    try:
        model = BertForPreTraining(TINY).eval()
    finally:
        torch.set_default_dtype(torch.float32)
    for name, value in model.state_dict().items():
        assert value.dtype == dtype
        torch.testing.assert_close(value, expected[name].to(dtype), rtol=1e-6 if dtype == torch.float64 else 0, atol=0)
    assert model(tokens()).prediction_logits.isfinite().all()


def test_the_first_weights_are_the_same_with_every_version_of_torch() -> None:
    """Since 2.12 `trunc_normal_` gives others for the same seed. The eighth is drawn anew: it was beyond 0.04."""
    model = BertForPreTraining(TINY)
    drawn = model.draw_matrix("any", torch.Size((100, 20)), torch.Generator().manual_seed(0))
    expected = [-0.0225168, -0.0230472, -0.0050116, -0.0086776, 0.0169742, 0.0138402]
    torch.testing.assert_close(drawn[0, :6], torch.tensor(expected), atol=1e-6, rtol=0)
    before = torch.empty(100, 20).normal_(generator=torch.Generator().manual_seed(0))
    assert before[0, 7].abs() > 2 and drawn[0, 7] == pytest.approx(-0.0296, abs=1e-4)
    assert drawn.abs().max() <= 0.04 and (drawn != 0.02 * before).sum() == 108


def test_initial_weights_may_have_no_spread_at_all() -> None:
    model = BertModel(dataclasses.replace(TINY, initializer_range=0.0))
    assert all((parameter == 0).all() for parameter in model.parameters() if parameter.dim() == 2)


def test_drawing_anew_can_be_limited_to_some_parameters() -> None:
    model = lively("BertForPreTraining")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.initialise(seeded(1), only={"next_sentence_head.weight"})
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"next_sentence_head.weight"}


def test_evaluation_draws_nothing() -> None:
    model = lively("BertForPreTraining")
    with no_global_draws():
        model(tokens())


# --- what is refused ---

IDS = tokens(2, 6)
# Besides what the tables of `test_bad_input` hold.
WRONG_CALLS: list[tuple[str, dict[str, Any], str]] = [
    ("BertModel", {"input_ids": IDS.to(torch.uint8)}, "input_ids is of type torch.uint8"),
    ("BertModel", {"attention_mask": torch.ones(2, 6, 5)}, r"attention_mask has shape \(2, 6, 5\)"),
    ("BertModel", {"attention_mask": torch.ones(6)}, r"attention_mask has shape \(6,\)"),
    ("BertModel", {"attention_mask": torch.full((2, 6), 0.5)}, "attention_mask holds 0.5"),
    ("BertForMaskedLM", {"labels": IDS.bool()}, "labels is of type torch.bool"),
    (
        "BertForMaskedLM",
        {"labels": IDS, "masked_positions": IDS[:, :2] % 6},
        r"labels has shape \(2, 6\): must be \(2, 2\)",
    ),
]


@pytest.mark.parametrize(("class_name", "wrong", "message"), WRONG_CALLS)
def test_a_wrong_argument_is_refused_by_name(class_name: str, wrong: dict[str, Any], message: str) -> None:
    model = getattr(plm_lessons, class_name)(TINY)
    model(IDS)  # without the wrong argument the call is right
    with pytest.raises(ValueError, match=message):
        model(**{"input_ids": IDS} | wrong)


def test_regression_labels_must_be_one_number_a_row() -> None:
    model = BertForSequenceClassification(dataclasses.replace(TINY, num_labels=1))
    with pytest.raises(ValueError, match=r"labels has shape \(3,\): must hold one number for each of 2 rows"):
        model(IDS, labels=torch.zeros(3))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_both_types_of_whole_numbers_are_taken_everywhere(dtype: torch.dtype) -> None:
    model, ids = lively("BertForPreTraining"), IDS.to(dtype)
    labels, places, pair = ids[:, :2], torch.tensor([[0, 1], [2, 3]]).to(dtype), torch.tensor([0, 1]).to(dtype)
    loss = model(ids, torch.ones_like(ids), torch.zeros_like(ids), labels, pair, places).loss
    expected = model(IDS, None, None, IDS[:, :2], pair.long(), places.long()).loss
    torch.testing.assert_close(loss, expected)


def test_an_answer_needs_exactly_two_scores() -> None:
    with pytest.raises(ValueError, match="num_labels=3: must be 2 in BertForQuestionAnswering"):
        BertForQuestionAnswering(dataclasses.replace(TINY, num_labels=3))
    assert BertForTokenClassification(dataclasses.replace(TINY, num_labels=3)).classifier.out_features == 3
