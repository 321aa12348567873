"""The masking widget: its rules compared with the package's, its random numbers, and what a reader's moves show."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chance import assert_plausible, seeded
from playwright.sync_api import Locator, Page, expect
from widget_page import IMPORT, MARKUP, Scales, bare, drawn, path_of, render_with_model

from plm_lessons.objectives import (
    choose_positions,
    choose_whole_words,
    ngram_probabilities,
    prediction_count,
    span_mask,
)
from plm_lessons.objectives.span_corruption import span_counts
from plm_lessons.widgets import masking_patterns
from plm_lessons.widgets.masking_patterns import FATES, NGRAM_SHARES, UNITS, MaskingPatternsWidget
from plm_lessons.widgets.tokenization import MASK_TOKENS

KINDS = ("static", "dynamic")
SETTINGS = """(w) => {
  const { pieces, tokenize } = lib.openTokenizer(w.tokenizer), numbers = tokenize(w.text).map(([, word]) => word);
  return { ...w, numbers, pool: pieces.length, source: lib.randomSource(w.seed, numbers.length) };
}"""
WORDS = ["the", "war", "of", "Philadelphia", "unimaginable,", "Halévy", "a", "1,234", "incomprehensibly", ".", "It's"]


@pytest.fixture(scope="module")
def lib(open_shared_page: Callable[..., Page]) -> Page:
    """A page in which `lib` is the module and `settings` turns the state of a widget into settings of the module."""
    page = open_shared_page("about:blank")
    page.evaluate(IMPORT, MaskingPatternsWidget()._esm)
    page.evaluate(f"() => {{ window.settings = {SETTINGS}; }}")
    return page


def state(**changes: Any) -> dict[str, Any]:
    return MaskingPatternsWidget(**changes).page_state()


def some_widgets(count: int) -> Iterator[MaskingPatternsWidget]:
    rng = random.Random(5)
    for i in range(count):
        yield MaskingPatternsWidget(
            text=" ".join(rng.choices(WORDS, k=rng.randint(1, 20))),
            tokenizer=list(MASK_TOKENS)[i % 4],
            unit=UNITS[i // 4 % 4],
            masking_rate=rng.choice((0.0, 0.15, 0.3, 0.5)),
            mask_share=0.6,
            random_share=rng.choice((0.0, 0.2, 0.4)),
            mean_span_length=rng.choice((1.5, 3.0, 7.0)),
            copies=rng.randint(1, 12),
            seed=rng.randrange(2**32),
            epochs=rng.randint(1, 30),
        )


# --- the rules --------------------------------------------------------------------------------------------------------


def test_counts_are_those_of_the_package(lib: Page) -> None:
    cases = [(length, rate) for length in range(1, 300) for rate in (0.0, 0.15, 0.25, 0.5)]
    wanted = [prediction_count(*case) for case in cases]
    assert lib.evaluate("(all) => all.map(([n, rate]) => lib.predictionCount(n, rate))", cases) == wanted
    assert [masking_patterns.prediction_count(*case) for case in cases] == wanted
    triples = [(length, rate, mean) for length, rate in cases for mean in (1.0, 2.5, 3.0)]
    found = lib.evaluate("(all) => all.map((c) => lib.spanCounts(...c))", triples)
    assert [tuple(pair) if pair else None for pair in found] == [masking_patterns.span_counts(*c) for c in triples]
    for case, pair in zip(triples, found, strict=True):
        if pair is None:
            with pytest.raises(ValueError):
                span_counts(*case)
        else:
            assert tuple(pair) == span_counts(*case)


def test_page_and_python_make_the_same_masks(lib: Page) -> None:
    for widget in some_widgets(64):
        found = lib.evaluate("(w) => lib.history(settings(w), w.epochs, w.copies)", widget.page_state())
        if found is None:
            assert widget.seen("static") is None
            continue
        for kind in KINDS:
            seen = widget.seen(kind)
            assert seen is not None
            assert found[kind]["counts"] == seen.counts and found[kind]["fates"] == seen.fates
            assert found[kind]["distinct"] == seen.distinct and found[kind]["sizes"] == seen.sizes
            assert {part: tuple(values) for part, values in found[kind]["now"].items()} == seen.now._asdict()


def test_static_masks_repeat_and_dynamic_ones_do_not() -> None:
    widget = MaskingPatternsWidget(copies=4)
    shown: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for epochs in range(1, 13):
        widget.epochs = epochs
        for kind in KINDS:
            seen = widget.seen(kind)
            assert seen is not None
            shown[kind].append((seen.now, seen.distinct))
    static, dynamic = ([now for now, _ in shown[kind]] for kind in KINDS)
    assert static[:4] == static[4:8] == static[8:] and len(set(static[:4])) == 4
    assert len(set(dynamic)) == 12 and not set(dynamic) & set(static)
    assert [distinct for _, distinct in shown["static"]] == [1, 2, 3] + [4] * 9
    again = MaskingPatternsWidget(copies=4, epochs=12)
    assert again.seen("dynamic") == widget.seen("dynamic")
    again.seed = 1
    assert again.seen("dynamic") != widget.seen("dynamic")


def test_every_mask_obeys_its_unit() -> None:
    for widget in some_widgets(64):
        seen = widget.seen("dynamic")
        if seen is None:
            continue
        chosen, numbers = set(seen.now.chosen), [number for _, number in widget.sentence]
        assert len(chosen) == len(seen.now.chosen) and all(numbers[i] >= 0 for i in chosen)
        count = prediction_count(len(numbers), widget.masking_rate)
        candidates = [i for i, number in enumerate(numbers) if number >= 0]
        if widget.unit == "tokens":
            assert len(chosen) == min(count, len(candidates))
        elif widget.unit in ("words", "ngrams"):
            whole = {numbers[i] for i in chosen}
            assert chosen == {i for i in candidates if numbers[i] in whole} and len(chosen) <= count
            assert widget.unit == "words" or sum(seen.now.sizes) == len(whole)
        else:
            noise, spans = span_counts(len(candidates), widget.masking_rate, widget.mean_span_length)
            starts = [i for i in chosen if i - 1 not in chosen]
            assert len(chosen) == noise and len(starts) == spans
            assert candidates[-1] in chosen and candidates[0] not in chosen


MIXED = "The unimaginable war of Philadelphia, a constitution incomprehensibly long; it was ratified in a year."
OWN = """(w) => Array.from({ length: 40 }, (_, seed) => lib.history(settings({ ...w, seed }), 400, 1).dynamic)
  .map(({ counts, sizes }) => [counts, sizes])"""


def trials_of_torch(widget: MaskingPatternsWidget, trials: int) -> torch.Tensor:
    """Masks made by the functions of the package, [trials, S]."""
    numbers = torch.tensor([[number for _, number in widget.sentence]])
    if widget.unit == "spans":
        length = int((numbers >= 0).sum())
        generator = seeded()
        masks = [span_mask(length, generator=generator, noise_density=widget.masking_rate) for _ in range(trials)]
        return torch.nn.functional.pad(torch.stack(masks), (1, 1))
    settings: dict[str, Any] = {"attention_mask": None, "generator": seeded(), "masking_rate": widget.masking_rate}
    many = numbers.expand(trials, -1)
    if widget.unit == "tokens":
        return choose_positions(many >= 0, **settings)
    return choose_whole_words(many, max_ngram=3 if widget.unit == "ngrams" else 1, **settings)


@pytest.mark.parametrize("unit", UNITS)
def test_masks_are_as_likely_as_those_of_the_package(lib: Page, unit: str) -> None:
    """Each position, in 20,000 masks by torch, in 16,000 by the page, and as the page's line expects it."""
    widget = MaskingPatternsWidget(MIXED, unit=unit, masking_rate=0.3, epochs=400)
    trials = 20_000
    by_torch = trials_of_torch(widget, trials).sum(dim=0).tolist()
    own = torch.tensor([counts for counts, _ in lib.evaluate(OWN, widget.page_state())]).sum(dim=0).tolist()
    chances = lib.evaluate("(w) => lib.chances(settings(w))", widget.page_state())
    assert (chances is None) == (unit == "ngrams")
    for i, (times, by_page) in enumerate(zip(by_torch, own, strict=True)):
        if chances is None:
            spread = math.sqrt(by_page / 16_000 * (1 - by_page / 16_000) * (1 / 16_000 + 1 / trials)) + 1e-9
            assert abs(times / trials - by_page / 16_000) < 5 * spread
            continue
        chance = min(1.0, max(0.0, chances[i])) or 1e-12
        assert_plausible(times, trials, chance, checks=100)
        assert_plausible(by_page, 16_000, chance, checks=100)


