"""Writing: the same texts as `transformers`, with and without a cache; what the cache saves; how tokens are drawn.

Beam search is also compared with the best of all texts, in small worlds where all can be listed.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import transformers
from chance import assert_plausible, seeded
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers.generation.logits_process import TopKLogitsWarper, TopPLogitsWarper

from plm_lessons.models.decoding import beam_search, keep_top_k, keep_top_p, most_likely, sample, write
from plm_lessons.models.generation import CachedNextToken
from plm_lessons.models.t5 import T5Config, T5ForConditionalGeneration

SEEDS = st.integers(0, 2**32 - 1)
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a failing example is already small
PAD, EOS, START = 2, 1, 3
CONFIG: dict[str, Any] = {
    "vocab_size": 14,
    "d_model": 16,
    "d_kv": 4,
    "d_ff": 24,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 3,
    "relative_attention_num_buckets": 6,
    "relative_attention_max_distance": 10,
    "pad_token_id": PAD,
    "eos_token_id": EOS,
    "decoder_start_token_id": START,
}


def model(seed: int = 0, **fields: Any) -> T5ForConditionalGeneration:
    """A model in which each token depends on the ones before it, and about half of the texts end early."""
    made = T5ForConditionalGeneration(T5Config(**CONFIG | fields), seeded(seed)).double().eval()
    with torch.no_grad():
        for name, parameter in made.decoder.named_parameters():
            if parameter.dim() == 2:
                parameter *= 16 if "position_bias" in name else 2
        made.shared.weight *= 0.5
        made.shared.weight[EOS] *= 2
    return made


def as_transformers(ours: T5ForConditionalGeneration) -> Any:
    theirs = transformers.T5ForConditionalGeneration(transformers.T5Config(**CONFIG)).double().eval()
    named = {ours.checkpoint_name(name): value for name, value in ours.named_parameters()}
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter.copy_(named.pop(name))
    assert not named
    return theirs


def batch(seed: int, rows: int, length: int) -> dict[str, Any]:
    """Sources of various lengths, padded on the left or on the right."""
    generator = seeded(seed)
    ids = torch.randint(14, (rows, length), generator=generator)
    kept = torch.arange(length) < torch.randint(1, length + 1, (rows, 1), generator=generator)
    return {"input_ids": ids, "attention_mask": (kept.flip(1) if seed % 2 else kept).long()}


def texts(rows: Tensor) -> list[list[int]]:
    """Each row up to its end token."""
    return [row[: row.index(EOS) + 1] if EOS in row else row for row in rows.tolist()]


# --- as transformers ---


@given(SEEDS, st.integers(1, 5), st.integers(1, 8), st.integers(1, 14), st.booleans())
@settings(deadline=None, phases=PHASES, max_examples=40)
def test_greedy_texts_are_those_of_transformers(seed: int, rows: int, length: int, steps: int, use_cache: bool) -> None:
    ours = model(seed)
    inputs = batch(seed, rows, length)
    expected = as_transformers(ours).generate(**inputs, max_new_tokens=steps, do_sample=False)
    assert torch.equal(ours.generate(**inputs, max_new_tokens=steps, use_cache=use_cache), expected)


@given(
    SEEDS,
    st.integers(1, 4),
    st.integers(1, 8),
    st.integers(1, 14),
    st.integers(2, 5),
    st.sampled_from([-1.0, 0.0, 0.6, 1.0, 2.0]),
    st.booleans(),
)
# In these examples the text found depends, in one way or another, on when a row is done.
@example(4, 2, 6, 14, 4, 2.0, True)
@example(14, 2, 6, 14, 3, 2.0, True)
@example(15, 2, 6, 14, 5, 1.0, True)
@example(118, 2, 6, 14, 2, 2.0, True)
@settings(deadline=None, phases=PHASES, max_examples=60)
def test_beam_search_finds_the_texts_of_transformers(
    seed: int, rows: int, length: int, steps: int, num_beams: int, length_penalty: float, use_cache: bool
) -> None:
    ours = model(seed)
    inputs = batch(seed, rows, length)
    inputs |= {"num_beams": num_beams, "length_penalty": length_penalty, "max_new_tokens": steps}
    expected = as_transformers(ours).generate(**inputs, do_sample=False)
    found = ours.generate(**inputs, use_cache=use_cache)
    assert texts(found) == texts(expected)
    assert found.shape == expected.shape


def test_the_texts_compared_are_of_all_lengths() -> None:
    """Otherwise the comparison would say little about how texts end."""
    lengths = [len(text) for seed in range(40) for text in texts(model(seed).generate(**batch(seed, 4, 6)))]
    assert sum(length < 21 for length in lengths) > 40 and len(set(lengths)) > 6


# --- the cache ---


def test_with_a_cache_each_step_reads_one_token_and_costs_a_constant_more_than_the_last() -> None:
    ours, rows, steps = model(), 3, 12
    encoded: Any = ours.encode(torch.ones(rows, 7, dtype=torch.int64)).last_hidden_state
    tokens = torch.randint(14, (rows, steps), generator=seeded())
    costs: dict[bool, list[int]] = {}
    scores: dict[bool, list[Tensor]] = {True: [], False: []}
    for use_cache in (True, False):
        next_token = CachedNextToken(ours, encoded, None, use_cache=use_cache)
        costs[use_cache] = []
        for length in range(1, steps + 1):
            with FlopCounterMode(display=False) as counter:
                scores[use_cache].append(next_token(tokens[:, :length]))
            costs[use_cache].append(counter.get_total_flops())
    torch.testing.assert_close(scores[True], scores[False], rtol=0, atol=1e-12)

    grown = [later - sooner for sooner, later in itertools.pairwise(costs[True][1:])]  # the first reads the source too
    layers, heads, width = 2, 3, 4
    # one more key to multiply with the query, and one more value to add up, each 2 operations per number
    assert set(grown) == {rows * layers * heads * width * 2 * 2}
    assert costs[True][-1] < 1.2 * costs[True][1] and costs[False][-1] > 5 * costs[True][-1]


@given(SEEDS, st.integers(2, 4), st.integers(2, 8))
@settings(deadline=None, phases=PHASES, max_examples=15)
def test_a_text_does_not_depend_on_the_rest_of_the_batch_or_on_padding(seed: int, rows: int, length: int) -> None:
    ours, inputs = model(seed), batch(2 * seed, rows, length)  # padded on the right
    together = texts(ours.generate(**inputs, num_beams=2, max_new_tokens=8))
    for row, kept in enumerate(inputs["attention_mask"].sum(1).tolist()):
        alone = ours.generate(inputs["input_ids"][row : row + 1, :kept], num_beams=2, max_new_tokens=8)
        assert texts(alone) == [together[row]]


# --- writing and searching, in worlds that are tables ---


class Table:
    """A world in which the logits of the next token depend on the last two; it counts how often it is asked."""

    def __init__(self, vocab_size: int, seed: int) -> None:
        self.logits = 1.5 * torch.randn(vocab_size, vocab_size, vocab_size, generator=seeded(seed))
        self.asked = 0

    def __call__(self, tokens: Tensor) -> Tensor:
        self.asked += 1
        before = tokens[:, -2] if tokens.shape[1] > 1 else torch.zeros_like(tokens[:, 0])
        return self.logits[before, tokens[:, -1]]

    def reorder(self, rows: Tensor) -> None:
        """Do nothing: a table remembers nothing."""

    def score(self, text: tuple[int, ...], length_penalty: float) -> float:
        """Return the score of a text, given without its start token."""
        tokens = torch.tensor([[0, *text]])
        total = sum(
            self(tokens[:, :place]).log_softmax(-1)[0, int(tokens[0, place])].item()
            for place in range(1, len(text) + 1)
        )
        return total / len(text) ** length_penalty


@pytest.mark.parametrize("length_penalty", [-0.5, 0.0, 0.6, 1.0, 2.0])
def test_beam_search_with_beams_for_all_texts_finds_the_best_of_all(length_penalty: float) -> None:
    vocab_size, longest = 3, 4
    every = [text for length in range(1, longest + 1) for text in itertools.product(range(vocab_size), repeat=length)]
    whole = [text for text in every if EOS not in text[:-1] and (text[-1] == EOS or len(text) == longest)]
    for seed in range(10):
        world = Table(vocab_size, seed)
        best = max(whole, key=lambda text: world.score(text, length_penalty))
        found = beam_search(
            world,
            torch.zeros(1, 1, dtype=torch.int64),
            num_beams=len(every),
            length_penalty=length_penalty,
            max_new_tokens=longest,
            eos_token_id=EOS,
            pad_token_id=PAD,
        )
        assert found.tolist() == [[0, *best]]


def test_more_beams_find_likelier_texts_than_greed_and_a_larger_penalty_longer_ones() -> None:
    starts = torch.zeros(1, 1, dtype=torch.int64)
    limits: dict[str, Any] = {"max_new_tokens": 12, "eos_token_id": EOS, "pad_token_id": PAD}

    def search(world: Table, length_penalty: float) -> tuple[int, ...]:
        (found,) = texts(beam_search(world, starts, num_beams=8, length_penalty=length_penalty, **limits))
        return tuple(found[1:])

    gains, lengths = [], []
    for seed in range(40):
        world = Table(6, seed)
        (greedy,) = texts(write(world, starts, most_likely, **limits))
        gains.append(world.score(search(world, 0.0), 0.0) - world.score(tuple(greedy[1:]), 0.0))
        lengths.append([len(search(world, length_penalty)) for length_penalty in (0.0, 1.0, 2.0)])
    assert sum(gain > 1e-6 for gain in gains) > 10 > sum(gain < -1e-6 for gain in gains)
    short, middle, long = (sum(column) for column in zip(*lengths, strict=True))
    assert short < middle < long


def test_rows_that_have_ended_are_padded_and_writing_stops_when_all_have() -> None:
    world = Table(5, 0)
    world.logits[:, :, EOS] = -100.0
    world.logits[:, 3, EOS] = 100.0  # 3 is followed by the end, 4 by 3, and 0 by 4
    world.logits[:, 4, 3] = world.logits[:, 0, 4] = 50.0
    starts = torch.tensor([[3], [4], [0]])
    expected = [[3, EOS, PAD, PAD], [4, 3, EOS, PAD], [0, 4, 3, EOS]]
    limits: dict[str, Any] = {"max_new_tokens": 9, "eos_token_id": EOS, "pad_token_id": PAD}
    assert write(world, starts, most_likely, **limits).tolist() == expected
    assert world.asked == 3
    assert beam_search(world, starts, num_beams=2, length_penalty=1.0, **limits).tolist() == expected
    never = write(world, starts, most_likely, **limits | {"eos_token_id": None})
    assert never.shape == (3, 10)


# --- sampling ---


@given(SEEDS, st.integers(1, 30), st.floats(0.01, 1.0))
@settings(deadline=None, max_examples=60)
def test_the_filters_keep_what_those_of_transformers_keep(seed: int, top_k: int, top_p: float) -> None:
    logits = 3 * torch.randn(4, 20, generator=seeded(seed), dtype=torch.float64)
    assert torch.equal(keep_top_k(logits, top_k), TopKLogitsWarper(top_k)(None, logits))
    assert torch.equal(keep_top_p(logits, top_p), TopPLogitsWarper(top_p)(None, logits))


def test_the_nucleus_is_the_fewest_tokens_that_reach_the_share() -> None:
    logits = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    for top_p, kept in ((0.4, [0]), (0.5, [0]), (0.51, [0, 1]), (0.75, [0, 1]), (1.0, [0, 1, 2, 3])):
        assert keep_top_p(logits, top_p).isfinite().nonzero().flatten().tolist() == kept
    many = torch.cat([torch.zeros(32_000), torch.tensor([-18.0])])  # the rounded probabilities sum to more than 1
    assert torch.equal(keep_top_p(many, 1.0), many)


@pytest.mark.parametrize("options", [{}, {"temperature": 0.5}, {"temperature": 2.0, "top_k": 4, "top_p": 0.9}])
def test_tokens_are_drawn_with_their_probabilities(options: dict[str, Any]) -> None:
    trials, logits = 20_000, torch.tensor([1.0, 0.0, -1.0, 0.5, 0.7, -2.0])
    drawn = sample(logits.expand(trials, -1), seeded(), **options)
    wanted = logits / options.get("temperature", 1.0)
    if "top_k" in options:
        wanted = keep_top_p(keep_top_k(wanted, options["top_k"]), options["top_p"])
    for token, probability in enumerate(wanted.softmax(0).tolist()):
        count = int((drawn == token).sum())
        if probability == 0:
            assert count == 0
        else:
            assert_plausible(count, trials, probability, checks=6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("options", [{"temperature": 1e-38}, {"temperature": 5e-324}, {"top_p": 1e-300}])
def test_what_is_all_but_impossible_is_left_to_the_likeliest(options: dict[str, Any], dtype: torch.dtype) -> None:
    logits = torch.tensor([[-3.0, 5.0, 4.5, 0.0], [-9.0, -7.0, -2.0, -8.0], [-1.0, -2.0, -3.0, 0.0]], dtype=dtype)
    for more in ({}, {"top_k": 3}, {"top_p": 0.9}):
        assert sample(logits, seeded(), **(more | options)).tolist() == [1, 2, 3]


def test_a_sampled_text_follows_from_the_generator_alone() -> None:
    ours, inputs = model(), batch(3, 6, 5)
    state = torch.random.get_rng_state()
    first = ours.generate(**inputs, do_sample=True, generator=seeded(1))
    assert torch.equal(first, ours.generate(**inputs, do_sample=True, generator=seeded(1), use_cache=False))
    assert not torch.equal(first, ours.generate(**inputs, do_sample=True, generator=seeded(2)))
    assert torch.equal(ours.generate(**inputs, do_sample=True), ours.generate(**inputs, do_sample=True))
    assert torch.equal(torch.random.get_rng_state(), state)
    greedy = ours.generate(**inputs)
    assert torch.equal(ours.generate(**inputs, do_sample=True, top_k=1), greedy)
    assert torch.equal(ours.generate(**inputs, do_sample=True, temperature=1e-9), greedy)


# --- use ---


def test_writing_knows_no_dropout_and_leaves_the_model_as_it_was() -> None:
    ours, inputs = model(dropout_rate=0.5), batch(1, 3, 6)
    expected = ours.generate(**inputs)
    ours.train()
    assert torch.equal(ours.generate(**inputs), expected) and ours.training
    with pytest.raises(ValueError, match="input_ids holds 14"):
        ours.generate(torch.tensor([[14]]))
    assert ours.training and ours.decoder.layers[0].dropout.training
    ours.encoder.eval()  # frozen by the caller
    assert torch.equal(ours.generate(**inputs), expected)
    assert ours.training and ours.decoder.training and not ours.encoder.training


@pytest.mark.parametrize("num_beams", [1, 2])
def test_a_model_that_overflows_says_so(num_beams: int) -> None:
    ours = model().half()
    with torch.no_grad():
        for layer in ours.decoder.layers:
            layer.feed_forward.contract.weight.fill_(60_000)
    with pytest.raises(ValueError, match="float16, which overflows in T5: must be bfloat16 or float32"):
        ours.generate(**batch(1, 3, 6), num_beams=num_beams)


@pytest.mark.parametrize("options", [{}, {"num_beams": 2}, {"do_sample": True}])
@pytest.mark.parametrize("spoiled", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_not_finite_are_refused(options: dict[str, Any], spoiled: float) -> None:
    for ours in (model(), model().float(), model().bfloat16()):
        with torch.no_grad():
            ours.decoder.layers[0].feed_forward.contract.weight[3] = spoiled
        with pytest.raises(ValueError, match=r"logits hold NaN or infinity in torch\..*: must all be finite"):
            ours.generate(**batch(1, 3, 6), **options)
