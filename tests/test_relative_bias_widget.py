"""The attention-bias widget: its buckets compared with the package's, and every control by keyboard and by pointer."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from widget_page import (
    BESIDE_ROWS,
    IMPORT,
    MARKUP,
    OUT_OF_CELLS,
    SPACE_TEXT,
    TWO_FRAMES,
    Scales,
    as_number,
    bare,
    drawn,
    path_of,
    render_with_model,
    set_theme,
)

from plm_lessons.layers.positions import relative_position_bucket
from plm_lessons.widgets import RelativeBiasWidget
from plm_lessons.widgets.picture import written
from plm_lessons.widgets.relative_bias import DIRECTIONS, MODES, TEXT, WORDS, bucket

DISTANCES = torch.arange(-300, 301)
SENTENCE = range(len(WORDS))
VALUES = [[round(math.sin(7 * head + b * b), 4) for b in range(8)] for head in range(5)]


def true_bucket(state: dict[str, Any], distance: int) -> int:
    """Return the bucket that the package's layer gives."""
    both = state["direction"] == "bidirectional"
    return int(relative_position_bucket(torch.tensor(distance), both, state["num_buckets"], state["max_distance"]))


# --- mathematics ------------------------------------------------------------------------------------------------------


def test_page_buckets_are_those_of_the_layer_wherever_the_sliders_reach(open_page: Callable[..., Page]) -> None:
    """All 7,200 settings at all distances, and so every border of two buckets that depends on rounding."""
    page = open_page("about:blank")
    page.evaluate(IMPORT, RelativeBiasWidget()._esm)
    code = """([both, count]) => Array.from({ length: 240 }, (_, i) => i + 17).map((most) =>
      Array.from({ length: 601 }, (_, i) => lib.bucket(i - 300, both, count, most).toString(32)).join(''))"""
    digits = "0123456789abcdefghijklmnopqrstuv"
    for both in (True, False):
        for count in range(4, 33, 2):
            for most, found in enumerate(page.evaluate(code, [both, count]), start=17):
                wanted = relative_position_bucket(DISTANCES, both, count, most).tolist()
                assert found == "".join(digits[b] for b in wanted), (both, count, most)


def test_python_buckets_are_those_of_the_layer() -> None:
    for both in (True, False):
        for count in range(4, 33, 4):
            for most in (17, 20, 32, 64, 100, 128, 256):
                wanted = relative_position_bucket(DISTANCES, both, count, most).tolist()
                assert [bucket(r, both, count, most) for r in range(-300, 301)] == wanted, (both, count, most)
    assert [bucket(r) for r in (-91, -90, 0, 1, 90, 91, 300)] == [15, 14, 0, 17, 30, 31, 31]


def scores_of(**state: Any) -> list[list[float]]:
    widget = RelativeBiasWidget(**state)
    return [[widget.score(i, j) for j in SENTENCE] for i in SENTENCE]


def test_page_and_python_agree_on_every_score(open_page: Callable[..., Page]) -> None:
    page = open_page("about:blank")
    page.evaluate(IMPORT, RelativeBiasWidget()._esm)
    states: list[dict[str, Any]] = [
        *({"mode": mode, "shift": shift} for mode in MODES for shift in (0, 7, 20)),
        *({"direction": d, "head": h, "num_buckets": n} for d in DIRECTIONS for h in range(3) for n in (4, 32)),
        {"num_buckets": 8, "values": VALUES, "head": 4},
        {"num_buckets": 10, "values": VALUES, "head": 4},
        *({"mode": name[:-7], name: table, "head": 1, "shift": 20} for name, table in TABLES.items()),
    ]
    for state in states:
        found = page.evaluate("lib.scores", json.loads(json.dumps(RelativeBiasWidget(**state).state())))
        for row, wanted in zip(found, scores_of(**state), strict=True):
            assert row == pytest.approx(wanted, abs=1e-12), state
    assert page.evaluate("lib.WORDS") == WORDS