def test_ngrams_are_as_long_as_those_of_the_package(lib: Page) -> None:
    """Judged by the lengths of unbroken runs, which is all that a mask of the package shows."""
    widget = MaskingPatternsWidget("a b c d e f g h i j k l m n o p", unit="ngrams", masking_rate=0.25)

    def runs(masks: torch.Tensor) -> torch.Tensor:
        """How many runs of 1, 2, ... positions each mask has, [trials, 5]."""
        lengths = [[len(run) for run in "".join("01"[bit] for bit in row).split("0")] for row in masks.int().tolist()]
        return torch.tensor([[row.count(n) for n in range(1, 6)] for row in lengths], dtype=torch.float64)

    own = torch.zeros(4000, 18, dtype=torch.bool)
    for stream in range(4000):
        mask = widget.mask(stream)
        assert mask is not None and len(mask.chosen) == sum(mask.sizes) and max(mask.sizes) <= 3
        own[stream, list(mask.chosen)] = True
    found, wanted = runs(own), runs(trials_of_torch(widget, 20_000))
    spread = (found.var(dim=0) / len(found) + wanted.var(dim=0) / len(wanted)).sqrt() + 1e-3
    assert ((found.mean(dim=0) - wanted.mean(dim=0)).abs() < 5 * spread).all()
    assert lib.evaluate("lib.NGRAM_SHARES") == pytest.approx(ngram_probabilities(3)) == list(NGRAM_SHARES)


