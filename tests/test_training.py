"""Pre-training, evaluation and use, on models and texts small enough to be quick."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from plm_lessons import BertConfig, BertForPreTraining
from plm_lessons.corpus import documents
from plm_lessons.tokenization import encode_documents, load_tokenizer
from plm_lessons.training.bert_batches import bert_batches
from plm_lessons.training.evaluation import evaluate_pretraining, unigram_baseline
from plm_lessons.training.inference import fill_mask
from plm_lessons.training.large_batches import Batch
from plm_lessons.training.optimization import adamw, mixed_precision, warmup_then_decay
from plm_lessons.training.pretraining import pretrain


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer("wordpiece")


@pytest.fixture(scope="module")
def document_ids(tokenizer: Tokenizer) -> list[list[list[int]]]:
    return encode_documents(tokenizer, documents("wikipedia", "train")[:60])


def small_config(tokenizer: Tokenizer, dropout: float = 0.1) -> BertConfig:
    return BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=48,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )


def first_batches(document_ids: list[list[list[int]]], tokenizer: Tokenizer, count: int, **more: int) -> list[Batch]:
    settings: dict[str, Any] = {"max_length": 48, "batch_size": 16, "seed": 5} | more
    return list(itertools.islice(bert_batches(document_ids, tokenizer, **settings), count))


def test_decay_is_on_matrices_and_not_on_biases_and_norms(tokenizer: Tokenizer) -> None:
    """The other numbers are those of BERT, too; PyTorch has another epsilon."""
    model = BertForPreTraining(small_config(tokenizer))
    decayed, spared = adamw(model, 1e-3).param_groups
    assert all((group["betas"], group["eps"]) == ((0.9, 0.999), 1e-6) for group in (decayed, spared))
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parameter in decayed["params"]:
        assert not names[id(parameter)].endswith("bias") and "norm" not in names[id(parameter)]
    for parameter in spared["params"]:
        assert names[id(parameter)].endswith("bias") or "norm" in names[id(parameter)]
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_learning_rate_climbs_to_its_peak_and_falls_to_zero() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_then_decay(optimizer, warmup_steps=4, total_steps=12)
    rates = []
    for _ in range(12):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    assert rates[4:] == pytest.approx([2.0 - 0.25 * step for step in range(8)])
    assert schedule.get_last_lr()[0] == 0.0


@pytest.mark.parametrize(
    ("warmup_steps", "total_steps", "name"),
    [(5, 4, "warmup_steps"), (-1, 4, "warmup_steps"), (0, 0, "total_steps")],
)
def test_impossible_schedules_are_refused(warmup_steps: int, total_steps: int, name: str) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ValueError, match=name):
        warmup_then_decay(optimizer, warmup_steps, total_steps)


@pytest.mark.parametrize("multiplies_bfloat16", [True, False])
def test_bfloat16_is_used_where_it_is_quick_and_only_inside_the_context(
    multiplies_bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: multiplies_bfloat16)
    a = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    with mixed_precision(torch.device("cpu")):
        assert (a @ a).dtype == (torch.bfloat16 if multiplies_bfloat16 else torch.float32)
    assert (a @ a).dtype == torch.float32


def test_a_gpu_that_only_emulates_bfloat16_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert isinstance(mixed_precision(torch.device("cuda")), nullcontext)


def test_batches_hold_what_the_model_asks_for(document_ids: list[list[list[int]]], tokenizer: Tokenizer) -> None:
    for batch in first_batches(document_ids, tokenizer, 3):
        shape = batch["input_ids"].shape
        assert batch["attention_mask"].shape == batch["token_type_ids"].shape == shape
        assert batch["attention_mask"].sum(dim=1).max() == shape[1], "the longest row fills the batch"
        assert batch["labels"].shape == batch["masked_positions"].shape
        asked = batch["labels"] != -100
        assert (batch["attention_mask"].gather(1, batch["masked_positions"])[asked] == 1).all()
        assert asked.any(dim=1).all()


def test_same_seed_same_batches(document_ids: list[list[list[int]]], tokenizer: Tokenizer) -> None:
    once, again = (first_batches(document_ids, tokenizer, 4) for _ in range(2))
    assert all(torch.equal(a[name], b[name]) for a, b in zip(once, again, strict=True) for name in a)
    other = first_batches(document_ids, tokenizer, 4, seed=6)
    assert not torch.equal(once[0]["input_ids"], other[0]["input_ids"])


def test_static_copies_come_round_in_another_order(document_ids: list[list[list[int]]], tokenizer: Tokenizer) -> None:
    epochs = first_batches(document_ids, tokenizer, 3, batch_size=10_000, copies=2)
    rows = [epoch["input_ids"].tolist() for epoch in epochs]
    assert sorted(rows[0]) == sorted(rows[2]), "the third epoch meets the same pairs with the same masks as the first"
    assert rows[0] != rows[2], "but in another order"
    assert sorted(rows[0]) != sorted(rows[1]), "the second copy has others"


def test_training_lowers_the_loss_and_returns_its_parts(
    document_ids: list[list[list[int]]], tokenizer: Tokenizer
) -> None:
    model = BertForPreTraining(small_config(tokenizer))
    log = pretrain(model, itertools.cycle(first_batches(document_ids, tokenizer, 2)), steps=40, learning_rate=1e-2,
                   warmup_steps=4, progress=False)  # fmt: skip
    assert [entry["step"] for entry in log] == list(range(1, 41))
    assert log[0]["loss"] == pytest.approx(math.log(8192) + math.log(2), abs=0.5)  # it starts without knowing anything
    assert log[-1]["loss"] < log[0]["loss"] - 2
    for entry in log:
        assert entry["loss"] == pytest.approx(entry["masked_lm_loss"] + entry["next_sentence_loss"], rel=1e-3)
    assert not model.training


def test_training_follows_its_seed_and_not_global_state(
    document_ids: list[list[list[int]]], tokenizer: Tokenizer
) -> None:
    def train(seed: int) -> list[float]:
        model = BertForPreTraining(small_config(tokenizer, dropout=0.3))
        log = pretrain(model, first_batches(document_ids, tokenizer, 3), steps=3, learning_rate=1e-3, warmup_steps=1,
                       seed=seed, progress=False)  # fmt: skip
        return [entry["loss"] for entry in log]

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = train(seed=0)
    assert torch.equal(torch.get_rng_state(), before), "training must not touch the caller's random state"
    torch.manual_seed(2)
    assert train(seed=0) == first
    assert train(seed=1) != first


def test_a_diverging_loss_is_an_error(document_ids: list[list[list[int]]], tokenizer: Tokenizer) -> None:
    batches = first_batches(document_ids, tokenizer, 2)
    broken = BertForPreTraining(small_config(tokenizer))
    with torch.no_grad():
        broken.masked_lm_head.bias.fill_(math.nan)
    with pytest.raises(ValueError, match="loss is nan at step 1"):
        pretrain(broken, batches, steps=2, learning_rate=1e-3, warmup_steps=0, progress=False)
    assert not broken.training


def test_gradients_from_before_count_for_nothing(document_ids: list[list[list[int]]], tokenizer: Tokenizer) -> None:
    batches, logs = first_batches(document_ids, tokenizer, 2), []
    for left_over in (None, math.nan, 100.0):
        model = BertForPreTraining(small_config(tokenizer))
        if left_over is not None:
            (left_over * model(**batches[0]).loss).backward()
        logs.append(pretrain(model, batches, steps=2, learning_rate=1e-2, warmup_steps=0, progress=False))
    assert logs[0] == logs[1] == logs[2]


@pytest.mark.parametrize("rank", [0, 1])
def test_all_processes_find_at_the_same_step_that_the_batches_end(
    rank: int, document_ids: list[list[list[int]]], tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise one would wait for the others for ever."""
    monkeypatch.setattr("plm_lessons.training.pretraining.process_rank", lambda: (rank, 2))
    read = []

    def batches() -> Iterator[Batch]:
        for batch in first_batches(document_ids, tokenizer, 5):
            read.append(batch)
            yield batch

    with pytest.raises(ValueError, match="batches ended after 5: there must be at least 6 for steps=3"):
        pretrain(BertForPreTraining(small_config(tokenizer)), batches(), steps=3, learning_rate=1e-3, warmup_steps=0,
                 progress=False)  # fmt: skip
    assert len(read) == 5


