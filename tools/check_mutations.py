"""Break the mathematics of the package, one line at a time, and check that a test fails each time.

    python tools/check_mutations.py            all of them; takes some minutes
    python tools/check_mutations.py dropout    those whose name contains this word

A copy of the repository is broken, never the repository itself; before that, the copy must pass the same tests. A
mutation that no test notices ("survives") is a gap in the tests; one whose line no longer exists is an error in this
file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("plm_lessons", "tests", "tools", "benchmarks", "pyproject.toml")


class Mutation(NamedTuple):
    """A mistake that someone could make.

    Attributes:
        name: What the mistake is.
        file: The file in `plm_lessons/`.
        right, wrong: A piece of the file that occurs only once, and what replaces it.
        tests: The test files; at least one of them must fail.
    """

    name: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]


MUTATIONS = (
    Mutation(
        "attention without its scale", "layers/attention.py",
        "scores = scores / math.sqrt(query.shape[-1])", "scores = scores / 1.0",
        ("test_layers", "test_bert_parity"),
    ),
    Mutation(
        "RMSNorm without eps", "layers/normalization.py",
        ".mean(-1, keepdim=True) + self.eps)", ".mean(-1, keepdim=True))", ("test_layers",),
    ),
    Mutation(
        "RMSNorm subtracts the mean", "layers/normalization.py",
        "precise = hidden_states.to(torch.promote_types(hidden_states.dtype, torch.float32))",
        "precise = (hidden_states - hidden_states.mean(-1, True)).float()",
        ("test_layers",),
    ),
    Mutation(
        "T5's buckets: later keys take the lower half", "layers/positions.py",
        "per_direction * (relative_position > 0)", "per_direction * (relative_position < 0)", ("test_layers",),
    ),
    Mutation(
        "T5's buckets: a logarithm to another base", "layers/positions.py",
        "/ math.log(max_distance / exact)", "/ math.log(max_distance)", ("test_layers",),
    ),
    Mutation(
        "quick GELU with a rounded factor", "layers/activations.py",
        "torch.sigmoid(1.702 * x)", "torch.sigmoid(1.7 * x)", ("test_layers",),
    ),
    Mutation(
        "dropout does not scale what stays", "layers/dropout.py",
        ".mul_(STEPS / (STEPS - dropped))", ".mul_(1.0)", ("test_dropout",),
    ),
    Mutation(
        "dropout drops one place in 65,536 too many", "layers/dropout.py",
        "bits >= dropped", "bits > dropped", ("test_dropout",),
    ),
    Mutation(
        "80/10/10 by two draws, which gives 80/2/18", "objectives/masking.py",
        "(fate < mask_share + random_share)", "(fate < mask_share + (1 - mask_share) * random_share)",
        ("test_masking",),
    ),
    Mutation(
        "sentence order: the labels do not follow the order", "objectives/sentence_order.py",
        "SentencePair(chunk.rest, chunk.first, SWAPPED,", "SentencePair(chunk.rest, chunk.first, IN_ORDER,",
        ("test_sentence_order",),
    ),
    Mutation(
        "span corruption begins with noise", "objectives/span_corruption.py",
        "np.stack([text, noise], axis=1)", "np.stack([noise, text], axis=1)", ("test_span_corruption",),
    ),
    Mutation(
        "RoBERTa gives padding a position", "models/roberta.py",
        "is_token.cumsum(dim=1) * is_token + pad_token_id", "is_token.cumsum(dim=1) + pad_token_id", ("test_roberta",),
    ),
    Mutation(
        "ALBERT's groups by the order of operations in the original code", "models/albert.py",
        "int(number / layers_per_group)", "int(number / self.num_hidden_layers * self.num_hidden_groups)",
        ("test_albert_parity",),
    ),
    Mutation(
        "the loss is averaged over positions that are not asked, too", "models/heads.py",
        "return total / (labels != -100).sum().clamp(min=1)", "return total / max(1, labels.numel())",
        ("test_bert", "test_bert_parity"),
    ),
    Mutation(
        "warm-up begins with a step of 0", "training/optimization.py",
        "return (step + 1) / warmup_steps", "return step / warmup_steps", ("test_training",),
    ),
    Mutation(
        "accumulation weighs all parts alike", "training/large_batches.py",
        "shares = counts.double() / totals", "shares = torch.full_like(counts, 1 / len(parts), dtype=torch.float64)",
        ("test_large_batches",),
    ),
    Mutation(
        "beam search does not divide by the length", "models/decoding.py",
        "finished[row].append((scores[row][rank] / length**length_penalty, text))",
        "finished[row].append((scores[row][rank], text))", ("test_generation",),
    ),
    Mutation(
        "the page's RMSNorm without eps", "widgets/rms_norm.js",
        "Math.sqrt(moments(xs).meanSquare + eps)", "Math.sqrt(moments(xs).meanSquare)", ("test_rms_norm_widget",),
    ),
    Mutation(
        "the page's buckets in double precision", "widgets/relative_bias.maths.js",
        "const f32 = Math.fround;", "const f32 = Number;", ("test_relative_bias_widget",),
    ),
    Mutation(
        "the page's count of masked tokens is rounded up", "widgets/common.js",
        "Math.max(1, roundHalfEven(length * rate))", "Math.max(1, Math.ceil(length * rate))",
        ("test_masking_patterns_widget", "test_model_sizes_widget"),
    ),
)  # fmt: skip


def tests_pass(tests: Iterable[str], copy: Path) -> bool:
    """Return whether the copy passes these test files.

    Raises:
        SystemExit: pytest could not run them.
    """
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, *(f"tests/{name}.py" for name in tests)],
        cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode not in (0, 1):  # 1: a test failed
        sys.exit(f"pytest ended with {result.returncode}\n{result.stdout}{result.stderr}")
    return result.returncode == 0


def survives(mutation: Mutation, copy: Path) -> bool:
    """Break the copy, run the tests, and repair it; return whether all tests passed.

    Raises:
        SystemExit: the code to be broken does not occur exactly once.
    """
    file = copy / "plm_lessons" / mutation.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutation.right) != 1:
        sys.exit(f"{mutation.name}: {mutation.file} must contain {mutation.right!r} once: correct this table")
    file.write_text(text.replace(mutation.right, mutation.wrong), encoding="utf-8")
    try:
        return tests_pass(mutation.tests, copy)
    finally:
        file.write_text(text, encoding="utf-8")


def main() -> int:
    """Run what the command line asks for; return 1 if a mutation survives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("word", nargs="?", default="", help="run only those whose name contains this")
    word = parser.parse_args().word
    chosen = [mutation for mutation in MUTATIONS if word in mutation.name]
    if not chosen:
        names = "; ".join(mutation.name for mutation in MUTATIONS)
        parser.error(f"{word}: no name contains this. The names are: {names}")
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            source, target = ROOT / name, copy / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        if not tests_pass(sorted({name for mutation in chosen for name in mutation.tests}), copy):
            sys.exit("the tests fail without any mutation")
        for mutation in chosen:
            survived = survives(mutation, copy)
            survivors += survived
            print(f"{'SURVIVES' if survived else 'killed  '}  {mutation.name}", flush=True)
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main())
