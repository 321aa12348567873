"""The training engine through its command line: killed, stopped, shared or out of disk, it makes the same model."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file, save

import plm_lessons
from plm_lessons import RobertaForMaskedLM
from plm_lessons.commands.main import main
from plm_lessons.corpus import documents
from plm_lessons.text_sources import FileText
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.optimization import adamw
from plm_lessons.training.recipes import SHIPPED, Recipe
from plm_lessons.training.runs import Run, Stopped
from plm_lessons.training.states import load_state, read_about
from plm_lessons.training.streams import BatchStream, held_out_batches

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
CERTAIN = TINY | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
SHAPE = [f"{name}={value}" for name, value in TINY.items()]
SMALL = ["--max-length", "32", "--batch-size", "4"]
ROBERTA = Recipe("roberta", "byte_level_bpe", CERTAIN, steps=6, batch_size=4, max_length=32, warmup_steps=0)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [" ".join(document.sentences) for document in documents("wikipedia", "all")[:60]]


@pytest.fixture(scope="module")
def text(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "articles.txt"
    path.write_text("\n\n".join(texts), encoding="utf8")
    return path


def arguments(family: str, folder: Path, text: Path, *more: str) -> list[str]:
    return ["pretrain", family, "--out", str(folder), "--text", str(text), *SMALL, "--set", *SHAPE, *more]


def log_of(folder: Path, name: str = "log.jsonl") -> list[dict[str, Any]]:
    """Return the entries, without what depends on the machine's speed."""
    entries = [json.loads(line) for line in (folder / name).read_text(encoding="utf8").splitlines()]
    assert all(entry.pop("tokens_per_second") > 0 for entry in entries)
    return entries


def assert_same_run(folder: Path, other: Path) -> None:
    assert log_of(folder) == log_of(other)
    assert (folder / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    files = {"config.json", "log.jsonl", "model.safetensors", "recipe.json", "tokenizer.json"}
    found = {path.name for path in folder.iterdir()}
    assert found - {"tokenizer_config.json"} == files  # that one a T5 does not need
    assert found == {path.name for path in other.iterdir()}


def start(command: list[str], **more: Any) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(plm_lessons.__file__).parents[1])}
    if command[0].startswith("torch.") and torch.cuda.device_count() == 1:
        environment["CUDA_VISIBLE_DEVICES"] = ""  # two processes cannot share it: they train on the CPU
    return subprocess.Popen(
        [sys.executable, "-m", *command], env=environment, text=True, stderr=subprocess.PIPE, **more
    )


def wait_for_steps(folder: Path, more: int) -> None:
    """Wait until the log has so many more lines."""

    def lines() -> int:
        return (folder / "log.jsonl").read_bytes().count(b"\n") if (folder / "log.jsonl").exists() else 0

    needed, patience = lines() + more, time.monotonic() + 60
    while lines() < needed:
        assert time.monotonic() < patience
        time.sleep(0.005)


# --- Killed and stopped ----------------------------------------------------------------------------------------------


def test_killed_at_any_moment_it_comes_to_the_same_model(text: Path, tmp_path: Path) -> None:
    """Killed three times while it saves after every step, with dropout, over several epochs."""
    settings = ["--steps", "60", "--save-minutes", "0", "--evaluate-every", "25"]
    dropout = ["hidden_dropout_prob=0.1", "attention_probs_dropout_prob=0.1"]
    whole, killed = (arguments("bert", tmp_path / name, text, *dropout, *settings) for name in ("whole", "killed"))
    assert main(whole) == 0
    chance = random.Random()
    for _ in range(3):
        with start(["plm_lessons", *killed]) as process:
            wait_for_steps(tmp_path / "killed", chance.randint(4, 14))
            time.sleep(chance.uniform(0, 0.03))
            process.kill()
        assert process.returncode == -signal.SIGKILL
    assert main(killed) == 0
    assert_same_run(tmp_path / "killed", tmp_path / "whole")
    assert [entry["step"] for entry in log_of(tmp_path / "killed")] == list(range(1, 61))
    assert [entry["step"] for entry in log_of(tmp_path / "killed") if "held_out" in entry] == [25, 50, 60]