def test_evaluation_counts_every_question_once(document_ids: list[list[list[int]]], tokenizer: Tokenizer) -> None:
    model = BertForPreTraining(small_config(tokenizer))
    batches = first_batches(document_ids, tokenizer, 3)
    together = evaluate_pretraining(model, batches)
    assert together["masked_words"] == sum(int((batch["labels"] != -100).sum()) for batch in batches)
    assert together["pairs"] == sum(len(batch["next_sentence_label"]) for batch in batches)
    parts = [evaluate_pretraining(model, [batch]) for batch in batches]
    for figure, weight in (("masked_lm_loss", "masked_words"), ("masked_lm_accuracy", "masked_words"),
                           ("next_sentence_loss", "pairs"), ("next_sentence_accuracy", "pairs")):  # fmt: skip
        mean = sum(part[figure] * part[weight] for part in parts) / sum(part[weight] for part in parts)
        assert together[figure] == pytest.approx(mean, rel=1e-5)
    narrow = [{name: value.int() for name, value in batch.items()} for batch in batches]
    assert evaluate_pretraining(model, narrow) == together


def test_unigram_baseline_is_the_cross_entropy_of_the_counts() -> None:
    training, labels = torch.tensor([0, 0, 0, 1]), torch.tensor([[0, 1, -100], [2, 0, -100]])
    chances = torch.tensor([4, 2, 1, 1]) / 8  # one is added to each of the counts 3, 1, 0, 0
    figures = unigram_baseline(training, labels, vocab_size=4)
    assert figures["masked_lm_loss"] == pytest.approx(-chances[[0, 1, 2, 0]].log().mean().item())
    assert figures["masked_lm_accuracy"] == 0.5


