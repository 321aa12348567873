"""The tokenizers that ship with the book, packed for a page that tokenizes what its reader types.

`tokenization.js` does in the page what the library `tokenizers` does here, with the same result for every text of
characters that Unicode had in 2002 (version 3.2), and for nearly all others. It may differ for characters that are
newer than the library's tables of them: accents, letters and punctuation of rare scripts that Unicode gained after
version 8 (WordPiece) or 9 (Unigram), letters and digits that it gained after 16 (byte-level BPE); and for two accents
whose kind has changed, U+1715 and U+1734.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

from tokenizers import Tokenizer

# The names of the folders in plm_lessons/data/tokenizers, and the token that stands for a hidden one. T5 has none of
# its own: where it hides single tokens, its first sentinel serves (`plm_lessons.objectives.bert_style`).
MASK_TOKENS = {
    "wordpiece": "[MASK]",
    "byte_level_bpe": "<mask>",
    "unigram": "[MASK]",
    "t5_unigram": "<extra_id_0>",
}


@functools.cache
def _stored(name: str) -> str:
    path = resources.files("plm_lessons").joinpath("data", "tokenizers", name, "tokenizer.json")
    return path.read_text(encoding="utf-8")


@functools.cache
def shipped(name: str) -> Tokenizer:
    """The tokenizer with a name from `MASK_TOKENS`; it is shared, so do not change it."""
    return Tokenizer.from_str(_stored(name))


@functools.cache
def packed(name: str) -> dict[str, Any]:
    """The data from which `openTokenizer` in tokenization.js makes the tokenizer, ready for JSON."""
    tokenizer, stored = shipped(name), json.loads(_stored(name))
    pieces = [str(tokenizer.id_to_token(i)) for i in range(tokenizer.get_vocab_size())]
    frame = tokenizer.encode("").tokens  # [CLS] and [SEP], or </s> alone
    return {
        "kind": name,
        "mask": MASK_TOKENS[name],
        "pieces": " ".join(pieces),
        "numbers": _numbers(stored["model"]),
        "special": [token["content"] for token in stored["added_tokens"]],
        "unknown": next(name for name in ("[UNK]", "<unk>") if tokenizer.token_to_id(name) is not None),
        "greedy": next((token["content"] for token in stored["added_tokens"] if token["lstrip"]), ""),
        "before": frame[:-1],
        "after": frame[-1:],
    }


def _numbers(model: dict[str, Any]) -> str:
    """For each merge, the length of its left part as a digit; for each score, how far it is below the last, in 1e-6."""
    if model["type"] == "BPE":
        return "".join("0123456789abcdefghijklmnopqrstuvwxyz"[len(left)] for left, _ in model["merges"])
    if model["type"] == "Unigram":
        millionths = [round(score * 1e6) for _, score in model["vocab"]]
        return " ".join(str(before - here) for before, here in zip([0, *millionths], millionths, strict=False))
    return ""


def tokenize(name: str, text: str) -> list[tuple[str, int]]:
    """The tokens of a text, each with the number of its word; -1 for special tokens.

    The words are those of `plm_lessons.objectives.number_words`, where [UNK] is an ordinary token.
    """
    tokenizer, found = shipped(name), []
    special = set(packed(name)["special"]) - {packed(name)["unknown"]}
    word, is_open = -1, False
    for token in tokenizer.encode(text).tokens:
        token = token.strip() if token.strip() in special else token  # some special tokens take the space before them
        if token in special:
            is_open = False
        else:
            word += not is_open or _begins_word(name, token)
            is_open = True
        found.append((token, word if is_open else -1))
    return found


def _begins_word(name: str, token: str) -> bool:
    if name == "wordpiece":
        return not token.startswith("##")
    return token.startswith("\u0120") if name == "byte_level_bpe" else not (token.isascii() and token.isalpha())
