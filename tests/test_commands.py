"""The command line for its readers: what it prints, and that whatever goes wrong is said in one line."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pkgutil
import re
import runpy
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import plm_lessons
from plm_lessons import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
    RobertaForMaskedLM,
    T5ForConditionalGeneration,
)
from plm_lessons.commands.finetune import drawn, with_new_head
from plm_lessons.commands.main import COMMANDS, main
from plm_lessons.commands.pretrain import check_memory
from plm_lessons.corpus import documents, split_of
from plm_lessons.downstream import TASKS
from plm_lessons.objectives import text_to_text
from plm_lessons.objectives.text_to_text import TextPair
from plm_lessons.text_sources import FileText
from plm_lessons.tokenization import TOKENIZERS, load_tokenizer
from plm_lessons.training.downstream import encode_task, evaluate_task, fitting
from plm_lessons.training.encoding import encode_questions
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.fine_tuning import fine_tune
from plm_lessons.training.held_out import held_out_figures
from plm_lessons.training.inference import fill_mask
from plm_lessons.training.recipes import SHIPPED, Recipe
from plm_lessons.training.t5_evaluation import write_texts

TINY: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
SHAPES: dict[str, dict[str, Any]] = {
    "bert": TINY,
    "roberta": TINY,
    "albert": TINY | {"embedding_size": 8},
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2},
}
WHO = ["model", "unigram", "trigram"]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "articles.txt"
    texts = [" ".join(document.sentences) for document in documents("wikipedia", "all")[:60]]
    path.write_text("\n\n".join(texts), encoding="utf8")
    return path


@pytest.fixture(scope="module")
def models(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model of each family, made by the command."""
    folder = tmp_path_factory.mktemp("models")
    for family, shape in SHAPES.items():
        fields = [f"{name}={value}" for name, value in shape.items()]
        settings = ["--steps", "3", "--max-length", "32", "--batch-size", "8", "--text", str(text)]
        assert main(["pretrain", family, "--out", str(folder / family), *settings, "--set", *fields]) == 0
    return folder


