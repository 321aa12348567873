"""Byte-level byte-pair encoding, as in GPT-2 and RoBERTa: any text in few pieces, without losing anything.

Radford et al. (2019, "Language Models are Unsupervised Multitask Learners", section 2.2) start byte-pair encoding from
the 256 bytes instead of characters, so that no part of a text is unknown. RoBERTa (Liu et al. 2019, arXiv:1907.11692,
section 4.4) adopts this, with 50,000 merges. Bytes are written as visible characters, a space as "Ġ": see
`piece_bytes`. A regular expression first splits the text into words, numbers and punctuation, each with the space
before it; no piece crosses these boundaries. Nothing is lower-cased or normalised.

* *Training* chooses the merges: `training_merges` with an empty prefix.
* *Using* them is not a search for the longest piece, as in WordPiece: the merges are applied again, in the order in
  which they were learnt. `merge_steps` shows it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from plm_lessons.checks import check_text, check_whole, each_text
from plm_lessons.tokenization.loading import check_tokenizer, the_word
from plm_lessons.tokenization.merges import join, merges_of, train_pieces

# Their ids are their places here, as in RoBERTa: <s> = 0 ... <unk> = 3; `MASK` is the last. <unk> is never needed.
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
MASK = "<mask>"


def _byte_characters() -> tuple[str, ...]:
    unseen = itertools.count(256)
    return tuple(
        chr(byte) if chr(byte).isprintable() and byte != ord(" ") else chr(next(unseen)) for byte in range(256)
    )


# A byte is written as the character with that number if this can be seen; the others, such as white space and control
# characters, are written as the characters from 256 on, in turn. GPT-2 does the same (openai/gpt-2, src/encoder.py).
BYTE_CHARACTERS = _byte_characters()
_BYTE_OF = {character: byte for byte, character in enumerate(BYTE_CHARACTERS)}


@dataclass(frozen=True, slots=True)
class MergeStep:
    """A word on its way from bytes to pieces.

    Attributes:
        pieces: the word after this step.
        merge: the pair that was joined, wherever it occurred; None at the start, where each byte is a piece.
        rank: the place of this merge in the tokenizer's list, 0 for the first one learnt; None at the start.
    """

    pieces: tuple[str, ...]
    merge: tuple[str, str] | None = None
    rank: int | None = None


def piece_bytes(piece: str) -> bytes:
    """The bytes that a piece stands for: `b" of"` for "Ġof", `b"\\xc3\\xa9"` (é in UTF-8) for "Ã©".

    A text is cut between whole bytes, but not always between whole characters: only all pieces of a text together are
    sure to be valid UTF-8.

    Raises:
        ValueError: if a character of the piece does not stand for a byte.
    """
    check_text("piece", piece)
    for character in piece:
        if character not in _BYTE_OF:
            raise ValueError(
                f"piece is {piece!r}; each of its characters must stand for a byte, but {character!r} does not"
            )
    return bytes(_BYTE_OF[character] for character in piece)


def _byte_level(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    # No space is put in front of a text: "Hello" at its start and " Hello" in it are different pieces.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train_byte_level_bpe(texts: Iterable[str], vocab_size: int = 8192) -> Tokenizer:
    """Train byte-level BPE with `tokenizers`, set up like RoBERTa's; every run gives the same result.

    Args:
        texts: the training text, in any portions.
        vocab_size: the most pieces in all: 5 special tokens, 256 bytes and the merges.

    Returns:
        A tokenizer that encodes a text as `<s> A </s>` and a pair as `<s> A </s></s> B </s>`, all of it segment 0. A
        `<mask>` takes in the white space before it, so that what is predicted in "of <mask>" is a piece with its space
        ("Ġcourse").

    Raises:
        ValueError: if `vocab_size` cannot hold even the special tokens and the bytes, or a text is not a string.
    """
    check_whole("vocab_size", vocab_size, least=1)
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = Counter(word for text in each_text("texts", texts) for word, _ in splitter.pre_tokenize_str(text))
    pieces, merges = train_pieces(words, vocab_size, [*SPECIAL_TOKENS, MASK, *sorted(BYTE_CHARACTERS)])
    pieces.remove(MASK)
    vocabulary = {piece: index for index, piece in enumerate([*pieces, MASK])}

    tokenizer = _byte_level(models.BPE(vocabulary, merges))
    tokenizer.add_special_tokens([*SPECIAL_TOKENS, AddedToken(MASK, lstrip=True)])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", vocabulary["</s>"]), ("<s>", vocabulary["<s>"]), trim_offsets=True, add_prefix_space=False
    )
    return tokenizer


def load_gpt2(folder: str | Path) -> Tokenizer:
    """Load GPT-2's own tokenizer: 256 bytes, 50,000 merges and `<|endoftext|>`, 50,257 pieces in all.

    RoBERTa's has the same merges, but different ids and special tokens.

    Args:
        folder: the folder that holds `encoder.json` and `vocab.bpe`, as OpenAI published them with GPT-2.

    Raises:
        ValueError: if `folder` is not a path, or one of these files is missing or not what it should be.
    """
    if not isinstance(folder, str | Path):
        raise ValueError(f"folder is {folder!r:.80}; it must be a path")
    vocabulary, merges = Path(folder) / "encoder.json", Path(folder) / "vocab.bpe"
    for path in (vocabulary, merges):
        if not path.is_file():
            raise ValueError(
                f"folder is {str(folder)!r}; it must hold encoder.json and vocab.bpe, but {path.name} is missing"
            )
    try:
        tokenizer = _byte_level(models.BPE.from_file(str(vocabulary), str(merges)))
    except Exception as error:  # the library raises no other kind
        raise ValueError(f"folder is {str(folder)!r}; encoder.json and vocab.bpe must match: {error}") from None
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def merge_steps(tokenizer: Tokenizer, word: str) -> list[MergeStep]:
    """Show how byte-level BPE cuts one word into pieces: each step is the possible merge that was learnt first.

    Args:
        tokenizer: a byte-level BPE tokenizer.
        word: one word as it occurs in a text, with the space before it if there is one: " hugs".

    Returns:
        The steps, from the bytes to the pieces that the tokenizer makes.

    Raises:
        ValueError: if the tokenizer is not byte-level BPE, or splits `word` before any merge.
    """
    check_tokenizer(tokenizer)
    model, parter = tokenizer.model, tokenizer.pre_tokenizer
    if not isinstance(model, models.BPE) or not isinstance(parter, pre_tokenizers.ByteLevel):
        # GPT-4's tokenizer works with bytes, too, but splits a text into words by other rules.
        needed = f"byte-level BPE, with the pre-tokenizer ByteLevel alone (here: {type(parter).__name__})"
        raise ValueError(f"tokenizer has the model {type(model).__name__}; it must be {needed}")
    ranks = {pair: rank for rank, pair in enumerate(merges_of(tokenizer))}
    steps = [MergeStep(tuple(the_word(tokenizer, word)))]
    while True:
        pieces = steps[-1].pieces
        possible = [pair for pair in itertools.pairwise(pieces) if pair in ranks]
        if not possible:
            return steps
        left, right = pair = min(possible, key=ranks.__getitem__)
        steps.append(MergeStep(tuple(join(pieces, left, right, left + right)), pair, ranks[pair]))