def test_fates_and_random_tokens_have_their_shares(lib: Page) -> None:
    wanted = state(masking_rate=0.5, mask_share=0.7, random_share=0.2)
    code = """(w) => {
      const made = settings(w);
      return Array.from({ length: 2000 }, (_, stream) => lib.maskOf(made, stream));
    }"""
    masks = lib.evaluate(code, wanted)
    fates = [fate for mask in masks for fate in mask["fates"]]
    for fate, share in zip(FATES, (0.7, 0.2, 0.1), strict=True):
        assert_plausible(fates.count(fate), len(fates), share, checks=8)
    replacements = [token for mask in masks for token in mask["replacements"]]
    assert min(replacements) >= 0 and max(replacements) < 8192
    for fifth in range(5):
        count = sum(fifth / 5 <= token / 8192 < (fifth + 1) / 5 for token in replacements)
        assert_plausible(count, len(replacements), 0.2, checks=8)


def test_pair_of_t5_loses_nothing(lib: Page) -> None:
    pair = lib.evaluate("lib.spanPair(['a', 'b', 'c', 'd', 'e', 'f'], [1, 2, 5], ['</s>'])")
    assert [text for text, _ in pair["input"]] == ["a", "<extra_id_0>", "d", "e", "<extra_id_1>"]
    assert [text for text, _ in pair["target"]] == ["<extra_id_0>", "b", "c", "<extra_id_1>", "f", "</s>"]


# --- from Python's side -----------------------------------------------------------------------------------------------


def test_shares_must_fit_together() -> None:
    for changes in ({"mask_share": 0.95}, {"random_share": 0.21}):
        with pytest.raises(ValueError, match=r"MaskingPatternsWidget\.(mask|random)_share must be at most 1 with"):
            MaskingPatternsWidget(**changes)  # type: ignore[arg-type]
    widget = MaskingPatternsWidget()
    with pytest.raises(ValueError, match="mask_share must be at most 1 with random_share = 0.1, got 0.95"):
        widget.mask_share = 0.95
    assert (widget.mask_share, widget.random_share) == (0.8, 0.1)
    widget.set_state({"mask_share": 0.3, "random_share": 0.7})  # together they are valid, as the page sends them
    assert (widget.mask_share, widget.random_share) == (0.3, 0.7)


@pytest.mark.parametrize("wrong", ["", " \n", "[CLS] [SEP]", "x " * 127, "a" * 601, "a\ud800", 3, None, b"a", ["a"]])
def test_senseless_text_is_refused_by_name(wrong: Any) -> None:
    rule = r"MaskingPatternsWidget\.text must be a text of at most 600 characters that makes 2 to 128 tokens"
    with pytest.raises(ValueError, match=rule):
        MaskingPatternsWidget(wrong)
    widget = MaskingPatternsWidget()
    with pytest.raises(ValueError, match=rule):
        widget.text = wrong
    assert widget.text.startswith("The constitution")


