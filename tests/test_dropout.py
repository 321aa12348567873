"""Dropout: its rate, its mean, its gradient, and what determines its places; switched off it is PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from chance import assert_plausible
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from plm_lessons import BertConfig, BertForMaskedLM, T5Config, T5ForConditionalGeneration
from plm_lessons.layers.dropout import Dropout


@pytest.fixture
def exact() -> Iterator[None]:
    """PyTorch's own dropout."""
    Dropout.fast = False
    yield
    Dropout.fast = True


def dropped(rate: float, tensor: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)  # dropout uses no other generator
    return Dropout(rate)(tensor)


def halves(rate: float) -> tuple[int, int]:
    """How many numbers at even and at odd positions are zero."""
    zero = dropped(rate, torch.ones(1_000_003)) == 0
    return int(zero[::2].sum()), int(zero[1::2].sum())


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9, 1 / 3, 0.01])
@pytest.mark.parametrize("fast", [True, False])
def test_each_place_is_dropped_with_the_rate_whatever_draws_it(
    monkeypatch: pytest.MonkeyPatch, fast: bool, rate: float
) -> None:
    monkeypatch.setattr(Dropout, "fast", fast)
    used = round(rate * 2**16) / 2**16 if fast else rate
    assert abs(used - rate) < 1e-5
    even, odd = halves(rate)
    assert_plausible(even, 500_002, used, checks=20)
    assert_plausible(odd, 500_001, used, checks=20)


@pytest.mark.parametrize("steps", [1, 2, 65_535])
def test_the_rate_is_met_to_one_step_of_its_grid(steps: int) -> None:
    """At the ends of the grid, where one step changes what is rare by a factor of two or more."""
    zeros = dropped(steps / 2**16, torch.ones(2**24)) == 0
    assert_plausible(int(zeros.sum()), 2**24, steps / 2**16, checks=3)


def test_neighbours_are_dropped_independently_and_so_is_the_next_call() -> None:
    """Four places share 64 random bits, so pairs up to four apart are compared, and two calls."""
    torch.manual_seed(0)
    first, second = (Dropout(0.5)(torch.ones(1_000_000)) == 0 for _ in range(2))
    for distance in range(1, 5):
        both = first[distance:] & first[:-distance]
        assert_plausible(int(both[:: 2 * distance].sum()), len(both[:: 2 * distance]), 0.25, checks=5)
    assert_plausible(int((first & second).sum()), 1_000_000, 0.25, checks=5)


@pytest.mark.parametrize("rate", [0.1, 0.7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_what_stays_is_scaled_so_that_the_mean_stays(rate: float, dtype: torch.dtype) -> None:
    result = dropped(rate, torch.full((4096,), 3.0, dtype=dtype))
    kept = 1 - round(rate * 2**16) / 2**16  # what is really kept, to the last digit
    assert result.dtype == dtype
    values = {0.0, torch.tensor(3.0 / kept, dtype=dtype).item()}
    assert set(result.tolist()) == values


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (5,), (3, 1, 7), (2, 3, 4)])
def test_any_shape_goes(shape: tuple[int, ...]) -> None:
    result = dropped(0.5, torch.ones(shape))
    assert result.shape == shape and set(result.flatten().tolist()) <= {0.0, 2.0}


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.5]))
@settings(deadline=None, max_examples=20)
def test_a_seed_fixes_the_places_for_any_layout_and_number_of_threads(seed: int, rate: float) -> None:
    tensor, threads = torch.randn(40, 60, generator=torch.Generator().manual_seed(seed)), torch.get_num_threads()
    expected = dropped(rate, tensor, seed)
    assert torch.equal(dropped(rate, tensor.T.contiguous().T, seed), expected)
    assert not torch.equal(dropped(rate, tensor, seed + 1), expected)
    try:
        torch.set_num_threads(threads + 1)
        assert torch.equal(dropped(rate, tensor, seed), expected)
    finally:
        torch.set_num_threads(threads)


def test_the_gradient_is_that_of_a_product_with_the_mask() -> None:
    tensor = torch.randn(6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: dropped(0.4, value), tensor)
    assert torch.autograd.gradcheck(lambda value: dropped(0.4, value.T), tensor)
    result = dropped(0.4, tensor)
    result.sum().backward()
    torch.testing.assert_close(tensor.grad, result.detach() / tensor.detach())


def test_a_byte_is_kept_for_each_place() -> None:
    kept: list[int] = []

    def keep(saved: Tensor) -> Tensor:
        kept.append(saved.nbytes)
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        dropped(0.1, torch.ones(32, 32, requires_grad=True))
    assert kept == [32 * 32]


@pytest.mark.parametrize("fast", [True, False])
def test_nothing_is_drawn_or_changed_in_evaluation_and_for_rate_0(monkeypatch: pytest.MonkeyPatch, fast: bool) -> None:
    monkeypatch.setattr(Dropout, "fast", fast)
    tensor, state = torch.ones(8), torch.random.get_rng_state()
    for module in (Dropout(0.5).eval(), Dropout(0.0)):
        assert torch.equal(module(tensor), tensor)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(Dropout(1.0)(tensor), torch.zeros(8))  # with probability 1 there is nothing to draw


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=f"between 0 and 1, but got {rate}"):
        Dropout(rate)


@pytest.mark.parametrize("rate", [0.1, 1e-6, 1 - 1e-6])
def test_switched_off_it_is_bit_for_bit_that_of_torch(exact: None, rate: float) -> None:
    tensor = torch.randn(64, 65, generator=torch.Generator().manual_seed(0))
    result = dropped(rate, tensor)
    torch.manual_seed(0)
    assert torch.equal(result, nn.Dropout(rate)(tensor))


@pytest.mark.parametrize("rate", [1e-6, 1 - 1e-6])
def test_a_rate_that_16_bits_cannot_tell_from_0_or_1_is_left_to_torch(rate: float) -> None:
    result = dropped(rate, torch.ones(4096))
    torch.manual_seed(0)
    assert torch.equal(result, nn.Dropout(rate)(torch.ones(4096)))


def test_the_models_draw_all_their_dropout_here() -> None:
    with torch.device("meta"):
        models = BertForMaskedLM(BertConfig()), T5ForConditionalGeneration(T5Config())
    for model in models:
        modules = [module for module in model.modules() if isinstance(module, nn.Dropout)]
        assert modules and all(type(module) is Dropout for module in modules)


def test_it_goes_through_autocast_and_elsewhere_than_on_a_cpu() -> None:
    linear, tensor = nn.Linear(64, 64), torch.ones(8, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = dropped(0.5, linear(tensor))
    assert result.dtype == torch.bfloat16 and 100 < int((result == 0).sum()) < 400
    assert dropped(0.5, torch.ones(3, device="meta")).is_meta