def test_each_design_depends_on_what_it_says() -> None:
    """T5 on the distance, relative_key also on the query's word, the table on the positions themselves."""
    for shift in (1, 20):
        for mode in ("t5", "relative_key"):
            assert scores_of(mode=mode, shift=shift) == scores_of(mode=mode)
        still, moved = scores_of(mode="absolute"), scores_of(mode="absolute", shift=shift)
        assert max(abs(a - b) for x, y in zip(still, moved, strict=True) for a, b in zip(x, y, strict=True)) > 0.5
    t5, shaw = scores_of(mode="t5"), scores_of(mode="relative_key")
    assert all(t5[i][j] == t5[i - 1][j - 1] for i in SENTENCE for j in SENTENCE if i and j)
    same = [i for i in SENTENCE if all(abs(shaw[0][j] - shaw[i][j + i]) < 1e-12 for j in range(12 - i)) and i < 9]
    assert same == [0, 5] and WORDS[0] == WORDS[5]  # the answer to the widget's question


# --- the widget in a reader's hands -----------------------------------------------------------------------------------

START: dict[str, Any] = {
    "mode": "t5",
    "num_buckets": 32,
    "max_distance": 128,
    "direction": "bidirectional",
    "shift": 0,
    "query": 5,
    "distance": -3,
    "head": 0,
    "values": (),
    "relative_key_scores": (),
    "absolute_scores": (),
}

# The colours of a canvas with one pixel per cell, each as [red, green, blue, opacity].
PIXELS = """canvas => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return Array.from({ length: data.length / 4 }, (_, n) => [...data.slice(4 * n, 4 * n + 4)]);
}"""
READ = """root => {
  const all = (selector, get, of = root) => [...of.querySelectorAll(selector)].map(get);
  const plots = all('svg[role=img]', (plot) => plot).filter((plot) => plot.checkVisibility());
  const shown = (part) => (part.getAttribute('visibility') === 'hidden' ? undefined : part);
  const boxes = (kind) => [...root.querySelector(kind).getAttribute('d').matchAll(/M([0-9.]+) ([0-9.]+)h/g)]
    .map(([, x, y]) => [+x, +y]);
  const labels = (plot) => [...plot.children].filter((part) => part.tagName === 'text').map((t) => [
    t.getAttribute('text-anchor'), +t.getAttribute('x'), +t.getAttribute('y'), t.textContent]);
  return {
    inCells: root.querySelector('.plm-in-cells').textContent.split('\\n')
      .map((row) => row.split(' ').map((one) => one.trim())),
    words: all('.plm-map-queries, .plm-map-keys', (side) => side.textContent.split('\\n')),
    bars: root.querySelector('.plm-below').getAttribute('d').split('M').length - 1,
    table: Object.fromEntries(all('table tr', (row) => [...row.children].map((cell) => cell.textContent))),
    lines: root.querySelector('.plm-line').getAttribute('d').split(/(?=M)/),
    highlighted: plots[1].querySelector('.plm-0').getAttribute('d'),
    lineLabels: labels(plots[1]),
    stairs: plots[2] && plots[2].querySelector('.plm-curve').getAttribute('d'),
    stairLabels: plots[2] && labels(plots[2]),
    mark: plots[2] && shown(plots[2].querySelector('.plm-mark'))?.getAttribute('transform'),
    onLine: shown(plots[1].querySelector('.plm-mark'))?.getAttribute('transform'),
    names: plots.map((plot) => plot.getAttribute('aria-label')),
    diagonal: boxes('.plm-same'), pair: boxes('.plm-pair-mark'),
    cell: root.querySelector('.plm-map canvas').clientWidth / 12,
    effect: root.querySelector('.plm-effect').textContent,
    reach: +root.querySelector('[aria-label=distance]').max,
  };
}"""


SHADES = "canvas => [getComputedStyle(canvas).color, getComputedStyle(canvas).borderTopColor]"