def test_what_a_kill_in_the_middle_of_saving_leaves_is_removed(text: Path, tmp_path: Path) -> None:
    (tmp_path / ".state.safetensors.k9x2").write_bytes(b"half of it")
    assert main(arguments("bert", tmp_path, text, "--steps", "2")) == 0
    assert not list(tmp_path.glob(".*"))


def stop_after_some_steps(command: list[str], folder: Path, number: signal.Signals) -> None:
    """Run a command in this process, and ask it to stop by that signal once its log has some lines."""

    def ask() -> None:
        wait_for_steps(folder, 5)
        os.kill(os.getpid(), number)

    before = signal.signal(number, signal.SIG_IGN)  # this process must outlive a command that does not listen
    thread = threading.Thread(target=ask)
    thread.start()
    assert main(command) == 128 + number
    thread.join()
    assert signal.signal(number, before) is signal.SIG_IGN, "the handler is as it was"


@pytest.fixture
def stopped(text: Path, tmp_path: Path) -> list[str]:
    """The command of a run that was stopped after some of its 60 steps, in `tmp_path / "a"`."""
    command = arguments("bert", tmp_path / "a", text, "--steps", "60")
    stop_after_some_steps(command, tmp_path / "a", signal.SIGINT)
    return command


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_is_met_when_all_is_saved(
    number: signal.Signals, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It comes in the middle of an entry of the log, whose mean must be that of an uninterrupted run."""
    settings = ["--steps", "60", "--log-every", "2"]
    whole, parts = (arguments("bert", tmp_path / name, text, *settings) for name in ("whole", "parts"))
    stop_after_some_steps(parts, tmp_path / "parts", number)
    out, message = capsys.readouterr()
    assert out == "" and re.fullmatch(r"stopped after step \d+; the same command resumes from there\n", message)
    assert (tmp_path / "parts" / "state.safetensors").is_file()
    assert main(whole) == main(parts) == 0
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_the_log_loses_the_steps_that_are_done_again_and_a_half_written_line(
    stopped: list[str], text: Path, tmp_path: Path
) -> None:
    log = tmp_path / "a" / "log.jsonl"
    done = log.read_bytes()
    last = json.loads(done.splitlines()[-1])["step"]
    log.write_bytes(done + json.dumps({"step": last + 1, "loss": 0}).encode() + b'\n{"step": 9, "lo')
    assert main(stopped) == 0
    assert log.read_bytes().startswith(done)
    assert main(arguments("bert", tmp_path / "b", text, "--steps", "60")) == 0
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_a_run_with_other_settings_is_refused_by_their_names(
    stopped: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = (tmp_path / "a" / "state.safetensors").read_bytes()
    for options, message in (
        (["--seed", "1"], "seed 0, now 1"),
        (["--steps", "70"], "steps 60, now 70"),
        (["--set", "hidden_size=32"], "model {.*'hidden_size': 16.*}, now {.*'hidden_size': 32"),
        (["--text", __file__], "text 'files .*articles.txt .*', now 'files .*test_runs.py"),
    ):
        assert main([*stopped, *options]) == 2
        error = capsys.readouterr().err
        assert "holds a run with other settings" in error and error.count("\n") == 1
        assert re.search(message, error), error
    assert (tmp_path / "a" / "state.safetensors").read_bytes() == state


def test_a_text_that_has_changed_is_refused_though_its_size_is_the_same(
    stopped: list[str], text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = text.read_bytes()
    text.write_bytes(before.swapcase())
    try:
        assert main(stopped) == 2
    finally:
        text.write_bytes(before)
    assert re.search("other settings: text_checksum '[0-9a-f]{8}', now '[0-9a-f]{8}'", capsys.readouterr().err)
    assert main(stopped) == 0
    noted = json.loads((tmp_path / "a" / "recipe.json").read_text(encoding="utf8"))
    assert noted["text_checksum"] == f"{zlib.crc32(before):08x}"


def test_a_run_begun_before_checksums_were_noted_resumes(stopped: list[str], text: Path, tmp_path: Path) -> None:
    path = tmp_path / "a" / "state.safetensors"
    about = read_about(path)
    del about["settings"]["text_checksum"]
    path.write_bytes(save(load_file(path), {"about": json.dumps(about)}))
    assert main(stopped) == 0


def test_a_foreign_recipe_is_left_alone(text: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"flour": 500}', encoding="utf8")
    with pytest.raises(ValueError, match="not the recipe of a run"):
        Run(ROBERTA, tmp_path, FileText((text,))).execute(progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]


def test_a_run_knows_when_its_words_have_other_numbers(text: Path, tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(load_tokenizer("byte_level_bpe").to_str(), encoding="utf8")
    run = Run(dataclasses.replace(ROBERTA, tokenizer=str(tokenizer)), tmp_path / "a", FileText((text,)))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        patch.setattr("plm_lessons.training.runs._stop_signal", lambda *_: signal.SIGTERM)
        run.execute(progress=False)
    words = json.loads(tokenizer.read_text(encoding="utf8"))
    numbers = words["model"]["vocab"]
    numbers["a"], numbers["b"] = numbers["b"], numbers["a"]
    before = tokenizer.read_text(encoding="utf8")
    tokenizer.write_text(json.dumps(words), encoding="utf8")
    with pytest.raises(ValueError, match="other settings: vocabulary"):
        run.execute(progress=False)
    tokenizer.write_text(before, encoding="utf8")
    run.execute(progress=False)


def test_a_log_that_is_not_this_runs_is_left_alone(
    stopped: list[str], text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = tmp_path / "notes.txt"
    for content, refused in (("my notes\n", stopped), ('{"step": 1}\n', arguments("bert", tmp_path, text))):
        notes.write_text(content, encoding="utf8")
        assert main([*refused, "--log", str(notes)]) == 2
        assert "notes.txt" in capsys.readouterr().err and notes.read_text(encoding="utf8") == content
    elsewhere = ["--log", str(tmp_path / "new" / "log.jsonl"), "--steps", "3"]
    assert main(arguments("bert", tmp_path / "c", text, *elsewhere)) == 0
    assert [entry["step"] for entry in log_of(tmp_path / "new")] == [1, 2, 3]
    assert not (tmp_path / "c" / "log.jsonl").exists()


def test_a_run_that_was_killed_before_it_saved_anything_leaves_the_logs_of_others_alone(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, other = (arguments("bert", tmp_path / name, text, "--steps", "3") for name in ("a", "b"))
    log = tmp_path / "logs" / "a.jsonl"
    assert main([*first, "--log", str(log)]) == 0
    with monkeypatch.context() as patch:
        patch.setattr("plm_lessons.training.runs.training_steps", {}.__getitem__)  # fails before the first step
        with pytest.raises(TypeError):
            main([*other, "--log", str(tmp_path / "b.jsonl")])
    before = log.read_bytes()
    capsys.readouterr()
    assert main([*other, "--log", str(log)]) == 2
    assert "is not the log of this run" in capsys.readouterr().err and log.read_bytes() == before
    assert main([*other, "--log", str(tmp_path / "b.jsonl")]) == 0


def test_a_model_that_could_not_be_saved_is_refused_before_the_first_step(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = arguments("albert", tmp_path / "a", text, "--steps", "3")
    assert main([*command, "--set", "shared_parameters=attention"]) == 2
    error = capsys.readouterr().err
    assert "shared_parameters='attention'" in error and "cannot be saved" in error and error.count("\n") == 1
    assert not (tmp_path / "a").exists()


def test_a_full_disk_leaves_the_last_state_whole(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = arguments("bert", tmp_path / "a", text, "--steps", "20", "--save-minutes", "0")
    room = [12]  # files that can still be written

    def synchronise(handle: int) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("plm_lessons.files.os.fsync", synchronise)
        assert main(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "No space left on device" in error and "the same command resumes" in error
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"log.jsonl", "recipe.json", "state.safetensors"}
    assert main(command) == main(arguments("bert", tmp_path / "b", text, "--steps", "20")) == 0
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_a_disk_that_was_full_from_the_beginning_is_said_to_hold_nothing(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("plm_lessons.files.os.fsync", full)
    assert main(arguments("bert", tmp_path / "a", text, "--steps", "2")) == 2
    error = capsys.readouterr().err
    assert "nothing was saved yet, and with more room the same command begins" in error and "resumes" not in error


def test_a_finished_run_is_not_begun_again(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = arguments("bert", tmp_path, text, "--steps", "2")
    assert main(command) == 0
    weights = (tmp_path / "model.safetensors").read_bytes()
    assert main(command) == 2
    assert "holds a finished model" in capsys.readouterr().err
    assert (tmp_path / "model.safetensors").read_bytes() == weights


def test_a_model_in_other_files_and_a_tokenizer_are_not_written_over(text: Path, tmp_path: Path) -> None:
    source = FileText((text,))
    for name in ("config.json", "tokenizer.json"):  # the weights may be in parts, or pickled
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(b"{}")
        with pytest.raises(ValueError, match=f"holds the {name} of another model: name another folder"):
            Run(ROBERTA, tmp_path / name, source).execute(progress=False)
        assert [path.name for path in (tmp_path / name).iterdir()] == [name]
        assert (tmp_path / name / name).read_bytes() == b"{}"
    for path in ("a", "b/tokenizer.json"):
        folder = tmp_path / path[0]
        folder.mkdir()
        load_tokenizer(ROBERTA.tokenizer).save(str(folder / "tokenizer.json"))
        recipe = dataclasses.replace(ROBERTA, tokenizer=str(tmp_path / path))  # its own
        Run(recipe, folder, source).execute(progress=False)
        assert (folder / "model.safetensors").is_file()


def test_the_log_is_none_of_the_files_that_the_run_writes_itself(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json", "recipe.json", "state.safetensors"):
        with pytest.raises(ValueError, match=f"log_path='.*{name}': must be another file"):
            Run(ROBERTA, tmp_path / "a", log_path=tmp_path / "b" / ".." / "a" / name)
        Run(ROBERTA, tmp_path / "a", log_path=tmp_path / name)


def test_the_log_may_be_on_another_drive(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows no relative path leads from one drive to another."""

    def fail(path: Path, start: Path) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr("plm_lessons.training.runs.os.path.relpath", fail)
    run = Run(ROBERTA, tmp_path / "a", FileText((text,)), tmp_path / "log.jsonl")
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr("plm_lessons.training.runs._stop_signal", lambda *_: signal.SIGTERM)
        run.execute(progress=False)
    run.execute(progress=False)
    assert [entry["step"] for entry in log_of(tmp_path, "log.jsonl")] == [1, 2, 3, 4, 5, 6]


def test_a_step_may_be_shorter_than_the_tick_of_a_clock(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows, the tick of `time.monotonic` is 15.6 milliseconds."""
    monkeypatch.setattr(time, "monotonic", lambda: 3.0)
    Run(ROBERTA, tmp_path, FileText((text,)), save_minutes=0).execute(progress=False)
    assert len(log_of(tmp_path)) == 6


def test_a_run_that_goes_on_does_not_hold_the_file_of_its_state(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows does not replace a file that is mapped into memory."""
    if not hasattr(psutil.Process, "memory_maps"):
        pytest.skip("the system does not tell which files are mapped")
    source, state = FileText((text,)), tmp_path / "state.safetensors"
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr("plm_lessons.training.runs._stop_signal", lambda *_: signal.SIGTERM)
        Run(ROBERTA, tmp_path, source).execute(progress=False)
    model = FAMILIES["roberta"].model(ROBERTA, load_tokenizer("byte_level_bpe"))
    optimizer = FAMILIES["roberta"].optimizer(model, ROBERTA)
    load_state(state, model, optimizer)
    assert optimizer.state_dict()["state"] and str(state) not in {
        mapped.path for mapped in psutil.Process().memory_maps()
    }


def test_a_text_is_known_by_what_it_was_when_the_run_began(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that grows in the meantime is another text; one that is removed is still in memory."""
    source = FileText((Path(shutil.copy(text, tmp_path / "a.txt")),))

    def grow(*_: object) -> int:
        with source.paths[0].open("a", encoding="utf8") as file:
            file.write("\n\nOne more.")
        return signal.SIGTERM

    def remove(*_: object) -> int:
        source.paths[0].unlink(missing_ok=True)
        return 0

    monkeypatch.setattr("plm_lessons.training.runs._stop_signal", grow)
    with pytest.raises(Stopped):
        Run(ROBERTA, tmp_path / "a", source).execute(progress=False)
    with pytest.raises(ValueError, match="other settings: text"):
        Run(ROBERTA, tmp_path / "a", source).execute(progress=False)
    monkeypatch.setattr("plm_lessons.training.runs._stop_signal", remove)
    Run(ROBERTA, tmp_path / "b", source, save_minutes=0).execute(progress=False)


@pytest.mark.parametrize("fails", ["evaluate", "save_pretrained"])
def test_what_fails_after_the_last_step_loses_none_and_is_done_again(
    fails: str, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    source, owner = FileText((text,)), type(FAMILIES["roberta"]) if fails == "evaluate" else RobertaForMaskedLM
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(owner, fails, fail)
        Run(ROBERTA, tmp_path / "a", source, log_every=4).execute(progress=False)
    assert read_about(tmp_path / "a" / "state.safetensors")["step"] == 6
    for name in ("a", "b"):
        Run(ROBERTA, tmp_path / name, source, log_every=4).execute(progress=False)
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert [entry["step"] for entry in log_of(tmp_path / "a")] == [4, 6]


def test_two_processes_do_not_train_in_one_folder(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once the first has been killed, another may train there: see above."""
    command = arguments("bert", tmp_path / "a", text, "--steps", "3000")
    with start(["plm_lessons", *command]) as process:
        try:
            wait_for_steps(tmp_path / "a", 3)
            assert main(command) == 2
            assert capsys.readouterr().err == f"error: {tmp_path / 'a'}: another process is training there\n"
            wait_for_steps(tmp_path / "a", 3)
        finally:
            process.kill()


def test_a_state_that_is_not_whole_is_refused(
    stopped: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "a" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-10])
    assert main(stopped) == 2
    assert "state.safetensors: not a whole training state" in capsys.readouterr().err


# --- What a run is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_family_trains_in_parts_as_in_one(family: str, text: Path, tmp_path: Path) -> None:
    """The run is asked to stop after each step, through several epochs and their last, smaller batches."""
    shapes = {"albert": TINY | {"embedding_size": 8}, "t5": {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1}}
    tokenizer = SHIPPED[family].tokenizer
    recipe = Recipe(family, tokenizer, shapes.get(family, TINY), steps=3, batch_size=150, max_length=32, warmup_steps=1)
    source = FileText((text,))
    settings: dict[str, Any] = {"source": source, "save_minutes": 0}
    whole = Run(recipe, tmp_path / "whole", **settings).execute(progress=False)
    for step in range(1, 4):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("plm_lessons.training.runs._stop_signal", lambda asked, device: signal.SIGTERM)
            try:
                parts = Run(recipe, tmp_path / "parts", **settings).execute(progress=False)
            except Stopped as stopped:
                assert f"after step {step};" in str(stopped)
    assert_same_run(tmp_path / "parts", tmp_path / "whole")
    assert not parts.training and not whole.training
    sizes = [len(batch["input_ids"]) for batch in islice(BatchStream(source, load_tokenizer(tokenizer), recipe), 3)]
    assert min(sizes) < 150 or family == "t5"


def test_in_float32_it_is_the_plain_loop_bit_for_bit(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing between the model and PyTorch's own AdamW: no autocast, whatever the machine can do."""

    entered = []

    def autocast(*_: object, **__: object) -> nullcontext[None]:
        entered.append(1)
        return nullcontext()

    monkeypatch.setattr(torch, "autocast", autocast)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    source, tokenizer = FileText((text,)), load_tokenizer("byte_level_bpe")
    trained = Run(ROBERTA, tmp_path, source, precision="float32").execute(progress=False)
    model = FAMILIES["roberta"].model(ROBERTA, tokenizer).train()
    optimizer = adamw(model, 1e-3)
    for step, batch in enumerate(islice(BatchStream(source, tokenizer, ROBERTA), 6)):
        optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = 1e-3 * (6 - step) / 6
        model(**batch, **model.training_arguments).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    for name, value in model.state_dict().items():
        assert torch.equal(trained.state_dict()[name], value), name
    assert not entered
    Run(ROBERTA, tmp_path / "auto", source).execute(progress=False)
    assert len(entered) == 6, "which such a machine would have used in each step"


def test_two_batches_of_an_update_are_one_of_twice_the_size(text: Path, tmp_path: Path) -> None:
    source = FileText((text,))
    for name, size, count in (("one", 8, 1), ("two", 4, 2)):
        recipe = dataclasses.replace(ROBERTA, batch_size=size, accumulation_steps=count)
        Run(recipe, tmp_path / name, source, precision="float32").execute(progress=False)
    one, two = log_of(tmp_path / "one"), log_of(tmp_path / "two")
    assert [entry["loss"] for entry in two] == pytest.approx([entry["loss"] for entry in one], rel=1e-6)
    assert [entry["tokens"] for entry in two] == [entry["tokens"] for entry in one]
    weights, others = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, value in weights.items():
        torch.testing.assert_close(others[name], value, atol=1e-5, rtol=1e-4)


def test_the_log_tells_means_counts_and_held_out_figures(text: Path, tmp_path: Path) -> None:
    source, tokenizer = FileText((text,)), load_tokenizer("byte_level_bpe")
    for name, every in (("each", 1), ("some", 4)):
        Run(ROBERTA, tmp_path / name, source, log_every=every, evaluate_every=3).execute(progress=False)
    each, some = log_of(tmp_path / "each"), log_of(tmp_path / "some")
    assert [(entry["step"], "held_out" in entry) for entry in some] == [(3, True), (4, False), (6, True)]
    for entry, part in zip(some, (each[:3], each[3:4], each[4:]), strict=True):
        for name in ("loss", "learning_rate", "gradient_norm"):
            assert entry[name] == pytest.approx(sum(step[name] for step in part) / len(part), rel=1e-6)
        assert entry["tokens"] == sum(step["tokens"] for step in part)
        assert entry.get("held_out") == part[-1].get("held_out")
    model = RobertaForMaskedLM.from_pretrained(tmp_path / "each")
    batches = list(held_out_batches(source, tokenizer, ROBERTA))
    assert FAMILIES["roberta"].evaluate(model, batches) == pytest.approx(each[-1]["held_out"], rel=1e-5)


def test_numbers_of_numpy_and_tuples_are_written_and_known_again(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"label_names": ("no", "yes")}
    numbers: dict[str, Any] = {"steps": 6, "seed": 3, "learning_rate": 0.25, "max_gradient_norm": 0.5}
    plain = dataclasses.replace(ROBERTA, model=CERTAIN | names, **numbers)
    kinds: dict[str, Any] = {"steps": np.int64, "seed": np.int32, "learning_rate": np.float32}
    recipe = dataclasses.replace(plain, **{name: kind(numbers[name]) for name, kind in kinds.items()})
    monkeypatch.setattr("plm_lessons.training.runs._stop_signal", lambda *_: signal.SIGTERM)
    for done in recipe, plain, recipe, plain, recipe:
        with pytest.raises(Stopped):
            Run(done, tmp_path, FileText((text,))).execute(progress=False)
    Run(recipe, tmp_path, FileText((text,))).execute(progress=False)
    assert [entry["step"] for entry in log_of(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_steps_and_savings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for name, value in (
        ("log_every", 0), ("evaluation_batches", 0), ("shard_characters", 0), ("evaluate_every", -1),
        ("save_minutes", float("nan")), ("precision", "float16"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=name):
            Run(ROBERTA, tmp_path, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="family='gpt'"):
        Run(dataclasses.replace(ROBERTA, family="gpt"), tmp_path)
    for more in ({"source": FileText((Path(__file__),))}, {"shard_characters": 1000}):
        with pytest.raises(ValueError, match="task_share"):
            Run(SHIPPED["t5"], tmp_path, **more)


# --- Under torchrun --------------------------------------------------------------------------------------------------


def test_two_processes_come_to_the_losses_of_one(text: Path, tmp_path: Path) -> None:
    """The last batch of each epoch has a single row, so that one of the processes has nothing to do."""
    rows = len(next(iter(BatchStream(FileText((text,)), load_tokenizer("byte_level_bpe"),
                                     dataclasses.replace(ROBERTA, batch_size=10_000))))["input_ids"])  # fmt: skip
    size = next(size for size in range(60, rows) if rows % size == 1)
    settings = ["--precision", "float32", "--steps", str(2 * (rows // size + 1)), "--batch-size", str(size)]
    alone, shared = (arguments("roberta", tmp_path / name, text, *settings) for name in ("alone", "shared"))
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "plm_lessons"]
    with start([*launcher, *shared]) as process:
        assert main(alone) == 0
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    for entry, other in zip(log_of(tmp_path / "alone"), log_of(tmp_path / "shared"), strict=True):
        assert other.pop("held_out", {}) == pytest.approx(entry.pop("held_out", {}), rel=1e-4)
        assert other == pytest.approx(entry, rel=1e-4)
    weights, others = (load_file(tmp_path / name / "model.safetensors") for name in ("alone", "shared"))
    for name, value in weights.items():
        torch.testing.assert_close(others[name], value, atol=1e-5, rtol=1e-4)


def test_more_processes_than_gpus_are_refused(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.distributed.is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert main(arguments("roberta", tmp_path / "a", text)) == 2
    assert "error: torchrun --nproc-per-node 2: must be at most 1, one for each GPU" in capsys.readouterr().err


def test_two_processes_stop_together_and_go_on(text: Path, tmp_path: Path) -> None:
    """Even if the signal reaches only the one that does not save; the state is saved only when they stop."""
    settings = ["--precision", "float32", "--steps", "150", "--save-minutes", "60"]
    alone, shared = (arguments("roberta", tmp_path / name, text, *settings) for name in ("alone", "shared"))
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "plm_lessons"]
    with start([*launcher, *shared]) as process:
        wait_for_steps(tmp_path / "shared", 5)
        max(psutil.Process(process.pid).children(), key=lambda child: int(child.environ()["RANK"])).terminate()
        _, errors = process.communicate(timeout=120)
    assert process.returncode != 0 and "resumes from there" in errors, errors
    before = [entry["step"] for entry in log_of(tmp_path / "shared")]
    assert 5 <= len(before) < 150 and (tmp_path / "shared" / "state.safetensors").exists()
    with start([*launcher, *shared]) as process:
        assert main(alone) == 0
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    after = log_of(tmp_path / "shared")
    assert [entry["step"] for entry in after] == list(range(1, 151))
    for entry, other in zip(log_of(tmp_path / "alone"), after, strict=True):
        assert other.pop("held_out", {}) == pytest.approx(entry.pop("held_out", {}), rel=1e-4)
        assert other == pytest.approx(entry, rel=1e-4)
