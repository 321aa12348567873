"""The chapters: every claim of the notes has one verdict, and the optional cell of each loads a real model."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from plm_lessons import (
    AlbertConfig,
    AlbertForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training.inference import fill_mask
from plm_lessons.training.t5_evaluation import write_texts

BOOK = Path(__file__).parent.parent / "book"
CLAIMS = {"bert": range(1, 18), "roberta": range(18, 27), "albert": range(27, 40), "t5": range(40, 59)}
TINY: dict[str, Any] = {
    "vocab_size": 8192,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


def cells_of(chapter: str) -> list[Any]:
    return nbformat.read(BOOK / f"{chapter}.ipynb", as_version=4).cells


@pytest.mark.parametrize("chapter", CLAIMS)
def test_every_claim_has_one_verdict_in_the_text_and_one_in_the_table(chapter: str) -> None:
    text = "\n".join(cell.source for cell in cells_of(chapter) if cell.cell_type == "markdown")
    found = [int(number) for number in re.findall(r"^> \*\*Verdict on S(\d+)\*\* \(", text, flags=re.MULTILINE)]
    listed = [int(number) for number in re.findall(r"^\| S(\d+) \|.+\|.+\|.+\|$", text, flags=re.MULTILINE)]
    assert sorted(found) == listed == list(CLAIMS[chapter])


@pytest.mark.parametrize("notebook", sorted(BOOK.rglob("*.ipynb")), ids=lambda path: path.stem)
def test_no_line_of_prose_begins_with_a_percent_sign(notebook: Path) -> None:
    """MyST takes such a line for a comment, and leaves it out."""
    cells = nbformat.read(notebook, as_version=4).cells
    assert not [cell.source for cell in cells if cell.cell_type == "markdown" and re.search(r"(?m)^\s*%", cell.source)]


@pytest.fixture
def ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, Any, str, dict[str, Any]], list[str]]:
    """Save a model and a tokenizer, run a chapter's optional cell on that folder, and return the lines it prints."""

    def run(chapter: str, model: Any, tokenizer: str, names: dict[str, Any]) -> list[str]:
        model.save_pretrained(tmp_path)
        load_tokenizer(tokenizer).save(str(tmp_path / "tokenizer.json"))
        [cell] = [cell for cell in cells_of(chapter) if f"real-{chapter}" in cell.metadata.get("tags", [])]
        variable = f"PLM_LESSONS_{chapter.upper()}"
        names = {type(model).__name__: type(model), "load_tokenizer": load_tokenizer, "sys": sys, **names}
        monkeypatch.delenv(variable, raising=False)
        exec(cell.source, dict(names))
        assert capsys.readouterr().out == "", "elsewhere than in Colab, without being asked, it does nothing"
        monkeypatch.setenv(variable, str(tmp_path))
        exec(cell.source, dict(names))
        return capsys.readouterr().out.splitlines()

    return run


def test_the_optional_cell_of_bert_asks_a_model_from_a_local_folder(ask: Callable[..., list[str]]) -> None:
    question = "It is the [MASK] of France."
    names = {"fill_mask": fill_mask, "questions": [question], "show_answers": lambda answers: print(*answers.items())}
    [line] = ask("bert", BertForMaskedLM(BertConfig(**TINY)), "wordpiece", names)
    assert question in line


def test_the_optional_cell_of_roberta_asks_a_model_from_a_local_folder(ask: Callable[..., list[str]]) -> None:
    lines = ask("roberta", RobertaForMaskedLM(RobertaConfig(**TINY)), "byte_level_bpe", {})
    assert len(lines) == 2 and re.fullmatch(r"The capital of France is <mask>\.( '.+' \d+%){5}", lines[0])


def test_the_optional_cell_of_albert_asks_a_model_from_a_local_folder(ask: Callable[..., list[str]]) -> None:
    lines = ask("albert", AlbertForMaskedLM(AlbertConfig(embedding_size=8, **TINY)), "unigram", {})
    assert len(lines) == 2 and all("[MASK]" in line and line.count("%") == 5 for line in lines)


def test_the_optional_cell_of_t5_asks_a_model_from_a_local_folder(ask: Callable[..., list[str]]) -> None:
    config = T5Config(vocab_size=8192, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    lines = ask("t5", T5ForConditionalGeneration(config), "t5_unigram", {"write_texts": write_texts})
    assert len(lines) == 3 and all(line.count(" -> ") == 1 for line in lines)
    assert lines[0].startswith("translate English to German: ")