class Widget:
    """The widget on a page, and what a reader sees of it."""

    def __init__(self, page: Page) -> None:
        self.page, self.root = page, page.locator(".plm-widget")
        self.message = self.root.locator(".plm-message")
        self.map = self.root.locator(".plm-map svg")
        self.canvas = self.root.locator(".plm-map canvas")

    def slider(self, name: str) -> Locator:
        return self.root.get_by_role("slider", name=name, exact=True)

    def radio(self, name: str) -> Locator:
        return self.root.get_by_role("radio", name=name)

    def point(self, i: int, j: int) -> None:
        """Moves the pointer over the cell of query i and key j."""
        self.canvas.scroll_into_view_if_needed()
        box = self.canvas.bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + (j + 0.5) * box["width"] / 12, box["y"] + (i + 0.5) * box["height"] / 12)

    def assert_shows(self, **changed: Any) -> None:
        """All texts and drawings are what the package computes for the state: the start with some changes."""
        state = {**START, **changed}
        shown, scores = self.root.evaluate(READ), scores_of(**state)
        t5, i, r, k = state["mode"] == "t5", state["query"], state["distance"], state["shift"]
        masked = {(a, b) for a in SENTENCE for b in SENTENCE if t5 and state["direction"] == "one-sided" and b > a}
        most = max(abs(scores[a][b]) for a in SENTENCE for b in SENTENCE if (a, b) not in masked)
        # The map: strength and bar show the score, the number its bucket.
        pixels = self.canvas.evaluate(PIXELS)
        shades = [[int(part) for part in re.findall(r"\d+", shade)[:3]] for shade in self.canvas.evaluate(SHADES)]
        assert len(pixels) == 144
        assert len(shown["inCells"]) == (12 if t5 else 1)
        for n, (*colour, opacity) in enumerate(pixels):
            a, b = divmod(n, 12)
            score = 0.0 if (a, b) in masked else scores[a][b]
            assert opacity / 255 == pytest.approx(0.45 * abs(score) / most, abs=2.1e-3)
            if opacity > 20:  # otherwise too pale for its colour to be known exactly
                assert colour == pytest.approx(shades[score < 0], abs=8)
            if t5:
                assert shown["inCells"][a][b] == ("×" if (a, b) in masked else str(true_bucket(state, b - a)))
            else:
                assert shown["inCells"] == [[""]]
        assert shown["words"] == [[f"{word} {k + n}" for n, word in enumerate(WORDS)]] * 2
        negative = sum(scores[a][b] < 0 for a in SENTENCE for b in SENTENCE if (a, b) not in masked)
        assert shown["bars"] == negative
        # The readout.
        j, table = i + r, shown["table"]
        assert table[TEXT["rows"]["query"]] == f"\u201c{WORDS[i]}\u201d at {k + i}"
        assert as_number(table[TEXT["rows"]["distance"]]) == r
        value: float | None = scores[i][j] if j in SENTENCE else None
        if j in SENTENCE:
            assert table[TEXT["rows"]["key"]] == f"\u201c{WORDS[j]}\u201d at {k + j}"
        else:
            assert as_number(table[TEXT["rows"]["key"]].split(",")[0]) == k + j
        if t5:
            assert table[TEXT["rows"]["bucket"]] == str(true_bucket(state, r))
            value = RelativeBiasWidget(**state).bias()[true_bucket(state, r)]
        said = table[TEXT["rows"]["value"]]
        if t5 and state["direction"] == "one-sided" and r > 0:
            assert said == TEXT["masked"]
        else:
            assert said == ("–" if value is None else written(value))
        assert all(table[TEXT["rows"]["distance"]] in name for name in shown["names"])
        corner = lambda a, b: pytest.approx((62 + b * shown["cell"], 62 + a * shown["cell"]), abs=0.01)  # noqa: E731
        assert shown["diagonal"] == [corner(a, a + r) for a in SENTENCE if a + r in SENTENCE]
        assert shown["pair"] == ([corner(i, j)] if j in SENTENCE else [])
        # The lines: a score for each distance, one line per query.
        scales = Scales(shown["lineLabels"])
        for a, d in enumerate(shown["lines"]):
            across, up = path_of(d)
            wanted = [(b - a, scores[a][b]) for b in SENTENCE if (a, b) not in masked]
            assert scales.x(across) == pytest.approx([x for x, _ in wanted], abs=0.1)
            assert scales.y(up) == pytest.approx([y for _, y in wanted], abs=1.5 * scales.pixel)
        assert len(shown["lines"]) == 12 and shown["highlighted"] == shown["lines"][i]
        on_line = j in SENTENCE and (i, j) not in masked
        assert (shown["onLine"] is not None) == on_line
        if on_line:
            x, y = (float(part) for part in re.findall(r"-?[\d.]+", shown["onLine"]))
            assert scales.x(x) == pytest.approx(r, abs=0.1)
            assert scales.y(y) == pytest.approx(scores[i][j], abs=1.5 * scales.pixel)
        # The staircase, and the mark on it.
        assert (shown["stairs"] is not None) == t5
        if t5:
            scales = Scales(shown["stairLabels"])
            across, up = path_of(shown["stairs"])
            reach = shown["reach"]
            assert min(300, 1.15 * state["max_distance"]) <= reach <= min(300, 1.75 * state["max_distance"])
            steps = [x for x in range(-reach + 1, reach + 1) if true_bucket(state, x - 1) != true_bucket(state, x)]
            assert scales.x(across[2:-1:2]) == pytest.approx([x - 0.5 for x in steps], abs=0.02 * reach)
            assert scales.y(up[3:-1:2]) == pytest.approx([true_bucket(state, x) for x in steps], abs=2 * scales.pixel)
            assert scales.x(across[[0, -1]]) == pytest.approx([-reach - 0.5, reach], abs=0.02 * reach)
            assert (shown["mark"] is not None) == (abs(r) <= reach)
            if shown["mark"] is not None:
                x, y = (float(part) for part in re.findall(r"-?[\d.]+", shown["mark"]))
                assert scales.x(x) == pytest.approx(r, abs=0.02 * reach)
                assert scales.y(y) == pytest.approx(true_bucket(state, r), abs=2 * scales.pixel)
        # What the shift did.
        unmoved = scores_of(**{**state, "shift": 0})
        changes = [abs(scores[a][b] - unmoved[a][b]) for a in SENTENCE for b in SENTENCE]
        if k:
            stay = changes.count(0)
            told = {0: "none of the 144", 1: "1 of the 144", 144: "all of the 144"}.get(stay, f"{stay} of the 144")
            assert f"shifted by {k}: {told} scores in the map stay" in shown["effect"]
            assert stay == 144 or shown["effect"].endswith(f"; the largest change is {written(max(changes), 2)}.")


