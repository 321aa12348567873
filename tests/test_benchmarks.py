"""The benchmark runs, with sizes that say nothing about speed, and both sides do the same work."""

from __future__ import annotations

import functools
import importlib
import json
import math
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from plm_lessons.widgets import GeluWidget

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("speed")


def test_all_sections_run_and_are_told_in_a_table_and_in_json(
    speed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speed.main(["--tiny", "--repeats", "2", "--json", str(tmp_path / "times.json")])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    found = json.loads((tmp_path / "times.json").read_text(encoding="utf8"))
    assert {row["section"] for row in found["rows"]} == {"pretraining", "forward", "t5", "generate"}
    assert len(lines) == 2 + len(found["rows"])
    assert all(len(row[side]) == 2 and min(row[side]) > 0 for row in found["rows"] for side in ("ours", "theirs"))
    notes = [row["note"].split(", ") for row in found["rows"] if row["section"] == "generate"]
    assert [same for same, _ in notes] == ["same tokens"] * 4
    assert all(int(words.removesuffix(" words")) > 2 for _, words in notes)  # else it is easy to agree
    assert found["machine"]["torch"] and "GFLOP/s" in found["machine"]["matmul peak in float32"]


def test_what_the_table_says_follows_from_the_times(speed: Any) -> None:
    row = speed.Row("forward", "work", 600, 3e9, [4.0, 1.0, 2.0], [5.0, 6.0, 9.0], "float32", "a note")
    assert speed.table([row], {"float32": 2e9}).splitlines()[-1] == "| work | 300 | 100 | 3.00 | 75% | a note |"


def test_both_curves_start_at_the_loss_of_a_guess_and_only_dropout_tells_them_apart(
    speed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speed.main(["--tiny", "--curves", "--steps", "1", "--json", str(tmp_path / "curves.json")])
    curves = json.loads((tmp_path / "curves.json").read_text(encoding="utf8"))["curves"]
    first = [losses for seeds in curves.values() for (losses,) in seeds.values()]
    assert len(set(first)) == 6  # three seeds on each side
    assert max(abs(loss - math.log(8192)) for loss in first) < 0.1 and max(first) - min(first) < 0.05
    assert "| 1-1 | " in capsys.readouterr().out


def test_less_than_one_is_refused(speed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        speed.main(["--repeats", "0"])
    assert "--repeats 0: must be at least 1" in capsys.readouterr().err


def test_a_page_is_timed_until_its_widgets_are_live_and_weighed_packed(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    load = importlib.import_module("widgets").load
    block = GeluWidget().html()
    policy = "<meta http-equiv=Content-Security-Policy content=\"script-src 'unsafe-inline'\">"  # forbids `eval`
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{policy}<title>A</title>{block}{block}")
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    read, live, all_live, count, weight = load(browser, f"http://127.0.0.1:{httpd.server_address[1]}/page.html", 1)
    httpd.shutdown()
    httpd.server_close()
    assert 0 < read <= live <= all_live and count == 2
    assert 1000 < weight < len(block)
