"""The building blocks, compared with torch, with their formulas written out, and with loops too plain to be wrong.

Letters: B batch, S sequence length, H hidden size, A heads, D head size, T query positions, P the longest sequence.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN
from transformers.models.t5.modeling_t5 import T5Attention, T5LayerNorm

from plm_lessons.layers.activations import ACTIVATIONS, activation, gelu, quick_gelu
from plm_lessons.layers.attention import KeyValueCache, MultiHeadAttention, UnscaledAttention, additive_mask
from plm_lessons.layers.embedding import SmallEmbedding, one_hot_product
from plm_lessons.layers.feed_forward import FeedForward, GatedFeedForward, UnbiasedFeedForward
from plm_lessons.layers.normalization import RMSNorm
from plm_lessons.layers.positions import RelativePositionBias, RelativePositionScores, relative_position_bucket

GRID = torch.linspace(-12, 12, 240_001, dtype=torch.float64)
seeds = st.integers(0, 2**32 - 1)
DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Draw weights and biases of size 1, so that no term is too small to matter."""
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


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_what_transformers_means_by_the_name(name: str) -> None:
    torch.testing.assert_close(activation(name)(GRID), ACT2FN[name](GRID), rtol=0, atol=1e-12)


# --- attention ---


def attention(heads: int = 3, head_size: int = 4, seed: int = 0, dropout: float = 0.0) -> MultiHeadAttention:
    module = MultiHeadAttention(heads * head_size, heads, dropout).double().eval()
    randomise(module, seed)
    return module


def loop_attention(module: MultiHeadAttention, hidden: Tensor, mask: Tensor) -> Tensor:
    """Attention for one query, one key, one head at a time. `mask` [B, S, S]: whether query t may look at key s."""
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
    torch.manual_seed(0)  # dropout uses no other generator
    first, weights = module(hidden)
    assert not torch.allclose(first, expected)
    torch.testing.assert_close(weights, before)  # the returned weights are those before dropout


def test_attention_alone_does_not_see_order() -> None:
    module, hidden = attention(), normal(1, 6, 12)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(module(hidden[:, order])[0], module(hidden)[0][:, order], rtol=0, atol=1e-12)


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


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("padding_idx", [None, 1])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_product_with_one_hot_vectors_looks_up_rows(dtype: torch.dtype, padding_idx: int | None, device: str) -> None:
    """Even where other products are in half precision."""
    table = normal(5, 7).to(device, dtype).requires_grad_()
    rows = torch.randint(0, 5, (3, 4), device=device)
    with torch.autocast(device, dtype=torch.bfloat16):
        found = one_hot_product(rows, table, padding_idx)
    expected = F.embedding(rows, table, padding_idx)
    assert found.dtype == dtype and torch.equal(found, expected)
    if dtype == torch.float64:
        factors = normal(3, 4, 7).to(device)
        (ours,) = torch.autograd.grad((found * factors).sum(), table)
        (theirs,) = torch.autograd.grad((expected * factors).sum(), table)
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("device", DEVICES)
def test_the_gradient_of_a_small_table_is_the_same_every_time(device: str) -> None:
    layer, rows = SmallEmbedding(2, 64).to(device), torch.randint(0, 2, (64, 128), device=device)
    factors = normal(64, 128, 64).to(device, torch.float32)

    def gradient() -> Tensor:
        found = layer(rows) if device == "cuda" else one_hot_product(rows, layer.weight)  # a GPU's way, tried here too
        return torch.autograd.grad((found * factors).sum(), layer.weight)[0]

    gradients = [gradient() for _ in range(5)]
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)


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


# --- T5: norm, position buckets, attention, feed-forward networks ---