@pytest.fixture(scope="module")
def shared_page(tmp_path_factory: pytest.TempPathFactory, open_shared_page: Callable[..., Page]) -> Page:
    return open_shared_page(bare(tmp_path_factory.mktemp("bare"), RelativeBiasWidget()))


@pytest.fixture
def widget(shared_page: Page) -> Iterator[Widget]:
    """The widget as it starts; the page is shared, so its controls are put back."""
    shared_page.set_default_timeout(3_000)
    found = Widget(shared_page)
    found.radio("T5 buckets").check()
    found.radio("bidirectional").check()
    found.root.get_by_label("head").select_option("0")
    for name, value in (("num_buckets", 32), ("max_distance", 128), ("query", 5), ("distance", -3), ("shift", 0)):
        found.slider(name).fill(str(value))
    found.assert_shows()
    yield found


def drag(page: Page, slider: Locator, share: float) -> int:
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2, steps=3)
    page.mouse.up()
    page.mouse.move(0, 0)
    return int(slider.input_value())


def test_every_slider_by_keyboard_and_by_pointer(widget: Widget) -> None:
    state: dict[str, Any] = {}
    for name, key, value, low, high in (
        ("num_buckets", "ArrowLeft", 30, 6, 14),
        ("max_distance", "ArrowRight", 129, 50, 90),
        ("query", "ArrowRight", 6, 1, 3),
        ("distance", "ArrowLeft", -4, -60, -20),
        ("shift", "ArrowRight", 1, 2, 6),
    ):
        widget.slider(name).press(key)
        state[name] = value
        widget.assert_shows(**state)
        state[name] = drag(widget.page, widget.slider(name), 0.2)
        assert low <= state[name] <= high, name
        widget.assert_shows(**state)
    widget.slider("num_buckets").press("Home")
    widget.slider("max_distance").press("Home")
    state["distance"] = int(widget.slider("distance").get_attribute("min") or 0)  # the nearest that is left
    widget.assert_shows(**{**state, "num_buckets": 4, "max_distance": 17})
    assert widget.slider("query").get_attribute("aria-valuetext") == f"\u201c{WORDS[state['query']]}\u201d at " + str(
        state["query"] + state["shift"]
    )


