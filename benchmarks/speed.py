"""How fast this package trains, reads and writes, compared with `transformers` on the same machine in the same run.

    python benchmarks/speed.py                       all sections, as a Markdown table
    python benchmarks/speed.py --sections generate --repeats 9 --json times.json
    python benchmarks/speed.py --curves              do both also learn the same? (takes some minutes)

Both sides have the same shape and the same weights, and do the same work: see README.md beside this file.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from curves import compare_curves, curves_table
from timing import as_transformers, machine, matmul_peaks, median_ratio, take_turns, training_precision
from torch import Tensor

from plm_lessons import BertConfig, BertForMaskedLM, T5Config, T5ForConditionalGeneration
from plm_lessons.files import write_atomically
from plm_lessons.layers.dropout import Dropout
from plm_lessons.models.costs import count_multiply_adds
from plm_lessons.training.large_batches import Batch, accumulate_gradients
from plm_lessons.training.memory import keep_freed_memory
from plm_lessons.training.optimization import PRECISIONS, adamw

LEARNING_RATE = 1e-4


@dataclasses.dataclass(frozen=True)
class Work:
    """The sizes of what is run.

    Attributes:
        bert, t5: The configurations of the models.
        batch_size, length: The number and length of the texts that BERT reads, and of T5's sources in training.
        predicted: The number of masked positions in each text, 15 % of them.
        target_length: The length of T5's targets in training.
        source_length, new_tokens: The numbers of tokens that `generate` reads and writes.
        matrix: The size of the square matrices whose product measures the machine's peak.
        precision: The precision of our training: see `mixed_precision`.
    """

    bert: BertConfig
    t5: T5Config
    batch_size: int = 32
    length: int = 128
    predicted: int = 19
    target_length: int = 32
    source_length: int = 32
    new_tokens: int = 64
    matrix: int = 2048
    precision: str = "auto"


REFERENCE = Work(
    BertConfig(
        vocab_size=8192, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024
    ),
    # Without an end token all texts have the full length.
    T5Config(
        vocab_size=8192, d_model=256, d_kv=64, d_ff=1024, num_layers=4, num_decoder_layers=4, num_heads=4,
        eos_token_id=None,
    ),
)  # fmt: skip
TINY = Work(
    BertConfig(vocab_size=60, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16),
    T5Config(
        vocab_size=60, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_decoder_layers=1, num_heads=2, eos_token_id=None
    ),
    batch_size=2, length=16, predicted=2, target_length=8, source_length=8, new_tokens=4, matrix=64,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        section, name: What was run.
        tokens: How many tokens are read or written in one run.
        multiply_adds: Those of the matrix products in one of our runs; None if they are not counted.
        ours, theirs: Seconds of each run.
        precision: The precision of our products.
        note: A remark for the table.
    """

    section: str
    name: str
    tokens: int
    multiply_adds: float | None
    ours: list[float]
    theirs: list[float]
    precision: str
    note: str = ""


def masked_batch(work: Work) -> tuple[Batch, Batch]:
    """Return random words with 15 % of the positions masked, in our form and in that of `transformers`."""
    generator = torch.Generator().manual_seed(0)
    shape = work.batch_size, work.length
    words = torch.randint(5, work.bert.vocab_size, shape, generator=generator)
    positions = torch.rand(shape, generator=generator).argsort(dim=1)[:, : work.predicted].sort(dim=1).values
    labels = words.gather(1, positions)
    inputs = words.scatter(1, positions, 4)
    everywhere = torch.full_like(words, -100).scatter(1, positions, labels)
    ours = {"input_ids": inputs, "masked_positions": positions, "labels": labels}
    return ours, {"input_ids": inputs, "labels": everywhere}


def our_step(model: Any, batch: Batch, work: Work) -> Callable[[], object]:
    """Return a training step as in `training.pretraining`, but without clipping, which the other side lacks too."""
    optimizer = adamw(model.train(), LEARNING_RATE)

    def step() -> None:
        accumulate_gradients(model, [batch], work.precision)
        optimizer.step()
        optimizer.zero_grad()

    return step


def their_step(model: Any, batch: Batch, bfloat16: bool = False) -> Callable[[], object]:
    """Return a step of the loop that one would write: AdamW with its defaults, float32 unless told otherwise."""
    optimizer = torch.optim.AdamW(model.train().parameters(), LEARNING_RATE)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def products_of_a_step(work: Work, predicted: int, last_layer_everywhere: bool) -> int:
    """Count multiply-adds of matrix products in a training step: twice as many backward as forward."""
    forward = count_multiply_adds(work.bert, "masked_lm", work.length, predicted)
    products = sum(forward.values())
    if not last_layer_everywhere:
        # In the last layer, a position that is not predicted needs only its key and value, which are half of
        # "attention": no query, scores, output or feed-forward network.
        layer = forward["attention"] / 2 + forward["attention scores"] + forward["feed-forward"]
        products -= round(layer / work.bert.num_hidden_layers * (1 - predicted / work.length))
    return 3 * work.batch_size * products


