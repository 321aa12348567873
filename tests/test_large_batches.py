"""A batch in parts is the batch: accumulated in one process, or shared among several under `torchrun`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from data_parallel_worker import SHAPE, STEPS, train
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from plm_lessons import BertConfig, BertForPreTraining, RobertaConfig, RobertaForMaskedLM
from plm_lessons.training.large_batches import Batch, accumulate_gradients
from plm_lessons.training.pretraining import pretrain

TINY = SHAPE | {"vocab_size": 30}


def a_model(family: str) -> Any:
    model = BertForPreTraining(BertConfig(**TINY)) if family == "bert" else RobertaForMaskedLM(RobertaConfig(**TINY))
    return model.double().train()


def a_batch(family: str, rows: int, seed: int) -> Batch:
    """Rows with very different numbers of labels, and, for BERT, a pair of segments in each."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, 30, (rows, 12), generator=generator)
    asked = torch.rand(rows, 12, generator=generator) < torch.rand(rows, 1, generator=generator)
    asked[0, 0] = True
    batch = {"input_ids": ids, "labels": ids.masked_fill(~asked, -100)}
    if family == "bert":
        batch["next_sentence_label"] = torch.randint(2, (rows,), generator=generator)
    return batch


def gradients(model: Any) -> dict[str, Tensor]:
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


@given(
    st.sampled_from(["bert", "roberta"]),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=25)
def test_accumulated_gradients_are_those_of_one_batch(family: str, sizes: list[int], seed: int) -> None:
    batch = a_batch(family, sum(sizes), seed)
    whole, in_parts = a_model(family), a_model(family)
    result = whole(**batch)
    result.loss.backward()
    cut = {name: value.split(sizes) for name, value in batch.items()}
    parts = [{name: values[place] for name, values in cut.items()} for place in range(len(sizes))]
    losses = accumulate_gradients(in_parts, parts)
    torch.testing.assert_close(torch.tensor(losses["loss"]), result.loss.float(), atol=1e-5, rtol=1e-5)
    if family == "bert":
        assert losses["masked_lm_loss"] == pytest.approx(result.masked_lm_loss.item(), rel=1e-5)
        assert losses["next_sentence_loss"] == pytest.approx(result.next_sentence_loss.item(), rel=1e-5)
    for name, gradient in gradients(whole).items():
        torch.testing.assert_close(gradients(in_parts)[name], gradient, atol=1e-6, rtol=1e-5)


def test_the_mean_of_the_parts_means_is_another_gradient() -> None:
    """This is what a loop without weights computes, here from parts with 1 and 11 words to predict."""
    ids = torch.arange(4, 28).reshape(2, 12)
    labels = ids.clone()
    labels[0, 1:], labels[1, 0] = -100, -100
    right, wrong = a_model("roberta"), a_model("roberta")
    parts: list[Batch] = [{"input_ids": ids[row, None], "labels": labels[row, None]} for row in (0, 1)]
    accumulate_gradients(right, parts)
    for part in parts:
        (wrong(**part).loss / 2).backward()
    name = "masked_lm_head.bias"
    assert (gradients(right)[name] - gradients(wrong)[name]).abs().max() > 0.1 * gradients(right)[name].abs().max()


def test_a_part_without_anything_to_predict_adds_nothing() -> None:
    batch = a_batch("roberta", 3, seed=0)
    empty = {"input_ids": batch["input_ids"], "labels": torch.full_like(batch["labels"], -100)}
    alone, beside = a_model("roberta"), a_model("roberta")
    losses = accumulate_gradients(alone, [batch])
    assert accumulate_gradients(beside, [empty, batch]) == losses
    assert all(torch.equal(gradients(beside)[name], value) for name, value in gradients(alone).items())


def test_parts_with_different_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"parts\[1\] must have the labels that parts\[0\] has"):
        accumulate_gradients(a_model("bert"), [a_batch("bert", 2, 0), a_batch("roberta", 2, 0)])


def test_an_update_takes_so_many_batches() -> None:
    batches = [a_batch("roberta", 2, seed) for seed in range(5)]
    settings: dict[str, Any] = {"learning_rate": 1e-3, "warmup_steps": 0, "progress": False}
    log = pretrain(a_model("roberta"), batches, steps=2, accumulation_steps=2, **settings)
    assert [entry["step"] for entry in log] == [1, 2]


@pytest.mark.parametrize("family", ["roberta", "bert"])
def test_two_processes_train_as_one(family: str, tmp_path: Path) -> None:
    """Two processes with two batches per step each, under torchrun, compared with one process with four."""
    worker = Path(__file__).parent / "data_parallel_worker.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(worker)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, family, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    model, log = train(family, accumulation_steps=4)
    expected = {model.checkpoint_name(name): value.detach() for name, value in model.named_parameters()}
    logs = [json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf8")) for rank in (0, 1)]
    assert logs[0] == logs[1] and len(logs[0]) == len(log) == STEPS
    for entry, other in zip(log, logs[0], strict=True):
        assert other == pytest.approx(entry, rel=1e-5)
    weights = [load_file(tmp_path / str(rank) / "model.safetensors") for rank in (0, 1)]
    for name, value in expected.items():
        assert torch.equal(weights[0][name], weights[1][name]), name
        torch.testing.assert_close(weights[0][name], value, atol=1e-9, rtol=1e-9)
