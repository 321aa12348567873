"""From text to token ids: training, loading and looking inside the tokenizers of the book.

The work is done by the library ``tokenizers``; this module says how ours are set up and shows what they do.

WordPiece in BERT (Devlin et al. 2019, section 3) has two halves that are easily confused:

* *Training* chooses the pieces. Schuster and Nakajima (2012), "Japanese and Korean voice search", add at each step
  the piece that raises the likelihood of the training text most. The code that made BERT's vocabulary was not released
  (google-research/bert, README: it depends on internal libraries). ``tokenizers`` trains its WordPiece as byte-pair
  encoding does, by the most frequent pair: see :func:`training_merges`. So ours is trained that way too.
* *Using* it is greedy: from the left, the longest piece that fits, again and again: see :func:`longest_match`.
  Here the library and BERT's own ``tokenization.py`` agree.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from plm_lessons.corpus import DATA, Document

TOKENIZERS = DATA / "tokenizers"
# Their ids are their places: [PAD] = 0 ... [MASK] = 4.
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PREFIX = "##"  # marks a piece that goes on with a word


@dataclass(frozen=True, slots=True)
class MatchStep:
    """One step of the greedy longest match.

    Attributes:
        start: where in the word the step begins.
        tried: the pieces looked up, longest first; all but the last are not in the vocabulary.
        piece: the piece taken, the last one tried; None if nothing fits, which makes the whole word ``[UNK]``.
    """

    start: int
    tried: tuple[str, ...]
    piece: str | None


@dataclass(frozen=True, slots=True)
class Merge:
    """One step of training: ``left`` and ``right``, side by side ``count`` times, become the new piece ``merged``."""

    left: str
    right: str
    merged: str
    count: int


def load_tokenizer(name_or_path: str | Path = "wordpiece") -> Tokenizer:
    """Load a tokenizer of the book by its name, or any ``tokenizer.json``.

    Args:
        name_or_path: the name of a folder in ``plm_lessons/data/tokenizers`` ("wordpiece"), a folder that holds a
            ``tokenizer.json``, or the path of such a file.

    Returns:
        A new tokenizer that truncates and pads nothing unless told to.

    Raises:
        ValueError: if it is none of these.
    """
    path = Path(name_or_path)
    for candidate in (TOKENIZERS / path / "tokenizer.json", path / "tokenizer.json", path):
        if candidate.is_file():
            return Tokenizer.from_file(str(candidate))
    shipped = ", ".join(sorted(repr(path.parent.name) for path in TOKENIZERS.glob("*/tokenizer.json")))
    raise ValueError(
        f"name_or_path is {str(name_or_path)!r}; it must be the name of a tokenizer that ships with the package "
        f"({shipped}), a folder that holds a tokenizer.json, or such a file"
    )


def encode_documents(tokenizer: Tokenizer, documents: Iterable[Document | Iterable[str]]) -> list[list[list[int]]]:
    """Token ids of documents, without special tokens: document -> sentence -> ids.

    Args:
        tokenizer: any; its truncation and padding, if set, are not allowed here.
        documents: corpus documents, or your own, each a list of sentences.

    Returns:
        One list per document, in it one list of ids per sentence, in order. A sentence without a single token
        (empty, or white space only) is the only thing left out.

    Raises:
        ValueError: if the tokenizer would cut or pad the sentences, or a document is a bare string.
    """
    if tokenizer.truncation is not None or tokenizer.padding is not None:
        raise ValueError("tokenizer has truncation or padding switched on; it must have neither (no_truncation())")
    sentences = []
    for document in documents:
        if isinstance(document, str):
            raise ValueError(f"documents holds the string {document[:40]!r}; split_sentences() makes a document of it")
        sentences.append(list(document.sentences if isinstance(document, Document) else document))
    flat = list(itertools.chain.from_iterable(sentences))
    ids = iter([encoding.ids for encoding in tokenizer.encode_batch_fast(flat, add_special_tokens=False)])
    return [[sentence for sentence in itertools.islice(ids, len(part)) if sentence] for part in sentences]


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token that must be there, such as ``[MASK]``.

    Raises:
        ValueError: if the tokenizer does not have it.
    """
    found = tokenizer.token_to_id(token)
    if found is None:
        raise ValueError(f"tokenizer has no token {token!r}; it must be one that was made for this model")
    return found


# --- WordPiece -------------------------------------------------------------------------------------------------------