def pretraining(work: Work, repeats: int) -> Iterator[Row]:
    """Time masked language modelling with BERT; ours also without some of the things that make it fast."""
    batch, their_batch = masked_batch(work)
    model = BertForMaskedLM(work.bert)
    theirs = as_transformers(model)
    step, everywhere = our_step(model, batch, work), our_step(model, their_batch, work)

    def with_torchs_dropout() -> None:
        Dropout.fast = False
        step()
        Dropout.fast = True

    def with_the_whole_last_layer() -> None:
        of_the_class, kind = model.training_arguments, type(model)
        kind.training_arguments = {"last_layer_everywhere": True}
        step()
        kind.training_arguments = of_the_class

    runs = {
        "as it is": step,
        "with torch's dropout": with_torchs_dropout,
        "last layer computed everywhere": with_the_whole_last_layer,
        "that, and words scored everywhere": everywhere,
        "float32": their_step(theirs, their_batch),
    }
    precision = training_precision(work.precision)
    if precision == "bfloat16":
        runs["bfloat16"] = their_step(as_transformers(model), their_batch, bfloat16=True)
    seconds = take_turns(runs, repeats)
    pairs = [(ours, "float32") for ours in list(runs)[:4]] + [("as it is", theirs) for theirs in list(runs)[5:]]
    for ours, theirs in pairs:
        predicted = work.length if "words" in ours else work.predicted
        products = products_of_a_step(work, predicted, "everywhere" in ours)
        note = f"theirs in {theirs}"
        tokens = work.batch_size * work.length
        yield Row("pretraining", f"BERT, {ours}", tokens, products, seconds[ours], seconds[theirs], precision, note)