@pytest.mark.parametrize("by", ("keyboard", "pointer"))
def test_designs_directions_and_heads(widget: Widget, by: str) -> None:
    def pick(name: str, key: str) -> None:
        if by == "keyboard":
            widget.page.keyboard.press(key)
        else:
            widget.root.locator("label", has_text=name).click()
        expect(widget.radio(name)).to_be_checked()

    widget.slider("shift").press("ArrowRight")
    widget.radio("T5 buckets").focus()
    pick("relative_key (Shaw)", "ArrowRight")
    widget.assert_shows(mode="relative_key", shift=1)
    expect(widget.slider("num_buckets")).to_be_hidden()
    pick("absolute table", "ArrowRight")
    widget.assert_shows(mode="absolute", shift=1)
    pick("T5 buckets", "ArrowRight")
    widget.assert_shows(shift=1)
    widget.radio("bidirectional").focus()
    pick("one-sided (decoder)", "ArrowRight")
    widget.assert_shows(direction="one-sided", shift=1)
    head = widget.root.get_by_label("head")
    for wanted in (1, 2):
        if by == "keyboard":
            head.focus()
            widget.page.keyboard.press("ArrowDown")
        else:
            head.select_option(str(wanted))
        widget.assert_shows(direction="one-sided", shift=1, head=wanted)
    widget.slider("distance").fill("2")
    widget.assert_shows(direction="one-sided", shift=1, head=2, distance=2)


def test_last_bucket_begins_at_91_and_16_is_never_used(widget: Widget) -> None:
    """The answers to the question that the widget asks."""
    distance, row = widget.slider("distance"), widget.root.locator("tr", has_text="Bucket").locator("td")
    for r, b in ((-90, "14"), (-91, "15"), (-148, "15"), (90, "30"), (91, "31"), (0, "0"), (1, "17")):
        distance.fill(str(r))
        expect(row).to_have_text(b)
    assert "16" not in sum(widget.root.evaluate(READ)["inCells"], [])


@pytest.mark.parametrize("width", (320, 1000))
def test_hover_reads_out_the_pair_and_the_distance(widget: Widget, width: int) -> None:
    widget.page.set_viewport_size({"width": width, "height": 900})
    widget.page.wait_for_timeout(150)
    widget.map.scroll_into_view_if_needed()
    for i, j in ((0, 0), (2, 9), (11, 11), (7, 1)):
        widget.point(i, j)
        widget.assert_shows(query=i, distance=j - i)
    stairs = widget.root.locator("svg[role=img]").last
    stairs.scroll_into_view_if_needed()
    box = stairs.bounding_box()
    assert box is not None
    widget.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 60)
    r = int(widget.slider("distance").input_value())
    assert r == pytest.approx(Scales(widget.root.evaluate(READ)["stairLabels"]).x(0.3 * box["width"]), abs=1.1)
    widget.assert_shows(query=7, distance=r)
    widget.page.mouse.move(0, 0)
    widget.page.set_viewport_size({"width": 1000, "height": 900})
    widget.page.wait_for_timeout(150)


# The lowest contrast of a number with its cell.
IN_CELLS = """root => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = numbers(getComputedStyle(root).backgroundColor);
  const text = root.querySelector('.plm-in-cells'), canvas = root.querySelector('.plm-map canvas');
  const pixels = canvas.getContext('2d').getImageData(0, 0, 12, 12).data;
  return Math.min(...Array.from({ length: 144 }, (_, n) => {
    const share = pixels[4 * n + 3] / 255;
    const ground = page.slice(0, 3).map((value, c) => share * pixels[4 * n + c] + (1 - share) * value);
    const [a, b] = [light(ground), light(numbers(getComputedStyle(text).color))].sort((p, q) => q - p);
    return (a + 0.05) / (b + 0.05);
  }));
}"""


