"""What all tokenizers share: loading one, and encoding documents."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models

from plm_lessons.checks import check_text, each_text
from plm_lessons.corpus import DATA, Document

TOKENIZERS = DATA / "tokenizers"


def check_tokenizer(tokenizer: Any, model: type | None = None) -> None:
    """Check for a tokenizer of the library `tokenizers`, and for its model if one is given.

    Raises:
        ValueError: It is not one (that of `transformers` holds one as `backend_tokenizer`), or has another model.
    """
    if not isinstance(tokenizer, Tokenizer):
        raise ValueError(f"tokenizer={tokenizer!r:.40}: must be a tokenizers.Tokenizer")
    if model is not None and not isinstance(tokenizer.model, model):
        raise ValueError(f"tokenizer has the model {type(tokenizer.model).__name__}; it must be {model.__name__}")


def check_whole_texts(tokenizer: Any) -> None:
    """Check for a tokenizer that neither truncates nor pads what it reads.

    Raises:
        ValueError: It does, or it is not a tokenizer.
    """
    check_tokenizer(tokenizer)
    if tokenizer.truncation is not None or tokenizer.padding is not None:
        raise ValueError(
            "tokenizer has truncation or padding switched on; it must have neither (no_truncation(), no_padding())"
        )


def words_of(tokenizer: Tokenizer, text: str) -> list[str]:
    """The words of a text as the tokenizer sees them: normalised and split, but not yet cut into pieces."""
    normal = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
    if not tokenizer.pre_tokenizer:
        return [normal]
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]


def count_words(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs in the texts, for a tokenizer none of whose words contains white space."""
    words: Counter[str] = Counter()
    # So each different stretch without white space is cut only once.
    for raw, count in Counter(raw for text in each_text("texts", texts) for raw in text.split()).items():
        for word in words_of(tokenizer, raw):
            words[word] += count
    return words


def the_word(tokenizer: Tokenizer, word: str) -> str:
    """A single word as the tokenizer sees it.

    Raises:
        ValueError: It sees none, or several.
    """
    check_text("word", word)
    words = words_of(tokenizer, word)
    if len(words) != 1:
        raise ValueError(f"word is {word!r}; it must be one word as the tokenizer sees it, but there are {len(words)}")
    return words[0]


def load_tokenizer(name_or_path: str | Path = "wordpiece") -> Tokenizer:
    """Load a tokenizer of the book by its name, or any `tokenizer.json`.

    Args:
        name_or_path: the name of a folder in `plm_lessons/data/tokenizers`, as a string ("wordpiece"), a folder that
            holds a `tokenizer.json`, or the path of such a file.

    Returns:
        A new tokenizer that does not truncate or pad unless told to, whatever the file says.

    Raises:
        ValueError: if it is none of these, or the file does not hold a tokenizer.
    """
    shipped = {path.parent.name: path for path in sorted(TOKENIZERS.glob("*/tokenizer.json"))}
    candidates: list[Path] = []
    if isinstance(name_or_path, str) and name_or_path in shipped:
        candidates = [shipped[name_or_path]]
    elif isinstance(name_or_path, str | Path) and str(name_or_path):
        candidates = [Path(name_or_path) / "tokenizer.json", Path(name_or_path)]
    for candidate in candidates:
        if os.path.isfile(candidate):  # False, not an error, for a name that is too long
            try:
                tokenizer = Tokenizer.from_file(str(candidate))
            except Exception as error:  # the library raises no other kind
                raise ValueError(f"{candidate}: not a whole tokenizer.json ({error})") from None
            tokenizer.no_truncation()
            tokenizer.no_padding()
            return tokenizer
    raise ValueError(
        f"name_or_path is {str(name_or_path)!r}; it must be the name of a tokenizer that ships with the package "
        f"({', '.join(map(repr, shipped))}), a folder that holds a tokenizer.json, or such a file"
    )


def encode_documents(
    tokenizer: Tokenizer, documents: Iterable[Document | Iterable[str]], separator: str = ""
) -> list[list[list[int]]]:
    """Token ids of documents, without special tokens: document -> sentence -> ids.

    A text that spells a special token, such as "[MASK]" or "<extra_id_0>", is encoded like any other.

    Args:
        tokenizer: any tokenizer that does not truncate or pad.
        documents: corpus documents, or your own, each a list of sentences.
        separator: put before every sentence of a document but the first. Byte-level pieces include the white space of
            the text: with " ", the ids of a document, one sentence after the other, decode to its running text. The
            other tokenizers drop it.

    Returns:
        One list per document, containing one list of ids per sentence, in order. Only sentences without a single token
        (empty, or white space only) are left out.

    Raises:
        ValueError: if the tokenizer would truncate or pad the sentences, or a document or sentence is something else.
    """
    check_whole_texts(tokenizer)
    check_text("separator", separator)
    sentences = []
    if isinstance(documents, str | Document) or not isinstance(documents, Iterable):
        raise ValueError(f"documents={documents!r:.40}: must be several documents, each a list of sentences")
    for number, document in enumerate(documents):
        if isinstance(document, str):
            raise ValueError(f"documents holds the string {document[:40]!r}; split_sentences() makes it a document")
        parts = each_text(f"documents[{number}]", document.sentences if isinstance(document, Document) else document)
        sentences.append([separator * (place > 0) + part for place, part in enumerate(parts)])
    flat = list(itertools.chain.from_iterable(sentences))
    before, tokenizer.encode_special_tokens = tokenizer.encode_special_tokens, True
    try:
        rows = [encoding.ids for encoding in tokenizer.encode_batch_fast(flat, add_special_tokens=False)]
    finally:
        tokenizer.encode_special_tokens = before
    if isinstance(tokenizer.model, models.Unigram):
        _spell_out(tokenizer, flat, rows)
    ids = iter(rows)
    return [[sentence for sentence in itertools.islice(ids, len(part)) if sentence] for part in sentences]


def _spell_out(tokenizer: Tokenizer, texts: Sequence[str], rows: list[list[int]]) -> None:
    """Encode again the texts in which special tokens were found: in a Unigram vocabulary these are pieces, too.

    The special pieces are hidden by a character in front that no text has (U+FFFF is not assigned to a character).
    (<unk> still results where a character is unknown.)
    """
    special = {number: token.content for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    found = [number for number, row in enumerate(rows) if not special.keys().isdisjoint(row)]
    if not found:
        return
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if not token["special"]]
    vocabulary, names = content["model"]["vocab"], set(special.values())
    content["model"]["vocab"] = [("\uffff" * (piece in names) + piece, score) for piece, score in vocabulary]
    spelling = Tokenizer.from_str(json.dumps(content))
    encodings = spelling.encode_batch_fast([texts[number] for number in found], add_special_tokens=False)
    for number, encoding in zip(found, encodings, strict=True):
        rows[number] = encoding.ids


def token_id(tokenizer: Tokenizer, *tokens: str) -> int:
    """The id of a token that must exist, such as `[MASK]`, which other tokenizers call `<mask>`.

    Args:
        tokenizer: any.
        tokens: possible names of the token; the first that the tokenizer has is used.

    Raises:
        ValueError: if the tokenizer has none of them.
    """
    check_tokenizer(tokenizer)
    for token in tokens:
        if (found := tokenizer.token_to_id(token)) is not None:
            return found
    names = " or ".join(map(repr, tokens))
    raise ValueError(f"tokenizer has no token {names}; it must be one that was made for this model")