def test_a_text_must_suit_a_new_tokenizer() -> None:
    """WordPiece has one token for a word that it does not know; as bytes it is many."""
    widget = MaskingPatternsWidget("\U0001f600" * 60)
    assert [token for token, _ in widget.sentence] == ["[CLS]", "[UNK]", "[SEP]"]
    with pytest.raises(ValueError, match=r"MaskingPatternsWidget\.text must be a text of at most 600 characters"):
        widget.tokenizer = "byte_level_bpe"
    assert widget.tokenizer == "wordpiece"
    with pytest.raises(ValueError, match=r"MaskingPatternsWidget\.tokenizer must be one of 'wordpiece', "):
        widget.tokenizer = "bpe"


@pytest.mark.parametrize("unit", UNITS)
def test_picture_tells_what_was_seen(unit: str) -> None:
    widget = MaskingPatternsWidget(unit=unit, masking_rate=0.3)
    svg, rows = drawn(widget)
    static, dynamic = widget.seen("static"), widget.seen("dynamic")
    assert static and dynamic and svg.count('class="curve c') >= 4
    told = dict(rows)
    assert told["Different sets of positions"] == f"static {static.distinct}, dynamic {dynamic.distinct}"
    assert ("of 2 words" in told) == (unit == "ngrams")
    if unit == "spans":
        assert told["Epoch 12, dynamic"].count("&lt;extra_id_") == 2
    else:
        assert told["Epoch 12, dynamic"].count("[MASK]") == dynamic.now.fates.count("mask")
    assert (
        "No mask fits" in MaskingPatternsWidget("a b c", unit="spans", masking_rate=0.5, mean_span_length=1).picture()
    )


# --- in the page ------------------------------------------------------------------------------------------------------


READ = """root => {
  const text = (parent, selector) => [...parent.querySelectorAll(selector)].map((part) => part.textContent);
  return {
    typed: root.querySelector('textarea').value,
    epoch: root.querySelector('.plm-epoch').textContent,
    heads: text(root, '.plm-head'),
    rows: [...root.querySelectorAll('.plm-tokens')].map((row) => [...row.children].map((chip) => [
      chip.firstChild.textContent, chip.querySelector("small")?.textContent ?? "",
      chip.className.replace("plm-token", "").trim(),
    ])),
    cells: [...root.querySelectorAll('tbody tr')].filter((row) => row.checkVisibility()).map((row) => text(row, 'td')),
    bars: Object.fromEntries(["static", "dynamic"].map((kind) => [kind, root
      .querySelector(`.plm-plot .plm-bar-${kind}`).getAttribute('d').split(/(?<=Z)(?=M)/).filter(Boolean)
      .map((bar) => bar.match(/^M([0-9.]+) ([0-9.]+)V([0-9.]+)h([0-9.]+)V([0-9.]+)Z$/).slice(1).map(Number))])),
    labels: [...root.querySelectorAll('.plm-plot svg[role=img] > text')].map((text) => [
      text.getAttribute('text-anchor'), +text.getAttribute('x'), +text.getAttribute('y'), text.textContent]),
    expected: root.querySelector('.plm-plot .plm-expected').getAttribute('d'),
  };
}"""


