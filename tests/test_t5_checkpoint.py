"""The small T5 that ships: it is complete, transformers loads it, and its training can be interrupted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import train_checkpoints
import transformers
from safetensors.torch import load_file

import plm_lessons
from plm_lessons import T5ForConditionalGeneration
from plm_lessons.corpus import documents
from plm_lessons.objectives.text_to_text import TASKS, Task, TextPair
from plm_lessons.tokenization import TOKENIZERS, load_tokenizer, token_id
from plm_lessons.training.optimization import adafactor
from plm_lessons.training.pretraining import pretrain
from plm_lessons.training.t5_batches import TaskExamples, batches_in_order, t5_batches
from plm_lessons.training.t5_evaluation import evaluate_targets, task_figures, write_texts

FOLDER = Path(plm_lessons.__file__).parent / "checkpoints" / "t5"
SMALL = train_checkpoints.Recipe(
    steps=60, continued_steps=20, cooldown_steps=30, batch_size=4, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2
)


@pytest.fixture(scope="module")
def shipped() -> T5ForConditionalGeneration:
    return T5ForConditionalGeneration.from_pretrained(str(FOLDER)).eval()


# --- What ships ------------------------------------------------------------------------------------------------------


def test_the_folder_is_complete_and_small() -> None:
    names = {path.name for path in FOLDER.iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors", "tokenizer.json", "training_log.jsonl"}
    assert (FOLDER / "tokenizer.json").read_bytes() == (TOKENIZERS / "t5_unigram" / "tokenizer.json").read_bytes()
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 11_000_000
    log = [json.loads(line) for line in (FOLDER / "training_log.jsonl").read_text(encoding="utf8").splitlines()]
    assert [entry["step"] for entry in log] == list(range(20, train_checkpoints.Recipe().steps + 1, 20))
    held_out = [entry["held_out_span_loss"] for entry in log if "held_out_span_loss" in entry]
    assert held_out[-1] < held_out[0] and log[-1]["loss"] < log[0]["loss"]


def test_the_shape_is_that_of_the_recipe(shipped: T5ForConditionalGeneration) -> None:
    assert shipped.config == train_checkpoints.Recipe().config(load_tokenizer("t5_unigram"))
    card = (FOLDER / "README.md").read_text(encoding="utf8")
    assert f"{shipped.num_parameters():,} parameters" in card
    assert "python tools/train_checkpoints.py t5" in card and "CC BY-SA 4.0" in card


def test_transformers_loads_it_and_gives_the_same(shipped: T5ForConditionalGeneration) -> None:
    load: Any = transformers.T5ForConditionalGeneration.from_pretrained
    theirs, info = load(FOLDER, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    tokenizer = load_tokenizer("t5_unigram")
    examples = TaskExamples([task.examples("held_out")[3] for task in TASKS.values()], tokenizer)
    [batch] = batches_in_order(examples, tokenizer, batch_size=5)
    theirs = theirs.eval()
    torch.testing.assert_close(shipped(**batch).logits, theirs(**batch).logits, atol=1e-4, rtol=1e-4)
    asked: dict[str, Any] = {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "max_new_tokens": 12,
    }
    ways: list[dict[str, Any]] = [{"num_beams": 1}, {"num_beams": 3, "length_penalty": 0.6}]
    for settings in ways:
        # As text: behind the end of a beam transformers writes more end tokens where the padding token is 0.
        written, other = (model.generate(**asked, **settings).tolist() for model in (shipped, theirs))
        assert tokenizer.decode_batch(written) == tokenizer.decode_batch(other)


def test_it_has_learnt_its_tasks(shipped: T5ForConditionalGeneration) -> None:
    """Far from well, but well above what an answer without reading could be."""
    least = {"topic": 0.45, "sentiment": 0.55}
    for name, accuracy in least.items():
        pairs = TASKS[name].examples("held_out")[:300]
        written = write_texts(shipped, load_tokenizer("t5_unigram"), [source for source, _ in pairs], max_new_tokens=8)
        figures = task_figures(TASKS[name], written, [target for _, target in pairs])
        assert figures["accuracy"] > accuracy and figures["valid"] > 0.98


def test_what_it_writes_does_not_depend_on_the_padding_of_a_batch(shipped: T5ForConditionalGeneration) -> None:
    pairs = TASKS["describe"].examples("held_out")
    sources = [max(pairs, key=lambda pair: len(pair.source)).source, *(pair.source for pair in pairs[:7])]
    tokenizer = load_tokenizer("t5_unigram")
    together = write_texts(shipped, tokenizer, sources, max_new_tokens=12)
    assert together == write_texts(shipped, tokenizer, sources, max_new_tokens=12, batch_size=1)


# --- How it was trained ----------------------------------------------------------------------------------------------


def _pairs(some: list[TextPair], split: str) -> Iterator[TextPair]:
    return iter(some)


@pytest.fixture
def few_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {split: documents("wikipedia", split)[:30] for split in ("train", "held_out")}
    monkeypatch.setattr(train_checkpoints, "documents", lambda source, split: few[split])
    pairs = {name: TASKS[name].examples("held_out")[:50] for name in ("topic", "sentiment")}
    tasks = {name: Task("", "", None, partial(_pairs, some)) for name, some in pairs.items()}
    monkeypatch.setattr(train_checkpoints, "TASKS", tasks)


def test_training_goes_on_as_if_it_had_never_stopped(few_documents: None, tmp_path: Path) -> None:
    tokenizer = load_tokenizer("t5_unigram")
    straight, log = train_checkpoints.train(SMALL, tokenizer, tmp_path / "a")
    for stop in (20, 40, None):
        parted, log_of_parts = train_checkpoints.train(SMALL, tokenizer, tmp_path / "b", stop_after=stop)
    for name, value in straight.state_dict().items():
        assert torch.equal(parted.state_dict()[name], value), name
    assert log_of_parts == log and [entry["step"] for entry in log] == [20, 40, 60]
    assert (
        log[-1]["held_out_span_loss"] > 0 and log[-1]["learning_rate"] < log[0]["learning_rate"] == SMALL.learning_rate
    )
    weights = load_file(tmp_path / "b" / "state.safetensors")
    assert torch.equal(weights["model.shared.weight"], straight.shared.weight)


def test_a_state_of_other_training_is_refused(few_documents: None, tmp_path: Path) -> None:
    tokenizer = load_tokenizer("t5_unigram")
    train_checkpoints.train(SMALL, tokenizer, tmp_path, stop_after=20)
    other = train_checkpoints.Recipe(**{**SMALL.__dict__, "seed": 1})
    with pytest.raises(ValueError, match="other settings"):
        train_checkpoints.train(other, tokenizer, tmp_path)


def test_the_share_of_span_corruption_falls_at_the_end(few_documents: None) -> None:
    tokenizer = load_tokenizer("t5_unigram")
    recipe = train_checkpoints.Recipe(steps=40, continued_steps=20, batch_size=50)
    batches = list(train_checkpoints.batches(recipe, tokenizer, 0))
    first = token_id(tokenizer, "<extra_id_0>")
    shares = [(batch["labels"][:, 0] == first).double().mean().item() for batch in batches]
    assert len(shares) == 40
    assert abs(sum(shares[:20]) / 20 - 0.5) < 0.1 and abs(sum(shares[20:]) / 20 - 0.25) < 0.1
    for start in (10, 30):
        later = next(train_checkpoints.batches(recipe, tokenizer, start))
        assert torch.equal(later["input_ids"], batches[start]["input_ids"])


def test_steps_of_adafactor_are_relative_to_the_size_of_a_matrix(shipped: T5ForConditionalGeneration) -> None:
    tokenizer = load_tokenizer("t5_unigram")
    model = T5ForConditionalGeneration(shipped.config)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    batches = t5_batches([TaskExamples(TASKS["topic"].examples("held_out"), tokenizer)], [1.0], tokenizer, batch_size=8)
    pretrain(
        model,
        batches,
        steps=1,
        learning_rate=0.01,
        warmup_steps=0,
        make_optimizer=adafactor,
        max_gradient_norm=float("inf"),
        progress=False,
    )
    for name, value in model.named_parameters():
        moved = (value - before[name]).square().mean().sqrt() / before[name].square().mean().sqrt()
        assert moved <= 0.0101, name
        if ".query." in name or ".contract." in name:
            assert moved > 0.003, name


def test_the_last_held_out_figure_of_the_log_is_that_of_the_weights(shipped: T5ForConditionalGeneration) -> None:
    tokenizer = load_tokenizer("t5_unigram")
    spans = train_checkpoints.span_examples(tokenizer, "held_out", train_checkpoints.Recipe().inputs_length)
    batches = islice(batches_in_order(spans, tokenizer, batch_size=64), 8)
    last = json.loads((FOLDER / "training_log.jsonl").read_text(encoding="utf8").splitlines()[-1])
    assert evaluate_targets(shipped, batches)["loss"] == pytest.approx(last["held_out_span_loss"], abs=0.005)