@pytest.mark.parametrize("width", (320, 1000))
def test_numbers_stand_in_their_cells(widget: Widget, width: int) -> None:
    widget.page.set_viewport_size({"width": width, "height": 900})
    widget.page.wait_for_timeout(150)
    for buckets in ("32", "8"):  # of two digits and of one
        widget.slider("num_buckets").fill(buckets)
        found = widget.root.evaluate(OUT_OF_CELLS)
        assert len(found) == 144
        assert max(sideways for sideways, _ in found) <= 0
        assert max(upright for _, upright in found) <= 2
    widget.page.set_viewport_size({"width": 1000, "height": 900})
    widget.page.wait_for_timeout(150)


@pytest.mark.parametrize("width", (320, 1000))
def test_more_space_in_text_moves_nothing_out_of_its_cell(
    width: int, tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    widget = Widget(open_page(bare(tmp_path, RelativeBiasWidget()), width=width))
    for spaced in (False, True):
        if spaced:
            widget.page.evaluate(SPACE_TEXT)
        found, beside = widget.root.evaluate(OUT_OF_CELLS), widget.root.evaluate(BESIDE_ROWS)
        assert len(found) == 144 and len(beside) == 24
        assert max(sideways for sideways, _ in found) <= 0
        assert max(upright for _, upright in found) <= 2 and max(beside) <= 2


def test_arrow_keys_move_from_cell_to_cell(widget: Widget) -> None:
    grid = widget.root.get_by_role("application", name="Map of the scores")
    grid.focus()
    query, key = 5, 2
    for press, down, right in (
        *(("ArrowUp", -1, 0), ("ArrowRight", 0, 1), ("ArrowDown", 1, 0), ("ArrowLeft", 0, -1), ("Home", 0, -9)),
        *(("ArrowLeft", 0, -1), ("End", 0, 99), ("ArrowRight", 0, 1), *[("ArrowDown", 1, 0)] * 7),
    ):
        grid.press(press)
        query, key = min(11, max(0, query + down)), min(11, max(0, key + right))
        widget.assert_shows(query=query, distance=key - query)
    assert (query, key) == (11, 11)
    # From a distance that leads out of the sentence, the keys lead back into it.
    widget.slider("distance").fill("-40")
    grid.press("ArrowRight")
    widget.assert_shows(query=11, distance=-10)


def test_numbers_stand_out_from_their_cells(widget: Widget) -> None:
    for theme in ("dark", "light"):
        set_theme(widget.page, theme)
        assert widget.root.evaluate(IN_CELLS) >= 4.5
        widget.assert_shows()  # in the colours of the theme


def test_forced_colours_leave_the_map_to_be_seen(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """A browser then puts a background behind each text, unless it is told not to; that would hide the cells."""
    for scheme in ("dark", "light"):
        page = open_page(bare(tmp_path, RelativeBiasWidget()), color_scheme=scheme)
        widget = Widget(page)
        page.emulate_media(forced_colors="active")  # while the page is open: the canvas is painted anew
        page.evaluate(TWO_FRAMES)
        numbers = widget.root.locator(".plm-in-cells")
        assert numbers.evaluate("part => getComputedStyle(part).forcedColorAdjust") == "none"
        assert widget.root.evaluate(IN_CELLS) >= 4.5
        widget.assert_shows()
        page.emulate_media(forced_colors="none")
        page.evaluate(TWO_FRAMES)
        widget.assert_shows()


def test_change_is_announced_politely(widget: Widget) -> None:
    status = widget.root.locator("[role=status]")
    expect(status).to_have_attribute("aria-live", "polite")
    widget.slider("query").press("ArrowRight")
    expect(status).to_contain_text("Query, at position t: “old” at 6; Key, at position s: “sat” at 3; Distance")
    expect(status).to_contain_text("Bucket: 3; Score: 0.90000")


# --- the values of a trained model ------------------------------------------------------------------------------------


def test_values_given_in_python_are_shown(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    state: dict[str, Any] = {"num_buckets": 8, "values": VALUES, "head": 3, "direction": "one-sided"}
    widget = Widget(open_page(bare(tmp_path, RelativeBiasWidget(**state))))
    widget.assert_shows(**state)
    assert "are the values given in Python" in widget.root.inner_text()
    assert widget.root.get_by_label("head").locator("option").count() == 5
    widget.root.get_by_label("head").select_option("4")
    widget.assert_shows(**{**state, "head": 4})
    widget.slider("num_buckets").press("ArrowRight")
    assert "for 8 buckets: for another number, illustrative ones are shown" in widget.root.inner_text()
    widget.assert_shows(**{**state, "head": 4, "num_buckets": 10})


TABLES = {
    "relative_key_scores": [
        [[round(math.sin(head + i * i + 0.3 * n), 3) for n in range(23)] for i in range(12)] for head in range(4)
    ],
    "absolute_scores": [
        [[round(math.cos(head + i * j), 3) for j in range(32)] for i in range(32)] for head in range(4)
    ],
}


@pytest.mark.parametrize("mode", ("relative_key", "absolute"))
def test_trained_scores_are_shown(tmp_path: Path, open_page: Callable[..., Page], mode: str) -> None:
    given = TABLES[f"{mode}_scores"]
    state: dict[str, Any] = {"mode": mode, f"{mode}_scores": given, "head": 2, "shift": 7, "query": 3, "distance": 4}
    assert scores_of(**state)[3][7] == (given[2][3][4 + 11] if mode == "relative_key" else given[2][7 + 3][7 + 7])
    widget = Widget(open_page(bare(tmp_path, RelativeBiasWidget(**state))))
    widget.assert_shows(**state)
    assert "are the values given in Python" in widget.root.inner_text()
    widget.root.get_by_label("head").select_option("3")
    widget.slider("shift").press("End")
    state |= {"head": 3, "shift": 20}
    widget.assert_shows(**state)
    # Another design has fewer heads: the first is shown.
    other = "absolute" if mode == "relative_key" else "relative_key"
    widget.root.locator(f'input[value="{other}"]').check()
    widget.assert_shows(**{**state, "mode": other, "head": 0})
    expect(widget.message).to_have_text("")
    expect(widget.root.get_by_label("head")).to_be_hidden()


def test_python_moves_the_view_and_the_view_sets_the_trait(open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), RelativeBiasWidget())
    widget = Widget(page)
    state: dict[str, Any] = {}
    for name, value in (
        ("values", VALUES),
        ("head", 4),
        ("num_buckets", 8),
        ("max_distance", 40),
        ("direction", "one-sided"),
        ("shift", 3),
        ("query", 11),
        ("distance", -5),
        ("mode", "relative_key"),
        ("mode", "t5"),
    ):
        page.evaluate("([name, value]) => fake.fromKernel(name, value)", [name, value])
        state[name] = value
    widget.assert_shows(**state)
    assert page.evaluate("sent") == []
    widget.point(4, 2)
    widget.root.get_by_label("head").select_option("1")
    widget.radio("bidirectional").check()
    assert [message for message in page.evaluate("sent") if message] == [
        {"query": 4, "distance": -2},
        {"head": 1},
        {"direction": "bidirectional"},
    ]
    state |= {"query": 4, "distance": -2, "head": 1, "direction": "bidirectional"}
    rule = "values must be a list of at most 128 heads"
    for wrong in ("[[1]]", "[[1,2,3]]", "[[1,2,3,4],[1,2]]", "'x'", f"[{json.dumps([MARKUP] * 4)}]", "[[NaN,1,2,3]]"):
        page.evaluate(f"fake.fromKernel('values', {wrong})")
        expect(widget.message).to_contain_text(rule)
    page.evaluate("fake.fromKernel('values', Array.from({ length: 10000 }, () => [1, 2, 3, 4]))")
    expect(widget.message).to_contain_text(rule)
    widget.assert_shows(**state)
    assert page.locator(".plm-widget img").count() == 0
    page.evaluate("(values) => fake.fromKernel('values', values)", VALUES)
    for name, strange in (
        *(("num_buckets", n) for n in (2, 7, 34)),
        *(("max_distance", n) for n in (16, 257, 40.5)),
        *(("shift", 21), ("query", 12), ("distance", 301), ("distance", -301), ("head", 5)),
        *(("mode", "toString"), ("direction", MARKUP)),
    ):
        good = page.evaluate("(name) => fake.get(name)", name)
        page.evaluate("([name, value]) => fake.fromKernel(name, value)", [name, strange])
        expect(widget.message).to_contain_text(f"{name} must be")
        page.evaluate("([name, value]) => fake.fromKernel(name, value)", [name, good])
        expect(widget.message).to_have_text("")
    widget.assert_shows(**state)
    # Fewer heads than the chosen one needs: a message says so, and the first is shown.
    page.evaluate("([values]) => { fake.fromKernel('head', 1); fake.fromKernel('values', values); }", [VALUES[:1]])
    expect(widget.message).to_contain_text("head must be a whole number below the number of heads")
    widget.assert_shows(**{**state, "values": VALUES[:1], "head": 0})


WRONG_VALUES: tuple[Any, ...] = (
    *([[]], [[1] * 6, [1] * 8], [[1, 2, 3, "4"]], [[1, 2, 3, math.inf]]),
    *([[0.0] * 4] * 129, "x", 5),
)


@pytest.mark.parametrize(
    ("trait", "wrong"),
    [
        *(("mode", wrong) for wrong in ("shaw", 3)),
        *(("num_buckets", wrong) for wrong in (2, 34, 7, 8.0, True)),
        *(("max_distance", wrong) for wrong in (16, 257)),
        *(("direction", wrong) for wrong in ("both",)),
        *(("shift", wrong) for wrong in (-1, 21)),
        *(("query", wrong) for wrong in (-1, 12)),
        *(("distance", wrong) for wrong in (-301, 301)),
        *(("head", wrong) for wrong in (-1, 3, 500)),
        *(("values", wrong) for wrong in WRONG_VALUES),
    ],
)
def test_wrong_value_is_refused_by_name_and_changes_nothing(trait: str, wrong: Any) -> None:
    got = re.escape(f"{wrong!r:.300}")  # a long value is cut: otherwise it would fill the page
    with pytest.raises(ValueError, match=rf"RelativeBiasWidget\.{trait} must be .+, got {got}$"):
        RelativeBiasWidget(**{trait: wrong})
    widget = RelativeBiasWidget()
    with pytest.raises(ValueError, match=rf"RelativeBiasWidget\.{trait} must be"):
        setattr(widget, trait, wrong)
    assert widget.state() == START


def test_head_and_values_fit_each_other() -> None:
    widget = RelativeBiasWidget(values=VALUES, head=4)
    with pytest.raises(
        ValueError, match=r"RelativeBiasWidget\.head must be a whole number below 2 in mode 't5', got 4"
    ):
        widget.values = VALUES[:2]
    assert len(widget.values) == 5 and widget.head == 4
    assert "values=<5 heads>" in repr(widget) and len(repr(widget)) < 300


@pytest.mark.parametrize("mode", MODES)
def test_picture_draws_and_tells_the_pair(mode: str) -> None:
    widget = RelativeBiasWidget(mode=mode, shift=4, query=7, distance=-6)
    svg, rows = drawn(widget)
    told = dict(rows)
    assert told[TEXT["rows"]["key"]] == "\u201csmall\u201d at 5"
    assert told[TEXT["rows"]["value"]] == written(widget.score(7, 1))
    assert svg.count('class="curve') == (1 if mode == "t5" else 12) and svg.count("c0 mark") == 1
    assert "illustrative" in widget.picture()
    hidden = dict(drawn(RelativeBiasWidget(direction="one-sided", distance=3))[1])
    assert hidden[TEXT["rows"]["value"]] == TEXT["masked"]
    far = dict(drawn(RelativeBiasWidget(mode=mode, distance=-300))[1])
    assert far[TEXT["rows"]["key"]] == "\u2212295, outside the sentence"


def test_page_and_python_use_the_same_words() -> None:
    source = RelativeBiasWidget()._esm
    texts = [TEXT[name] for name in ("title", "none", "masked", "lines", "staircase", "illustrative")]
    for text in (*texts, *TEXT["rows"].values()):
        assert json.dumps(text, ensure_ascii=False) in source
