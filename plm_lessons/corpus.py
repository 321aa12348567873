"""The text that ships with the book: documents -> paragraphs -> sentences, and two labelled sets.

Everything is real English and small enough to live in the repository:

* ``wikipedia``: the opening sections of 10,033 articles (short documents, eleven topics);
* ``sotu``: 237 State of the Union addresses, 1790 to 2026 (long documents);
* film-review sentences with a positive or negative label (Rotten Tomatoes).

About a tenth of it is held out. Which tenth depends on a hash of the title (of the text itself for the review
sentences), so that the choice is the same everywhere, does not change when documents are added, and never puts one
article on both sides. The files are made by ``tools/build_corpus.py``; each is in ``data/``, next to its own licence.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from plm_lessons.checks import check_choice, check_text

DATA = Path(__file__).parent / "data"
SOURCES = ("wikipedia", "sotu")
SPLITS = ("train", "held_out")
SENTIMENTS = ("negative", "positive")
TOPICS = (
    "Arts",
    "Biology and health sciences",
    "Everyday life",
    "Geography",
    "History",
    "Mathematics",
    "People",
    "Philosophy and religion",
    "Physical sciences",
    "Society and social sciences",
    "Technology",
)

MOST_WORDS = 40
"""The most words that a task takes from an article or address at a time: always whole sentences."""


@dataclass(frozen=True, slots=True)
class Document:
    """One article or address.

    Attributes:
        title: unique within its source.
        source: ``"wikipedia"`` or ``"sotu"``.
        split: ``"train"`` or ``"held_out"``, from :func:`split_of`.
        topic: one of :data:`TOPICS`, or None (all addresses, and 1,000 articles that Wikipedia files under no topic).
        description: Wikipedia's own few words on the article ("Genus of plants"), or None.
        paragraphs: the text; each paragraph is a tuple of sentences.
        url: the page the text was taken from, which names its authors.
    """

    title: str
    source: str
    split: str
    topic: str | None
    description: str | None
    paragraphs: tuple[tuple[str, ...], ...]
    url: str

    @property
    def sentences(self) -> tuple[str, ...]:
        """All sentences in order, without the division into paragraphs."""
        return tuple(sentence for paragraph in self.paragraphs for sentence in paragraph)

    @property
    def text(self) -> str:
        """The running text, with a blank line between paragraphs."""
        return "\n\n".join(" ".join(paragraph) for paragraph in self.paragraphs)


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text and the index of its class, in :data:`TOPICS` or :data:`SENTIMENTS`."""

    text: str
    label: int


def split_of(key: str) -> str:
    """Which side a key falls on: ``"held_out"`` for one key in ten, chosen by SHA-256, else ``"train"``."""
    check_text("key", key)
    digest = hashlib.sha256(key.encode("utf-8")).digest()
    return "held_out" if int.from_bytes(digest[:8], "big") % 10 == 0 else "train"


def documents(source: str = "wikipedia", split: str = "train") -> list[Document]:
    """The documents of a source and split, in a fixed order.

    Args:
        source: ``"wikipedia"``, ``"sotu"``, or ``"all"`` for both, one after the other.
        split: ``"train"``, ``"held_out"`` or ``"all"``.

    Returns:
        A new list; the documents in it are shared and cannot be changed.

    Raises:
        ValueError: for any other source or split.
    """
    check_choice("source", source, (*SOURCES, "all"))
    check_choice("split", split, (*SPLITS, "all"))
    chosen = SOURCES if source == "all" else (source,)
    return [document for name in chosen for document in _load(name) if split in ("all", document.split)]


def opening(document: Document) -> str:
    """The first sentences of an article, as many as fit within `MOST_WORDS`; empty if the first alone is longer."""
    taken, words = [], 0
    for sentence in document.sentences:
        words += len(sentence.split())
        if words > MOST_WORDS:
            break
        taken.append(sentence)
    return " ".join(taken)