def test_rms_norm_is_its_formula_and_needs_no_mean() -> None:
    norm, hidden = RMSNorm(6, eps=1e-3).double(), normal(2, 4, 6)
    randomise(norm)
    expected = norm.weight * hidden / (hidden.pow(2).sum(-1, keepdim=True) / 6 + 1e-3).sqrt()
    torch.testing.assert_close(norm(hidden), expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(norm(hidden), F.rms_norm(hidden, (6,), norm.weight, 1e-3), rtol=0, atol=1e-14)
    assert [tuple(parameter.shape) for parameter in norm.parameters()] == [(6,)]
    assert not torch.allclose(norm(hidden + 1), norm(hidden))  # a layer norm would ignore it
    torch.testing.assert_close(RMSNorm(6, eps=0.0).double()(hidden).pow(2).mean(-1), torch.ones(2, 4).double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rms_norm_is_that_of_transformers_bit_by_bit_also_where_squares_overflow(dtype: torch.dtype) -> None:
    norm, theirs, hidden = RMSNorm(6).to(dtype), T5LayerNorm(6).to(dtype), (300 * normal(3, 6)).to(dtype)
    randomise(norm)
    theirs.load_state_dict(norm.state_dict())
    result = norm(hidden)
    assert result.dtype == dtype and result.isfinite().all()
    assert torch.equal(result, theirs(hidden))


def test_buckets_of_t5_begin_where_the_book_says() -> None:
    far = torch.arange(1000)
    past, future = relative_position_bucket(-far), relative_position_bucket(far)
    starts = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]
    assert [int((past == bucket).nonzero()[0]) for bucket in range(16)] == starts
    assert past.max() == 15 and torch.equal(future[1:], past[1:] + 16)
    assert set(relative_position_bucket(torch.arange(-999, 1000)).tolist()) == set(range(32)) - {16}

    one_sided = relative_position_bucket(-far, bidirectional=False)
    assert one_sided[:17].tolist() == [*range(17)] and set(one_sided.tolist()) == set(range(32))
    assert int((one_sided == 31).nonzero()[0]) == 113
    assert (relative_position_bucket(far, bidirectional=False) == 0).all()


@given(st.booleans(), st.integers(2, 64), st.integers(2, 2000))
@settings(deadline=None, max_examples=80)
def test_buckets_are_those_of_transformers_for_every_setting(both: bool, buckets: int, farthest: int) -> None:
    exact = buckets // 4 if both else buckets // 2
    distances = torch.arange(-300, 300).reshape(3, -1)
    if exact < 1 or farthest <= exact:
        with pytest.raises(ValueError, match="num_buckets=|max_distance="):
            relative_position_bucket(distances, both, buckets, farthest)
        return
    found = relative_position_bucket(distances, both, buckets, farthest)
    expected = T5Attention._relative_position_bucket(distances, both, buckets, farthest)
    assert found.dtype == torch.int64 and torch.equal(found, expected)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_position_bias_is_one_number_a_bucket_and_head(bidirectional: bool) -> None:
    module = RelativePositionBias(3, 8, 20, bidirectional)
    randomise(module)
    bias = module(30, 30)
    assert bias.shape == (1, 3, 30, 30) and module.table.weight.numel() == 8 * 3
    for query, key in ((0, 0), (4, 2), (2, 4), (29, 0), (0, 29)):
        bucket = relative_position_bucket(torch.tensor(key - query), bidirectional, 8, 20)
        assert torch.equal(bias[0, :, query, key], module.table.weight[bucket])
    assert torch.equal(module(2, 30), bias[:, :, -2:])  # the queries are the last positions
    for lengths, message in (((5, 3), "query_length=5: .* from 1 to 3 = key_length"), ((1, 0), "key_length=0")):
        with pytest.raises(ValueError, match=message):
            module(*lengths)


def unscaled() -> UnscaledAttention:
    module = UnscaledAttention(10, 3, 4).double().eval()  # 3 heads of 4 numbers are not 10
    randomise(module)
    return module


def test_unscaled_attention_is_that_of_torch_with_scale_1() -> None:
    module, hidden, source, bias = (
        unscaled(),
        normal(2, 5, 10) / 3,
        normal(2, 7, 10, seed=1),
        normal(2, 3, 5, 7, seed=2),
    )

    def split(projected: Tensor) -> Tensor:
        return projected.reshape(*projected.shape[:2], 3, 4).transpose(1, 2)

    key, value = module.keys_and_values(source)
    assert torch.equal(key, split(module.key(source))) and torch.equal(value, split(module.value(source)))
    output, weights = module(hidden, key, value, bias)
    context = F.scaled_dot_product_attention(split(module.query(hidden)), key, value, attn_mask=bias, scale=1.0)
    expected = module.output(context.transpose(1, 2).reshape(2, 5, 12))
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-11)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 5).double())
    assert all("bias" not in name for name, _ in module.named_parameters())
    torch.testing.assert_close(module(hidden, key, value, None)[0], module(hidden, key, value, 0 * bias)[0])


