"""The models that ship: complete, as their cards say, and the same in transformers."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import train_checkpoints
import transformers
from torch import Tensor

import plm_lessons
from plm_lessons import T5ForConditionalGeneration
from plm_lessons.corpus import documents
from plm_lessons.models.checkpoint_files import save_tokenizer
from plm_lessons.objectives.text_to_text import TASKS
from plm_lessons.text_sources import CorpusText, FileText
from plm_lessons.tokenization import TOKENIZERS, load_tokenizer
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.large_batches import Batch
from plm_lessons.training.optimization import adafactor
from plm_lessons.training.pretraining import pretrain
from plm_lessons.training.recipes import SHIPPED, Recipe
from plm_lessons.training.runs import Run
from plm_lessons.training.streams import held_out_batches
from plm_lessons.training.t5_batches import TaskExamples, batches_in_order, t5_batches
from plm_lessons.training.t5_evaluation import task_figures, write_texts

FOLDERS = sorted(path for path in (Path(plm_lessons.__file__).parent / "checkpoints").iterdir() if path.is_dir())
TINY = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def load(folder: Path) -> Any:
    return FAMILIES[SHIPPED[folder.name].family].model_class.from_pretrained(folder)


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "training_log.jsonl").read_text(encoding="utf8").splitlines()]


def card_of(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf8")


@cache
def some_held_out(name: str) -> list[Batch]:
    """The held-out batches for which the card has figures."""
    recipe = SHIPPED[name]
    batches = held_out_batches(CorpusText("wikipedia"), load_tokenizer(recipe.tokenizer), recipe)
    return list(islice(batches, train_checkpoints.CHECKED))


def test_all_ship_and_are_small() -> None:
    assert [folder.name for folder in FOLDERS] == sorted(SHIPPED)
    assert sum(path.stat().st_size for folder in FOLDERS for path in folder.iterdir()) <= 40_000_000


@each_folder
def test_the_folder_is_complete(folder: Path) -> None:
    names = {"README.md", "config.json", "model.safetensors", "recipe.json", "tokenizer.json", "training_log.jsonl"}
    if folder.name != "t5":  # which reads texts of any length
        names.add("tokenizer_config.json")
    assert {path.name for path in folder.iterdir()} == names
    recipe = SHIPPED[folder.name]
    assert json.loads((folder / "recipe.json").read_text(encoding="utf8"))["recipe"] == dataclasses.asdict(recipe)
    tokenizer, shipped = (load_tokenizer(place) for place in (folder, TOKENIZERS / recipe.tokenizer))
    assert tokenizer.to_str() == shipped.to_str()
    assert load(folder).config == FAMILIES[recipe.family].config(recipe, tokenizer)
    log = log_of(folder)
    assert [entry["step"] for entry in log] == list(range(20, recipe.steps + 1, 20))
    judged = [entry["step"] for entry in log if "held_out" in entry]
    assert judged == sorted({*range(400, recipe.steps + 1, 400), recipe.steps})


@each_folder
def test_transformers_reads_its_tokenizer_and_knows_the_longest_text(folder: Path, tmp_path: Path) -> None:
    tokenizer, config = load_tokenizer(folder), load(folder).config
    save_tokenizer(tmp_path, tokenizer, config)
    assert all((folder / path.name).read_bytes() == path.read_bytes() for path in tmp_path.iterdir())
    read = transformers.AutoTokenizer.from_pretrained(folder)
    for text in ("The capital of [MASK] is Paris.", "na\u00efve <mask>  \u65e5\u672c\n1999", "word " * 100):
        one, two = tokenizer.encode(text), tokenizer.encode(text, "and more")
        found = read(text, "and more")
        assert read(text)["input_ids"] == one.ids and found["input_ids"] == two.ids
        assert found.get("token_type_ids", two.type_ids) == two.type_ids
    assert ("token_type_ids" in found) == (getattr(config, "type_vocab_size", 1) > 1)
    if config.longest is None:
        return
    cut = read("word " * 500, truncation=True, return_tensors="pt")
    assert cut["input_ids"].shape == (1, config.longest)
    transformers.AutoModel.from_pretrained(folder)(**cut)


@each_folder
def test_it_has_learnt_and_stopped_when_it_no_longer_paid(folder: Path) -> None:
    losses = [entry["held_out"].get("masked_lm_loss", entry["held_out"].get("loss")) for entry in log_of(folder)
              if "held_out" in entry]  # fmt: skip
    assert losses[-1] < losses[0] - 0.5 and losses[-1] < min(losses) + 0.02


@each_folder
def test_the_card_says_what_it_is(folder: Path) -> None:
    card, log = card_of(folder), log_of(folder)
    said = (
        f"{load(folder).num_parameters():,} parameters",
        f"`python tools/train_checkpoints.py {folder.name}`",
        f"Seed {SHIPPED[folder.name].seed}.",
        f"{SHIPPED[folder.name].steps:,} steps",
        f"{sum(entry['tokens'] for entry in log):,} tokens were read",
        "CC BY-SA 4.0",
        "public domain",
        "## Limits",
    )
    assert [text for text in said if text not in card] == []


@each_folder
def test_its_figures_are_those_of_the_weights(folder: Path) -> None:
    """On the part that the card names; for the whole, only that the model beats counting."""
    card = card_of(folder)
    found = FAMILIES[SHIPPED[folder.name].family].evaluate(load(folder), some_held_out(folder.name))
    [said] = re.findall(r"\nTo check, .*: (.*)\.\n", card)
    figures = {name: float(value) for name, value in re.findall(r"(\w+) ([\d.]+)", said)}
    assert found == pytest.approx(figures, abs=2e-3)
    rows = dict(re.findall(r"^\| (model|unigram|trigram) \| ([\d.]+) \|", card, re.MULTILINE))
    model, trigram, unigram = (float(rows[name]) for name in ("model", "trigram", "unigram"))
    assert model < trigram < unigram


@each_folder
def test_transformers_loads_it_and_gives_the_same(folder: Path) -> None:
    ours = load(folder)
    load_theirs: Any = getattr(transformers, type(ours).__name__).from_pretrained
    theirs, info = load_theirs(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    batch = {name: value[:6] for name, value in some_held_out(folder.name)[0].items()}
    if folder.name != "t5":  # transformers scores every position
        batch = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in batch}
    with torch.no_grad():
        found, expected = ours(**batch), theirs.eval()(**batch)
    for name in ("logits", "prediction_logits", "seq_relationship_logits", "sop_logits"):
        if isinstance(getattr(expected, name, None), Tensor):
            torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-4, rtol=1e-4)


# --- How the folders are made ----------------------------------------------------------------------------------------


def test_what_is_finished_is_published_and_other_work_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "text.txt"
    articles = [" ".join(document.sentences) for document in documents("wikipedia", "all")[:60]]
    text.write_text("\n\n".join(articles), encoding="utf8")
    source, tiny = FileText((text,)), TINY | {"embedding_size": 4}
    recipe = Recipe("albert", "unigram", tiny, steps=40, warmup_steps=0, batch_size=4, max_length=32)
    monkeypatch.setitem(train_checkpoints.SHIPPED, "albert", recipe)
    monkeypatch.setattr(train_checkpoints, "Run", partial(Run, source=source))
    monkeypatch.setattr(train_checkpoints, "CorpusText", lambda *part: source)
    command = ["albert", "--scratch", str(tmp_path / "scratch"), "--out", str(tmp_path / "out")]
    assert train_checkpoints.main(command) == 0
    made = {path.name: path.read_bytes() for path in (tmp_path / "out" / "albert").iterdir()}
    assert len(made) == 7 and [json.loads(line)["step"] for line in made["training_log.jsonl"].splitlines()] == [20, 40]
    card = made["README.md"].decode()
    assert "# A tiny ALBERT" in card and "40 steps of 4 rows of 32 tokens" in card and "Are A and B in order?" in card
    shutil.rmtree(tmp_path / "out")
    monkeypatch.setattr(train_checkpoints, "Run", None)  # nothing is trained again
    assert train_checkpoints.main(command) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / "albert").iterdir()} == made
    monkeypatch.setitem(train_checkpoints.SHIPPED, "albert", dataclasses.replace(recipe, seed=1))
    with pytest.raises(ValueError, match="made with another recipe"):
        train_checkpoints.main(command)


# --- The T5 ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def t5() -> T5ForConditionalGeneration:
    return next(load(folder) for folder in FOLDERS if folder.name == "t5")


def test_t5_writes_what_transformers_writes(t5: T5ForConditionalGeneration) -> None:
    tokenizer = load_tokenizer("t5_unigram")
    load_theirs: Any = transformers.T5ForConditionalGeneration.from_pretrained
    theirs = load_theirs(next(folder for folder in FOLDERS if folder.name == "t5")).eval()
    examples = TaskExamples([task.examples("held_out")[3] for task in TASKS.values()], tokenizer)
    [batch] = batches_in_order(examples, tokenizer, batch_size=5)
    asked: dict[str, Any] = {name: batch[name] for name in ("input_ids", "attention_mask")} | {"max_new_tokens": 12}
    ways: list[dict[str, Any]] = [{"num_beams": 1}, {"num_beams": 3, "length_penalty": 0.6}]
    for settings in ways:
        # As text: after the end of a beam transformers writes more end tokens if the padding token is 0.
        written, other = (model.generate(**asked, **settings).tolist() for model in (t5, theirs))
        assert tokenizer.decode_batch(written) == tokenizer.decode_batch(other)


def test_t5_has_learnt_its_tasks(t5: T5ForConditionalGeneration) -> None:
    """Far from perfectly, but well above what an answer without reading could reach."""
    least = {"topic": 0.45, "sentiment": 0.55}
    for name, accuracy in least.items():
        pairs = TASKS[name].examples("held_out")[:300]
        written = write_texts(t5, load_tokenizer("t5_unigram"), [source for source, _ in pairs], max_new_tokens=8)
        figures = task_figures(TASKS[name], written, [target for _, target in pairs])
        assert figures["accuracy"] > accuracy and figures["valid"] > 0.98


def test_what_t5_writes_does_not_depend_on_the_padding_of_a_batch(t5: T5ForConditionalGeneration) -> None:
    pairs = TASKS["describe"].examples("held_out")
    sources = [max(pairs, key=lambda pair: len(pair.source)).source, *(pair.source for pair in pairs[:7])]
    tokenizer = load_tokenizer("t5_unigram")
    together = write_texts(t5, tokenizer, sources, max_new_tokens=12)
    assert together == write_texts(t5, tokenizer, sources, max_new_tokens=12, batch_size=1)


def test_steps_of_adafactor_are_relative_to_the_size_of_a_matrix(t5: T5ForConditionalGeneration) -> None:
    tokenizer = load_tokenizer("t5_unigram")
    model = T5ForConditionalGeneration(t5.config)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    batches = t5_batches([TaskExamples(TASKS["topic"].examples("held_out"), tokenizer)], [1.0], tokenizer, batch_size=8)
    pretrain(
        model,
        batches,
        steps=1,
        learning_rate=0.01,
        warmup_steps=0,
        make_optimizer=adafactor,
        max_gradient_norm=1e30,
        progress=False,
    )
    for name, value in model.named_parameters():
        moved = (value - before[name]).square().mean().sqrt() / before[name].square().mean().sqrt()
        assert moved <= 0.0101, name
        if ".query." in name or ".contract." in name:
            assert moved > 0.003, name