def test_fill_mask_gives_probabilities_for_every_mask(tokenizer: Tokenizer) -> None:
    model = BertForPreTraining(small_config(tokenizer))
    answers = fill_mask(model, tokenizer, "a [MASK] and a [MASK]", top=3)
    assert [len(answer) for answer in answers] == [3, 3]
    everything = fill_mask(model, tokenizer, "a [MASK]", top=8192)[0]
    assert sum(probability for _, probability in everything) == pytest.approx(1, abs=1e-4)
    assert {word for word, _ in everything} == set(tokenizer.get_vocab())
    for name in ("enable_padding", "enable_truncation"):
        limited = load_tokenizer("wordpiece")
        getattr(limited, name)(**{"length": 9} if name == "enable_padding" else {"max_length": 5})
        with pytest.raises(ValueError, match="tokenizer has truncation or padding switched on"):
            fill_mask(model, limited, "a [MASK]")


def test_looking_at_a_model_leaves_each_part_in_its_mode(
    document_ids: list[list[list[int]]], tokenizer: Tokenizer
) -> None:
    model = BertForPreTraining(small_config(tokenizer, dropout=0.5)).train()
    model.encoder.embeddings.eval()  # frozen by the caller
    batches, modes = first_batches(document_ids, tokenizer, 1), [part.training for part in model.modules()]
    assert evaluate_pretraining(model, batches) == evaluate_pretraining(model, batches)
    assert fill_mask(model, tokenizer, "a [MASK]") == fill_mask(model, tokenizer, "a [MASK]")
    assert [part.training for part in model.modules()] == modes and len(set(modes)) == 2
