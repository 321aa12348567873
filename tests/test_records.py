"""Records of long experiments: what is known is not run again, and belongs to the code that the chapters show."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from plm_lessons import BertConfig, records
from plm_lessons.records import KEEP, entries, fingerprint, recorded, source

BOOK = Path(__file__).parent.parent / "book"
RECORDS = sorted(records.FOLDER.glob("*.jsonl"))
done: list[int] = []


def experiment(number: int, config: object = None) -> dict[str, object]:
    done.append(number)
    return {"squares": (number, number**2), "config": config is not None}


def changed() -> Callable[..., Any]:
    def experiment(number: int) -> int:
        done.append(number)
        return number

    return experiment


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the test's own records, with nothing in it yet."""
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    monkeypatch.setenv(KEEP, "1")
    done.clear()
    return tmp_path


def test_what_is_known_is_not_done_again() -> None:
    first = recorded(experiment, number=3)
    assert recorded(experiment, number=3) == first == {"squares": [3, 9], "config": False}
    assert done == [3]


def test_another_setting_is_done() -> None:
    for hidden_size in (48, 96, 48):
        recorded(experiment, number=3, config=BertConfig(hidden_size=hidden_size, num_attention_heads=4))
    recorded(experiment, number=4)
    assert done == [3, 3, 4]


def test_numbers_of_another_kind_are_another_setting() -> None:
    for number in (1, True, 1.0, 1, True, 1.0):
        recorded(experiment, number=number)
    assert [repr(number) for number in done] == ["1", "True", "1.0"]


def test_a_changed_experiment_is_done_and_replaces_the_older_results(folder: Path) -> None:
    recorded(experiment, number=3)
    recorded(experiment, number=4)
    assert recorded(changed(), number=3) == 3
    assert done == [3, 4, 3]
    assert [entry["result"] for entry in entries(folder / "experiment.jsonl")] == [3]


def test_nothing_is_kept_unless_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEEP)
    assert recorded(experiment, number=3) == recorded(experiment, number=3)
    assert done == [3, 3] and not list(folder.iterdir())


def test_a_record_says_how_it_was_made(folder: Path) -> None:
    recorded(experiment, number=3)
    [entry] = entries(folder / "experiment.jsonl")
    assert entry["settings"] == {"number": 3} and entry["source"] == fingerprint(source(experiment))
    assert {"seconds", "torch", "processor", "cores"} == set(entry["made"])


def test_an_experiment_that_fails_leaves_the_record_as_it_was(folder: Path) -> None:
    recorded(experiment, number=3)
    before = (folder / "experiment.jsonl").read_bytes()
    with pytest.raises(TypeError):
        recorded(experiment, number=None)
    assert (folder / "experiment.jsonl").read_bytes() == before


@pytest.mark.parametrize("no_function", [3, len, (lambda: 1), Path], ids=["number", "built in", "lambda", "class"])
def test_what_is_no_function_of_a_chapter_is_refused(no_function: Any) -> None:
    with pytest.raises(ValueError, match="experiment=.*must be a function written in Python"):
        recorded(no_function)


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}], ids=["NaN", "object", "set"])
def test_a_setting_or_result_that_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="number=.*must be something that JSON can hold"):
        recorded(experiment, number=value)
    assert not done

    def odd() -> object:
        return value

    with pytest.raises(ValueError, match="the result of odd=.*must be something that JSON can hold"):
        recorded(odd)


@pytest.mark.parametrize("line", ['{"source": "ab', "[]", '{"source": "", "settings": {}}', "3"])
def test_a_damaged_line_is_named(folder: Path, line: str) -> None:
    recorded(experiment, number=3)
    with (folder / "experiment.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=r"experiment\.jsonl, line 2: not a result"):
        recorded(experiment, number=4)


def shown_functions() -> dict[str, list[str]]:
    """Return the source of each function that a chapter defines, by name."""
    found: dict[str, list[str]] = {}
    for path in sorted(BOOK.glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code" and "%pip" not in cell.source:
                for node in ast.parse(cell.source).body:
                    if isinstance(node, ast.FunctionDef):
                        found.setdefault(node.name, []).append(ast.get_source_segment(cell.source, node) or "")
    return found


def test_some_chapters_have_records() -> None:
    assert len(RECORDS) >= 3


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_is_of_the_code_that_a_chapter_shows(path: Path) -> None:
    """Otherwise the chapter would train for minutes, and so would its reader."""
    [code] = shown_functions()[path.stem]
    kept = entries(path)
    assert kept and {entry["source"] for entry in kept} == {fingerprint(code)}
    settings = [json.dumps(entry["settings"], sort_keys=True) for entry in kept]
    assert len(set(settings)) == len(settings)
