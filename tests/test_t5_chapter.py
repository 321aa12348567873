"""The T5 chapter: its verdicts are complete, and its optional cell loads a real model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from plm_lessons import T5Config, T5ForConditionalGeneration
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training.t5_evaluation import write_texts

CHAPTER = Path(__file__).parent.parent / "book" / "t5.ipynb"


@pytest.fixture(scope="module")
def cells() -> list[Any]:
    return nbformat.read(CHAPTER, as_version=4).cells


def test_every_claim_has_its_verdict_in_the_text_and_in_the_table(cells: list[Any]) -> None:
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for number in range(40, 59):
        assert len(re.findall(rf"\*\*Verdict on S{number}\*\*", text)) == 1, f"S{number} must have one verdict"
        assert re.search(rf"^\| S{number} \|.+\|.+\|.+\|$", text, flags=re.MULTILINE), f"S{number} is not in the table"


def test_the_optional_cell_asks_a_model_from_a_local_folder(
    cells: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = load_tokenizer("t5_unigram")
    T5ForConditionalGeneration(
        T5Config(vocab_size=8192, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    ).save_pretrained(tmp_path)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    [optional] = [cell for cell in cells if "real-t5" in cell.metadata.get("tags", [])]
    names: dict[str, Any] = {
        "T5ForConditionalGeneration": T5ForConditionalGeneration,
        "load_tokenizer": load_tokenizer,
        "write_texts": write_texts,
    }
    monkeypatch.delenv("PLM_LESSONS_T5", raising=False)
    exec(optional.source, dict(names))
    assert not capsys.readouterr().out, "elsewhere than in Colab, without being asked, it does nothing"
    monkeypatch.setenv("PLM_LESSONS_T5", str(tmp_path))
    exec(optional.source, dict(names))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(line.count(" -> ") == 1 for line in lines)
    assert lines[0].startswith("translate English to German: ")
