"""The same call gives the same result in every process: nothing depends on the order of sets, on addresses or on time.

That a notebook gives the same output twice is tested by nbval, which runs each and compares it with what is stored.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("rerun_worker.py")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[dict[str, str], Path]]:
    """What two processes that hash strings differently print, and the folders of their files."""
    processes = []
    for seed in ("1", "2"):
        folder = tmp_path_factory.mktemp(f"run{seed}")
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(WORKER.parents[1])}
        command = [sys.executable, str(WORKER), str(folder)]
        processes.append((subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True), folder))
    found = []
    for process, folder in processes:
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        found.append((json.loads(printed), folder))
    return found


def test_everything_that_is_made_or_printed_is_the_same(runs: list[tuple[dict[str, str], Path]]) -> None:
    (one, _), (other, _) = runs
    assert len(one) > 30 and one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []
    assert "accuracy" in one["printed by evaluate"] and "%" in one["printed by fill-mask"]


def test_a_run_of_pre_training_leaves_the_same_files(runs: list[tuple[dict[str, str], Path]]) -> None:
    one, other = (folder / "model" for _, folder in runs)
    names = {path.name for path in one.iterdir()}
    tokenizer = {"tokenizer.json", "tokenizer_config.json"}
    assert names == {"config.json", "log.jsonl", "model.safetensors", "recipe.json"} | tokenizer
    for name in names:
        contents = [(folder / "model" / name).read_bytes().replace(str(folder).encode(), b"") for _, folder in runs]
        if name == "log.jsonl":
            contents = [without_speed(content) for content in contents]
        assert contents[0] == contents[1], name
    assert {path.name for path in other.iterdir()} == names


def without_speed(log: bytes) -> bytes:
    entries = [json.loads(line) for line in log.splitlines()]
    assert len(entries) == 3 and all(entry.pop("tokens_per_second") > 0 for entry in entries)
    return json.dumps(entries).encode()