class Widget:
    """The widget on a page, and what it should show: the same state in Python."""

    def __init__(self, page: Page, **changes: Any) -> None:
        self.page, self.root = page, page.locator(".plm-widget")
        self.python = MaskingPatternsWidget(**changes)

    def slider(self, name: str) -> Locator:
        return self.root.get_by_role("slider", name=name, exact=True)

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def assert_shows(self, **changes: Any) -> None:
        """Everything on the page is what Python computes for the state with these changes."""
        for name, value in changes.items():
            setattr(self.python, name, value)
        widget, shown = self.python, self.root.evaluate(READ)
        assert shown["epoch"] == f"Epoch {widget.epochs}"
        assert shown["heads"][0] == f"Static: copy {(widget.epochs - 1) % widget.copies + 1} of {widget.copies}"
        tokens = [token for token, _ in widget.sentence]
        assert shown["typed"] == widget.text
        looks = {"mask": "plm-solid", "random": "plm-dashed", "kept": "plm-double"}
        scales = Scales(shown["labels"])
        for kind, column in (("static", 0), ("dynamic", 1)):
            seen = widget.seen(kind)
            assert seen is not None
            bars = seen.sizes if widget.unit == "ngrams" else seen.counts
            left, foot, top, wide, end = np.array(shown["bars"][kind]).reshape(-1, 5).T
            there, start = np.flatnonzero(bars), 0.5 if widget.unit == "ngrams" else 0.0
            assert scales.x(left + wide / 2) == pytest.approx(
                there + start + (0.31, 0.69)[column], abs=0.1 * float(scales.x(1) - scales.x(0))
            )  # places are written to a tenth of a pixel
            assert scales.y(top) == pytest.approx(np.array(bars)[there], abs=0.1 * scales.pixel)
            assert scales.y(foot) == pytest.approx(0 * top, abs=0.1 * scales.pixel) and (end == foot).all()
            chosen = sum(seen.counts)
            told = [cells[column] for cells in shown["cells"]]
            assert told[:2] == [str(seen.distinct), str(chosen)]
            if widget.unit == "spans":
                read, answer = shown["rows"][2 * column : 2 * column + 2]
                assert " ".join(text for text, _, _ in read) == widget.written(seen.now)
                hidden = [text for text, _, look in answer if not look]
                assert hidden[: len(seen.now.chosen)] == [tokens[i] for i in seen.now.chosen]
                assert hidden[len(seen.now.chosen) :] == (["</s>"] if widget.tokenizer == "t5_unigram" else ["[SEP]"])
                continue
            if widget.unit == "ngrams":
                shares = [f"{n} = {100 * n / sum(seen.sizes):.1f} %" for n in seen.sizes]
                assert told[5:] == shares and [cells[2] for cells in shown["cells"]][5:] == [
                    *("drawn: 54.5 %", "drawn: 27.3 %", "drawn: 18.2 %")
                ]
            assert told[2:5] == [f"{seen.fates[f]} = {100 * seen.fates[f] / chosen:.1f} %" for f in FATES]
            chips = shown["rows"][column]
            assert " ".join(text for text, _, _ in chips) == widget.written(seen.now)
            fates = dict(zip(seen.now.chosen, seen.now.fates, strict=True))
            for i, (_, below, look) in enumerate(chips):
                assert (below, look) == ((tokens[i], looks[fates[i]]) if i in fates else ("", ""))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return bare(tmp_path_factory.mktemp("masking"), MaskingPatternsWidget())


@pytest.fixture
def widget(open_page: Callable[..., Page], address: str) -> Widget:
    return Widget(open_page(address))


@pytest.mark.parametrize("by", ("keyboard", "pointer"))
def test_epochs_go_by(widget: Widget, by: str) -> None:
    epochs = 12
    widget.assert_shows(epochs=epochs)
    for name, step in (("Next epoch", 1), ("Back", -1), ("Ten epochs on", 10), ("To epoch 1", -99), ("Back", -1)):
        if by == "keyboard":
            widget.button(name).press("Enter")
        else:
            widget.button(name).click()
        epochs = max(1, epochs + step)
        widget.assert_shows(epochs=epochs)


def test_forced_colours_box_no_token_that_was_not_chosen(open_page: Callable[..., Page], address: str) -> None:
    boxes = """root => [...root.querySelectorAll('.plm-token')].map((token) => {
      const { borderTopColor, borderTopStyle } = getComputedStyle(token);
      return [borderTopColor === getComputedStyle(root).backgroundColor ? 'none' : borderTopStyle, token.className];
    })"""
    for scheme in ("light", "dark"):
        page = open_page(address, forced_colors="active", color_scheme=scheme)
        found = page.locator(".plm-widget").evaluate(boxes)
        for look in ("solid", "dashed", "double"):
            assert {box for box, kind in found if f"plm-{look}" in kind} <= {look}
        assert {box for box, kind in found if kind == "plm-token"} == {"none"}


def test_last_epoch_is_said(open_page: Callable[..., Page], tmp_path: Path) -> None:
    widget = Widget(open_page(bare(tmp_path, MaskingPatternsWidget(epochs=395))))
    widget.button("Ten epochs on").click()
    widget.assert_shows(epochs=400)
    expect(widget.root.locator(".plm-message")).to_have_text("This is the last epoch that is shown here.")


