"""The ALBERT chapter: its verdicts are complete, and its optional cell loads a real model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from plm_lessons import AlbertConfig, AlbertForMaskedLM
from plm_lessons.tokenization import load_tokenizer

CHAPTER = Path(__file__).parent.parent / "book" / "albert.ipynb"


@pytest.fixture(scope="module")
def cells() -> list[Any]:
    return nbformat.read(CHAPTER, as_version=4).cells


def test_every_claim_has_its_verdict_in_the_text_and_in_the_table(cells: list[Any]) -> None:
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for number in range(27, 40):
        assert re.search(rf"^> \*\*Verdict on S{number}\*\*", text, flags=re.MULTILINE), f"S{number} has no verdict"
        assert re.search(rf"^\| S{number} \|.+\|.+\|.+\|$", text, flags=re.MULTILINE), f"S{number} is not in the table"


def test_the_optional_cell_asks_a_model_from_a_local_folder(
    cells: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = load_tokenizer("unigram")
    config = AlbertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        embedding_size=8,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    AlbertForMaskedLM(config).save_pretrained(tmp_path)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    [optional] = [cell for cell in cells if "real-albert" in cell.metadata.get("tags", [])]
    names: dict[str, Any] = {"AlbertForMaskedLM": AlbertForMaskedLM, "load_tokenizer": load_tokenizer}
    monkeypatch.delenv("PLM_LESSONS_ALBERT", raising=False)
    exec(optional.source, dict(names))
    assert not capsys.readouterr().out, "elsewhere than in Colab, without being asked, it does nothing"
    monkeypatch.setenv("PLM_LESSONS_ALBERT", str(tmp_path))
    exec(optional.source, dict(names))
    answered = capsys.readouterr().out.splitlines()
    assert len(answered) == 2 and all("[MASK]" in line and line.count("%") == 5 for line in answered)
