"""Pre-training as a run in a folder: it can be killed at any moment, and the same call resumes it.

Under `torchrun`, where processes share the rows of each batch, a run reaches the same losses as in a single process
(with dropout, similar ones: each process drops different places).

Files: `state.safetensors` while it runs, `log.jsonl`, `recipe.json`, and at the end the model in the layout of
`transformers` with its tokenizer.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import distributed
from tqdm.auto import tqdm

from plm_lessons.checks import check_choice, check_number, check_whole
from plm_lessons.files import read_object, write_atomically
from plm_lessons.models.checkpoint_files import (
    CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    refuse_finished,
    save_tokenizer,
)
from plm_lessons.models.pretrained import PretrainedModel
from plm_lessons.text_sources import CorpusText, FileText, TextSource
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.large_batches import Batch, process_rank
from plm_lessons.training.logs import Log, Means, rounded
from plm_lessons.training.optimization import PRECISIONS, best_device
from plm_lessons.training.pretraining import training_steps
from plm_lessons.training.recipes import Recipe
from plm_lessons.training.states import load_state, read_about, save_state
from plm_lessons.training.streams import SHARD, BatchStream, Position, held_out_batches, split_rows

if sys.platform != "win32":
    import fcntl

STATE, LOG, RECIPE = "state.safetensors", "log.jsonl", "recipe.json"
CHECKSUM = "text_checksum"


class Stopped(Exception):
    """The run was asked to stop, by Ctrl-C or SIGTERM; its state is saved.

    Attributes:
        signal_number: The number of the signal that asked the run to stop.
    """

    def __init__(self, step: int, signal_number: int) -> None:
        super().__init__(f"stopped after step {step}; the same command resumes from there")
        self.signal_number = signal_number


@dataclass(frozen=True)
class Run:
    """A pre-training run: a recipe, a text and a folder.

    Attributes:
        recipe: How the model is trained.
        folder: The folder of the run's files; under `torchrun` all processes must be able to read it.
        source: The text.
        log_path: The file of the log; None means `log.jsonl` in the folder.
        log_every: Steps over which an entry of the log gives means; each evaluation also writes an entry.
        evaluate_every: Steps between two evaluations on held-out text; 0 to evaluate only at the end.
        evaluation_batches: The number of held-out batches, of 64 rows each, in an evaluation.
        save_minutes: Minutes between two saves of the state; 0 to save after each step.
        precision: See `optimization.mixed_precision`. It may change from one call to the next.
        shard_characters: The size of a shard: see `streams`.
    """

    recipe: Recipe
    folder: Path
    source: TextSource = field(default_factory=CorpusText)
    log_path: Path | None = None
    log_every: int = 1
    evaluate_every: int = 0
    evaluation_batches: int = 8
    save_minutes: float = 1.0
    precision: str = "auto"
    shard_characters: int = SHARD

    def __post_init__(self) -> None:
        for name in ("log_every", "evaluation_batches", "shard_characters"):
            check_whole(name, getattr(self, name), least=1)
        check_whole("evaluate_every", self.evaluate_every)
        check_number("save_minutes", self.save_minutes, 0)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("family", self.recipe.family, FAMILIES)
        if self.log_file.resolve() in [
            (self.folder / name).resolve() for name in (STATE, RECIPE, WEIGHTS, CONFIG, TOKENIZER, TOKENIZER_CONFIG)
        ]:
            raise ValueError(
                f"log_path={str(self.log_path)!r}: must be another file, because the run writes this one itself"
            )
        has_tasks = self.recipe.task_share or self.recipe.late_task_share
        if has_tasks and not (isinstance(self.source, CorpusText) and self.shard_characters >= SHARD):
            raise ValueError("task_share and late_task_share must be 0 with your own text, or a text in several shards")

    @property
    def log_file(self) -> Path:
        """The file of the log."""
        return self.log_path or self.folder / LOG

    @property
    def state(self) -> Path:
        """The file of the state; there is none before the first save, and none at the end."""
        return self.folder / STATE

    def _settings(self, tokenizer: Tokenizer) -> dict[str, Any]:
        """Return what must not change for a run to be resumed, as it comes back from JSON."""
        words = json.dumps(tokenizer.get_vocab(), sort_keys=True)
        settings = {
            "recipe": dataclasses.asdict(self.recipe),
            "text": self.source.describe(),
            "vocabulary": f"{zlib.crc32(words.encode()):08x}",
            "shard_characters": self.shard_characters,
        }
        if isinstance(self.source, FileText):
            settings[CHECKSUM] = self.source.checksum()
        return json.loads(json.dumps(settings, default=lambda number: number.item()))

    def execute(self, progress: bool = True) -> PretrainedModel:
        """Train to the end, from the start or from the state saved in the folder.

        Under `torchrun`, `torch.distributed` must have been initialised, and every process must call this.

        Returns:
            The model in evaluation mode; it has been saved.

        Raises:
            ValueError: The folder holds another run, a model or a tokenizer; another process is training there; or
                training fails: see `training_steps`.
            Stopped: The run was asked to stop; the same call resumes it.
            OSError: A file cannot be written. Files that were there before stay whole.
        """
        tokenizer = load_tokenizer(self.recipe.tokenizer)
        settings = self._settings(tokenizer)  # once, as a file may grow or disappear while the text is in memory
        with _alone_in(self.folder):
            return self._train(tokenizer, settings, progress)

    def _train(self, tokenizer: Tokenizer, settings: dict[str, Any], progress: bool) -> PretrainedModel:
        recipe, state, about = self.recipe, self.state, self._what_was_done(settings)
        family, device = FAMILIES[recipe.family], best_device()
        model = family.model(recipe, tokenizer).to(device)
        optimizer = family.optimizer(model, recipe)
        done, waiting, position = 0, Means(), Position()
        if about is not None:
            load_state(state, model, optimizer)
            done, waiting, position = about["step"], Means(about["waiting"]), Position(*about["position"])
        stream = BatchStream(self.source, tokenizer, recipe, position, self.shard_characters)
        rank, processes = process_rank()
        held_out: list[Batch] = []
        if rank == 0:
            self._prepare_folder(settings)
            log = Log(self.log_file, min(done, recipe.steps - 1))  # the last entry is written after the last state
            held_out = list(islice(held_out_batches(self.source, tokenizer, recipe), self.evaluation_batches))

        def save() -> None:
            about = {"settings": settings, "step": done, "position": stream.position, "waiting": waiting.sums}
            save_state(state, model, optimizer, about)

        def write_entry(evaluate: bool) -> None:
            line = waiting.take(done)
            if held_out and evaluate:
                line["held_out"] = rounded(family.evaluate(model, held_out))
            log.write(line)

        entries = training_steps(
            model,
            optimizer,
            split_rows(waiting.counting(stream), processes),
            steps=range(done + 1, recipe.steps + 1),
            learning_rate=recipe.learning_rate_of,
            accumulation_steps=recipe.accumulation_steps,
            max_gradient_norm=recipe.max_gradient_norm,
            seed=recipe.seed,
            precision=self.precision,
        )
        saved = began = time.perf_counter()  # the finest clock: on Windows others tick 64 times a second
        with (
            _stop_requests() as asked,
            tqdm(total=recipe.steps, initial=done, unit="step", disable=not progress or rank > 0) as bar,
        ):
            for entry in entries:
                done = int(entry["step"])
                waiting.add(entry, time.perf_counter() - began)
                bar.set_postfix(loss=f"{entry['loss']:.3f}", refresh=False)
                bar.update()
                last, stop = done == recipe.steps, _stop_signal(asked, device)
                if rank == 0:
                    evaluate = self.evaluate_every > 0 and done % self.evaluate_every == 0
                    if not last and (evaluate or done % self.log_every == 0):
                        write_entry(evaluate)
                    if last or stop or time.perf_counter() - saved >= 60 * self.save_minutes:
                        save()
                        saved = time.perf_counter()
                if stop and not last:
                    raise Stopped(done, stop)
                began = time.perf_counter()
            if rank == 0:  # if this fails, no step is lost
                write_entry(evaluate=True)
        model.eval()
        if rank == 0:
            save_tokenizer(self.folder, tokenizer, model.config)
            model.save_pretrained(self.folder)
            state.unlink(missing_ok=True)
        return model

    def _what_was_done(self, settings: dict[str, Any]) -> dict[str, Any] | None:
        """Return what is stored with the saved state, or None; refuse a folder that this run must not write to."""
        refuse_finished(self.folder)
        if (self.folder / RECIPE).is_file() and "recipe" not in read_object(self.folder / RECIPE):
            raise ValueError(f"{self.folder / RECIPE} exists and is not the recipe of a run: name another folder")
        if self.log_file.exists() and self._place_of_log() not in self._own_logs():
            raise ValueError(f"{self.log_file} exists and is not the log of this run: name another file")
        if not self.state.is_file():
            own = Path(self.recipe.tokenizer).resolve() in [(self.folder / name).resolve() for name in ("", TOKENIZER)]
            refuse_finished(self.folder, CONFIG, *[TOKENIZER, TOKENIZER_CONFIG] * (not own))
            return None
        about = read_about(self.state)
        before = {CHECKSUM: settings.get(CHECKSUM)} | about["settings"]  # runs of earlier versions did not note it
        if before != {CHECKSUM: None} | settings:
            raise ValueError(f"{self.folder} holds a run with other settings: {_differences(before, settings)}")
        return about

    def _place_of_log(self) -> str:
        """Return the log's path from the folder, so that both can move together; absolute on another Windows drive."""
        try:
            return os.path.relpath(self.log_file, self.folder)
        except ValueError:
            return os.path.abspath(self.log_file)

    def _own_logs(self) -> set[str]:
        """Return the places in which this run, if it has begun, may have put its log."""
        recipe = self.folder / RECIPE
        return {LOG, read_object(recipe).get("log", LOG)} if recipe.is_file() else set()

    def _prepare_folder(self, settings: dict[str, Any]) -> None:
        """Write the settings to a file, and remove what a save that was killed has left behind."""
        about = settings | {"precision": self.precision, "torch": str(torch.__version__)}
        if self._place_of_log() != LOG:
            about["log"] = self._place_of_log()
        write_atomically(self.folder / RECIPE, (json.dumps(about, indent=2) + "\n").encode("utf-8"))
        for part in self.folder.glob(".*.safetensors.*"):
            part.unlink()


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Lock the folder against other processes that train; the lock leaves no file, and ends with its process.

    Under `torchrun` the first process holds it for all. There is no lock on Windows or on file systems without locks.
    """
    if sys.platform == "win32" or process_rank()[0] > 0:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder}: another process is training there") from None
        except OSError:
            pass  # this file system has no locks
        yield
    finally:
        os.close(handle)


def _differences(earlier: dict[str, Any], settings: dict[str, Any]) -> str:
    def flat(found: dict[str, Any]) -> dict[str, Any]:
        return found["recipe"] | {name: value for name, value in found.items() if name != "recipe"}

    before, now = flat(earlier), flat(settings)
    changed = [f"{name} {before.get(name)!r}, now {now.get(name)!r}" for name in now if now[name] != before.get(name)]
    return "; ".join(changed) + ". Use the earlier settings, or name another folder"


def _stop_signal(asked: list[int], device: torch.device) -> int:
    """Return the signal that asked any process to stop, or 0; all processes must stop after the same step."""
    number = max(asked, default=0)
    if process_rank()[1] == 1:
        return number
    numbers = torch.tensor(number, device=device)
    distributed.all_reduce(numbers, distributed.ReduceOp.MAX)
    return int(numbers)


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Collect the signals that ask to stop, Ctrl-C or SIGTERM; in a single process, the second interrupts at once.

    `torchrun` passes on the signals that it gets, so its processes may get the same one twice.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread may handle signals
        return

    def remember(number: int, frame: object) -> None:
        if asked and process_rank()[1] == 1:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