def test_sliders_by_keyboard_and_pointer(widget: Widget) -> None:
    widget.slider("masking rate").press("ArrowRight")
    widget.assert_shows(masking_rate=0.16)
    widget.slider("static copies").press("ArrowLeft")
    widget.assert_shows(copies=9)
    for name, label in (("masking_rate", "masking rate"), ("copies", "static copies")):
        box = widget.slider(label).bounding_box()
        assert box is not None
        widget.page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
        value = float(widget.slider(label).input_value())
        assert value == pytest.approx({"masking_rate": 0.4, "copies": 32}[name], rel=0.05)
        widget.assert_shows(**{name: value if name == "masking_rate" else int(value)})


def test_the_moved_share_takes_from_the_other(widget: Widget) -> None:
    mask, other = widget.slider("share of mask tokens"), widget.slider("share of random tokens")
    mask.press("End")
    widget.assert_shows(random_share=0.0, mask_share=1.0)
    other.press("End")
    widget.assert_shows(mask_share=0.0, random_share=1.0)
    mask.press("ArrowRight")
    widget.assert_shows(random_share=0.99, mask_share=0.01)
    mask.press("Home")
    widget.assert_shows(mask_share=0.0, random_share=1.0)
    expect(widget.root.locator(".plm-message")).to_have_text("")


def test_the_other_share_gets_back_what_was_taken(widget: Widget) -> None:
    mask = widget.slider("share of mask tokens")
    mask.press("End")
    for _ in range(20):
        mask.press("ArrowLeft")
    widget.assert_shows(random_share=0.1, mask_share=0.8)


def test_the_share_that_gives_way_stays_a_round_number(open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), MaskingPatternsWidget())
    for _ in range(13):
        Widget(page).slider("share of mask tokens").press("ArrowRight")
    assert page.evaluate("['mask_share', 'random_share'].map(fake.get)") == [0.93, 0.07]


