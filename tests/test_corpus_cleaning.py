"""The rules of C4: which lines and pages stay, why others are dropped, and what counts as a repetition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plm_lessons.corpus import documents
from plm_lessons.corpus_cleaning import clean_page, drop_repeated_spans

GOOD = "The opera has four acts. It was written in Paris. It is sung in French."


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Home | News | Sport | Weather", "does not end"),
        ("The opera was first given in", "does not end"),
        ("Click here now!", "fewer than 5 words"),
        ("Please switch on JavaScript to see this page.", "Javascript"),
        ("By reading on you accept our Privacy Policy.", "'privacy policy'"),
        ("Read our Terms of Use before you go on.", "'terms of use'"),
        ("All of it is in our cookie policy.", "'cookie policy'"),
        ("This website uses cookies to improve your visit.", "'uses cookies'"),
        ("You agree to the use of cookies.", "'use of cookies'"),
        ("We use cookies to improve your visit.", "'use cookies'"),
    ],
)
def test_a_bad_line_goes_and_the_page_stays(line: str, reason: str) -> None:
    cleaned = clean_page(f"{GOOD}\n{line}\n\nIs this a second good line?")
    assert cleaned.text == f"{GOOD}\nIs this a second good line?" and cleaned.reason is None
    [removed] = cleaned.removed
    assert removed.line == line and reason in removed.reason


@pytest.mark.parametrize("end", [".", "!", "?", '"', "”"])
def test_lines_that_end_in_punctuation_and_have_five_words_stay(end: str) -> None:
    line = f"It was given five times{end}"
    assert clean_page(f"{GOOD}\n{line}").text.endswith(line)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (f"{GOOD}\nLorem Ipsum dolor sit amet.", "placeholder"),
        (f"{GOOD}\nif (opera) {{ sing(); }}", "curly bracket"),
        ("It was written in Paris. It is sung in French.", "fewer than 3 sentences"),
        (f"{GOOD}\nIt has an Ugly word in it.", "unwanted word"),
    ],
)
def test_a_bad_page_goes_as_a_whole(page: str, reason: str) -> None:
    cleaned = clean_page(page, unwanted_words={"ugly"})
    assert cleaned.text == "" and cleaned.reason is not None and reason in cleaned.reason
    assert clean_page(GOOD, unwanted_words={"ugly"}).reason is None
    assert clean_page(f"{GOOD}\nIt was not uglydom or art.", unwanted_words={"ugly"}).reason is None


def test_citation_marks_go_and_the_line_stays() -> None:
    page = "The opera has four acts.[1] It was written[edit] in Paris.[citation needed] It is sung in French.[23]"
    assert clean_page(page).text == GOOD


def test_encyclopedia_articles_pass() -> None:
    texts = [document.text for document in documents("wikipedia", "held_out") if len(document.sentences) >= 5]
    kept = [clean_page(text) for text in texts]
    assert len(texts) > 200 and sum(page.reason is None for page in kept) > 0.95 * len(texts)


def test_three_sentences_that_come_again_go_and_two_stay() -> None:
    a, b, c, d = ("The first is here.", "A second follows.", "The third ends it.", "Something else.")
    assert drop_repeated_spans([f"{a} {b} {c}", f"{d} {a.upper()}  {b}\n{c} {d}"]) == [f"{a} {b} {c}", f"{d}\n{d}"]
    assert drop_repeated_spans([f"{a} {b} {d}", f"{a} {b} {c}"]) == [f"{a} {b} {d}", f"{a} {b} {c}"]
    assert drop_repeated_spans([f"{a} {b} {c}"] * 3) == [f"{a} {b} {c}", "", ""]
    assert drop_repeated_spans([f"{a} {b} {c} {a} {b} {c} {d}"]) == [f"{a} {b} {c} {d}"]


@given(st.lists(st.lists(st.sampled_from(["A b.", "C d.", "E f.", "G h."]), max_size=9), max_size=5))
def test_a_sentence_goes_if_it_is_in_a_span_of_three_that_was_met_before(pages: list[list[str]]) -> None:
    met: list[list[str]] = []
    expected = []
    for page in pages:
        spans = [page[start : start + 3] for start in range(len(page) - 2)]
        again = {start for start, span in enumerate(spans) if span in [*met, *spans[:start]]}
        expected.append(" ".join(one for place, one in enumerate(page) if not again & {place - 2, place - 1, place}))
        met += spans
    assert drop_repeated_spans([" ".join(page) for page in pages]) == expected


@pytest.mark.parametrize(
    ("word", "sign"), [("damn", "'damn'"), ("damn", "--damn--"), ("bad phrase", "bad phrase"), ("f*ck", "f*ck")]
)
def test_an_unwanted_word_is_found_between_any_signs(word: str, sign: str) -> None:
    page = f"He came home late that {sign} night."
    assert clean_page("\n".join([page] * 5), [word]).reason == "has an unwanted word"
    assert clean_page("\n".join([page.replace(sign, f"x{word}x")] * 5), [word, ""]).reason is None


def test_a_line_whose_last_sign_is_a_citation_stays() -> None:
    page = "\n".join(["He came home late that night. [1]"] * 5)
    assert clean_page(page).text.split("\n") == ["He came home late that night."] * 5