def test_a_cache_gives_what_all_tokens_at_once_give() -> None:
    module, hidden, cache = unscaled(), normal(2, 6, 10) / 3, KeyValueCache()
    causal = additive_mask(torch.ones(1, 6, 6).tril(), hidden.dtype)
    expected, _ = module(hidden, *module.keys_and_values(hidden), causal)
    for start, end in ((0, 2), (2, 3), (3, 6)):
        assert cache.length == start
        kept = cache.append(*module.keys_and_values(hidden[:, start:end]))
        output, _ = module(hidden[:, start:end], *kept, causal[:, :, start:end, :end])
        torch.testing.assert_close(output, expected[:, start:end], rtol=0, atol=1e-12)
    rows = torch.tensor([1, 1, 0])
    cache.reorder(rows)
    assert cache.length == 6
    none = (part[rows, :, :0] for part in kept)
    assert all(torch.equal(new, old[rows]) for new, old in zip(cache.append(*none), kept, strict=True))
    more = module.keys_and_values(hidden[rows, :1])
    for all_of_it, before, new in zip(cache.append(*more), kept, more, strict=True):
        assert torch.equal(all_of_it, torch.cat([before[rows], new], dim=2))


def test_a_cache_of_a_long_text_moves_what_it_holds_a_few_times_only_and_never_writes_elsewhere() -> None:
    cache, first, places = KeyValueCache(), normal(1, 2, 1, 4), set()
    given = first.clone()
    for step in range(100):
        key, value = cache.append(*(normal(1, 2, 1, 4, seed=seed) if step else given for seed in (step, -step)))
        assert key.shape == value.shape == (1, 2, step + 1, 4)
        places.add((key.data_ptr(), value.data_ptr()))
    assert len(places) < 8 and torch.equal(given, first)
    expected = torch.cat([first, *(normal(1, 2, 1, 4, seed=seed) for seed in range(1, 100))], dim=2)
    assert torch.equal(key, expected)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_one_step_is_attention(masked: bool) -> None:
    """If neither gradients nor weights are wanted, the scores are not stored; only the last digits change."""
    bert, t5, hidden = attention(dropout=0.5), unscaled(), normal(2, 5, 12)
    mask = torch.ones(2, 5)
    mask[0, 3:] = 0
    mask[1] = 0  # padding only
    added = additive_mask(mask, hidden.dtype) if masked else None
    key, value = t5.keys_and_values(normal(2, 5, 10, seed=1))
    inputs: dict[nn.Module, tuple[Any, ...]] = {bert: (hidden, added), t5: (hidden[..., :10], key, value, added)}
    for module, arguments in inputs.items():
        expected, weights = module(*arguments, need_weights=False)
        assert weights is not None  # with gradients nothing changes
        with torch.no_grad():
            output, weights = module(*arguments, need_weights=False)
            assert weights is None
            torch.testing.assert_close(output, expected, rtol=0, atol=1e-11)
            assert module(*arguments)[1] is not None
            assert module.train()(*arguments, need_weights=False)[1] is not None  # nor with dropout


@torch.no_grad()
def test_relative_scores_are_added_whether_weights_are_wanted_or_not() -> None:
    module = MultiHeadAttention(12, 3, position_scores=RelativePositionScores(4, 8, with_key=True)).double().eval()
    randomise(module)
    hidden = normal(2, 5, 12) / 4
    assert torch.equal(module(hidden, need_weights=False)[0], module(hidden)[0])


def test_feed_forward_networks_of_t5_have_no_biases_and_the_gate_multiplies() -> None:
    hidden = normal(2, 4, 6)
    plain, gated = UnbiasedFeedForward(6, 11, "relu").double(), GatedFeedForward(6, 11, "gelu_new").double()
    randomise(plain)
    randomise(gated)
    expected = (hidden @ plain.expand.weight.T).relu() @ plain.contract.weight.T
    torch.testing.assert_close(plain(hidden), expected, rtol=0, atol=1e-12)
    inner = F.gelu(hidden @ gated.gate.weight.T, approximate="tanh") * (hidden @ gated.linear.weight.T)
    torch.testing.assert_close(gated(hidden), inner @ gated.contract.weight.T, rtol=0, atol=1e-12)
    counts = [sum(parameter.numel() for parameter in module.parameters()) for module in (plain, gated)]
    assert counts == [2 * 6 * 11, 3 * 6 * 11]