def test_expected_are_the_shares_and_no_more_static_masks_than_epochs(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    for epochs, most in ((3, 3), (12, 10)):
        start = MaskingPatternsWidget(mask_share=0.7, random_share=0.2, epochs=epochs)
        cells = Widget(open_page(bare(tmp_path, start))).root.evaluate(READ)["cells"]
        distinct, _, *fates = (expected for _, _, expected in cells)
        assert distinct == f"at most {most} static, {epochs} dynamic"
        assert [fate.partition(" = ")[2] for fate in fates[:3]] == ["70.0 %", "20.0 %", "10.0 %"]


def test_what_must_be_answered_is_read_aloud_too(widget: Widget) -> None:
    chips = widget.root.locator(".plm-token:has(small)")
    told = chips.evaluate_all("chips => chips.map((chip) => [...chip.children].map((part) => part.textContent))")
    assert told and all(heard == f" (answer: {seen})" for _, heard, seen in told)


def test_where_no_token_may_be_chosen_none_is_promised(widget: Widget) -> None:
    """A word that does not fit into the share is left out; but a single token, or a span, is always chosen."""
    widget.python.text = "Unbelievableness antidisestablishmentarianism"
    widget.root.locator("textarea").fill(widget.python.text)
    widget.slider("masking rate").press("Home")
    widget.python.masking_rate = 0.0
    units = {"tokens": "single tokens", "words": "whole words", "ngrams": "n-grams", "spans": "spans"}
    for unit, label in units.items():
        widget.root.locator("label", has_text=label).click()
        widget.python.unit = unit
        seen = widget.python.seen("dynamic")
        assert seen is not None
        assert seen.now.chosen or widget.root.locator(".plm-solid, .plm-dashed, .plm-double").count() == 0
        promised = "At least one token is chosen." in widget.root.inner_text()
        assert promised == bool(seen.now.chosen) == (unit in ("tokens", "spans"))


def test_no_slider_moves_away_from_under_the_hand(widget: Widget) -> None:
    for unit in ("single tokens", "spans (T5)"):
        widget.root.locator("label", has_text=unit).click()
        rate = widget.slider("masking rate")
        rate.press("Home")
        before = rate.bounding_box()
        rate.press("End")
        assert rate.bounding_box() == before


@pytest.mark.parametrize("by", ("keyboard", "pointer"))
def test_units_are_switched(widget: Widget, by: str) -> None:
    labels = {
        "words": "whole words",
        "ngrams": "n-grams (ALBERT)",
        "spans": "spans (T5)",
        "tokens": "single tokens (BERT, RoBERTa)",
    }
    for unit, label in labels.items():
        radio = widget.root.get_by_role("radio", name=label, exact=True)
        if by == "keyboard":
            widget.root.get_by_role("radio", checked=True).press("ArrowRight")
        else:
            widget.root.locator("label", has_text=label).click()
        expect(radio).to_be_checked()
        widget.assert_shows(unit=unit)
        assert widget.slider("mean span length").is_visible() == (unit == "spans")
        assert widget.slider("share of mask tokens").is_visible() == (unit != "spans")
        assert widget.root.locator("p").nth(1).inner_text().endswith("?")
        if unit == "spans":
            widget.slider("mean span length").press("Home")
            widget.assert_shows(mean_span_length=1.0)


def test_seed_is_typed(widget: Widget) -> None:
    seed = widget.root.get_by_label("seed")
    seed.fill("77")
    widget.assert_shows(seed=77)
    seed.fill("-1")
    seed.press("Tab")
    expect(widget.root.locator(".plm-message")).to_have_text("seed must be a whole number from 0 to 4294967295.")
    widget.assert_shows(seed=77)


@pytest.mark.parametrize("tokenizer", MASK_TOKENS)
def test_tokens_that_come_with_the_text_are_those_that_the_page_cuts(lib: Page, tokenizer: str) -> None:
    block = MaskingPatternsWidget("Twelve café owners, 1,234 (!) cats", tokenizer=tokenizer).html()
    state = json.loads(block.partition('type="application/json">')[2].partition("</script>")[0])
    assert state["read"]["text"] == state["text"]
    cut = lib.evaluate("({ text, tokenizer }) => lib.openTokenizer(tokenizer).tokenize(text)", state)
    assert state["read"]["sentence"] == cut and len(cut) > 8


def test_the_line_of_the_ngrams_fits_each_kind_of_mask(widget: Widget) -> None:
    """Each bar of a pair has a line of its own: as many n-grams as this kind has, in the shares that are drawn."""
    widget.root.locator("label", has_text="n-grams").click()
    widget.python.unit = "ngrams"
    shown = widget.root.evaluate(READ)
    across, up = path_of(shown["expected"])
    scales = Scales(shown["labels"])
    seen = [widget.python.seen(kind) for kind in ("static", "dynamic")]
    wanted = [share * sum(one.sizes) for share in (6 / 11, 3 / 11, 2 / 11) for one in seen if one is not None]
    assert scales.x(across[::2]) == pytest.approx(np.arange(0.5, 3.5, 0.5), abs=0.02)
    assert scales.y(up[::2]) == pytest.approx(wanted, abs=0.2 * scales.pixel)


def test_expected_line_stands_at_its_value(widget: Widget) -> None:
    """12 epochs of 3 tokens among 19: 1.89 each, as high as a bar of that many times would be; 0 on special tokens."""
    shown = widget.root.evaluate(READ)
    heights = [float(pair.split()[1]) for pair in re.split("[ML]", shown["expected"])[1:]]
    scales = Scales(shown["labels"])
    floor, line = heights[0], heights[4]
    assert scales.y([floor, line]) == pytest.approx([0, 12 * 3 / 19], abs=0.1 * scales.pixel)
    assert len(heights) == 2 * len(widget.python.sentence) and heights[-1] == floor
    assert set(heights[2:-2]) == {line}


def test_reader_types_a_text(widget: Widget) -> None:
    typed = widget.root.get_by_role("textbox", name="The text. Type your own.")
    typed.press("ControlOrMeta+a")
    typed.press_sequentially("Ships sail to Reykjavik")
    widget.assert_shows(text="Ships sail to Reykjavik")
    typed.press("Enter")
    typed.press_sequentially("x")
    widget.assert_shows(text="Ships sail to Reykjavik\nx")
    widget.button("Next epoch").click()
    widget.assert_shows(epochs=13)


def test_text_that_cannot_be_read_is_said_and_kept(widget: Widget) -> None:
    typed, message = widget.root.get_by_role("textbox"), widget.root.locator(".plm-message")
    before = widget.python.text
    for text, said in (
        ("", "Type at least one word."),
        (" [SEP] ", "Type at least one word."),
        ("y " * 127, "This text makes 129 tokens; the limit is 128."),
        ("z" * 601, "601 characters; the limit is 600."),
    ):
        typed.fill(text)
        expect(message).to_contain_text(said)
        expect(typed).to_have_attribute("aria-invalid", "true")
        widget.slider("static copies").press("ArrowLeft")
        widget.slider("static copies").press("ArrowRight")
        assert typed.input_value() == text  # the reader's work stays
        expect(message).to_contain_text(said)
        typed.fill(before)
        expect(message).to_have_text("")
        assert typed.get_attribute("aria-invalid") is None
        widget.assert_shows()


@pytest.mark.parametrize("tokenizer", MASK_TOKENS)
def test_any_text_stays_text(open_page: Callable[..., Page], tmp_path: Path, tokenizer: str) -> None:
    given: dict[str, Any] = {
        "text": f"{MARKUP[:30]} שלום 👩‍👩‍👧 \u202eabc </script> {'x' * 60} &amp;",
        "tokenizer": tokenizer,
        "masking_rate": 0.5,
    }
    widget = Widget(open_page(bare(tmp_path, MaskingPatternsWidget(**given)), width=320), **given)
    widget.assert_shows()
    widget.button("Next epoch").click()
    widget.assert_shows(epochs=13)
    assert widget.page.locator(".plm-widget :is(img, script)").count() == 0
    assert widget.page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("wrong", ["''", "'[SEP]'", "'y '.repeat(127)", "'a'.repeat(10000)", "['a']", "'a\\ud800'"])
def test_senseless_text_from_python_is_named_and_the_view_stays(open_page: Callable[..., Page], wrong: str) -> None:
    widget = Widget(render_with_model(open_page("about:blank"), MaskingPatternsWidget()))
    widget.page.evaluate(f"fake.fromKernel('text', {wrong})")
    expect(widget.root.locator(".plm-message")).to_contain_text("text must be a text of at most 600 characters")
    widget.assert_shows()


def test_smallest_text_and_impossible_spans(open_page: Callable[..., Page]) -> None:
    small = MaskingPatternsWidget("a")
    widget = Widget(render_with_model(open_page("about:blank"), small), text="a")
    widget.assert_shows()
    widget.page.evaluate("fake.fromKernel('unit', 'spans')")
    expect(widget.root.locator(".plm-message")).to_contain_text("No mask fits:")
    assert "NaN" not in widget.root.inner_html()
    for unit in ("words", "ngrams"):
        widget.page.evaluate("(unit) => fake.fromKernel('unit', unit)", unit)
        widget.assert_shows(unit=unit)


def test_another_tokenizer_cuts_the_text_anew(open_page: Callable[..., Page]) -> None:
    widget = Widget(render_with_model(open_page("about:blank"), MaskingPatternsWidget(unit="ngrams")), unit="ngrams")
    for name in MASK_TOKENS:
        other = MaskingPatternsWidget(tokenizer=name).page_state()["tokenizer"]
        widget.page.evaluate("(value) => fake.fromKernel('tokenizer', value)", other)
        widget.assert_shows(tokenizer=name)


def test_python_and_the_view_move_each_other(open_page: Callable[..., Page]) -> None:
    widget = Widget(render_with_model(open_page("about:blank"), MaskingPatternsWidget()))
    changes: list[tuple[str, Any]] = [("epochs", 30), ("masking_rate", 0.25), ("copies", 3), ("unit", "words")]
    for name, value in [*changes, ("seed", 9), ("text", "It was so.")]:
        widget.page.evaluate("([name, value]) => fake.fromKernel(name, value)", [name, value])
        widget.assert_shows(**{name: value})
    assert widget.page.evaluate("sent") == []
    widget.button("Next epoch").click()
    widget.slider("share of mask tokens").press("End")
    widget.root.get_by_role("textbox").fill("It was not so.")
    assert widget.page.evaluate("sent") == [
        *({"epochs": 31}, {"random_share": 0, "mask_share": 1}, {"text": "It was not so."})
    ]
    for message in widget.page.evaluate("sent"):
        widget.python.set_state(message)
    widget.assert_shows()