def sentiment_examples(split: str = "train") -> list[LabelledText]:
    """Sentences of film reviews with the index of their class in :data:`SENTIMENTS` (Pang and Lee, 2005).

    The sentences are lower-cased and have spaces around punctuation marks, as their authors published them.

    Args:
        split: ``"train"``, ``"held_out"`` or ``"all"``.
    """
    check_choice("split", split, (*SPLITS, "all"))
    return [example for example in _load_sentiment() if split in ("all", split_of(example.text))]


def _read(path: Path) -> Iterator[dict[str, Any]]:
    # One JSON object per line. Only "\n" ends a line: str.splitlines would also split at rarer characters.
    for line in lzma.decompress(path.read_bytes()).decode("utf-8").rstrip("\n").split("\n"):
        yield json.loads(line)


@lru_cache
def _load(source: str) -> tuple[Document, ...]:
    return tuple(
        Document(
            title=entry["title"],
            source=source,
            split=split_of(entry["title"]),
            topic=entry.get("topic"),
            description=entry.get("description"),
            paragraphs=tuple(map(tuple, entry["paragraphs"])),
            url=entry.get("url") or "https://en.wikipedia.org/wiki/" + quote(entry["title"].replace(" ", "_")),
        )
        for entry in _read(DATA / source / "documents.jsonl.xz")
    )


@lru_cache
def _load_sentiment() -> tuple[LabelledText, ...]:
    entries = _read(DATA / "rotten_tomatoes" / "sentences.jsonl.xz")
    return tuple(LabelledText(entry["text"], entry["label"]) for entry in entries)


# --- Sentences -------------------------------------------------------------------------------------------------------
#
# A full stop ends a sentence, or an abbreviation, or both. Three facts decide: the word before it, the mark itself
# and the word after it.

# A name or an example follows these, so their full stop ends no sentence ...
_BEFORE_NAME = re.compile(
    r"Mr|Mrs|Ms|Messrs|Mme|Mlle|Dr|Drs|Prof|Rev|Hon|Gen|Gens|Brig|Adm|Col|Lt|Lieut|Maj|Capt|Cmdr|Sgt|Cpl|Sen|Sens|Rep|"
    r"Reps|Gov|Govs|Pres|Supt|Fr|Mt|Ft|Lat|Gk|e\.g|i\.e|E\.g|I\.e|cf|Cf|viz|vs|v|lit|transl|trans|pron|esp|var|"
    r"subsp"
)
# ... nor does it after these when a number follows ("No." alone is an answer) ...
_BEFORE_NUMBER = re.compile(
    r"no|nos|vol|vols|p|pp|fig|figs|eq|eqs|ch|chap|art|arts|sec|secs|op|stat|c|ca|approx|est|fl|b|d|r|ft|jan|feb|"
    r"mar|apr|jun|jul|aug|sept|sep|oct|nov|dec",
    re.IGNORECASE,
)
# ... while a sentence may well end with these (and with "U.S.", "p.m.", an initial): the word after them decides.
_MAYBE_LAST = re.compile(
    r"jr|sr|inc|ltd|co|corp|bros|cos|plc|st|ave|blvd|rd|dept|univ|assn|rev|esq",
    re.IGNORECASE,
)
# Words that open a sentence far more often than a name.
_OPENERS = re.compile(
    r"a|after|all|also|although|among|an|and|another|as|at|because|before|both|but|by|despite|during|each|even|"
    r"every|few|for|from|had|has|have|he|her|here|his|how|however|if|in|is|it|its|later|like|many|most|much|my|"
    r"neither|no|nobody|none|nor|not|now|of|on|once|one|only|or|other|our|over|several|she|since|so|some|soon|"
    r"still|such|than|that|the|their|then|there|these|they|this|those|though|through|throughout|thus|to|today|"
    r"together|under|unlike|until|upon|was|we|were|what|when|where|whether|which|while|who|whose|why|with|within|"
    r"without|you|your",
    re.IGNORECASE,
)
# A stop, the quotation marks and brackets that close after it, white space, and the next word.
_STOP = re.compile(r"""(?<![.!?…])([.!?…]+)(["'”’»)\]]*)\s+(?=["'“‘«(\[]*([^\s"'“‘«(\[]\S*))""")
_LAST_WORD = re.compile(r"""[^\s"'“‘«()\[\]/–—-]*$""")
_INITIALS = re.compile(r"[A-Z]|(?:[^\W\d_]{1,3}\.)+[^\W\d_]{1,3}")
_LIST_NUMBER = re.compile(r"\W*(\d{1,3}|[IVXLC]{1,6}|[A-Za-z])")
_ENCLOSED = re.compile(
    r"""\([^()]{0,300}\)|\[[^\[\]]{0,300}\]|“[^“”]{0,300}”|(?<![^\s(\[—])"(?=\S)[^"]{0,300}(?<=\S)"(?!\w)"""
)