def forward(work: Work, repeats: int) -> Iterator[Row]:
    """Time reading alone, in float32, without gradients."""
    batch, their_batch = masked_batch(work)
    model = BertForMaskedLM(work.bert).eval()
    theirs = as_transformers(model).eval()
    ids, tokens = batch["input_ids"], work.batch_size * work.length
    mask = torch.ones_like(ids)
    mask[:, -work.length // 8 :] = 0
    products = count_multiply_adds(work.bert, "masked_lm", work.length, work.predicted)
    whole = work.batch_size * sum(products.values())
    encoder = whole - work.batch_size * products["masked-LM head"]
    cases: dict[str, tuple[Callable[[], Any], Callable[[], Any], float]] = {
        "encoder": (lambda: model.encoder(ids), lambda: theirs.bert(ids), encoder),
        "encoder, an eighth padding": (
            lambda: model.encoder(ids, mask),
            lambda: theirs.bert(ids, attention_mask=mask),
            encoder,
        ),
        "loss of masked words": (lambda: model(**batch), lambda: theirs(**their_batch), whole),
    }
    with torch.no_grad():
        for name, (our_run, their_run, multiply_adds) in cases.items():
            seconds = take_turns({"ours": our_run, "theirs": their_run}, repeats)
            yield Row("forward", f"BERT, {name}", tokens, multiply_adds, seconds["ours"], seconds["theirs"], "float32")


def t5(work: Work, repeats: int) -> Iterator[Row]:
    """Time training with given targets: all of full length, then of any length, padded as in a batch of tasks."""
    generator = torch.Generator().manual_seed(0)
    batch = {
        name: torch.randint(2, work.t5.vocab_size, (work.batch_size, length), generator=generator)
        for name, length in (("input_ids", work.length), ("labels", work.target_length))
    }
    lengths = torch.randint(1, work.target_length + 1, (work.batch_size, 1), generator=generator)
    short = torch.where(torch.arange(work.target_length) < lengths, batch["labels"], -100)
    forward = count_multiply_adds(work.t5, "none", work.length, target_length=work.target_length)
    multiply_adds = 3 * work.batch_size * sum(forward.values())
    model = T5ForConditionalGeneration(work.t5)
    theirs = as_transformers(model)
    for name, labels, products in (
        ("T5, training", batch["labels"], multiply_adds),
        (f"T5, training, targets of 1 to {work.target_length}", short, None),
    ):
        given = {**batch, "labels": labels}
        runs = {"ours": our_step(model, given, work), "theirs": their_step(theirs, given)}
        seconds, precision = take_turns(runs, repeats), training_precision(work.precision)
        tokens = work.batch_size * work.length
        yield Row("t5", name, tokens, products, seconds["ours"], seconds["theirs"], precision)


def generate(work: Work, repeats: int) -> Iterator[Row]:
    """Time writing, greedily and with beams; the note tells whether both sides write the same, and how many words.

    The output matrix is one of its own: random weights that are tied to the embeddings write the same word for ever.
    """
    model = T5ForConditionalGeneration(dataclasses.replace(work.t5, tie_word_embeddings=False)).eval()
    theirs = as_transformers(model).eval()
    generator = torch.Generator().manual_seed(0)
    for rows, num_beams in ((1, 1), (8, 1), (1, 4), (8, 4)):
        ids = torch.randint(2, work.t5.vocab_size, (rows, work.source_length), generator=generator)
        options = {"max_new_tokens": work.new_tokens, "num_beams": num_beams, "length_penalty": 1.0}

        def ours(ids: Tensor = ids, options: dict[str, Any] = options) -> Tensor:
            return model.generate(ids, **options)

        def other(ids: Tensor = ids, options: dict[str, Any] = options) -> Tensor:
            if options["num_beams"] == 1:
                options = {**options, "length_penalty": None}
            return theirs.generate(ids, do_sample=False, **options)

        written = ours()
        same = "same tokens" if torch.equal(written, other()) else "DIFFERENT TOKENS"
        note = f"{same}, {written.unique().numel()} words"
        seconds = take_turns({"ours": ours, "theirs": other}, repeats)
        name = f"T5, {rows} text{'s' * (rows > 1)}, " + ("greedy" if num_beams == 1 else f"{num_beams} beams")
        yield Row("generate", name, rows * work.new_tokens, None, seconds["ours"], seconds["theirs"], "float32", note)


SECTIONS = {"pretraining": pretraining, "forward": forward, "t5": t5, "generate": generate}


def table(rows: list[Row], peaks: dict[str, float]) -> str:
    """Return a table: both sides' tokens per second, their ratio, and our share of the machine's matrix product."""
    lines = [
        "| work | ours, tokens/s | transformers, tokens/s | ratio | share of matmul peak | note |",
        "| :-- | --: | --: | --: | --: | :-- |",
    ]
    for row in rows:
        our_median, their_median = statistics.median(row.ours), statistics.median(row.theirs)
        share = "" if row.multiply_adds is None else f"{row.multiply_adds / our_median / peaks[row.precision]:.0%}"
        speeds = f"{row.tokens / our_median:,.0f} | {row.tokens / their_median:,.0f}"
        lines.append(f"| {row.name} | {speeds} | {median_ratio(row.theirs, row.ours):.2f} | {share} | {row.note} |")
    return "\n".join(lines)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choices = ", ".join(SECTIONS)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help=f"some of {choices}")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each; the median counts (%(default)s)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="precision of our training (%(default)s)"
    )
    parser.add_argument("--keep-memory", action="store_true", help="keep freed memory, on both sides: see README.md")
    parser.add_argument("--json", type=Path, help="also write all times into this file")
    parser.add_argument("--tiny", action="store_true", help="sizes that only show whether the program runs")
    parser.add_argument("--curves", action="store_true", help="compare the losses of training instead of the speed")
    parser.add_argument("--steps", type=int, default=300, help="training steps for --curves (%(default)s)")
    options = parser.parse_args(arguments)
    for name in ("repeats", "steps", "threads"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            parser.error(f"--{name} {getattr(options, name)}: must be at least 1")
    return options


def main(arguments: list[str]) -> None:
    """Run the command line."""
    options = parse(arguments)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if options.threads:
        torch.set_num_threads(options.threads)
    keeps = options.keep_memory and keep_freed_memory()
    work = dataclasses.replace(TINY if options.tiny else REFERENCE, precision=options.precision)
    peaks = matmul_peaks(work.matrix, training_precision(work.precision))
    found: dict[str, Any] = {
        "machine": machine(peaks, training_precision(work.precision)) | {"keeps freed memory": keeps}
    }
    print("; ".join(f"{name} {value}" for name, value in found["machine"].items()) + "\n")
    if options.curves:
        found["curves"] = compare_curves(options.steps, options.precision)
        print(curves_table(found["curves"]))
    else:
        rows = [row for name in options.sections for row in SECTIONS[name](work, options.repeats)]
        found["rows"] = [dataclasses.asdict(row) for row in rows]
        print(table(rows, peaks))
    if options.json:
        write_atomically(options.json, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main(sys.argv[1:])
