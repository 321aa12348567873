"""What T5's authors took from the web, and what they left: the rules that made C4, the Colossal Clean Crawled Corpus.

A page of Common Crawl is a text extracted from HTML: menus, error messages and program code stand between its
sentences. `clean_page` says of each line whether it stays, and why not. `drop_repeated_spans` then removes what several
pages have in common. Two rules are not here: pages to which langdetect gave a probability of English below 0.99, which
takes a model, and a list of words that made a page disappear. That list is not in this repository; `unwanted_words`
takes one.

Source: T5 (Raffel et al. 2020, arXiv:1910.10683), section 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from plm_lessons.checks import check_text, check_whole, each_text
from plm_lessons.corpus import split_sentences

END_MARKS = (".", "!", "?", '"', "”")
LEAST_WORDS = 5  # of a line
LEAST_SENTENCES = 3  # of a page
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
    """A line that goes, and the rule that says so."""

    line: str
    reason: str


class CleanedPage(NamedTuple):
    """What is left of a page."""

    text: str
    """The lines that stay; empty if the page goes."""
    reason: str | None
    """Why the whole page goes; None if it stays."""
    removed: list[Removed]
    """The lines that go; none where the whole page goes before its lines are looked at."""


def clean_page(page: str, unwanted_words: Collection[str] = ()) -> CleanedPage:
    """Clean the text of one page.

    Args:
        page: text with one paragraph, menu entry, ... a line.
        unwanted_words: a page with one of these words or phrases, in any case, goes; as a part of a word it may stay.
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


def drop_repeated_spans(pages: Iterable[str], span: int = 3) -> list[str]:
    """Of any `span` sentences that follow each other in several places, leave only the first occurrence.

    Case and white space do not count. A sentence stays if none of the spans that hold it is a repetition.

    Args:
        pages: texts, in the order in which they count as first.
        span: sentences of a span, at least 1.

    Returns:
        As many texts, some of them shorter or empty.

    Raises:
        ValueError: `span` is less than 1, or a page is no text.
    """
    check_whole("span", span, least=1)
    seen: set[tuple[str, ...]] = set()
    cleaned = []
    for page in each_text("pages", pages):
        sentences = [(number, text) for number, line in enumerate(page.split("\n")) for text in split_sentences(line)]
        plain = [" ".join(text.lower().split()) for _, text in sentences]
        repeated: set[int] = set()
        for start in range(len(plain) - span + 1):
            key = tuple(plain[start : start + span])
            if key in seen:
                repeated.update(range(start, start + span))
            seen.add(key)
        lines: dict[int, list[str]] = {}
        for place, (number, text) in enumerate(sentences):
            if place not in repeated:
                lines.setdefault(number, []).append(text)
        cleaned.append("\n".join(" ".join(texts) for texts in lines.values()))
    return cleaned