def _bert_tokenizer(model: models.Model) -> Tokenizer:
    # Lower case without accents; white space and every punctuation mark part words; CJK characters are words.
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def train_wordpiece(texts: Iterable[str], vocab_size: int = 8192, min_character_count: int = 10) -> Tokenizer:
    """Train WordPiece with ``tokenizers``, uncased and set up as BERT's, with the same result at every run.

    Args:
        texts: the training text, in any portions.
        vocab_size: how many pieces at most: special tokens, alphabet and merges together.
        min_character_count: a character seen less often is left out of the alphabet, and a word that has one out of
            training: it will be ``[UNK]``. So no place goes to characters that are too rare to be learnt.

    Returns:
        A tokenizer that makes ``[CLS] A [SEP]`` (segment 0) and, of a pair, ``[CLS] A [SEP] B [SEP]`` (B: segment 1).

    Raises:
        ValueError: if ``vocab_size`` cannot hold even the special tokens and the alphabet.
    """
    scratch = _bert_tokenizer(models.WordPiece())
    words: Counter[str] = Counter()
    for text in texts:
        normal = scratch.normalizer.normalize_str(text)
        words.update(word for word, _ in scratch.pre_tokenizer.pre_tokenize_str(normal))
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    rare = {character for character, count in characters.items() if count < min_character_count}
    pieces = _train_pieces({word: count for word, count in words.items() if rare.isdisjoint(word)}, vocab_size)[0]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}

    tokenizer = _bert_tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", continuing_subword_prefix=PREFIX))
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.decoder = decoders.WordPiece(prefix=PREFIX)
    return tokenizer


def _train_pieces(words: Mapping[str, int], vocab_size: int) -> tuple[list[str], list[tuple[str, str]]]:
    # The pieces in the order of their ids, and the merges. `WordPieceTrainer` is this very `BpeTrainer` inside; its own
    # result differs from run to run, because pieces like "##e" get their ids in the order of a hash table, and ids
    # break ties between pairs that are equally frequent (huggingface/tokenizers, issue 1794). Naming the alphabet among
    # the special tokens fixes those ids beforehand.
    alphabet = sorted(set("".join(words))) + sorted({PREFIX + character for word in words for character in word[1:]})
    if vocab_size < len(SPECIAL_TOKENS) + len(alphabet):
        needed = len(SPECIAL_TOKENS) + len(alphabet)
        raise ValueError(f"vocab_size is {vocab_size}; it must be at least {needed}: special tokens and alphabet")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[*SPECIAL_TOKENS, *alphabet],
        continuing_subword_prefix=PREFIX,
        show_progress=False,
    )
    tokenizer.train_from_iterator((" ".join([word] * count) for word, count in sorted(words.items())), trainer)
    vocabulary = tokenizer.get_vocab()
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return sorted(vocabulary, key=vocabulary.__getitem__), [(left, right) for left, right in merges]


def training_merges(words: Mapping[str, int], steps: int) -> list[Merge]:
    """How training makes pieces of a short list of words: the merges in order, each with the count that won.

    Args:
        words: how often each word occurs, say ``{"hug": 10, "pug": 5, "hugs": 5}``.
        steps: at most so many merges; fewer if every word is whole before.

    Returns:
        One :class:`Merge` a step. Each joins the pair that is most frequent at that point; of equals, the one whose
        pieces have the lower ids.
    """
    alphabet = set("".join(words)) | {PREFIX + character for word in words for character in word[1:]}
    _, pairs = _train_pieces(words, len(SPECIAL_TOKENS) + len(alphabet) + steps)
    spelled = {word: [word[0], *(PREFIX + character for character in word[1:])] for word in words}
    merges = []
    for left, right in pairs:
        merged, count = left + right.removeprefix(PREFIX), 0
        for word, pieces in spelled.items():
            place = 0
            while place < len(pieces) - 1:
                if (pieces[place], pieces[place + 1]) == (left, right):
                    pieces[place : place + 2] = [merged]
                    count += words[word]
                place += 1
        merges.append(Merge(left, right, merged, count))
    return merges


def longest_match(tokenizer: Tokenizer, word: str) -> list[MatchStep]:
    """Show how WordPiece cuts one word: from the left, always the longest piece in the vocabulary.

    Args:
        tokenizer: a WordPiece tokenizer.
        word: one word as the pre-tokenizer leaves it (lower case, no white space, no punctuation attached).

    Returns:
        The steps. If in one of them no piece fits, that is the last, with ``piece=None``: the whole word is ``[UNK]``,
        the pieces found before it included.

    Raises:
        ValueError: if the tokenizer is no WordPiece, or the word empty, longer than the model's limit (it is ``[UNK]``
            unseen), or changed by the normalizer or pre-tokenizer.
    """
    if not isinstance(tokenizer.model, models.WordPiece):
        raise ValueError(f"tokenizer has the model {type(tokenizer.model).__name__}; it must be WordPiece")
    normal = tokenizer.normalizer.normalize_str(word) if tokenizer.normalizer else word
    parts = (
        [part for part, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)] if tokenizer.pre_tokenizer else [word]
    )
    if parts != [word]:
        raise ValueError(f"word is {word!r}; it must be one word as the tokenizer sees it, such as {parts[:1]}")
    if len(word) > tokenizer.model.max_input_chars_per_word:
        limit = tokenizer.model.max_input_chars_per_word
        raise ValueError(f"word has {len(word)} characters; longer than {limit} is [UNK] without a search")
    steps, start = [], 0
    while start < len(word):
        tried = []
        prefix = tokenizer.model.continuing_subword_prefix if start else ""
        for end in range(len(word), start, -1):
            tried.append(prefix + word[start:end])
            if tokenizer.token_to_id(tried[-1]) is not None:
                steps.append(MatchStep(start, tuple(tried), tried[-1]))
                start = end
                break
        else:
            return [*steps, MatchStep(start, tuple(tried), None)]
    return steps
