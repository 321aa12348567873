"""The building blocks, against torch, against their formulas written out, and against loops too plain to be wrong.

Letters: B batch, S sequence length, H hidden size, A heads, D head size, T query positions, P the longest sequence.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN

from plm_lessons.layers.activations import ACTIVATIONS, activation, gelu, quick_gelu
from plm_lessons.layers.attention import MultiHeadAttention, additive_mask
from plm_lessons.layers.feed_forward import FeedForward
from plm_lessons.layers.positions import RelativePositionScores

GRID = torch.linspace(-12, 12, 240_001, dtype=torch.float64)
seeds = st.integers(0, 2**32 - 1)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Weights and biases of size 1, so that no term hides."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(generator=generator)


# --- activations ---


def test_exact_gelu_is_x_times_the_normal_distribution_function() -> None:
    written = 0.5 * GRID * (1 + torch.erf(GRID / math.sqrt(2)))
    torch.testing.assert_close(gelu(GRID), written, rtol=0, atol=1e-14)
    torch.testing.assert_close(gelu(GRID), F.gelu(GRID), rtol=0, atol=1e-14)


def test_tanh_gelu_has_the_constant_and_the_bracket_of_the_paper() -> None:
    written = 0.5 * GRID * (1 + torch.tanh(math.sqrt(2 / math.pi) * (GRID + 0.044715 * GRID**3)))
    torch.testing.assert_close(gelu(GRID, approximate="tanh"), written, rtol=0, atol=1e-14)
    torch.testing.assert_close(gelu(GRID, "tanh"), F.gelu(GRID, approximate="tanh"), rtol=0, atol=1e-14)


def test_the_two_forms_of_gelu_are_nowhere_further_apart_than_is_told() -> None:
    difference = (gelu(GRID) - gelu(GRID, "tanh")).abs()
    assert difference.max().item() == pytest.approx(4.73e-4, abs=5e-7)
    assert GRID[difference.argmax()].abs().item() == pytest.approx(2.70, abs=0.01)
    assert (gelu(GRID) - quick_gelu(GRID)).abs().max().item() == pytest.approx(2.03e-2, abs=5e-5)


def test_gelu_has_its_minimum_where_the_book_says() -> None:
    lowest = gelu(GRID).argmin()
    assert GRID[lowest].item() == pytest.approx(-0.7518, abs=1e-4)
    assert gelu(GRID)[lowest].item() == pytest.approx(-0.16997, abs=5e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_gelu_keeps_shape_and_type(dtype: torch.dtype) -> None:
    assert gelu(torch.ones(2, 3, dtype=dtype)).dtype == dtype
    assert gelu(torch.ones(2, 3, dtype=dtype), "tanh").shape == (2, 3)


def test_gelu_refuses_an_unknown_form_and_whole_numbers() -> None:
    with pytest.raises(ValueError, match='approximate=\'erf\'.*"none" or "tanh"'):
        gelu(GRID, approximate="erf")
    with pytest.raises(ValueError, match="x has dtype torch.int64"):
        gelu(torch.arange(3))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_what_transformers_means_by_the_name(name: str) -> None:
    torch.testing.assert_close(activation(name)(GRID), ACT2FN[name](GRID), rtol=0, atol=1e-12)


def test_an_unknown_activation_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="hidden_act='geglu'.*gelu_new"):
        activation("geglu")


# --- attention ---


def attention(heads: int = 3, head_size: int = 4, seed: int = 0, dropout: float = 0.0) -> MultiHeadAttention:
    module = MultiHeadAttention(heads * head_size, heads, dropout).double().eval()
    randomise(module, seed)
    return module


def loop_attention(module: MultiHeadAttention, hidden: Tensor, mask: Tensor) -> Tensor:
    """One query, one key, one head at a time. `mask` [B, S, S]: whether query t may look at key s."""
    batch, length, size = hidden.shape
    heads = module.num_attention_heads
    width = size // heads
    query, key, value = module.query(hidden), module.key(hidden), module.value(hidden)
    context = torch.zeros_like(hidden)
    for b in range(batch):
        for a in range(heads):
            part = slice(a * width, (a + 1) * width)
            for t in range(length):
                scores = {
                    s: math.exp(torch.dot(query[b, t, part], key[b, s, part]).item() / math.sqrt(width))
                    for s in range(length)
                    if mask[b, t, s]
                }
                for s, score in scores.items():
                    context[b, t, part] += score / sum(scores.values()) * value[b, s, part]
    return module.output(context)


@torch.no_grad()
def test_attention_is_what_a_plain_loop_computes() -> None:
    module, hidden = attention(), normal(2, 5, 12) / 4
    everything = torch.ones(2, 5, 5)
    torch.testing.assert_close(module(hidden)[0], loop_attention(module, hidden, everything), rtol=0, atol=1e-12)

    triangle = everything.tril()  # a mask that differs from query to query
    triangle[1, :, 0] = 0
    triangle[1, 0, 0] = 1
    masked = module(hidden, additive_mask(triangle, hidden.dtype))[0]
    torch.testing.assert_close(masked, loop_attention(module, hidden, triangle), rtol=0, atol=1e-12)


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 4), st.integers(1, 5), seeds)
@settings(deadline=None, max_examples=30)
def test_attention_is_that_of_torch_for_any_shape(batch: int, length: int, heads: int, width: int, seed: int) -> None:
    module, hidden = attention(heads, width, seed), normal(batch, length, heads * width, seed=seed)
    mask = torch.rand(batch, length, generator=torch.Generator().manual_seed(seed)) < 0.7
    mask[:, -1] = True
    output, weights = module(hidden, additive_mask(mask, hidden.dtype))

    def split(projected: Tensor) -> Tensor:
        return projected.reshape(batch, length, heads, width).transpose(1, 2)

    parts = split(module.query(hidden)), split(module.key(hidden)), split(module.value(hidden))
    context = F.scaled_dot_product_attention(*parts, attn_mask=mask[:, None, None, :])
    expected = module.output(context.transpose(1, 2).reshape(batch, length, heads * width))
    torch.testing.assert_close(output, expected, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(weights.sum(-1), torch.ones(batch, heads, length, dtype=hidden.dtype))


@torch.no_grad()
def test_attention_with_the_weights_of_torchs_own_module_gives_its_output_and_weights() -> None:
    ours, hidden = attention(), normal(2, 7, 12)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True, dtype=torch.float64).eval()
    theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
    theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
    theirs.out_proj.weight.copy_(ours.output.weight)
    theirs.out_proj.bias.copy_(ours.output.bias)
    mask = torch.ones(2, 7)
    mask[1, 4:] = 0

    output, weights = ours(hidden, additive_mask(mask, hidden.dtype))
    expected = theirs(hidden, hidden, hidden, key_padding_mask=mask == 0, average_attn_weights=False)
    torch.testing.assert_close(output, expected[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(weights, expected[1], rtol=0, atol=1e-12)


def test_padding_gets_no_weight_and_has_no_influence() -> None:
    module, hidden = attention(), normal(2, 6, 12)
    mask = torch.tensor([[0, 1, 1, 0, 1, 0], [1, 1, 1, 1, 0, 0]])
    padding = mask == 0
    output, weights = module(hidden, additive_mask(mask, hidden.dtype))
    assert (weights.transpose(1, 3)[padding] == 0).all()

    other = torch.where(padding[:, :, None], 100 * normal(2, 6, 12, seed=1), hidden)
    changed, _ = module(other, additive_mask(mask, hidden.dtype))
    assert torch.equal(changed[~padding], output[~padding])
    assert not torch.equal(changed[padding], output[padding])


def test_a_row_of_padding_only_gets_equal_weights_and_finite_gradients() -> None:
    module, hidden = attention().float(), normal(2, 6, 12, dtype=torch.float32).requires_grad_()
    mask = torch.ones(2, 6)
    mask[0] = 0
    output, weights = module(hidden, additive_mask(mask, hidden.dtype))
    torch.testing.assert_close(weights[0], torch.full_like(weights[0], 1 / 6))
    output.square().sum().backward()
    for tensor in (output, hidden.grad, *(parameter.grad for parameter in module.parameters())):
        assert tensor is not None and tensor.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.no_grad()
def test_a_row_of_padding_only_stays_finite_in_half_precision(dtype: torch.dtype) -> None:
    module, hidden = attention().to(dtype), 3 * normal(1, 1, 12).to(dtype).expand(1, 6, 12)
    module.query.weight.copy_(-module.key.weight)
    module.query.bias.copy_(-module.key.bias)
    assert (module.query(hidden) * module.key(hidden)).sum() < -100  # added to the lowest float16 number it gives -inf
    output, weights = module(hidden, additive_mask(torch.zeros(1, 6), dtype))
    assert output.isfinite().all()
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / 6))


def test_dropout_falls_on_the_weights_in_training_only() -> None:
    module, hidden = attention(dropout=0.5), normal(1, 8, 12)
    expected, before = module(hidden)
    assert torch.equal(module(hidden)[0], expected)
    module.train()
    torch.manual_seed(0)  # nn.Dropout knows no other generator
    first, weights = module(hidden)
    assert not torch.allclose(first, expected)
    torch.testing.assert_close(weights, before)  # what is returned has not been dropped from


def test_attention_alone_does_not_see_order() -> None:
    module, hidden = attention(), normal(1, 6, 12)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(module(hidden[:, order])[0], module(hidden)[0][:, order], rtol=0, atol=1e-12)


def test_attention_refuses_heads_that_do_not_divide_and_masks_of_other_shapes() -> None:
    with pytest.raises(ValueError, match="num_attention_heads=5.*hidden_size=12"):
        MultiHeadAttention(12, 5)
    with pytest.raises(ValueError, match=r"attention_mask has shape \(2, 1, 1, 4\)"):
        additive_mask(torch.ones(2, 1, 1, 4), torch.float32)


def test_feed_forward_is_two_linear_maps_with_the_activation_between() -> None:
    for name in ("gelu", "gelu_new", "relu"):
        module = FeedForward(6, 11, name).double()
        randomise(module)
        hidden = normal(2, 4, 6)
        inner = ACT2FN[name](hidden @ module.expand.weight.T + module.expand.bias)
        expected = inner @ module.contract.weight.T + module.contract.bias
        torch.testing.assert_close(module(hidden), expected, rtol=0, atol=1e-12)
    assert sum(parameter.numel() for parameter in module.parameters()) == 6 * 11 + 11 + 11 * 6 + 6


# --- relative positions ---


@given(st.integers(1, 6), st.integers(1, 6), st.booleans(), st.integers(0, 3), seeds)
@settings(deadline=None, max_examples=40)
def test_relative_scores_are_products_with_one_embedding_a_pair(
    queries: int, keys: int, with_key: bool, spare: int, seed: int
) -> None:
    longest = max(queries, keys) + spare
    module = RelativePositionScores(5, longest, with_key).double()
    randomise(module, seed)
    query, key = normal(2, 3, queries, 5, seed=seed), normal(2, 3, keys, 5, seed=seed + 1)
    # pairs [T, S, D]: the embedding of every distance t - s, from 1 - P to P - 1
    rows = [[t - s + longest - 1 for s in range(keys)] for t in range(queries)]
    pairs = module.distance_embedding.weight[torch.tensor(rows)]
    expected = torch.einsum("batd,tsd->bats", query, pairs)
    if with_key:
        expected = expected + torch.einsum("basd,tsd->bats", key, pairs)
    torch.testing.assert_close(module(query, key), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("with_key", [False, True])
def test_relative_scores_depend_on_the_distance_only(with_key: bool) -> None:
    module = RelativePositionScores(4, 10, with_key).double()
    randomise(module)
    query, key = normal(1, 2, 6, 4), normal(1, 2, 6, 4, seed=1)
    scores = module(query, key)
    shifted = module(torch.roll(query, 2, dims=2), torch.roll(key, 2, dims=2))  # every token two places later
    torch.testing.assert_close(shifted[:, :, 2:, 2:], scores[:, :, :-2, :-2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("with_key", [False, True])
def test_relative_scores_tell_before_from_after(with_key: bool) -> None:
    module = RelativePositionScores(4, 10, with_key).double()
    randomise(module)
    same = normal(1, 1, 1, 4).expand(1, 1, 3, 4)  # three equal tokens: only the distance differs
    scores = module(same, same)[0, 0]
    assert scores[0, 1] != scores[1, 0] and scores[0, 1] != scores[0, 2]
    torch.testing.assert_close(scores.diagonal(), scores[0, 0].expand(3))


@pytest.mark.parametrize("name", ["query", "key"])
def test_relative_scores_refuse_what_is_longer_than_their_table(name: str) -> None:
    module, lengths = RelativePositionScores(4, 3, False), {"query": 3, "key": 3} | {name: 4}
    with pytest.raises(ValueError, match=f"{name} has 4 positions: must be at most max_position_embeddings = 3"):
        module(torch.zeros(1, 1, lengths["query"], 4), torch.zeros(1, 1, lengths["key"], 4))
