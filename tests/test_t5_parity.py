"""T5 computes what `transformers` computes with the same weights: see `parity`.

`transformers` 5 ties the output matrix of every T5 that it builds. That of v1.1, which is not tied, is given to it by
hand here; what it then saves, or reads from a folder in which two matrices differ, stays untied.
"""

from __future__ import annotations

import dataclasses
import tempfile
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from parity import BOUND, assert_equal, assert_parity, outputs_of, randomise, thorough
from torch import Tensor, nn
from transformers.models.t5 import modeling_t5

from plm_lessons.layers.activations import ACTIVATIONS
from plm_lessons.layers.dropout import Dropout
from plm_lessons.models.t5 import T5Config, T5ForConditionalGeneration

ReferenceConfig: Any = transformers.T5Config
Reference: Any = transformers.T5ForConditionalGeneration
SEEDS = st.integers(0, 2**32 - 1)
OUTPUT_MATRICES = {
    "tied": (True, True),  # v1.0: (tie_word_embeddings, scale_decoder_outputs)
    "own": (False, False),  # v1.1
    "tied, not scaled": (True, False),  # what transformers 5 makes from v1.1's configuration
}


@pytest.fixture(autouse=True)
def norms_as_precise_as_their_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even in float64, where those of transformers round to float32: otherwise nothing could agree within 1e-10."""

    def forward(self: Any, hidden_states: Tensor) -> Tensor:
        variance = hidden_states.pow(2).mean(-1, keepdim=True)
        return self.weight * (hidden_states * torch.rsqrt(variance + self.variance_epsilon))

    monkeypatch.setattr(modeling_t5.T5LayerNorm, "forward", forward)


@st.composite
def configs(draw: st.DrawFn) -> T5Config:
    vocab_size, buckets = draw(st.integers(8, 40)), draw(st.integers(4, 40))
    token = st.integers(0, vocab_size - 1)
    decoder_layers: Any = draw(st.none() | st.integers(1, 3))
    start_token: Any = draw(st.none() | token)
    tied, scaled = draw(st.sampled_from(list(OUTPUT_MATRICES.values())))
    return T5Config(
        vocab_size=vocab_size,
        d_model=draw(st.integers(8, 24)),  # fewer would blow up rounding errors in the norms
        d_kv=draw(st.integers(1, 8)),
        d_ff=draw(st.integers(1, 30)),
        num_layers=draw(st.integers(1, 3)),
        num_decoder_layers=decoder_layers,
        num_heads=draw(st.integers(1, 4)),
        relative_attention_num_buckets=buckets,
        relative_attention_max_distance=draw(st.integers(buckets // 2 + 1, 150)),
        layer_norm_epsilon=draw(st.sampled_from([1e-6, 1e-3])),
        feed_forward_proj=draw(st.sampled_from(["relu", "gated-gelu", "gelu", "gated-relu", "gated-silu"])),
        pad_token_id=draw(token),
        decoder_start_token_id=start_token,
        tie_word_embeddings=tied,
        scale_decoder_outputs=scaled,
    )


def pair(config: T5Config, seed: int = 0, from_here: bool = False) -> tuple[Any, Any]:
    """Our model and theirs, with the same random weights, handed over through a folder that one of the two wrote."""
    with tempfile.TemporaryDirectory() as folder:
        if from_here:
            ours = T5ForConditionalGeneration(config).eval()
            randomise(ours, seed)
            ours.save_pretrained(folder)
            theirs = Reference.from_pretrained(folder, attn_implementation="eager")
        else:
            fields = dataclasses.asdict(config)
            fields["tie_word_embeddings"] = fields.pop("scale_decoder_outputs")  # how they say that nothing is scaled
            theirs = Reference(ReferenceConfig(**fields, attn_implementation="eager"))
            if not config.tie_word_embeddings:
                theirs.lm_head.weight = nn.Parameter(torch.empty(config.vocab_size, config.d_model))
            randomise(theirs, seed)
            theirs.save_pretrained(folder)
            ours = T5ForConditionalGeneration.from_pretrained(folder)
    assert ours.config == config
    return ours, theirs.eval()


@st.composite
def batches(draw: st.DrawFn, config: T5Config) -> dict[str, Tensor]:
    """A source, perhaps with padding on the left, right or anywhere; a target, labels, or both."""
    rows, source, target = draw(st.integers(1, 3)), draw(st.integers(1, 40)), draw(st.integers(1, 20))
    generator = torch.Generator().manual_seed(draw(SEEDS))

    def whole(high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=generator)

    def mask(length: int) -> Tensor:
        where = draw(st.sampled_from(["behind", "in front", "anywhere"]))
        kept = torch.arange(length) < 1 + whole(length, rows, 1)
        if where == "anywhere":
            kept = whole(2, rows, length).bool()
        return (kept.flip(1) if where == "in front" else kept).long()

    batch = {"input_ids": whole(config.vocab_size, rows, source)}
    if draw(st.booleans()):
        batch["attention_mask"] = mask(source)
    labels = whole(config.vocab_size, rows, target)
    labels[whole(3, rows, target) == 0] = -100
    labels[0, 0] = 0  # at least one
    batch["labels"] = labels
    if draw(st.booleans()):
        batch["decoder_input_ids"] = whole(config.vocab_size, rows, target)
    if draw(st.booleans()):
        batch["decoder_attention_mask"] = mask(target)
    return batch


@given(st.data(), configs(), SEEDS, st.booleans())
@thorough
def test_outputs_losses_and_gradients_are_those_of_transformers(
    data: st.DataObject, config: T5Config, seed: int, from_here: bool
) -> None:
    ours, theirs = pair(config, seed, from_here)
    batch = data.draw(batches(config))
    assert_parity(ours, theirs, batch, batch)


def test_the_published_shapes_are_those_of_transformers_in_small() -> None:
    """Every setting that a published size has, and a source that is longer than the last bucket begins."""
    for name in ("t5-small", "t5-11b", "google/t5-v1_1-base"):
        config = dataclasses.replace(
            T5Config.published(name), vocab_size=50, d_model=16, d_ff=32, d_kv=6, num_layers=2, num_decoder_layers=2
        )
        ours, theirs = pair(dataclasses.replace(config, num_heads=3))
        ids = torch.randint(50, (2, 300), generator=torch.Generator().manual_seed(0))
        batch = {"input_ids": ids, "labels": ids[:, :150].contiguous()}
        with torch.no_grad():
            result, expected = ours(**batch, output_attentions=True), theirs(**batch, output_attentions=True)
        assert_equal(outputs_of(result), outputs_of(expected), BOUND[torch.float32])


@pytest.mark.parametrize("name", ["relu", "gated-gelu", *(f"gated-{name}" for name in sorted(ACTIVATIONS))])
def test_every_feed_forward_network_is_the_one_that_transformers_means(name: str) -> None:
    config = T5Config(vocab_size=20, d_model=12, d_kv=4, d_ff=24, num_layers=1, num_heads=2, feed_forward_proj=name)
    ours, theirs = pair(config)
    assert (ours.config.dense_act_fn, ours.config.is_gated_act) == (theirs.config.dense_act_fn, name != "relu")
    ids = torch.randint(20, (2, 7), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert_equal(outputs_of(ours(ids, labels=ids)), outputs_of(theirs(ids, labels=ids)), BOUND[torch.float32])


@given(configs(), SEEDS)
@thorough
def test_dropout_falls_where_that_of_transformers_falls(config: T5Config, seed: int) -> None:
    """PyTorch's dropout drops the same numbers only if it is called with the same shapes in the same order."""
    ours, theirs = pair(dataclasses.replace(config, dropout_rate=0.3), seed)
    ids = torch.randint(config.vocab_size, (2, 9), generator=torch.Generator().manual_seed(seed))

    def trained_once(model: Any) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(Dropout, "fast", False)
            return outputs_of(model.train()(ids, labels=ids, output_hidden_states=True))

    assert_equal(trained_once(ours), trained_once(theirs), BOUND[torch.float32])
