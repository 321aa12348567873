"""Train the tokenizers that ship with the package, on the training split only.

python tools/train_tokenizers.py wordpiece           # writes plm_lessons/data/tokenizers/wordpiece/tokenizer.json
python tools/train_tokenizers.py wordpiece --check   # trains in memory and compares, byte for byte
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterable

from tokenizers import Tokenizer

from plm_lessons.corpus import documents
from plm_lessons.files import write_atomically
from plm_lessons.tokenization import (
    TOKENIZERS,
    train_byte_level_bpe,
    train_t5_unigram,
    train_unigram,
    train_wordpiece,
)

TRAINERS: dict[str, Callable[[Iterable[str]], Tokenizer]] = {
    "wordpiece": train_wordpiece,
    "byte_level_bpe": train_byte_level_bpe,
    "unigram": train_unigram,
    "t5_unigram": train_t5_unigram,
}


def train(name: str) -> bytes:
    """Train the tokenizer with this name, and return the content of its `tokenizer.json`."""
    texts = [document.text for document in documents("all", "train")]
    return (TRAINERS[name](texts).to_str(pretty=True) + "\n").encode("utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Train or check the tokenizers named, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(sorted(TRAINERS))} (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a stored file differs")
    chosen = parser.parse_args(arguments)
    differing = 0
    for name in chosen.names:
        if name not in TRAINERS:
            parser.error(f"{name}: must be one of {', '.join(sorted(TRAINERS))}")
    for name in chosen.names or sorted(TRAINERS):
        path, content = TOKENIZERS / name / "tokenizer.json", train(name)
        if not chosen.check:
            write_atomically(path, content)
            print(f"{name}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
        elif path.is_file() and path.read_bytes() == content:
            print(f"{name}: the same, byte for byte")
        else:
            print(f"{name}: differs from {path.name}", file=sys.stderr)
            differing += 1
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
