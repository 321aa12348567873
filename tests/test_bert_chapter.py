"""The BERT chapter: its verdicts are complete, and its optional cell loads a real model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from plm_lessons import BertConfig, BertForMaskedLM
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training.inference import fill_mask

CHAPTER = Path(__file__).parent.parent / "book" / "bert.ipynb"


@pytest.fixture(scope="module")
def cells() -> list[Any]:
    return nbformat.read(CHAPTER, as_version=4).cells


def test_every_claim_has_its_verdict_in_the_text_and_in_the_table(cells: list[Any]) -> None:
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for number in range(1, 18):
        assert re.search(rf"\*\*Verdict on S{number}\*\*", text), f"S{number} has no verdict"
        assert re.search(rf"^\| S{number} \|.+\|.+\|.+\|$", text, flags=re.MULTILINE), f"S{number} is not in the table"


def test_the_optional_cell_asks_a_model_from_a_local_folder(
    cells: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = load_tokenizer("wordpiece")
    config = BertConfig(
        vocab_size=8192, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertForMaskedLM(config).save_pretrained(tmp_path)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    [optional] = [cell for cell in cells if "real-bert" in cell.metadata.get("tags", [])]
    shown: list[Any] = []
    questions = ["It is the [MASK] of France."]
    names: dict[str, Any] = {
        "BertForMaskedLM": BertForMaskedLM,
        "load_tokenizer": load_tokenizer,
        "fill_mask": fill_mask,
        "questions": questions,
        "show_answers": shown.append,
    }
    exec(optional.source, dict(names))
    assert not shown, "elsewhere than in Colab, without being asked, it does nothing"
    monkeypatch.setenv("PLM_LESSONS_BERT", str(tmp_path))
    exec(optional.source, dict(names))
    [[(question, answer)]] = [answers.items() for answers in shown]
    assert question in questions and len(answer) == 5