def split_sentences(text: str) -> list[str]:
    """Cut English text into sentences.

    Abbreviations ("Dr. King"), initials ("J. S. Bach"), numbers ("No. 5", "2.5") and sentences quoted inside another
    one stay whole. This is done by rules, not by a model, so the end of a sentence can be missed where an initial comes
    before a name ("vitamin C. Scurvy"). A blank line always ends a sentence; any other run of white space becomes one
    space. Nothing else is changed and nothing is left out.
    """
    check_text("text", text)
    sentences = []
    for paragraph in re.split(r"\n\s*\n", text):
        line = " ".join(paragraph.split())
        start = 0
        for end in (*_sentence_ends(line), len(line)):
            sentences.append(line[start:end].strip())
            start = end
    return [sentence for sentence in sentences if sentence]


def _sentence_ends(line: str) -> Iterator[int]:
    # Brackets and quotations after which the sentence runs on: 'The rule (it was old. It was bad.) was dropped'.
    inside = deque(match.span() for match in _ENCLOSED.finditer(line) if not _closes_sentence(line, match.end()))
    start = 0
    for match in _STOP.finditer(line):
        end = match.end(2)
        while inside and inside[0][1] <= end:
            inside.popleft()
        if inside and inside[0][0] < end:
            continue
        # The last 80 characters before the stop are plenty, and bound the work in a text without sentences.
        before, stop, following = line[max(start, match.start(1) - 80) : match.start(1)], match[1], match[3]
        if stop == "." and _LIST_NUMBER.fullmatch(before):
            continue
        if _opens_sentence(following) and (stop != "." or _ends_sentence(before, following)):
            yield end
            start = match.end()


def _closes_sentence(line: str, end: int) -> bool:
    if line[end - 2] not in ".!?…":
        return False
    following = re.match(r"""\s+["'“‘«(\[]*(\S+)""", line[end : end + 50])
    return end == len(line) or (following is not None and _opens_sentence(following[1]))


def _opens_sentence(word: str) -> bool:
    # Capitals, digits and scripts without capitals open a sentence; small letters only in words like "iPhone".
    word = word.lstrip("—–-") or word
    first = word[0]
    return (first.isalnum() and not first.islower()) or first in "$£€¥•§" or bool(re.match("[a-z]{1,2}[A-Z]", word))


def _ends_sentence(before: str, following: str) -> bool:
    match = _LAST_WORD.search(before)
    word = match[0] if match else ""
    if _BEFORE_NAME.fullmatch(word) or (_BEFORE_NUMBER.fullmatch(word) and following[0].isdigit()):
        return False
    if _INITIALS.fullmatch(word) or _MAYBE_LAST.fullmatch(word):
        # "in the U.S. The ..." but "the U.S. Army", and "by J. A. Smith", where "A" is not an article.
        opener = re.match(r"\w+\b(?!\.)", following)
        return opener is not None and _OPENERS.fullmatch(opener[0]) is not None
    return True