def test_every_command_tells_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    names = [module.__name__.rpartition(".")[2].replace("_", "-") for module in COMMANDS]
    for command in ([], *([name] for name in names)):
        with pytest.raises(SystemExit) as ended:
            main([*command, "--help"])
        assert ended.value.code == 0
        told = capsys.readouterr().out
        assert max(map(len, told.splitlines())) <= 160
        assert f"python -m plm_lessons {' '.join(command)}" in told[len(told) // 2 :], "an example at the end"
        named = [pkgutil.resolve_name(name) for name in re.findall(r"\bplm_lessons(?:\.\w+)+\w", told)]
        assert command != ["finetune"] or fine_tune in named, "labelled data of one's own"
        if not command:
            assert all(name in told for name in names)


# --- pretrain --------------------------------------------------------------------------------------------------------


def recipe_of(folder: Path) -> Recipe:
    return Recipe(**json.loads((folder / "recipe.json").read_text(encoding="utf8"))["recipe"])


def test_what_is_not_said_is_as_in_the_book(models: Path, text: Path) -> None:
    """Except for settings that count passes over the book's text or belong to its tasks."""
    for family, shape in SHAPES.items():
        found, book = recipe_of(models / family), SHIPPED[family]
        for name in ("tokenizer", "learning_rate", "schedule", "weight_decay", "max_gradient_norm", "seed"):
            assert getattr(found, name) == getattr(book, name)
        assert found.model == book.model | shape
        assert (found.steps, found.batch_size, found.max_length) == (3, 8, 32)
        assert found.task_share == found.late_task_share == found.short_epochs == 0


def test_each_option_reaches_the_recipe(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model_type": "roberta", "architectures": ["X"], **TINY}), encoding="utf8")
    options = {
        "steps": 4, "seed": 7, "batch_size": 2, "accumulation_steps": 2, "max_length": 24, "short_epochs": 1,
        "short_length": 12, "learning_rate": 0.002, "schedule": "cosine", "warmup_steps": 2, "cooldown_steps": 1,
        "weight_decay": 0.1, "tokenizer": str(TOKENIZERS / "byte_level_bpe" / "tokenizer.json"),
    }  # fmt: skip
    command = ["pretrain", "roberta", "--text", str(text), "--config", str(config), "--set", "hidden_act=relu"]
    command += ["--out", str(tmp_path / "a"), "--log", str(tmp_path / "log"), "--log-every", "3"]
    command += ["--evaluate-every", "3", "--threads", "2", "--precision", "float32", "--quiet"]
    for name, value in options.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    threads = torch.get_num_threads()
    try:
        assert main(command) == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    recipe = recipe_of(tmp_path / "a")
    assert json.loads((tmp_path / "a" / "recipe.json").read_text(encoding="utf8"))["precision"] == "float32"
    assert {name: getattr(recipe, name) for name in options} == options
    assert recipe.model == TINY | {"hidden_act": "relu"}
    log = [json.loads(line) for line in (tmp_path / "log").read_text(encoding="utf8").splitlines()]
    assert [entry["step"] for entry in log] == [3, 4] and all("held_out" in entry for entry in log)
    out, errors = capsys.readouterr()
    assert errors == ""
    assert out.startswith(f"model: {tmp_path / 'a'}\nheld out: masked_lm_loss ")
    assert f"{log[-1]['held_out']['masked_lm_loss']:,.4g}" in out


def test_a_published_shape_gets_the_vocabulary_of_the_tokenizer(text: Path, tmp_path: Path) -> None:
    command = ["pretrain", "bert", "--size", "bert-tiny", "--text", str(text), "--steps", "1", "--batch-size", "2"]
    assert main([*command, "--max-length", "16", "--out", str(tmp_path)]) == 0
    config = BertConfig.from_pretrained(tmp_path)
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (128, 2, 2)
    assert (config.vocab_size, config.hidden_dropout_prob, config.max_position_embeddings) == (8192, 0.1, 16)


def test_a_configuration_gets_the_vocabulary_of_the_tokenizer(text: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": 30522, **TINY}))
    command = ["pretrain", "bert", "--config", str(tmp_path / "config.json"), "--text", str(text), "--steps", "1"]
    assert main([*command, "--batch-size", "2", "--out", str(tmp_path / "a")]) == 0
    assert BertConfig.from_pretrained(tmp_path / "a").vocab_size == 8192


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000 bytes."), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_what_there_is_no_memory_for_is_told_in_one_line(
    error: Exception, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("plm_lessons.commands.pretrain.Run.execute", fail)
    command = ["pretrain", "bert", "--out", str(tmp_path)]
    if told:
        assert_refused(command, "^error: out of memory: choose a smaller batch, length or model\n$", capsys)
    else:
        with pytest.raises(RuntimeError, match="shapes"):
            main(command)


def test_weights_and_gradients_must_fit_into_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = SHIPPED["bert"]
    needed = 8 * FAMILIES["bert"].model(recipe, load_tokenizer(recipe.tokenizer)).num_parameters()
    memory = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": needed}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(os, "sysconf", memory.__getitem__)
    check_memory(recipe)
    memory["SC_PHYS_PAGES"] -= 1
    with pytest.raises(ValueError, match="for weights and gradients alone"):
        check_memory(recipe)


def test_rows_shorter_than_those_of_the_books_first_passes_need_no_other_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remember(recipe: Recipe, *_: Any, **__: Any) -> None:
        recipes.append(recipe)
        raise ValueError("enough")

    recipes: list[Recipe] = []
    monkeypatch.setattr("plm_lessons.commands.pretrain.Run", remember)
    for more in ([], ["--short-length", "8"]):
        assert main(["pretrain", "bert", "--max-length", "16", *more, "--out", str(tmp_path / "a")]) == 2
    found = [(recipe.max_length, recipe.short_epochs) for recipe in recipes]
    assert found == [(16, 0), (16, SHIPPED["bert"].short_epochs)]


def test_a_text_too_short_to_hold_any_of_it_out_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = [line for line in ("A cat sat.", "A dog ran.", "A bird sang.") if split_of(line) == "train"]
    (tmp_path / "two.txt").write_text("\n\n".join(training), encoding="utf8")
    command = ["pretrain", "roberta", "--text", str(tmp_path / "two.txt"), "--steps", "1", "--out", str(tmp_path / "a")]
    fields = ["--set", *(f"{name}={value}" for name, value in TINY.items())]
    assert main([*command, *fields]) == 0
    assert "held out: nothing of the text, because it is too short\n" in capsys.readouterr().out
    assert main(["evaluate", str(tmp_path / "a"), "--text", str(tmp_path / "two.txt")]) == 2
    assert "it is too short, so that none of it is held out" in capsys.readouterr().err
    (tmp_path / "one.txt").write_text("\n".join(training * 99), encoding="utf8")
    command[3] = str(tmp_path / "one.txt")
    assert main([*command[:-1], str(tmp_path / "b"), *fields]) == 0
    assert "held out: nothing of the text, because it is a single document (" in capsys.readouterr().out
    assert main(["evaluate", str(tmp_path / "a"), "--text", str(tmp_path / "one.txt")]) == 2
    assert "it is a single document (" in capsys.readouterr().err
    [held_out, *_] = (
        line for line in (f"A cat sat {number} times." for number in range(99)) if split_of(line) != "train"
    )
    (tmp_path / "one.txt").write_text(held_out, encoding="utf8")
    command = ["evaluate", str(tmp_path / "a"), "--text", str(tmp_path / "one.txt")]
    assert_refused(command, "one.txt .*no training text for the baselines to count", capsys)


# --- evaluate and fill-mask ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", list(SHAPES))
def test_evaluate_prints_the_figures(family: str, models: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = (models / family / "log.jsonl").read_text(encoding="utf8").splitlines()
    logged = json.loads(log[-1])["held_out"]
    assert main(["evaluate", str(models / family), "--text", str(text)]) == 0
    told = capsys.readouterr().out
    table = [line.replace(",", "").replace("%", "").split() for line in told.splitlines()]
    rows = {row[0]: [float(number) for number in row[1:]] for row in table if row and row[0] in WHO}
    assert list(rows) == WHO
    loss = logged.get("masked_lm_loss", logged.get("loss"))
    accuracy = logged.get("masked_lm_accuracy", logged.get("accuracy"))
    assert rows["model"][0] == pytest.approx(loss, abs=6e-4)
    assert rows["model"][1] == pytest.approx(2.718281828**loss, rel=1e-3)
    assert rows["model"][2] == pytest.approx(100 * accuracy, abs=0.06)
    assert rows["trigram"][0] < rows["unigram"][0] < rows["model"][0]  # the model has hardly begun to learn
    words = logged.get("masked_words", logged.get("tokens"))
    assert f"{words:,.0f} " in told and f"trained on files {text}" in told and f"\nfiles {text}" in told
    for task in ("next_sentence", "sentence_order"):
        assert (f"{task}_accuracy" in logged) == (task.replace("_", " ") in told)
        if f"{task}_accuracy" in logged:
            assert f"accuracy {logged[f'{task}_accuracy']:.1%} of {logged['pairs']:,.0f} pairs" in told


def test_evaluation_needs_no_recipe_and_may_look_at_less(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder from elsewhere: its rows are as long as its position table allows."""
    shutil.copytree(models / "roberta", tmp_path / "a")
    (tmp_path / "a" / "recipe.json").unlink()
    longer = tmp_path / "longer.txt"  # more than a batch of it is held out
    longer.write_text(
        "\n\n".join(" ".join(one.sentences) for one in documents("wikipedia", "all")[:400]), encoding="utf8"
    )
    assert main(["evaluate", str(tmp_path / "a"), "--text", str(longer), "--batches", "1"]) == 0
    told = capsys.readouterr().out
    model, tokenizer = RobertaForMaskedLM.from_pretrained(models / "roberta"), load_tokenizer("byte_level_bpe")
    recipe, source = recipe_of(models / "roberta"), FileText((longer,))
    some, every = (held_out_figures(model, tokenizer, recipe, source, most) for most in (1, None))
    assert 0 < some["model"]["words"] < every["model"]["words"]
    assert f"{some['model']['words']:,.0f} " in told


def test_a_loss_whose_perplexity_is_beyond_all_numbers_is_told(
    models: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = RobertaForMaskedLM.from_pretrained(models / "roberta")
    biases = [weight for weight in model.parameters() if weight.shape == (model.config.vocab_size,)]
    for bias in biases:
        bias.data[0] = 1e5  # <s>, which is never the right word
    model.save_pretrained(tmp_path)
    shutil.copyfile(models / "roberta" / "tokenizer.json", tmp_path / "tokenizer.json")
    assert main(["evaluate", str(tmp_path), "--text", str(text)]) == 0
    assert re.search(r"^model +\d{5,6}\.\d+ +inf +0\.0%$", capsys.readouterr().out, re.MULTILINE)


def test_a_model_without_a_head_for_words_is_not_asked_for_any(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such a head would be drawn anew: random words, with probabilities."""
    with pytest.warns(UserWarning, match="not used"):
        BertModel.from_pretrained(models / "bert").save_pretrained(tmp_path / "a")
    shutil.copy(models / "bert" / "tokenizer.json", tmp_path / "a")
    assert_refused(["fill-mask", str(tmp_path / "a"), "A [MASK]."], "has no cls.predictions.*not pre-trained", capsys)


def test_fill_mask_prints_words_and_probabilities(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, tokenizer = RobertaForMaskedLM.from_pretrained(models / "roberta"), load_tokenizer("byte_level_bpe")
    for text in ("The [MASK] of it", "The <mask> of it"):
        assert main(["fill-mask", str(models / "roberta"), text, "--top", "3"]) == 0
        [expected] = fill_mask(model, tokenizer, "The <mask> of it", 3)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 3
        for line, (piece, probability) in zip(lines, expected, strict=True):
            assert re.fullmatch(rf" *{probability:.2%}  {re.escape(piece.replace('Ġ', ''))}", line)
    assert main(["fill-mask", str(models / "bert"), "A [MASK] and [MASK]", "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and lines[0] == "mask 1" and lines[3] == "mask 2"


def test_a_word_that_the_output_cannot_spell_is_written_with_its_number(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows, a file may know only 256 characters."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252"))
    monkeypatch.setattr(sys, "argv", ["plm_lessons", "fill-mask", str(models / "albert"), "A [MASK].", "--top", "8192"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("plm_lessons", run_name="__main__")
    sys.stdout.flush()
    lines = written.getvalue().splitlines()
    assert ended.value.code == 0 and len(lines) == 8192 and any(b"\\u2581" in line for line in lines)


# --- finetune --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "family", "kind"),
    [
        ("topics", "bert", "SequenceClassification"),
        ("pairs", "albert", "SequenceClassification"),
        ("capitals", "roberta", "TokenClassification"),
        ("questions", "roberta", "QuestionAnswering"),
    ],
)
def test_finetune_saves_a_model_that_reaches_the_figures_it_prints(
    task: str, family: str, kind: str, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    whole = TASKS[task]
    few = dataclasses.replace(whole, make=lambda split: short(whole.make(split))[: {"train": 200}.get(split, 40)])
    monkeypatch.setitem(TASKS, task, few)
    command = ["finetune", task, "--model", str(models / family), "--out", str(tmp_path / "a"), "--examples", "30"]
    command += ["--epochs", "1", "--batch-size", "8", "--max-length", "32", "--learning-rate", "0.01"]
    if task == "questions":
        monkeypatch.setattr("plm_lessons.training.downstream.encode_questions", partial(encode_questions, overlap=2))
    assert main(command) == 0
    out, errors = capsys.readouterr()
    left_out = re.search(r"(\d+) of 40 held-out examples are longer than 32 tokens and are left out\n", errors)
    model_class = getattr(
        plm_lessons, f"{ {'bert': 'Bert', 'roberta': 'Roberta', 'albert': 'Albert'}[family] }For{kind}"
    )
    model, tokenizer = model_class.from_pretrained(tmp_path / "a"), load_tokenizer(tmp_path / "a")
    if few.labels:
        assert model.config.num_labels == len(few.labels) and tuple(model.config.label_names) == few.labels
    held_out = fitting(few, few.examples("held_out"), tokenizer, 32)
    assert len(held_out) == 40 - int(left_out[1] if left_out else 0)
    figures = evaluate_task(model, held_out, encode_task(few, held_out, tokenizer, 32))
    told = ", ".join(f"{name} {figures[name]:,.4g}" for name in few.figures)
    assert out == f"model: {tmp_path / 'a'}\nheld out: {told}, on {len(held_out)} examples\n"
    assert main([*command[:4], "--out", str(tmp_path / "a")]) == 2  # what is there is not written over


def test_finetune_reads_as_much_as_a_small_model_can_if_no_length_is_given(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["finetune", "sentiment", "--model", str(models / "roberta"), "--out", str(tmp_path), "--epochs", "1"]
    assert main([*command, "--examples", "8"]) == 0
    assert "are longer than 32 tokens and are left out" in capsys.readouterr().err


@pytest.mark.parametrize("family", ["bert", "roberta", "albert"])
def test_transformers_cuts_long_texts_for_a_fine_tuned_model(family: str, models: Path, tmp_path: Path) -> None:
    command = ["finetune", "sentiment", "--model", str(models / family), "--out", str(tmp_path), "--examples", "8"]
    assert main([*command, "--epochs", "1", "--max-length", "32"]) == 0
    judge = transformers.pipeline("text-classification", str(tmp_path))
    whole, cut = (judge("word " * words, truncation=True) for words in (500, 30))
    assert whole == cut


def short(examples: list[Any]) -> list[Any]:
    """The examples that mostly fit into a row of 32 tokens, as a tiny model reads it."""
    return [one for one in examples if len(getattr(one, "text", getattr(one, "second", ""))) < 110]


def test_finetune_teaches_a_t5_a_task_as_text(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A task whose answer is always the same is soon learnt."""
    pairs = [TextPair(f"number {number}", "positive") for number in range(40)]
    monkeypatch.setitem(text_to_text.TASKS, "sentiment", dataclasses.replace(
        text_to_text.TASKS["sentiment"], make=lambda split: iter(pairs)))  # fmt: skip
    command = ["finetune", "sentiment", "--model", str(models / "t5"), "--out", str(tmp_path / "a")]
    assert main([*command, "--epochs", "30", "--batch-size", "8", "--learning-rate", "0.3", "--dropout", "0"]) == 0
    assert "valid 1, accuracy 1, on 40 examples" in capsys.readouterr().out
    model, tokenizer = T5ForConditionalGeneration.from_pretrained(tmp_path / "a"), load_tokenizer(tmp_path / "a")
    assert write_texts(model, tokenizer, ["sentiment: number 7"]) == ["positive"]


def test_an_epoch_of_a_t5_reads_every_pair_once_in_an_order_of_its_own(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [TextPair(f"number {number}", "positive") for number in range(10)]
    monkeypatch.setitem(text_to_text.TASKS, "sentiment", dataclasses.replace(
        text_to_text.TASKS["sentiment"], make=lambda split: iter(pairs)))  # fmt: skip
    read: list[tuple[int, ...]] = []

    def remember(model: Any, optimizer: Any, batches: Any, *, steps: range, **more: Any) -> Any:
        assert rates_of_dropout(model) == {0.25}
        for _ in steps:
            batch = next(batches)
            read.extend(tuple(row[mask == 1]) for row, mask in zip(
                batch["input_ids"].numpy(), batch["attention_mask"].numpy(), strict=True))  # fmt: skip
            yield {}
        assert next(batches, None) is None

    monkeypatch.setattr("plm_lessons.commands.finetune.training_steps", remember)
    command = ["finetune", "sentiment", "--model", str(models / "t5"), "--out", str(tmp_path / "a")]
    assert main([*command, "--epochs", "2", "--batch-size", "4", "--dropout", "0.25"]) == 0
    assert len(read) == 20 and set(read[:10]) == set(read[10:]) and len(set(read)) == 10 and read[:10] != read[10:]


@pytest.mark.parametrize(("task", "family"), [("topics", "bert"), ("sentiment", "t5")])
def test_finetune_keeps_the_model_if_it_cannot_be_measured(
    task: str, family: str, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise ValueError("no figures")

    for measure in ("evaluate_task", "write_texts"):
        monkeypatch.setattr(f"plm_lessons.commands.finetune.{measure}", fails)
    command = ["finetune", task, "--model", str(models / family), "--out", str(tmp_path / "a"), "--examples", "8"]
    assert main([*command, "--epochs", "1"] + ["--max-length", "32"] * (family == "bert")) == 2
    left = {path.name for path in (tmp_path / "a").iterdir()} - {"tokenizer_config.json"}  # which a T5 does not need
    assert left == {"config.json", "model.safetensors", "tokenizer.json"}


def rates_of_dropout(model: torch.nn.Module) -> set[float]:
    return {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}


@pytest.mark.parametrize("family", ["bert", "roberta", "albert"])
def test_dropout_reaches_the_new_head(family: str, models: Path) -> None:
    model, _ = with_new_head(models / family, family, TASKS["topics"], dropout=0.25, seed=0)
    assert rates_of_dropout(model) == {0.25}


def test_a_fine_tuned_model_is_fine_tuned_further_for_another_task(models: Path, tmp_path: Path) -> None:
    model, tokenizer = with_new_head(models / "bert", "bert", TASKS["sentiment"], dropout=0.1, seed=0)
    model.save_pretrained(tmp_path / "a")
    (tmp_path / "a" / "tokenizer.json").write_text(tokenizer.to_str())
    for task in ("topics", "capitals", "questions", "pairs"):
        further, _ = with_new_head(tmp_path / "a", "bert", TASKS[task], dropout=0.1, seed=0)
        names = TASKS[task].labels
        assert (further.config.num_labels, tuple(further.config.label_names)) == (len(names) or 2, names)
        for name, weight in further.encoder.named_parameters():
            assert torch.equal(weight, model.encoder.get_parameter(name))


def test_where_nothing_can_be_written_is_found_before_the_training(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plm_lessons.commands.finetune.fine_tune", None)  # would be an error
    # The file of a run that can be resumed, of a model in other files, of somebody else's tokenizer.
    for name in ("state.safetensors", "config.json", "tokenizer.json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(b"")
        command = ["finetune", "sentiment", "--model", str(models / "bert"), "--out", str(tmp_path / name)]
        assert_refused(command, f"holds the {name} of another", capsys)
    (tmp_path / "file").touch()
    command = ["finetune", "sentiment", "--model", str(models / "bert"), "--out", str(tmp_path / "file" / "a")]
    assert_refused([*command, "--max-length", "32"], "/file: must be a folder, not a file", capsys)
    if Path("/proc").is_dir():  # not even root can write there
        assert_refused([*command[:-1], "/proc"], "^error: /proc: ", capsys)
    monkeypatch.undo()
    for folder in ("a", "made/for/it"):
        command[-1] = str(tmp_path / folder)
        assert_refused([*command, "--max-length", "1000"], "max_length=1000: .* from 1 to 32: this model reads", capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"state.safetensors", "config.json", "tokenizer.json", "file"}


def test_more_examples_hold_those_of_fewer_and_all_is_fixed_by_the_seed(models: Path, tmp_path: Path) -> None:
    assert drawn(range(100), 20, 0)[:5] == drawn(range(100), 5, 0) != drawn(range(100), 5, 1)
    weights = []
    for number, seed in enumerate((0, 0, 1)):
        command = ["finetune", "sentiment", "--model", str(models / "bert"), "--out", str(tmp_path / str(number))]
        command += ["--examples", "16", "--epochs", "1", "--max-length", "32", "--seed", str(seed)]
        assert main(command) == 0
        weights.append((tmp_path / str(number) / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


# --- What goes wrong -------------------------------------------------------------------------------------------------


def assert_refused(command: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(command) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.startswith("error: ") and error.count("\n") == 1
    assert re.search(message, error), error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("bert --text nothing.txt", "nothing.txt: no such file"),
        ("bert --text pipe", "pipe: must be a file on disk, not a pipe: a text is read more than once"),
        ("bert --text -", "-: must be a file on disk, not a pipe"),
        ("bert --text .", r"\.: must be a file, not a folder"),
        ("bert --text empty.txt", "empty.txt .*not a single batch"),
        ("bert --text latin.txt", r"latin.txt: must be UTF-8 \(.*at byte 1\)"),
        ("bert --dataset someone/something", "install the package datasets"),
        ("bert --set vocab_size=100", "vocab_size=100: must be at least 8192"),
        ("bert --set max_position_embeddings=64", "max_position_embeddings=64: must be at least 128"),
        ("bert --set layers=3", "layers: not a field of BertConfig, which has vocab_size"),
        ("bert --set hidden_size", "hidden_size: must be FIELD=VALUE"),
        ("bert --set hidden_size=wide", "hidden_size='wide': must be a whole number"),
        ("bert --set hidden_size=DEEP", r"hidden_size='\[+: must be a whole number"),
        ("bert --config deep.json", "deep.json: not valid JSON"),
        ("bert --size roberta-base", "size='roberta-base': must be one of .*bert-mini"),
        ("t5 --size t5-11b --text empty.txt", "11,282,810,880 parameters need 90 GB .* the machine has 8"),
        ("bert --config nothing.json", "nothing.json: No such file"),
        ("bert --config empty.txt", "empty.txt: not valid JSON"),
        ("bert --config list.json", "list.json: must hold a JSON object"),
        ("bert --config t5.json", "model_type='t5'"),
        ("bert --tokenizer nothing", "nothing.*name of a tokenizer that ships"),
        ("bert --tokenizer list.json", "list.json: not a whole tokenizer.json"),
        ("roberta --tokenizer wordpiece --text articles.txt", "tokenizer has no token '<s>'"),
        ("bert --steps 0", "steps=0: must be a whole number of at least 1"),
        ("bert --steps 5 --warmup-steps 6", "warmup_steps=6: must be a whole number from 0 to 5"),
        ("bert --steps 100 --warmup-steps 60 --cooldown-steps 50", "cooldown_steps=50: .* 0 to 40"),
        ("bert --text articles.txt --short-length 16", "short_length=16: must not be given without short_epochs"),
        ("t5 --max-length 2 --text articles.txt", "max_length=2: must be a whole number of at least 3"),
        ("bert --threads 0", "threads=0"),
        ("bert --threads 100000", "threads=100000: must be a whole number from 1 to"),
        ("t5 --weight-decay 0.1", "weight_decay=0.1: must not be given for t5, whose AdaFactor has none"),
        ("bert --save-minutes -1", "save_minutes=-1"),
        ("bert --out list.json --text articles.txt", "^error: list.json: must be a folder, not a file$"),
        ("bert --out list.json/model --text articles.txt", "^error: list.json: must be a folder, not a file$"),
    ],
)
def test_what_cannot_be_pretrained_is_told_in_one_line(
    options: str, message: str, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.sysconf", lambda name: 8 * 10**9 if name == "SC_PHYS_PAGES" else 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if "pipe" in options:
        if not hasattr(os, "mkfifo"):
            pytest.skip("there are no such files here")
        os.mkfifo("pipe")
    Path("empty.txt").touch()
    Path("latin.txt").write_bytes("Köln".encode("latin-1"))
    Path("deep.json").write_text("[" * 100_000, encoding="utf8")
    Path("list.json").write_text("[1]", encoding="utf8")
    Path("t5.json").write_text('{"model_type": "t5"}', encoding="utf8")
    shutil.copyfile(text, "articles.txt")
    assert_refused(["pretrain", *options.replace("DEEP", "[" * 100_000).split()], message, capsys)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_folders_that_hold_no_such_model_are_refused(
    models: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("empty", "unfinished", "unwhole", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "unfinished" / "state.safetensors").touch()
    shutil.copytree(models / "bert", tmp_path / "unwhole", dirs_exist_ok=True)
    (tmp_path / "unwhole" / "model.safetensors").write_bytes(b"x" * 100)
    (tmp_path / "other" / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf8")
    for command in (["fill-mask", "FOLDER", "a [MASK]"], ["evaluate", "FOLDER", "--text", str(text)]):
        for name, message in (
            ("nothing", "nothing: no such folder"),
            ("empty", "holds no model: it has no config.json"),
            ("unfinished", "holds an unfinished run: the command that began it resumes it"),
            ("unwhole", "model.safetensors: not a whole safetensors file"),
            ("other", "model_type='gpt2' must be one of bert, roberta, albert"),
        ):
            folder = str(tmp_path / name)
            assert_refused([folder if part == "FOLDER" else part for part in command], message, capsys)
    assert_refused(["fill-mask", str(models / "t5"), "a [MASK]"], "model_type='t5' must be one of bert", capsys)
    assert_refused(["fill-mask", str(models / "bert"), "a"], r"must hold \[MASK\]", capsys)
    assert_refused(["fill-mask", str(models / "bert"), "[MASK]", "--top", "0"], "top=0", capsys)
    assert_refused(["evaluate", str(models / "bert"), "--batches", "0"], "batches=0", capsys)
    assert_refused(["finetune", "topic", "--model", str(models / "bert")], "task='topic': must be .*topics", capsys)
    assert_refused(["finetune", "topics", "--model", str(models / "t5")], "task='topics': must be .*topic'", capsys)
    assert_refused(
        ["finetune", "decade"], "task='decade': must be one of 'topics', .* a bert; this is one for T5", capsys
    )
    column = ["pretrain", "bert", "--column", "body", "--steps", "1"]
    assert_refused(column, "column='body': must not be given without dataset", capsys)
    t5 = ["finetune", "topic", "--model", str(models / "t5"), "--max-length", "32"]
    assert_refused(t5, "max_length=32: must not be given for a T5", capsys)
    for name in ("epochs", "batch-size", "max-length", "examples"):
        assert_refused(["finetune", "topics", f"--{name}", "0"], f"{name.replace('-', '_')}=0", capsys)
    assert_refused(["finetune", "topics", "--seed", "-1"], "seed=-1", capsys)
    assert_refused(["finetune", "topics", "--dropout", "2"], "dropout=2.0: must be a finite number from 0", capsys)
    questions = ["finetune", "questions", "--max-length", "32"]
    assert_refused(questions, "max_length=32 leaves .*, so max_length at least [0-9]+", capsys)
    long = ["fill-mask", str(models / "bert"), "word " * 40 + "[MASK]"]
    assert_refused(long, "^error: text='word word .* has 43 tokens: must be at most 32 for this model", capsys)
    assert_refused(["finetune", "topics", "--learning-rate", "0"], "learning_rate=0.0: .* above 0", capsys)
    short = ["finetune", "topics", "--model", str(models / "bert"), "--max-length", "2"]
    monkeypatch.chdir(tmp_path)
    assert_refused(short, "max_length=2: must be larger, because .* of .* examples are longer", capsys)
    assert not (tmp_path / "finetuned").exists()


def test_a_tokenizer_with_more_words_than_the_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    BertForMaskedLM(BertConfig(vocab_size=100, **TINY)).save_pretrained(tmp_path)
    shutil.copyfile(TOKENIZERS / "wordpiece" / "tokenizer.json", tmp_path / "tokenizer.json")
    assert_refused(["fill-mask", str(tmp_path), "[MASK]"], "tokenizer has 8192 words: must .* vocab_size=100", capsys)


def test_a_model_without_all_its_heads_can_fill_but_not_be_evaluated(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = BertConfig(vocab_size=8192, max_position_embeddings=16, **TINY)
    for model, name in ((BertForMaskedLM(config), "words"), (BertForPreTraining(config), "both")):
        model.save_pretrained(tmp_path / name)
        shutil.copyfile(TOKENIZERS / "wordpiece" / "tokenizer.json", tmp_path / name / "tokenizer.json")
        assert main(["fill-mask", str(tmp_path / name), "a [MASK]"]) == 0
        assert capsys.readouterr().err == ""
    assert_refused(["evaluate", str(tmp_path / "words"), "--text", str(text)], "cls.seq_relationship", capsys)
    BertForSequenceClassification(config).save_pretrained(tmp_path / "tuned")
    shutil.copyfile(TOKENIZERS / "wordpiece" / "tokenizer.json", tmp_path / "tuned" / "tokenizer.json")
    tuned = "tuned holds a fine-tuned model, a BertForSequenceClassification: must be one as pre-training leaves it$"
    assert_refused(["evaluate", str(tmp_path / "tuned"), "--text", str(text)], tuned, capsys)
    assert_refused(["fill-mask", str(tmp_path / "tuned"), "a [MASK]"], tuned, capsys)
    assert main(["evaluate", str(tmp_path / "both"), "--text", str(text), "--batches", "1"]) == 0


def test_a_command_whose_output_nobody_reads_ends_without_a_word() -> None:
    """As `python -m plm_lessons ... | true` does."""
    model = Path(plm_lessons.__file__).parent / "checkpoints" / "bert"
    command = [sys.executable, "-m", "plm_lessons", "fill-mask", str(model), "Paris is the [MASK] of France."]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 141
