"""The RoBERTa chapter: its verdicts are complete, and its optional cell loads a real model."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from plm_lessons import RobertaConfig, RobertaForMaskedLM
from plm_lessons.tokenization import load_tokenizer

CHAPTER = Path(__file__).parent.parent / "book" / "roberta.ipynb"


@pytest.fixture(scope="module")
def cells() -> list[Any]:
    return nbformat.read(CHAPTER, as_version=4).cells


def test_every_claim_has_its_verdict_in_the_text_and_in_the_table(cells: list[Any]) -> None:
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for number in range(18, 27):
        assert re.search(rf"\*\*Verdict on S{number}\*\*", text), f"S{number} has no verdict"
        assert re.search(rf"^\| S{number} \|.+\|.+\|.+\|$", text, flags=re.MULTILINE), f"S{number} is not in the table"


def test_the_optional_cell_asks_a_model_from_a_local_folder(
    cells: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = RobertaConfig(
        vocab_size=8192, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    RobertaForMaskedLM(config).save_pretrained(tmp_path)
    load_tokenizer("byte_level_bpe").save(str(tmp_path / "tokenizer.json"))
    [optional] = [cell for cell in cells if "real-roberta" in cell.metadata.get("tags", [])]
    names: dict[str, Any] = {"RobertaForMaskedLM": RobertaForMaskedLM, "load_tokenizer": load_tokenizer, "sys": sys}
    exec(optional.source, dict(names))
    assert capsys.readouterr().out == "", "elsewhere than in Colab, without being asked, it does nothing"
    monkeypatch.setenv("PLM_LESSONS_ROBERTA", str(tmp_path))
    exec(optional.source, dict(names))
    assert re.match(r"The capital of France is <mask>\.( '.+' \d+%){5}\n", capsys.readouterr().out)
