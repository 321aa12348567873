"""The RMSNorm widget: its mathematics compared with torch, and every control by keyboard and by pointer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from widget_page import IMPORT, MARKUP, as_number, bare, close, drawn, render_with_model
from write_goldens import normalised, rms_norm

from plm_lessons.widgets import RMSNormWidget
from plm_lessons.widgets.picture import written
from plm_lessons.widgets.rms_norm import TEXT, layer_norm
from plm_lessons.widgets.rms_norm import rms_norm as rms_norm_of

GOLDEN = json.loads((Path(__file__).parent / "golden" / "rms_norm.json").read_text())["cases"]
START: dict[str, Any] = {"components": [3, 1, 4, -1, 2.5, 0.5], "log10_scale": 0, "log10_eps": -6, "gain": 1}


# --- mathematics ------------------------------------------------------------------------------------------------------


def test_goldens_are_what_torch_says() -> None:
    for found, stored in zip(rms_norm()["cases"], GOLDEN, strict=True):
        close(found["layerNorm"], stored["layerNorm"], 1e-14)
        close(found["rmsNorm"], stored["rmsNorm"], 1e-14)


def test_python_mathematics_equals_torch() -> None:
    for case in GOLDEN:
        settings = case["x"], 10.0 ** case["log10_eps"], case["gain"]
        close(layer_norm(*settings), case["layerNorm"], 1e-12)
        close(rms_norm_of(*settings), case["rmsNorm"], 1e-12)


def test_page_mathematics_equals_torch(open_page: Callable[..., Page]) -> None:
    page = open_page("about:blank")
    page.evaluate(IMPORT, RMSNormWidget()._esm)
    for kind in ("layerNorm", "rmsNorm"):
        code = f"(cases) => cases.map((c) => lib.{kind}(c.x, 10 ** c.log10_eps, c.gain))"
        for found, case in zip(page.evaluate(code, GOLDEN), GOLDEN, strict=True):
            close(found, case[kind], 1e-12)
    assert page.evaluate("[lib.layerNorm([], 1), lib.rmsNorm([], 1)]") == [[], []]


# --- the widget in a reader's hands -----------------------------------------------------------------------------------


VERDICT = re.compile(r"LayerNorm changes by (less than|up to) (\S+), RMSNorm by (less than|up to) (\S+)\.$")


class Widget:
    """The widget on a page, and what a reader sees of it."""

    def __init__(self, page: Page) -> None:
        self.page, self.root = page, page.locator(".plm-widget")
        self.message = self.root.locator(".plm-message")

    def slider(self, name: str) -> Locator:
        return self.root.get_by_role("slider", name=name, exact=True)

    def press(self, name: str, by: str = "pointer") -> None:
        button = self.root.get_by_role("button", name=name, exact=True)
        if by == "keyboard":
            button.press("Enter")
        else:
            button.click()

    def verdict(self) -> re.Match[str] | None:
        """What is said about the last button."""
        return VERDICT.search(self.root.locator(".plm-verdict").inner_text())

    def columns(self) -> list[list[str]]:
        """x, LayerNorm and RMSNorm of every component as they are written."""
        cells = self.root.locator(".plm-vector tbody tr").evaluate_all(
            "rows => rows.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent))"
        )
        return [list(column) for column in zip(*cells, strict=True)]

    def statistic(self, label: str) -> float:
        rows = self.root.locator("table:not(.plm-vector) tr").evaluate_all(
            "rows => rows.map((row) => [...row.children].map((cell) => cell.textContent))"
        )
        (text,) = (text for name, text in rows if name.startswith(label))
        return as_number(text.removesuffix(" %"))

    def assert_shows(self, **changed: Any) -> None:
        """All texts and drawings are what torch computes for the state, which is the start with some changes."""
        state = {**START, **changed}
        vector = [component * 10.0 ** state["log10_scale"] for component in state["components"]]
        wanted = normalised(vector, 10.0 ** state["log10_eps"], state["gain"])
        for texts, values in zip(self.columns(), [vector, *wanted.values()], strict=True):
            assert len(texts) == len(values)
            for text, value in zip(texts, values, strict=True):
                assert as_number(text) == pytest.approx(value, rel=0.0051, abs=5.1e-6 if abs(value) >= 1e-3 else 1e-15)
        bars = self.root.locator(".plm-bar").evaluate_all(
            """bars => bars.map((bar) => {
              const { left, width } = bar.getBoundingClientRect(), whole = bar.parentNode.getBoundingClientRect();
              return [(left - whole.left) / whole.width, width / whole.width];
            })"""
        )
        limit = 1.5 * len(vector) ** 0.5
        drawn_values = [y for pair in zip(*wanted.values(), strict=True) for y in pair]
        for (left, length), y in zip(bars, drawn_values, strict=True):  # as shares of the whole width
            assert length == pytest.approx(abs(y) / limit / 2, abs=1e-4) and length <= 0.5
            assert left == pytest.approx(0.5 + min(0, y) / limit / 2, abs=1e-4)
        n = len(vector)
        mean, square = sum(vector) / n, sum(x * x for x in vector) / n
        variance, eps = sum((x - mean) ** 2 for x in vector) / n, 10.0 ** state["log10_eps"]
        for label, value in {
            "Scale": 10.0 ** state["log10_scale"],
            "Mean": mean,
            "Standard deviation": variance**0.5,
            "RMS, root": square**0.5,
            "LayerNorm divides": (variance + eps) ** 0.5,
            "RMSNorm divides": (square + eps) ** 0.5,
            "Share of eps": 100 * eps / (square + eps),
        }.items():
            digits = 5.1e-6 if "Share" not in label else 5.1e-3
            digits = digits if abs(value) >= 1e-3 else 1e-15
            assert self.statistic(label) == pytest.approx(value, rel=0.0051, abs=digits), label


@pytest.fixture(scope="module")
def shared_page(tmp_path_factory: pytest.TempPathFactory, open_shared_page: Callable[..., Page]) -> Page:
    return open_shared_page(bare(tmp_path_factory.mktemp("bare"), RMSNormWidget()))


@pytest.fixture
def widget(shared_page: Page) -> Iterator[Widget]:
    found = Widget(shared_page)
    found.press("Start again")
    found.assert_shows()
    yield found


def test_every_component_by_keyboard(widget: Widget) -> None:
    components = list(START["components"])
    for i, component in enumerate(components):
        slider = widget.slider(f"x{i + 1}")
        slider.press("ArrowRight")
        components[i] = round(component + 0.1, 9)
        assert as_number(slider.get_attribute("aria-valuetext") or "") == pytest.approx(components[i])
        widget.assert_shows(components=components)
    widget.slider("x1").press("End")
    widget.slider("x4").press("Home")
    widget.assert_shows(components=[10, *components[1:3], -10, *components[4:]])


def drag(page: Page, slider: Locator, share: float) -> None:
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2, steps=3)
    page.mouse.up()


def test_every_slider_by_pointer(widget: Widget) -> None:
    state = json.loads(json.dumps(START))
    for i in range(6):
        slider = widget.slider(f"x{i + 1}")
        drag(widget.page, slider, 0.2)
        state["components"][i] = float(slider.input_value())
        assert -7.5 < state["components"][i] < -5
        widget.assert_shows(**state)
    for name, field, low, high in (("eps", "log10_eps", -3.5, -1), ("gain", "gain", 1.1, 1.4)):
        drag(widget.page, widget.slider(name), 0.8)
        state[field] = float(widget.slider(name).input_value())
        assert low < state[field] < high
        widget.assert_shows(**state)


def test_eps_and_gain_by_keyboard(widget: Widget) -> None:
    widget.slider("eps").press("End")
    widget.assert_shows(log10_eps=0)
    widget.slider("eps").press("ArrowLeft")
    widget.assert_shows(log10_eps=-0.5)
    widget.slider("eps").press("Home")
    widget.assert_shows(log10_eps=-12)
    assert widget.slider("eps").get_attribute("aria-valuetext") == "1.00e\u221212"
    widget.slider("gain").press("ArrowLeft")
    widget.assert_shows(log10_eps=-12, gain=0.95)
    widget.slider("gain").press("Home")
    widget.assert_shows(log10_eps=-12, gain=0)


@pytest.mark.parametrize("by", ("keyboard", "pointer"))
def test_buttons_show_what_each_norm_forgets(widget: Widget, by: str) -> None:
    """LayerNorm forgets shift and scale, RMSNorm the scale alone."""
    before = widget.columns()
    widget.press("Shift all by +1", by)
    widget.assert_shows(components=[4, 2, 5, 0, 3.5, 1.5])
    after, said = widget.columns(), widget.verdict()
    assert after[1] == before[1] and after[2] != before[2]
    assert said is not None and said[1] == "less than" and said[3] == "up to"
    change = max(abs(as_number(a) - as_number(b)) for a, b in zip(after[2], before[2], strict=True))
    assert float(said[4]) == pytest.approx(change, abs=2e-5)
    # The thin lines are where the bars ended before.
    ghosts = widget.root.locator(".plm-ghost").evaluate_all(
        "all => all.map((line) => parseFloat(line.style.left) - 50)"
    )
    scale = 50 / (1.5 * 6**0.5)
    close(ghosts[::2], [as_number(text) * scale for text in before[1]], 1e-3)
    close(ghosts[1::2], [as_number(text) * scale for text in before[2]], 1e-3)

    widget.press("Shift all by \u22121", by)
    widget.assert_shows()
    for name, power in (("Scale all \u00d7 10", 1), ("Scale all \u00f7 10", 0), ("Scale all \u00f7 10", -1)):
        widget.press(name, by)
        widget.assert_shows(log10_scale=power)
        said = widget.verdict()
        assert said is not None and said[3] == ("less than" if power >= 0 else "up to")  # at 0.1 eps has an effect
        if power >= 0:
            assert said[1] == "less than" and widget.columns()[1:] == before[1:]
    # The effect of the buttons is no longer shown once something else moves.
    widget.slider("gain").press("ArrowLeft")
    expect(widget.root.locator(".plm-verdict")).to_have_text("Press a button to see here what it changes.")
    assert widget.root.locator(".plm-ghost:visible").count() == 0


@pytest.mark.parametrize("by", ("keyboard", "pointer"))
def test_tiny_vector_makes_eps_visible(widget: Widget, by: str) -> None:
    before = widget.columns()
    widget.press("Tiny vector", by)
    widget.assert_shows(log10_scale=-4)
    assert widget.statistic("Share of eps") > 90
    assert abs(as_number(widget.columns()[2][0])) < 0.4 * abs(as_number(before[2][0]))
    widget.slider("eps").press("Home")
    widget.assert_shows(log10_scale=-4, log10_eps=-12)
    assert as_number(widget.columns()[2][0]) == pytest.approx(as_number(before[2][0]), abs=2e-4)
    widget.press("Start again", by)
    widget.assert_shows()


def test_limits_are_said_and_nothing_moves(widget: Widget) -> None:
    for _ in range(6):
        widget.press("Shift all by +1")
    widget.assert_shows(components=[x + 6 for x in START["components"]])
    widget.press("Shift all by +1")
    expect(widget.message).to_contain_text("Components must be from \u221210 to 10")
    widget.assert_shows(components=[x + 6 for x in START["components"]])
    widget.press("Start again")
    expect(widget.message).to_have_text("")
    for name, times, power in (("Scale all \u00d7 10", 3, 3), ("Scale all \u00f7 10", 9, -6)):
        for _ in range(times):
            widget.press(name)
        expect(widget.message).to_have_text("")
        widget.press(name)
        expect(widget.message).to_contain_text("The scale must be from")
        widget.assert_shows(log10_scale=power)


def test_change_is_announced_politely(widget: Widget) -> None:
    status = widget.root.locator("[role=status]")
    expect(status).to_have_attribute("aria-live", "polite")
    widget.press("Shift all by +1")
    expect(status).to_contain_text("Shift all by +1: LayerNorm changes by less than 0.00001")


# --- Python's side ----------------------------------------------------------------------------------------------------


def test_bars_are_printed_too(widget: Widget) -> None:
    widget.page.emulate_media(media="print")
    bars = widget.page.locator(".plm-signed .plm-bar")
    assert bars.count() == 12
    assert set(bars.evaluate_all("bars => bars.map((bar) => getComputedStyle(bar).printColorAdjust)")) == {"exact"}


def test_state_given_in_python_is_where_the_page_starts(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    state: dict[str, Any] = {"components": (0.5, -2.25), "log10_scale": -3, "log10_eps": -5.5, "gain": 0.35}
    Widget(open_page(bare(tmp_path, RMSNormWidget(**state)))).assert_shows(**state)


def test_python_moves_the_view_and_the_view_sets_the_trait(open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), RMSNormWidget())
    widget = Widget(page)
    for components in ([2.0], [1.0, -1.0, 0.5, 8.0, 0.0, 0.0, 3.0, -2.0]):  # another number of rows
        page.evaluate("(values) => fake.fromKernel('components', values)", components)
        widget.assert_shows(components=components)
    page.evaluate("fake.fromKernel('log10_eps', 0)")
    page.evaluate("fake.fromKernel('gain', 0.5)")
    page.evaluate("fake.fromKernel('log10_scale', 1)")
    widget.assert_shows(components=components, log10_eps=0, gain=0.5, log10_scale=1)
    assert page.evaluate("sent") == []
    widget.press("Scale all \u00f7 10")
    widget.slider("x1").press("ArrowRight")
    assert page.evaluate("sent") == [{"log10_scale": 0}, {"components": [1.1, *components[1:]]}]
    for wrong in ([], [11], [1] * 9, ["1"], [None], MARKUP, {"length": 2}):
        page.evaluate("(value) => fake.fromKernel('components', value)", wrong)
        expect(widget.message).to_have_text("components must be a list of 1 to 8 numbers, each from \u221210 to 10.")
    page.evaluate("(values) => fake.fromKernel('components', values)", components)
    for name, value in (("gain", 1.6), ("gain", -0.1), ("log10_eps", 0.1), ("log10_scale", 4), ("log10_scale", 0.5)):
        good = page.evaluate("(name) => fake.get(name)", name)
        page.evaluate("([name, value]) => fake.fromKernel(name, value)", [name, value])
        expect(widget.message).to_contain_text(f"{name} must be")
        page.evaluate("([name, value]) => fake.fromKernel(name, value)", [name, good])
        expect(widget.message).to_have_text("")
    page.evaluate("fake.fromKernel('components', new Array(10000).fill(1))")
    expect(widget.message).to_contain_text("components must")
    assert page.locator(".plm-widget img").count() == 0 and len(widget.columns()[0]) == 8


@pytest.mark.parametrize(
    ("trait", "wrong"),
    [
        *(("components", wrong) for wrong in ((), [1] * 9, [10.01], ["1"], [True], [float("nan")], 3, "1", {1})),
        *(("log10_scale", wrong) for wrong in (-7, 4, 0.5, True)),
        *(("log10_eps", wrong) for wrong in (-12.1, 0.1, "-6")),
        *(("gain", wrong) for wrong in (-0.1, 1.6)),
    ],
)
def test_wrong_value_is_refused_by_name(trait: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=rf"RMSNormWidget\.{trait} must be .+, got {re.escape(repr(wrong))}"):
        RMSNormWidget(**{trait: wrong})


def test_picture_tells_what_torch_says() -> None:
    widget = RMSNormWidget(components=(3, -0.5, 0.25), log10_scale=-3, gain=0.5)
    wanted = normalised([0.003, -0.0005, 0.00025], 1e-6, 0.5)
    svg, rows = drawn(widget)
    told = dict(rows)
    for i, x in enumerate(("0.00300", "\u22125.00e\u22124", "2.50e\u22124")):
        assert told[f"x{i + 1} = {x}"] == f"{written(wanted['layerNorm'][i])} | {written(wanted['rmsNorm'][i])}"
    assert TEXT["layerNorm"] in svg and svg.count('class="curve c0"') == 1 + 3 and svg.count("c1 mark") == 1 + 3


def test_page_and_python_use_the_same_words() -> None:
    source = RMSNormWidget()._esm
    for text in (TEXT["title"], TEXT["layerNorm"], TEXT["rmsNorm"], TEXT["eps"], *TEXT["statistics"].values()):
        assert json.dumps(text, ensure_ascii=False) in source
