"""The sentence-pair game: its counts in the page and in Python, and a game played by keyboard and by pointer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Locator, Page, expect
from scipy.stats import binomtest
from widget_page import CONTRAST, GRAPHICS, IMPORT, MARKUP, STICKING_OUT, bare, drawn, render_with_model, set_theme

from plm_lessons.widgets import SentencePairs
from plm_lessons.widgets.sentence_pairs import EXAMPLE, TEXT
from plm_lessons.widgets.sentence_pairs_maths import (
    READER,
    RULE,
    STOP_WORDS,
    TASKS,
    content_words,
    overlap_guess,
    playing_order,
    scores,
    shared_words,
)


def pair(task: str, first: str, second: str, label: int, **more: Any) -> dict[str, Any]:
    return {"task": task, "first": first, "second": second, "label": label, **more}


# The rule is wrong about the second, and about the fourth, which is next but shares no word.
PAIRS = [
    pair("nsp", "The cats sleep.", "A cat is awake.", 0, probabilities={"BERT": 0.9, "bag": 0.2}, sources=("Cat",) * 2),
    pair(
        "nsp", "Opera in Paris.", "Snow in Paris.", 1, probabilities={"BERT": 0.5, "bag": 0.4}, sources=("Opera", "X")
    ),
    pair("nsp", "Rain fell.", "Bread is baked.", 1, probabilities={"BERT": 0.1}),
    pair("nsp", "He was born in 1900.", "She married him.", 0, probabilities={"BERT": 0.49}),
    pair("sop", "It opened in May.", "The hall is a theatre.", 1, probabilities={"BERT": 0.8}),
    pair("sop", "Iron is a metal.", "Metals conduct.", 0),
]
STRANGE = (
    *("", " ", "the THE The", "don't stop", "cats cat CATS", "glass glasses series", "a1 1a 1900-1901", "s ss css gas"),
    *("naïve NAÏVE nai\u0308ve", "ὈΔΥΣΣΕΎΣ ὑποκριτής ΣΑΣ", "שָׁלוֹם עולם", "مرحبا بالعالم", "हिन्दी भाषा", "我喜欢猫。"),
    *("👩‍👩‍👧 fun 🎉🎉", MARKUP, "İstanbul istanbul", "x" * 450, "snake_case kebab-case", "a\u200bb\u00adc", "²³ ½ Ⅷ"),
    "\u2028line\u2029s",
)


# --- counting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ("The cats sleep.", "A cat is awake.", ["cats"]),
        ("The glass of the classes", "glasses, class", []),  # "glasse" is not "glass": only an -s is left off
        ("Buses and buse", "buse", ["buses"]),
        ("gas", "gases ga", []),  # three letters are too short, and -ss stays
        ("He was with them, and they were with her.", "And he was with them.", []),
        ("Snow in Paris, PARIS!", "paris-snow", ["snow", "paris"]),
        ("born in 1900", "since 1900", ["1900"]),
        ("snake_case", "snake case", ["snake", "case"]),
        ("naïve", "nai\u0308ve", []),  # they are compared as they are written
        ("हिन्दी", "हिन्दी भाषा", ["हिन्दी"]),  # its vowels are marks
        ("🎉", "🎉", []),
    ],
)
def test_shared_words(first: str, second: str, wanted: list[str]) -> None:
    assert shared_words(first, second) == wanted
    assert overlap_guess(pair("nsp", first, second, 0)) == int(not wanted)
    assert len(shared_words(second, first)) == len(wanted)  # so it cannot tell the order


WORD = st.text("aAsSéλΣ1- _'’ا\u0301猫🎉<", max_size=12)


def test_page_counts_the_words_that_python_counts(open_page: Callable[..., Page]) -> None:
    page = open_page("about:blank")
    page.evaluate(IMPORT, SentencePairs()._esm)
    assert set(page.evaluate("[...lib.STOP_WORDS]")) == STOP_WORDS

    def agree(first: str, second: str) -> None:
        found = page.evaluate("([a, b]) => [...lib.sharedWords(a, b).values()]", [first, second])
        assert found == shared_words(first, second), (first, second)
        pieces = page.evaluate("(text) => lib.parts(text)", first)
        assert "".join(part for part, _ in pieces) == first
        assert dict.fromkeys(word for _, word in pieces if word is not None) == dict.fromkeys(content_words(first))

    for first in STRANGE:
        for second in STRANGE:
            agree(first, second)
    for some in (*EXAMPLE, *PAIRS):
        agree(some["first"], some["second"])
    settings(max_examples=60, deadline=None, database=None, derandomize=True)(given(WORD, WORD)(agree))()


def test_page_and_python_play_in_the_same_order_and_keep_the_same_scores(open_page: Callable[..., Page]) -> None:
    page = open_page("about:blank")
    page.evaluate(IMPORT, SentencePairs()._esm)
    plain = [*json.loads(json.dumps(SentencePairs(PAIRS).state()["pairs"])), *SentencePairs().state()["pairs"]] * 3
    guesses = [(0, 1, None)[i * i % 3] for i in range(len(plain))]
    for task in TASKS:
        for seed in (0, 1, 7, 2**32 - 1):
            found = page.evaluate("(given) => lib.playingOrder(...given)", [plain, task, seed])
            assert found == playing_order(plain, task, seed)
        code = "(given) => Object.fromEntries(lib.scores(...given))"
        found = page.evaluate(code, [plain, guesses, task, READER, RULE])
        guessed = [(one, guess) for one, guess in zip(plain, guesses, strict=True) if guess is not None]
        assert {name: tuple(counts) for name, counts in found.items()} == scores(guessed, task)


def test_order_is_a_shuffle_that_opens_with_a_tempting_pair() -> None:
    orders = {seed: playing_order(PAIRS, "nsp", seed) for seed in range(50)}
    assert all(sorted(order) == [0, 1, 2, 3] and order[0] == 1 for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) == 6  # the others in every order
    assert playing_order([PAIRS[0], PAIRS[2], PAIRS[3]], "nsp", 0)[0] == 2  # none tempts, but the rule is wrong
    assert sorted(playing_order([PAIRS[0], PAIRS[2]], "nsp", 0)) == [0, 1]  # the rule is right about both
    assert playing_order(PAIRS, "sop", 3) in ([4, 5], [5, 4])


def test_scores_by_hand() -> None:
    guessed = [(PAIRS[0], 0), (PAIRS[1], 0), (PAIRS[3], 0), (PAIRS[4], 1)]
    # 0.5 says "next", wrong for the second pair; 0.49 "random", wrong for the fourth. "bag" is silent about the fourth.
    assert scores(guessed, "nsp") == {READER: (2, 3), RULE: (1, 3), "BERT": (1, 3), "bag": (1, 2)}
    assert scores(guessed, "sop") == {READER: (1, 1), RULE: (1, 1), "BERT": (0, 1)}
    assert scores([(PAIRS[0], None)], "nsp") == {RULE: (1, 1), "BERT": (1, 1), "bag": (0, 1)}
    assert SentencePairs(PAIRS, guesses=[0, 0, None, 0, 1, None]).score == {
        task: scores(guessed, task) for task in TASKS
    }
    assert SentencePairs(PAIRS).score == {"nsp": {}, "sop": {}}


def wilson(right: int, asked: int) -> tuple[float, float]:
    """The 95 % interval for the chance of being right, of someone who was right this often, by `scipy`."""
    if not asked:
        return 0.0, 1.0
    low, high = binomtest(right, asked).proportion_ci(method="wilson")
    return low, high


def test_intervals_are_those_of_wilson(open_page: Callable[..., Page]) -> None:
    cases = [(right, asked) for asked in (0, 1, 2, 5, 20, 200) for right in {0, 1, asked // 2, asked}]
    page = open_page("about:blank")
    page.evaluate(IMPORT, SentencePairs()._esm)
    in_page = page.evaluate("(cases) => cases.map((counts) => lib.wilson(...counts))", cases)
    for counts, found in zip(cases, in_page, strict=True):
        assert found == pytest.approx(wilson(*counts), abs=1e-12)


# --- the game in a reader's hands -------------------------------------------------------------------------------------

READ = """root => {
  const text = (selector) => root.querySelector(selector).innerText.trim();
  const tidy = (cell) => cell.innerText.replace(/\\s+/g, ' ').replace(' ,', ',').trim();
  const cells = (row) => [...row.children].map(tidy);
  return {
    texts: [...root.querySelectorAll('.plm-game-segment p')].map((p) => p.textContent),
    underlined: [...root.querySelectorAll('mark')].map((mark) => mark.textContent),
    answer: text('.plm-game-answer'),
    progress: text('.plm-game-progress'),
    verdict: text('.plm-game-verdict'),
    table: [...root.querySelectorAll('tbody tr')].map(cells),
    columns: cells(root.querySelector('thead tr')),
    buttons: [...root.querySelectorAll('button')].filter((b) => b.checkVisibility()).map((b) => b.textContent),
    focus: root.contains(document.activeElement) ? document.activeElement.textContent : null,
  };
}"""
GUESSES = {"nsp": ("B follows A", "B is from another text"), "sop": ("In order", "Swapped")}
GAMES = {"nsp": "next sentence (NSP)", "sop": "sentence order (SOP)"}


class Game:
    """The game on a page, and what a reader sees of it."""

    def __init__(self, page: Page) -> None:
        self.page, self.root = page, page.locator(".plm-widget")
        self.message = self.root.locator(".plm-message")

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def press(self, name: str, by: str = "pointer") -> None:
        if by == "keyboard":
            self.button(name).press("Enter")
        else:
            self.button(name).click()

    def read(self) -> dict[str, Any]:
        return self.root.evaluate(READ)

    def assert_shows(
        self, pairs: list[dict[str, Any]], task: str, seed: int, guesses: dict[int, int], current: int
    ) -> None:
        """All texts are what Python computes for the pair on show, guessed or not, and the pairs guessed so far."""
        shown, now = self.read(), pairs[current]
        order, revealed = playing_order(pairs, task, seed), current in guesses
        done = [i for i in order if i in guesses]
        assert shown["progress"] == f"Pair {len(done) + (not revealed)} of {len(order)}"
        assert shown["texts"] == [now["first"], now["second"]]
        shared = shared_words(now["first"], now["second"])
        marked = {word for text in shown["underlined"] for word in content_words(text)}
        assert marked == (set(content_words(" ".join(shared))) if revealed else set())
        last = len(done) == len(order)
        wanted = [*(() if last else ("Next pair",))] if revealed else [*GUESSES[task]]
        assert shown["buttons"] == [*wanted, "New game"]
        if revealed:
            verdict = "Right" if guesses[current] == now["label"] else "Wrong"
            assert f"{verdict}: {TEXT['truths'][task][now['label']]}" in shown["answer"]
            for title in now.get("sources", ()):
                assert f"\u201c{title}\u201d" in shown["answer"]
            count = f"{len(shared)} content word" if shared else "No content word in both."
            assert count in self.root.inner_text()
        else:
            assert shown["answer"] == "" and "content word in both" not in self.root.inner_text()
        # The table: what each says about this pair, and how often each was right.
        says = TEXT["says"][task]
        probabilities = now.get("probabilities", {})
        guessed = [({"probabilities": {}, **pairs[i]}, guess) for i, guess in guesses.items()]
        tasks = [name for name in TASKS if any(one["task"] == name for one in pairs)]
        counts = {name: scores(guessed, name) for name in tasks}
        models = sorted({name for one in pairs for name in one.get("probabilities", {})})
        assert [name for name, *_ in shown["table"]] == [READER, RULE, *models]
        for name, answer, *found in shown["table"]:
            said = {READER: guesses.get(current), RULE: overlap_guess(now)}
            said |= {model: int(p < 0.5) for model, p in probabilities.items()}
            if not revealed or name not in said:
                assert answer == "–"
            else:
                right = said[name] == now["label"]
                assert answer.startswith(f"{'✓' if right else '✗'} {'Right' if right else 'Wrong'}: {says[said[name]]}")
                if name in probabilities:
                    percent = 100 * probabilities[name]
                    written = f"{percent:.1f}" if f"{percent:.0f}" == "50" else f"{percent:.0f}"
                    assert answer.endswith(f" {written} % {says[0]}")
                if name == RULE:
                    assert answer.endswith(f"{len(shared)} shared")
            for name_of_task, text in zip(tasks, found, strict=True):
                right, asked = counts[name_of_task].get(name, (0, 0))
                low, high = (round(100 * edge) for edge in wilson(right, asked))
                assert text == (f"{right} of {asked}, {low} to {high} %" if asked else "–")


@pytest.fixture(scope="module")
def shared_page(tmp_path_factory: pytest.TempPathFactory, open_shared_page: Callable[..., Page]) -> Page:
    return open_shared_page(bare(tmp_path_factory.mktemp("bare"), SentencePairs(PAIRS, seed=5)))


@pytest.fixture
def game(shared_page: Page) -> Iterator[Game]:
    shared_page.reload()
    found = Game(shared_page)
    found.assert_shows(PAIRS, "nsp", 5, {}, 1)  # the pair that tempts
    yield found


@pytest.mark.parametrize("by", ("keyboard", "pointer"))
def test_a_whole_game_of_both_tasks(game: Game, by: str) -> None:
    guesses: dict[int, int] = {}
    for task in TASKS:
        if task == "sop":
            radio = game.root.get_by_role("radio", name=GAMES["nsp"])
            if by == "keyboard":
                radio.press("ArrowRight")
            else:
                game.root.locator("label", has_text=GAMES["sop"]).click()
            expect(game.root.get_by_role("radio", name=GAMES["sop"])).to_be_checked()
        order = playing_order(PAIRS, task, 5)
        for number, current in enumerate(order):
            game.assert_shows(PAIRS, task, 5, guesses, current)
            label = (number + (task == "sop")) % 2
            game.press(GUESSES[task][label], by)
            guesses[current] = label
            game.assert_shows(PAIRS, task, 5, guesses, current)
            last = number == len(order) - 1
            assert game.read()["focus"] == (game.read()["answer"] if last else "Next pair")  # the next key goes on
            if last:
                game.page.keyboard.press("Enter")  # one press too many loses nothing
                game.assert_shows(PAIRS, task, 5, guesses, current)
            if not last:
                game.press("Next pair", by)
                assert game.read()["focus"] == GUESSES[task][0]
    # Back to the first task: all of it is guessed, and its last pair is still there to be read.
    game.root.get_by_role("radio", name=GAMES["nsp"]).check()
    game.assert_shows(PAIRS, "nsp", 5, guesses, playing_order(PAIRS, "nsp", 5)[-1])
    game.press("New game", by)
    first, second, *_ = playing_order(PAIRS, "nsp", 6)
    game.assert_shows(PAIRS, "nsp", 6, {}, first)
    game.press(GUESSES["nsp"][0], by)
    game.press("Next pair", by)
    assert second != playing_order(PAIRS, "nsp", 5)[1]  # the first pair is the same in all games: it is a tempting one
    game.assert_shows(PAIRS, "nsp", 6, {first: 0}, second)


def test_going_to_the_other_game_and_back_loses_no_guess(game: Game) -> None:
    game.press("B follows A")
    game.root.get_by_role("radio", name=GAMES["sop"]).check()
    game.assert_shows(PAIRS, "sop", 5, {1: 0}, playing_order(PAIRS, "sop", 5)[0])
    game.root.get_by_role("radio", name=GAMES["nsp"]).check()
    game.assert_shows(PAIRS, "nsp", 5, {1: 0}, playing_order(PAIRS, "nsp", 5)[1])


@pytest.mark.parametrize(
    ("right", "wanted"), ((0, "worse than guessing"), (3, "may still be luck"), (6, "better than guessing"))
)
def test_verdict_comes_with_its_interval(
    right: int, wanted: str, tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    pairs = [pair("nsp", f"alpha {i}", f"beta {i}", i % 2) for i in range(7)]
    given = [*(one["label"] if i < right else 1 - one["label"] for i, one in enumerate(pairs[:6])), None]
    game = Game(open_page(bare(tmp_path, SentencePairs(pairs, guesses=given))))
    low, high = (round(100 * edge) for edge in wilson(right, 6))
    assert f"NSP: you got {right} of 6 right. That fits a true rate of {low} to {high} %" in game.read()["verdict"]
    assert wanted in game.read()["verdict"]
    few = Game(open_page(bare(tmp_path, SentencePairs(pairs, guesses=[*given[:4], None, None, None]))))
    assert few.read()["verdict"] == ""


def test_scores_are_drawn_where_they_are(game: Game) -> None:
    game.press("B follows A")  # wrong, as are the rule and the BERT that says 0.5; bag is right
    low, high = wilson(0, 1)
    percent = lambda part, name: float((part.get_attribute(name) or "").rstrip("%"))  # noqa: E731
    plots = game.root.locator(".plm-game-interval")
    assert plots.count() == 4
    for i, share in enumerate((0, 0, 0, 1)):  # you, word overlap, BERT, bag
        line, dot = plots.nth(i).locator(".plm-game-range"), plots.nth(i).locator(".plm-game-dot")
        edges = (low, high) if share == 0 else (1 - high, 1 - low)
        assert [percent(line, "x1"), percent(line, "x2")] == pytest.approx([100 * edge for edge in edges], abs=0.006)
        assert percent(dot, "x") == 100 * share and percent(plots.nth(i).locator(".plm-game-guessing"), "x1") == 50


@pytest.mark.parametrize("forced", ("none", "active"))
def test_words_and_intervals_are_seen_in_every_colour(
    forced: str, tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    for theme in ("light", "dark"):
        address = bare(tmp_path, SentencePairs(PAIRS, seed=5))
        game = Game(open_page(address, forced_colors=forced, color_scheme=theme))
        set_theme(game.page, theme)
        game.press("B follows A")
        assert game.root.locator("mark").count() == 2
        text, drawn_ = game.root.evaluate(CONTRAST)["worst"], game.root.evaluate(GRAPHICS)
        assert text[0] >= 4.5, text
        # Guessing, interval and share, four times.
        assert drawn_["seen"] == 12 and drawn_["worst"][0] >= 3, drawn_["worst"]


def test_result_and_next_pair_are_announced_politely(game: Game) -> None:
    status = game.root.locator("[role=status]")
    expect(status).to_have_attribute("aria-live", "polite")
    expect(status).to_have_text("")
    game.press("B is from another text")
    expect(status).to_contain_text("Right: B is from another text. A: “Opera”, B: “X”")
    expect(status).to_contain_text("1 content word in both, underlined: paris.")
    expect(status).to_contain_text("word overlap: next. BERT: next. bag: random.")
    game.press("Next pair")
    now = PAIRS[playing_order(PAIRS, "nsp", 5)[1]]
    expect(status).to_have_text(f"Pair 2 of 4. A: {now['first']} B: {now['second']}")


def test_shared_words_are_underlined_not_only_coloured(game: Game) -> None:
    game.press("B follows A")
    looks = game.root.locator("mark").evaluate_all(
        """all => all.map((mark) => {
          const [own, around] = [mark, mark.parentNode].map((part) => getComputedStyle(part));
          return [own.fontWeight, around.fontWeight, own.textDecorationLine];
        })"""
    )
    assert looks and all(line == "underline" for *_, line in looks)
    assert all(weight == around for weight, around, _ in looks), "bold words would break the lines anew"


def test_one_task_needs_no_choice_of_games(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    pairs = PAIRS[4:]
    game = Game(open_page(bare(tmp_path, SentencePairs(pairs, task="sop")), width=320))
    assert game.root.get_by_role("radio").count() == 0
    first, second = playing_order(pairs, "sop", 0)
    game.press("Swapped")
    game.assert_shows(pairs, "sop", 0, {first: 1}, first)
    game.press("Next pair")
    game.assert_shows(pairs, "sop", 0, {first: 1}, second)
    assert game.read()["columns"] == ["who", "this pair", "SOP: right so far"]


def test_strange_texts_are_shown_as_text(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    strange = [text for text in STRANGE if text.strip()]
    names = (MARKUP[:30], "__proto__", "שלום", "🎉")
    pairs = [
        pair("nsp", text, f"{text} {text}", i % 2, probabilities={names[i % 4]: 1}, sources=(text[:200], MARKUP))
        for i, text in enumerate(strange)
    ]
    for width in (320, 1000):
        game = Game(open_page(bare(tmp_path, SentencePairs(pairs)), width=width))
        guesses: dict[int, int] = {}
        for current in playing_order(pairs, "nsp", 0):
            if guesses:
                game.press("Next pair")
            game.press("B follows A")
            guesses[current] = 0
            if width == 1000:
                game.assert_shows(pairs, "nsp", 0, guesses, current)
            assert game.root.evaluate(STICKING_OUT) == []
            assert game.page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
        assert game.root.locator("img, script").count() == 0
        assert game.root.locator(".plm-game-segment p").first.get_attribute("dir") == "auto"


def test_one_pair_is_a_whole_game(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    game = Game(open_page(bare(tmp_path, SentencePairs(PAIRS[:1]))))
    game.press("B follows A")
    game.assert_shows(PAIRS[:1], "nsp", 0, {0: 0}, 0)
    game.press("New game")
    game.assert_shows(PAIRS[:1], "nsp", 1, {}, 0)


# --- Python's side ----------------------------------------------------------------------------------------------------


def test_python_moves_the_view_and_the_view_sets_the_trait(open_page: Callable[..., Page]) -> None:
    widget = SentencePairs(PAIRS, seed=5)
    page = render_with_model(open_page("about:blank"), widget)
    game = Game(page)
    send = "([name, value]) => fake.fromKernel(name, value)"
    game.press("B follows A")
    game.press("Next pair")
    game.press("B is from another text")
    second = playing_order(PAIRS, "nsp", 5)[1]
    for message in page.evaluate("sent"):
        assert set(message) == {"guesses"}
        widget.set_state(message)
    assert widget.guesses == tuple({1: 0, second: 1}.get(i) for i in range(6))
    assert widget.score["nsp"][READER] == ((PAIRS[1]["label"] == 0) + (PAIRS[second]["label"] == 1), 2)
    game.press("New game")
    assert page.evaluate("sent").pop() == {"guesses": [], "seed": 6}

    # A guess that Python makes for the pair on show appears at once; when it is taken back, the pair is open again.
    page.evaluate("sent.length = 0")
    page.evaluate(send, ["seed", 5])
    page.evaluate(send, ["guesses", [None, 1, None, None, None, None]])
    game.assert_shows(PAIRS, "nsp", 5, {1: 1}, 1)
    page.evaluate(send, ["guesses", []])
    game.assert_shows(PAIRS, "nsp", 5, {}, 1)
    page.evaluate(send, ["task", "sop"])
    game.assert_shows(PAIRS, "sop", 5, {}, playing_order(PAIRS, "sop", 5)[0])
    # Other pairs: guesses that do not fit them, and a task that they lack, are ignored, with a message.
    page.evaluate(send, ["guesses", [None, 1, None, None, None, None]])
    others = json.loads(json.dumps(SentencePairs(PAIRS[:2]).state()["pairs"]))
    page.evaluate(send, ["pairs", others])
    expect(game.message).to_have_text("guesses must be empty, or a list of 0, 1 or null for each pair.")
    game.assert_shows(PAIRS[:2], "nsp", 5, {}, 1)
    page.evaluate(send, ["guesses", []])
    expect(game.message).to_have_text("task must be nsp or sop, and there must be pairs of it.")
    page.evaluate(send, ["task", "nsp"])
    expect(game.message).to_have_text("")
    assert page.evaluate("sent") == []

    good = others[0]
    wrong_pairs: list[Any] = [[], [good] * 201, "x", [good, None], [["nsp", "a", "b", 0]]]
    fields: tuple[tuple[str, Any], ...] = (
        *(("task", wrong) for wrong in ("toString", None)),
        *(("first", wrong) for wrong in ("", "  ", "x" * 1001, 3)),
        *(("second", wrong) for wrong in ("", ["b"])),
        *(("label", wrong) for wrong in (2, "0", True)),
        *(("probabilities", wrong) for wrong in (None, 0.5, {"a": 1.1}, {"a": -0.1}, {"a": "1"}, {"": 1}, {"you": 1})),
        *(("probabilities", {str(i): 1 for i in range(n)}) for n in (7,)),
        *(("sources", wrong) for wrong in (None, ["a"], ["a", ""], "ab")),
    )
    wrong_pairs += [[{**good, field: value}] for field, value in fields]
    for wrong in wrong_pairs:
        page.evaluate(send, ["pairs", wrong])
        assert game.message.inner_text().startswith("pairs must be a list of 1 to 200 pairs"), wrong
        game.assert_shows(PAIRS[:2], "nsp", 5, {}, 1)
    page.evaluate(send, ["pairs", others])
    for name, values in {"guesses": ([0], [0, 2], [0, "1"], "01"), "seed": (-1, 2**32, 0.5)}.items():
        before = page.evaluate("(name) => fake.get(name)", name)
        for value in values:
            page.evaluate(send, [name, value])
            expect(game.message).to_contain_text(f"{name} must be")
        page.evaluate(send, [name, before])
    expect(game.message).to_have_text("")


GOOD = PAIRS[0]


@pytest.mark.parametrize(
    ("wrong", "where", "allowed"),
    [
        ([], "pairs", "a list of 1 to 200 pairs, got []"),
        ([GOOD] * 201, "pairs", "a list of 1 to 200 pairs"),
        ([GOOD, ("nsp", "a", "b", 0)], "pairs[1]", "a dictionary with 'task', 'first', 'second', 'label', and"),
        ([{"task": "nsp", "first": "a", "second": "b"}], "pairs[0]", "a dictionary with"),
        ([{**GOOD, "document": 3}], "pairs[0]", "a dictionary with"),
        ([{**GOOD, "task": "NSP"}], "pairs[0]['task']", "one of ('nsp', 'sop'), got 'NSP'"),
        ([GOOD, {**GOOD, "first": " "}], "pairs[1]['first']", "a text of 1 to 1000 characters, not all white space"),
        ([{**GOOD, "second": "x" * 1001}], "pairs[0]['second']", "a text of 1 to 1000 characters"),
        ([{**GOOD, "second": None}], "pairs[0]['second']", "a text of 1 to 1000 characters"),
        ([{**GOOD, "label": 2}], "pairs[0]['label']", "0 (is next, in order) or 1, got 2"),
        ([{**GOOD, "label": True}], "pairs[0]['label']", "0 (is next, in order) or 1, got True"),
        ([{**GOOD, "sources": ("Cat",)}], "pairs[0]['sources']", "the titles that A and B are from, two texts"),
        ([{**GOOD, "sources": ("Cat", "")}], "pairs[0]['sources']", "the titles that A and B are from, two texts"),
        ([{**GOOD, "probabilities": [0.5]}], "pairs[0]['probabilities']", "a dictionary, got [0.5]"),
        ([{**GOOD, "probabilities": {"you": 1}}], "pairs[0]['probabilities']", "named by 1 to 30 characters other"),
        ([{**GOOD, "probabilities": {"x" * 31: 1}}], "pairs[0]['probabilities']", "named by 1 to 30 characters"),
        ([{**GOOD, "probabilities": {"a": 1.1}}], "pairs[0]['probabilities']['a']", "a number from 0 to 1, got 1.1"),
        ([{**GOOD, "probabilities": {"a": float("nan")}}], "pairs[0]['probabilities']['a']", "a number from 0 to 1"),
        ([{**GOOD, "probabilities": {"a": True}}], "pairs[0]['probabilities']['a']", "a number from 0 to 1"),
        ([{**GOOD, "probabilities": {str(i): 1 for i in range(7)}}], "pairs", "probabilities of at most 6 names, got"),
    ],
)  # fmt: skip
def test_wrong_pair_is_refused_by_name(wrong: Any, where: str, allowed: str) -> None:
    said = rf"SentencePairs\.{re.escape(where)} must (be|hold) {re.escape(allowed)}"
    with pytest.raises(ValueError, match=said):
        SentencePairs(wrong)
    widget = SentencePairs(PAIRS)
    with pytest.raises(ValueError, match=said):
        widget.pairs = wrong
    assert widget.state() == SentencePairs(PAIRS).state()


def test_traits_fit_each_other() -> None:
    widget = SentencePairs(PAIRS, guesses=[0, 1, None, None, None, 0])
    for wrong in ([0], [0] * 7, [0, 1, None, None, None, 2], [False] * 6, "010101"):
        with pytest.raises(ValueError, match=r"SentencePairs\.guesses must be empty"):
            widget.guesses = wrong
    with pytest.raises(ValueError, match=r"SentencePairs\.guesses must be empty or have .+ of 2 pairs, got 6"):
        widget.pairs = PAIRS[:2]
    widget.guesses = ()
    widget.pairs = PAIRS[:2]
    with pytest.raises(ValueError, match=r"SentencePairs\.task must be the task of some pair, nsp, got 'sop'"):
        widget.task = "sop"
    with pytest.raises(ValueError, match=r"SentencePairs\.task must be the task of some pair, sop, got 'nsp'"):
        SentencePairs(PAIRS[4:])
    assert len(widget.pairs) == 2 and widget.task == "nsp" and widget.guesses == ()


def test_state_is_short_to_read_and_rounded() -> None:
    widget = SentencePairs([{**GOOD, "probabilities": {"a": 1 / 3}}], guesses=[1])
    assert widget.state()["pairs"][0]["probabilities"] == {"a": 0.333333333}
    assert repr(widget) == "SentencePairs(pairs=<1 pairs>, guesses=<1 guesses>)"


def test_picture_tells_the_first_pair_and_all_scores() -> None:
    svg, rows = drawn(SentencePairs(PAIRS, seed=5))
    told = dict(rows)
    assert told["A"] == "Opera in Paris." and told["B"] == "Snow in Paris."
    assert told[TEXT["asks"]["nsp"]] == "B is from another text." and told[TEXT["shared"]] == "paris"
    assert told["Right on all pairs, NSP"] == "word overlap: 2 of 4, BERT: 2 of 4, bag: 1 of 2"
    assert told["Right on all pairs, SOP"] == "word overlap: 2 of 2, BERT: 0 of 1"
    assert svg.count('class="curve') == 4 + 4 and [svg.count(f"c{i} mark") for i in range(4)] == [1 + 5] * 4
    svg, rows = drawn(SentencePairs([pair("sop", MARKUP, "b", 1)], task="sop"))
    assert svg.count('class="curve') == 2 + 2 and dict(rows)["A"] == MARKUP.replace("<", "&lt;").replace(">", "&gt;")


def test_page_and_python_use_the_same_words() -> None:
    source = SentencePairs()._esm
    texts = [TEXT["title"], READER, RULE, *TEXT["asks"].values(), *TEXT["short"].values()]
    for text in (*texts, *(text for part in ("truths", "says") for both in TEXT[part].values() for text in both)):
        assert json.dumps(text) in source
