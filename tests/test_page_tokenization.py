"""The tokenizers of the page compared with the library `tokenizers`, token for token, in a browser."""

from __future__ import annotations

import itertools
import random
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page
from widget_page import IMPORT

from plm_lessons.corpus import documents
from plm_lessons.objectives import candidate_positions, number_words, word_starts
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.widgets.base import source
from plm_lessons.widgets.tokenization import MASK_TOKENS, packed, tokenize

NAMES = tuple(MASK_TOKENS)
every_tokenizer = pytest.mark.parametrize("name", NAMES)

# Characters that Unicode had in version 3.2 (2002). The library's tables are younger, but not as young as the
# browser's; these four have changed from punctuation, letter or accent to something else since its tables were made.
CHANGED = {0x166D, 0x1734, 0x1885, 0x1886}
OLD = [
    chr(code)
    for code in range(0x110000)
    if code not in CHANGED and unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Cs", "Co")
]
BULK = re.compile("[\u3400-\u4db5\u4e00-\u9fa5\uac00-\ud7a3\U00020000-\U0002a6d6]")
STRANGE = (
    *("", " ", "\n\t", "a", "##ing", "-", "...", "''``\"", "\u2581", "a\u2581b", "\u2581\u2581", "_", "\u0120x", "Ġ"),
    *("[MASK]", "x [MASK] y", "x[MASK]y", "<mask>", "a  <mask> b", "<MASK>", "[mask]", "[UNK]", "<unk>", "a <unk>b"),
    *("<s>", "</s>", "a</s>b", "<pad>", "[PAD]", "[CLS][SEP]", "<extra_id_0>", "<extra_id_10><extra_id_1>", "<extra"),
    *(
        "naïve café",
        "nai\u0308ve cafe\u0301",
        "ÀÉÎÕÜ",
        "Straße ẞ",
        "İstanbul ıI",
        "ΣΊΣΥΦΟΣ σς",
        "ﬁ ﬂ ﬃ",
        "Ⅷ ① ½ ²",
        "ǅ",
    ),
    *(
        "東京 is 京",
        "東\u3000京",
        "\u3400\u9fff\uf900",
        "\U00020000\U0002a6df",
        "한국어",
        "\u1112\u1161\u11ab",
        "カﾞガが",
    ),
    *("שלום עולם", "سَلَام", "हिन्दी", "ไทย", "ქართული", "\u202eabc\u202c", "a\u200bb", "a\u200db", "\ufeffa", "\u00ada"),
    *(
        "😀",
        "a😀b",
        "👩‍👩‍👧",
        "🏳️‍🌈",
        "👍🏽",
        "🇫🇷",
        "☃️",
        "😀" * 40,
        "\x00a\x01b\x7f",
        "a\u0085b",
        "a\u0085<mask> b \u0085[MASK]",
        "a\u00a0b",
        "\u2028",
        "\ufffd",
    ),
    *("it's I'm WE'LL they've he'd", "'s't're", "1,000.50", "1 2  3   4", "a" * 100, "a" * 101, "é" * 101, "x" * 400),
    *("supercalifragilisticexpialidocious", "-" * 80, "ab\r\ncd", "  lead", "trail  ", "\t tab", "a\u0301\u0302\u0303"),
    *("<img src=x onerror=alert(1)>", "</script>", "&amp;", "C:\\x", "e\u0301" * 30, "\u1e9b\u0323", "ﷺ", "\U0001d504"),
)


@pytest.fixture(scope="module")
def page(open_shared_page: Callable[..., Page]) -> Page:
    """A page in which `cut(name, texts)` gives the tokens and word numbers of each text."""
    found = open_shared_page("about:blank")
    found.evaluate(IMPORT, source("tokenization.js"))
    packs = [packed(name) for name in NAMES]
    found.evaluate(
        """(packs) => {
          const opened = Object.fromEntries(packs.map((pack) => [pack.kind, lib.openTokenizer(pack)]));
          window.cut = (name, texts) => texts.map((text) => opened[name].tokenize(text));
          window.pieces = (name) => opened[name].pieces;
        }""",
        packs,
    )
    return found


def assert_same(page: Page, name: str, texts: list[str]) -> None:
    found = page.evaluate("([name, texts]) => cut(name, texts)", [name, texts])
    for text, pairs in zip(texts, found, strict=True):
        assert [tuple(pair) for pair in pairs] == tokenize(name, text), repr(text)


@every_tokenizer
def test_sentences_that_no_tokenizer_was_trained_on(page: Page, name: str) -> None:
    held_out = (sentence for document in documents(split="held_out") for sentence in document.sentences)
    texts = list(itertools.islice(held_out, 400))
    assert len(texts) == 400
    assert_same(page, name, texts)


@every_tokenizer
def test_strange_texts(page: Page, name: str) -> None:
    assert_same(page, name, list(STRANGE))


@every_tokenizer
def test_every_character_of_unicode_3_2(page: Page, name: str) -> None:
    """Each alone and between letters (of Chinese and Korean ones every 50th), and 300 texts of any forty of them."""
    tested = [c for i, c in enumerate(OLD) if not BULK.match(c) or i % 50 == 0]
    texts = [" ".join(f"a{c}b {c}" for c in tested[i : i + 40]) for i in range(0, len(tested), 40)]
    rng = random.Random(7)
    assert_same(page, name, texts + ["".join(rng.choices(OLD, k=40)) for _ in range(300)])


common = st.sampled_from(
    [*"aeinorst' -.,AEIßéô\u0301\u00a0\n01一😀", "##", "''", "[MASK]", "<mask>", "</s>", "the ", "ing"]
)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.lists(common | st.sampled_from(OLD), max_size=30).map("".join), min_size=8, max_size=8))
def test_random_texts(page: Page, texts: list[str]) -> None:
    for name in NAMES:
        assert_same(page, name, texts)


@every_tokenizer
def test_tokens_and_words_are_those_of_the_package(name: str) -> None:
    """`tokenize` in Python is also compared with `load_tokenizer` and `number_words`."""
    tokenizer = load_tokenizer(name)
    vocabulary = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    added = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.content not in ("[UNK]", "<unk>")}
    scheme = {"wordpiece": "wordpiece", "byte_level_bpe": "byte_level"}.get(name, "unigram")
    for text in ("The Philadelphians' naïve café, 東京 [MASK] it's 1,000 <mask> tests", "unbelievable"):
        encoding = tokenizer.encode(text)
        ids = torch.tensor([encoding.ids])
        numbers = number_words(ids, word_starts(list(map(str, vocabulary)), scheme), candidate_positions(ids, added))
        found = tokenize(name, text)
        assert [word for _, word in found] == numbers[0].tolist()
        assert [token for token, _ in found] == [token.strip() for token in encoding.tokens]


@every_tokenizer
def test_pieces_are_packed_in_the_order_of_their_ids(page: Page, name: str) -> None:
    tokenizer = load_tokenizer(name)
    wanted: list[Any] = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    assert page.evaluate("(name) => pieces(name)", name) == wanted and len(wanted) == 8192
    assert MASK_TOKENS[name] in wanted
