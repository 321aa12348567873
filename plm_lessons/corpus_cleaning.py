"""The rules by which T5's authors cleaned web pages to make C4, the Colossal Clean Crawled Corpus.

A page of Common Crawl is text extracted from HTML, with menus, error messages and program code between its sentences.
`clean_page` says of each line whether it stays and, if not, why. `drop_repeated_spans` then removes sentences that are
repeated, within a page or across pages. Two rules differ here. Pages that langdetect considered English with a
probability below 0.99 are not filtered out, because that takes a model. And the list of words that made a page
disappear is not in this repository; pass a list of your own as `unwanted_words`.

Source: T5 (Raffel et al. 2020, arXiv:1910.10683), section 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from plm_lessons.checks import check_text, each_text
from plm_lessons.corpus import split_sentences

END_MARKS = (".", "!", "?", '"', "”")
LEAST_WORDS = 5  # in a line
LEAST_SENTENCES = 3  # on a page
SPAN = 3  # sentences that are removed where they occur again
POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
_CITATION = re.compile(r"\[(?:\d+|edit|citation needed)\]")


class Removed(NamedTuple):
    """A removed line, and the rule that removed it."""

    line: str
    reason: str


class CleanedPage(NamedTuple):
    """What is left of a page."""

    text: str
    """The lines that stay; empty if the whole page is dropped."""
    reason: str | None
    """Why the whole page is dropped; None if it stays."""
    removed: list[Removed]
    """The removed lines; empty if the whole page is dropped before its lines are examined."""


def clean_page(page: str, unwanted_words: Collection[str] = ()) -> CleanedPage:
    """Clean the text of one page.

    Args:
        page: the text, with one paragraph, menu entry, ... per line.
        unwanted_words: a page with one of these words or phrases, in any case, is dropped; inside a longer word they do
            not count.
    """
    check_text("page", page)
    unwanted = {word.lower() for word in each_text("unwanted_words", unwanted_words)}
    lowered = page.lower()
    if "lorem ipsum" in lowered:
        return CleanedPage("", "has placeholder text (lorem ipsum)", [])
    if "{" in page:
        return CleanedPage("", "has a curly bracket: likely program code", [])
    if any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", lowered) for word in unwanted if word):
        return CleanedPage("", "has an unwanted word", [])
    kept, removed = [], []
    for line in filter(None, map(str.strip, page.split("\n"))):
        line = _CITATION.sub("", line).strip()
        reason = _why_a_line_goes(line)
        if reason is None:
            kept.append(line)
        else:
            removed.append(Removed(line, reason))
    sentences = sum(len(split_sentences(line)) for line in kept)
    if sentences < LEAST_SENTENCES:
        return CleanedPage("", f"fewer than {LEAST_SENTENCES} sentences are left", removed)
    return CleanedPage("\n".join(kept), None, removed)


def _why_a_line_goes(line: str) -> str | None:
    lowered = line.lower()
    if not line.endswith(END_MARKS):
        return "does not end in a full stop, question mark, exclamation mark or quotation mark"
    if len(line.split()) < LEAST_WORDS:
        return f"has fewer than {LEAST_WORDS} words"
    if "javascript" in lowered:
        return "has the word Javascript: likely a warning to switch it on"
    for phrase in POLICY_PHRASES:
        if phrase in lowered:
            return f"has the phrase {phrase!r}"
    return None


def drop_repeated_spans(pages: Iterable[str]) -> list[str]:
    """Keep only the first occurrence of any three consecutive sentences that occur more than once.

    Case and white space are ignored. A sentence stays if none of the spans that contain it is a repetition.

    Args:
        pages: the texts; their order decides which occurrence is the first.

    Returns:
        As many texts as there were pages, some of them shorter or empty.

    Raises:
        ValueError: a page is not a text.
    """
    seen: set[tuple[str, ...]] = set()
    cleaned = []
    for page in each_text("pages", pages):
        sentences = [(number, text) for number, line in enumerate(page.split("\n")) for text in split_sentences(line)]
        plain = [" ".join(text.lower().split()) for _, text in sentences]
        repeated: set[int] = set()
        for start in range(len(plain) - SPAN + 1):
            key = tuple(plain[start : start + SPAN])
            if key in seen:
                repeated.update(range(start, start + SPAN))
            seen.add(key)
        lines: dict[int, list[str]] = {}
        for place, (number, text) in enumerate(sentences):
            if place not in repeated:
                lines.setdefault(number, []).append(text)
        cleaned.append("\n".join(" ".join(texts) for texts in lines.values()))
    return cleaned
