"""Byte-pair training, which WordPiece and byte-level BPE share: pieces grow by merging the most frequent pair.

Gage (1994) compressed files this way; Sennrich et al. (2016, arXiv:1508.07909, section 3.2) built vocabularies this
way. Count all pairs of neighbouring pieces inside words, make the most frequent pair one new piece wherever it occurs,
and repeat. `training_merges` shows these steps on a few words; `train_pieces` runs thousands of them with the library
`tokenizers`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from plm_lessons.checks import check_text, check_whole

PORTION = 10_000
"""The most copies of a word that the trainer is given at once."""


@dataclass(frozen=True, slots=True)
class Merge:
    """One step of training: `left` and `right`, side by side, become the new piece `merged` in `count` places.

    Only where a piece is next to itself is `count` lower than the number that the trainer compares: the trainer counts
    two pairs in "aaa", of which only one can be joined.
    """

    left: str
    right: str
    merged: str
    count: int


def without_rare(units: Mapping[str, int], min_character_count: int) -> dict[str, int]:
    """Drop words (or parts of words) that have a character seen fewer than `min_character_count` times."""
    characters: Counter[str] = Counter()
    for unit, count in units.items():
        for character in unit:
            characters[character] += count
    rare = {character for character, count in characters.items() if count < min_character_count}
    return {unit: count for unit, count in units.items() if rare.isdisjoint(unit)}


def spell(word: str, prefix: str = "") -> list[str]:
    """Cut a word into pieces of one character; all but the first have the prefix."""
    return [*word[:1], *(prefix + character for character in word[1:])]


def join(pieces: Sequence[str], left: str, right: str, merged: str) -> list[str]:
    """Replace every `left` that is followed by `right` with `merged`, going from left to right."""
    joined: list[str] = []
    place = 0
    while place < len(pieces):
        found = tuple(pieces[place : place + 2]) == (left, right)
        joined.append(merged if found else pieces[place])
        place += 2 if found else 1
    return joined


def alphabet(words: Iterable[str], prefix: str = "") -> list[str]:
    """The one-character pieces that the words need, in a fixed order: all characters, then those with the prefix."""
    words = list(words)
    inside = {piece for word in words for piece in spell(word, prefix)[1:]} if prefix else set()
    return sorted(set("".join(words))) + sorted(inside)


def check_words(words: Mapping[str, int]) -> None:
    """Check for words without white space, each with the number of its occurrences.

    Raises:
        ValueError: They are something else.
    """
    if not isinstance(words, Mapping):
        raise ValueError(f"words={words!r:.80}: must say how often each word occurs, as {{'hug': 10}} does")
    for word, count in words.items():
        if not isinstance(word, str) or word.split() != [word]:
            raise ValueError(f"words holds {word!r}; it must hold words without white space (byte-level: Ġ is a space)")
        check_whole(f"words[{word!r}]", count, least=1)


def train_pieces(
    words: Mapping[str, int], vocab_size: int, first: Sequence[str], prefix: str = ""
) -> tuple[list[str], list[tuple[str, str]]]:
    """Train by pairs with `tokenizers`; every run gives the same result.

    `BpeTrainer` (which `WordPieceTrainer` uses inside) gives another result at every run if there is a prefix, because
    pieces like "##e" get their ids in the order of a hash table, and ids break ties between pairs that are equally
    frequent (huggingface/tokenizers, issue 1794). Naming the alphabet among the special tokens fixes those ids.

    Args:
        words: how often each word occurs. No pair crosses the end of a word.
        vocab_size: the most pieces in all.
        first: the pieces that exist before any merge, in the order of their ids: special tokens and alphabet.
        prefix: marks a piece that continues a word.

    Returns:
        The pieces in the order of their ids, and the merges in order, each a pair of pieces.

    Raises:
        ValueError: if `vocab_size` cannot hold even `first`, or a word is empty or contains white space.
    """
    check_whole("vocab_size", vocab_size)
    if vocab_size < len(first):
        raise ValueError(f"vocab_size is {vocab_size}; it must be at least {len(first)} (special tokens and alphabet)")
    check_words(words)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(first),
        continuing_subword_prefix=prefix,
        show_progress=False,
    )
    portions = (  # a word that is counted millions of times is not written out all at once
        " ".join([word] * min(PORTION, count - start))
        for word, count in sorted(words.items())
        for start in range(0, count, PORTION)
    )
    tokenizer.train_from_iterator(portions, trainer)
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__), merges_of(tokenizer)


def merges_of(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """The merges of a BPE tokenizer, in the order of their ranks (the library shows them only in its JSON)."""
    return [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def training_merges(words: Mapping[str, int], steps: int, prefix: str = "##") -> list[Merge]:
    """Show how training makes pieces of a short list of words: the merges in order, each with its count.

    Args:
        words: how often each word occurs, for example `{"hug": 10, "pug": 5, "hugs": 5}`.
        steps: the most merges; there are fewer if every word becomes whole before that.
        prefix: marks a piece that continues a word: "##" in WordPiece, nothing ("") in byte-pair encoding.

    Returns:
        One `Merge` per step. Each joins the most frequent pair at that point ("aaa" counts as two pairs); among equals,
        the one whose pieces have the lower ids.

    Raises:
        ValueError: if a word is empty or contains white space, or a number is out of its range.
    """
    check_words(words)
    check_whole("steps", steps)
    check_text("prefix", prefix)
    characters = alphabet(words, prefix)
    _, pairs = train_pieces(words, len(characters) + steps, characters, prefix)
    spelled = {word: spell(word, prefix) for word in words}
    merges = []
    for left, right in pairs:
        merged, count = left + right.removeprefix(prefix), 0
        for word, pieces in spelled.items():
            spelled[word] = join(pieces, left, right, merged)
            count += words[word] * (len(pieces) - len(spelled[word]))
        merges.append(Merge(left, right, merged, count))
    return merges
