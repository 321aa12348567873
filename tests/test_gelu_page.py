"""The GELU widget in readers' hands: in a page, without a kernel, with other hosts blocked.

Every control is moved by keyboard and by pointer, and what is shown is compared with torch in double precision. What
any widget must do is in test_widget_standard.py, and what it does in its chapter in test_site.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from widget_page import CONTRAST, Scales, as_number, bare, path_of, set_theme
from write_goldens import GELU_CURVES, gelu_at

from plm_lessons.widgets import GeluWidget
from plm_lessons.widgets.gelu import TEXT, uniforms

NAMES = tuple(GELU_CURVES)
LABELS = TEXT["curves"]
VIEWS = {
    "function": "curves",
    "derivative": "slopes",
    "difference": "difference from exact",
    "masks": "random masks",
}
COLUMNS = ("function", "derivative", "difference")


def true_value(column: str, name: str, x: float) -> float:
    """The value of a curve at x, by torch."""
    (value,), (slope,) = gelu_at(name, [x])
    if column == "derivative":
        return slope
    return value - (gelu_at("exact", [x])[0][0] if column == "difference" else 0.0)


READ = """root => {
  const all = (selector, get) => [...root.querySelectorAll(selector)].map(get);
  const byCurve = (kind, name) =>
    Object.fromEntries(all(`path.${kind}[data-curve]`, (part) => [part.dataset.curve, part.getAttribute(name)]));
  const pair = (row) => [row.querySelector('th').textContent, row.querySelector('td').textContent];
  const cursor = root.querySelector('svg[role=img] > .plm-cursor');
  return {
    slider: root.querySelector('input[type=range]').value,
    number: root.querySelector('input[type=number]').value,
    view: root.querySelector('input[type=radio]:checked').value,
    rows: all('.plm-values tbody tr', (row) => ({
      ticked: row.querySelector('input').checked,
      values: [...row.querySelectorAll('td')].map((cell) => cell.textContent),
    })),
    results: Object.fromEntries(all('table:not(.plm-values) tr', pair)),
    labels: all('svg[role=img] > text', (t) => [
      t.getAttribute('text-anchor'), +t.getAttribute('x'), +t.getAttribute('y'), t.textContent,
    ]),
    paths: byCurve('plm-curve', 'd'),
    marks: byCurve('plm-mark', 'transform'),
    cursor: cursor && ['d', 'transform'].flatMap((name) => cursor.getAttribute(name).match(/-?[0-9.]+/g).map(Number)),
  };
}"""


class Widget:
    """One copy of the widget on a page, with the names a reader would use."""

    def __init__(self, page: Page, index: int = 0) -> None:
        self.page = page
        self.block = page.locator('[data-plm-widget="gelu"]').nth(index)
        self.root = self.block.locator(".plm-widget")
        self.slider = self.root.get_by_role("slider", name="x", exact=True)
        self.number = self.root.get_by_label("x as a number")
        self.seed = self.root.get_by_label("seed")
        self.plot = self.root.locator("svg[role=img]")
        self.message = self.root.locator(".plm-message")
        self.slider.wait_for()

    def radio(self, view: str) -> Locator:
        return self.root.get_by_role("radio", name=VIEWS[view], exact=True)

    def row(self, name: str) -> Locator:
        return self.root.locator(".plm-values tbody tr", has_text=LABELS[name])

    def checkbox(self, name: str) -> Locator:
        return self.row(name).get_by_role("checkbox")

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def show(self, view: str) -> None:
        self.radio(view).check()

    def tick(self, *names: str) -> None:
        for name, row in zip(NAMES, self.read()["rows"], strict=True):
            if row["ticked"] != (name in names):
                self.checkbox(name).click()

    def set_x(self, x: float) -> None:
        self.number.fill(str(x))

    def read(self) -> dict[str, Any]:
        """Return everything that is shown, in one go."""
        return self.root.evaluate(READ)

    def ticked(self) -> list[str]:
        return [name for name, row in zip(NAMES, self.read()["rows"], strict=True) if row["ticked"]]

    def values(self, name: str) -> list[str]:
        return self.read()["rows"][NAMES.index(name)]["values"]

    def points(self, name: str) -> np.ndarray:
        """The drawn curve in data coordinates, one row per point."""
        shown = self.read()
        across, up = path_of(shown["paths"][name])
        scales = Scales(shown["labels"])
        return np.column_stack([scales.x(across), scales.y(up)])

    def result(self, label: str) -> str:
        (value,) = (value for name, value in self.read()["results"].items() if name.startswith(label))
        return str(value)

    def curve(self, name: str) -> Locator:
        return self.plot.locator(f'path.plm-curve[data-curve="{name}"]')

    def scales(self) -> Scales:
        return Scales(self.read()["labels"])

    def assert_reads(self, x: float) -> None:
        """All values shown at x are those of torch, to the last digit shown, and the marks are at them."""
        shown = self.read()
        assert float(shown["slider"]) == pytest.approx(x, abs=0.0051)
        assert float(shown["number"]) == x
        for name, row in zip(NAMES, shown["rows"], strict=True):
            for column, text in zip(COLUMNS, row["values"], strict=True):
                wanted = true_value(column, name, x)
                digits = 5.1e-6 if abs(wanted) >= 1e-3 else 1e-15
                assert as_number(text) == pytest.approx(wanted, rel=0.0051, abs=digits)
        if shown["view"] == "masks":
            return
        scales = Scales(shown["labels"])
        assert list(shown["marks"]) == [name for name, row in zip(NAMES, shown["rows"], strict=True) if row["ticked"]]
        for name, place in shown["marks"].items():
            across, up = (float(part) for part in re.findall(r"-?[\d.]+", place))
            _, bottom, top, place_of_cursor, _ = shown["cursor"]
            low, high = scales.y([bottom, top])
            assert place_of_cursor == across
            wanted = min(high, max(low, true_value(shown["view"], name, x)))
            assert float(scales.x(across)) == pytest.approx(x, abs=0.02)
            assert float(scales.y(up)) == pytest.approx(wanted, abs=1.5 * scales.pixel)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with the widget alone, where everything is quick. tests/test_site.py has it in its chapter."""
    return bare(tmp_path_factory.mktemp("page"), GeluWidget())


@pytest.fixture(scope="module")
def shared_page(address: str, open_shared_page: Callable[..., Page]) -> Page:
    return open_shared_page(address)


@pytest.fixture
def widget(shared_page: Page) -> Iterator[Widget]:
    """The widget with x at -0.75, three curves ticked and no masks drawn. Afterwards nothing moves by itself."""
    shared_page.set_viewport_size({"width": 1000, "height": 900})
    found = Widget(shared_page)
    found.show("masks")
    found.button("Start again").click()
    found.seed.fill("0")
    found.show("function")
    found.tick("exact", "tanh", "bracket")
    found.set_x(-0.75)
    yield found
    # Nothing is animated: everyone gets what a wish for reduced motion asks for.
    assert found.root.evaluate("root => root.getAnimations({ subtree: true }).length") == 0


# --- moving x ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", COLUMNS)
def test_slider_by_keyboard(widget: Widget, view: str) -> None:
    widget.show(view)
    widget.tick(*NAMES)
    widget.slider.focus()
    for key, x in [("ArrowRight", -0.74), ("ArrowLeft", -0.75), ("ArrowLeft", -0.76), ("Home", -4.0), ("End", 4.0)]:
        widget.page.keyboard.press(key)
        widget.assert_reads(x)
    widget.page.keyboard.press("PageDown")
    x = float(widget.slider.input_value())
    assert x < 4
    widget.assert_reads(x)


@pytest.mark.parametrize("view", COLUMNS)
def test_slider_and_plot_by_pointer(widget: Widget, view: str) -> None:
    widget.show(view)
    widget.tick(*NAMES)
    widget.slider.scroll_into_view_if_needed()
    box = widget.slider.bounding_box()
    assert box is not None
    mouse, middle = widget.page.mouse, box["y"] + box["height"] / 2
    mouse.move(box["x"] + box["width"] / 2, middle)
    mouse.down()
    x = float(widget.slider.input_value())
    assert abs(x) <= 0.03
    widget.assert_reads(x)
    mouse.move(box["x"] + box["width"] * 0.2, middle, steps=5)
    mouse.up()
    x = float(widget.slider.input_value())
    assert -2.6 < x < -2.2
    widget.assert_reads(x)

    # On the plot itself: x follows the pointer, even beyond the plot's edge, and stays when the button is released.
    widget.plot.scroll_into_view_if_needed()
    plot = widget.plot.bounding_box()
    assert plot is not None
    to_x = widget.scales().x
    y = plot["y"] + plot["height"] / 3
    mouse.move(plot["x"] + 200, y)
    mouse.down()
    widget.assert_reads(round(float(to_x(200)), 2))
    mouse.move(plot["x"] + 300, y, steps=3)
    widget.assert_reads(round(float(to_x(300)), 2))
    mouse.move(plot["x"] + plot["width"] + 60, y, steps=3)
    widget.assert_reads(4.0)
    mouse.up()
    mouse.move(plot["x"] + 250, y)
    widget.assert_reads(4.0)


def test_x_typed_as_a_number(widget: Widget) -> None:
    widget.tick(*NAMES)
    for text, x in [("-3", -3.0), ("1.41421", 1.41421), ("4", 4.0), ("-0.0005", -0.0005), ("0", 0.0)]:
        widget.number.fill("")
        widget.number.press_sequentially(text)
        widget.assert_reads(x)
    # The misprint of the notes, in plain sight.
    widget.set_x(-3)
    assert widget.values("bracket")[0] == "2.74860" and widget.values("exact")[0] == "\u22120.00405"


@pytest.mark.parametrize("text", ("7", "-4.01", "", "1e9"))
def test_x_that_makes_no_sense_is_refused_aloud(widget: Widget, text: str) -> None:
    widget.number.fill(text)
    widget.number.press("Tab")
    expect(widget.message).to_have_text("x must be a number from \u22124 to 4.")
    expect(widget.number).to_have_attribute("aria-invalid", "true")
    assert float(widget.slider.input_value()) == -0.75 and widget.values("exact")[0] == "\u22120.16997"
    widget.slider.press("ArrowRight")
    expect(widget.message).to_have_text("")
    widget.assert_reads(-0.74)


def test_enter_does_not_leave_the_page(widget: Widget) -> None:
    before = widget.page.url
    widget.number.press("Enter")
    widget.assert_reads(-0.75)
    assert widget.page.url == before


# --- choosing what is drawn -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ("keyboard", "pointer"))
def test_views_draw_what_torch_says(widget: Widget, by: str) -> None:
    widget.tick(*NAMES)
    widget.radio("function").focus()
    for view in ("derivative", "difference", "masks", "function"):
        if by == "keyboard":
            widget.page.keyboard.press("ArrowRight")
        else:
            widget.root.locator("label", has_text=re.compile(rf"^{VIEWS[view]}$")).click()
        expect(widget.radio(view)).to_be_checked()
        expect(widget.root.locator(".plm-values")).to_be_visible(visible=view != "masks")
        expect(widget.button("Draw 10")).to_be_visible(visible=view == "masks")
        if view == "masks":
            continue
        widget.assert_reads(-0.75)
        for name in NAMES:
            points = widget.points(name)
            assert points[0, 0] == pytest.approx(-4, abs=0.02) and points[-1, 0] == pytest.approx(4, abs=0.02)
            xs = np.linspace(-4, 4, len(points))
            wanted = [true_value(view, name, x) for x in xs.tolist()]
            np.testing.assert_allclose(points[:, 1], wanted, rtol=0.01, atol=1.1 * widget.scales().pixel)


@pytest.mark.parametrize("by", ("keyboard", "pointer"))
def test_every_curve_is_switched(widget: Widget, by: str) -> None:
    for name in NAMES:
        drawn = name in widget.ticked()
        for wanted in (not drawn, drawn):
            if by == "keyboard":
                widget.checkbox(name).press("Space")
            else:
                widget.row(name).locator("label b").click()
            shown = widget.read()
            assert (name in widget.ticked(), name in shown["paths"], name in shown["marks"]) == (wanted,) * 3
            assert (LABELS[name] in (widget.plot.get_attribute("aria-label") or "")) == wanted


def test_nothing_ticked_says_what_to_do(widget: Widget) -> None:
    widget.tick()
    expect(widget.root.get_by_text("No curve is ticked. Tick one in the table to draw it.")).to_be_visible()
    assert widget.plot.is_visible() and widget.values("exact")[0] == "\u22120.16997"


def test_difference_view_makes_the_tanh_form_visible(widget: Widget) -> None:
    """The largest difference is 4.73e-4, at |x| = 2.70: the axis follows what is ticked."""
    widget.show("difference")
    assert widget.points("bracket")[:, 1].max() > 7
    widget.checkbox("bracket").uncheck()
    points = widget.points("tanh")
    highest = points[points[:, 1].argmax()]
    assert highest[1] == pytest.approx(4.73e-4, rel=0.02) and abs(highest[0]) == pytest.approx(2.70, abs=0.05)
    drawn = widget.plot.bounding_box()
    assert drawn is not None
    assert np.ptp(points[:, 1]) / widget.scales().pixel > drawn["height"] / 2


def test_value_beyond_the_plot_is_said(widget: Widget) -> None:
    note = widget.root.get_by_text("Beyond the plot at this x: misprint: bracket. See the table.")
    expect(note).to_have_count(0)
    widget.set_x(-4)
    expect(note).to_be_visible()
    assert as_number(widget.values("bracket")[0]) == pytest.approx(true_value("function", "bracket", -4), abs=1e-5)


# --- random masks -----------------------------------------------------------------------------------------------------


def assert_masks(widget: Widget, x: float, seed: int, draws: int) -> None:
    chance = float(torch.special.ndtr(torch.tensor(x, dtype=torch.float64)))
    masks = np.array(uniforms(seed, draws)) < chance
    shown = widget.read()
    (count, last, kept, mean, expected, gap, error) = shown["results"].values()
    assert count == str(draws)
    assert as_number(expected) == pytest.approx(x * chance, abs=5.1e-6)
    if not draws:
        assert {last, kept, mean, gap, error} == {"none yet"} and shown["paths"]["mean"] == ""
        return
    wanted = x * masks.mean()
    assert last.split() == [str(int(mask)) for mask in masks[-12:]]
    assert kept == f"{masks.sum()} = {100 * masks.mean():.1f} %"
    assert as_number(mean) == pytest.approx(wanted, abs=5.1e-6)
    assert as_number(gap) == pytest.approx(wanted - x * chance, rel=0.0051, abs=5.1e-6)
    assert as_number(error) == pytest.approx(abs(x) * (chance * (1 - chance) / draws) ** 0.5, rel=0.0051, abs=5.1e-6)
    scales = Scales(shown["labels"])
    heights = scales.y(path_of(shown["paths"]["mean"])[1])
    assert heights[0] == pytest.approx(x * masks[0], abs=1.5 * scales.pixel)
    assert heights[-1] == pytest.approx(wanted, abs=1.5 * scales.pixel)


@pytest.mark.parametrize("by", ("keyboard", "pointer"))
def test_masks_are_drawn_and_their_mean_is_read(widget: Widget, by: str) -> None:
    widget.show("masks")
    widget.seed.fill("11")
    widget.button("Start again").click()
    assert_masks(widget, -0.75, 11, 0)

    def use(name: str) -> None:
        if by == "keyboard":
            widget.button(name).press("Enter" if name != "Draw 10" else "Space")
        else:
            widget.button(name).click()

    draws = 0
    for count in (1, 10, 100, 1000, 1):
        use(f"Draw {count}")
        draws += count
        assert_masks(widget, -0.75, 11, draws)
    use("Start again")
    assert_masks(widget, -0.75, 11, 0)


def test_masks_follow_x_and_seed(widget: Widget) -> None:
    widget.show("masks")
    widget.seed.fill("0")
    widget.button("Draw 100").click()
    widget.slider.press("End")
    assert_masks(widget, 4.0, 0, 100)
    widget.seed.fill("12")
    assert_masks(widget, 4.0, 12, 100)
    widget.seed.press("ArrowUp")
    assert_masks(widget, 4.0, 13, 100)
    widget.set_x(1.5)
    assert_masks(widget, 1.5, 13, 100)
    widget.set_x(0)
    assert_masks(widget, 0.0, 13, 100)
    widget.seed.fill("-1")
    widget.seed.press("Tab")
    expect(widget.message).to_have_text("seed must be a whole number from 0 to 4294967295.")
    assert_masks(widget, 0.0, 13, 100)


@pytest.mark.parametrize("x", (-3, -0.75, 2.5))
def test_the_band_of_the_masks_is_seen_at_every_x(widget: Widget, x: float) -> None:
    """It fills a good part of the plot, and where one kind of mask is rare, the reader is told how rare."""
    widget.show("masks")
    widget.set_x(x)
    for draws in (0, 1000):
        shown = widget.read()
        ups = path_of(widget.plot.locator(".plm-band").get_attribute("d") or "")[1]
        labels = [at for anchor, _, at, _ in shown["labels"] if anchor == "end"]
        assert (ups.max() - ups.min()) > 0.15 * (max(labels) - min(labels))
        assert ups.max() < max(labels) + 40 and ups.min() > min(labels) - 40
        chance = float(torch.special.ndtr(torch.tensor(float(x))))
        rare = f"one mask in {round(1 / min(chance, 1 - chance))} is {int(x < 0)}"
        assert (rare in widget.root.inner_text()) == (abs(x) > 2), rare
        if not draws:
            widget.button("Draw 1000").click()


def test_most_masks_are_said(widget: Widget) -> None:
    widget.show("masks")
    for _ in range(10):
        widget.button("Draw 1000").click()
    expect(widget.message).to_have_text("")
    widget.button("Draw 1").click()
    expect(widget.message).to_contain_text("At most 10000 masks")
    assert widget.result("Masks drawn") == "10000"


# --- for every reader -------------------------------------------------------------------------------------------------


def test_themes_are_followed_live_with_enough_contrast(widget: Widget) -> None:
    widget.tick(*NAMES)
    grounds = {}
    for theme in ("light", "dark", "light"):
        set_theme(widget.page, theme)
        for view in ("function", "masks"):
            widget.show(view)
            found = widget.root.evaluate(CONTRAST)
            assert found["seen"] > 20
            assert found["worst"][0] >= 4.5, found["worst"]
            grounds[theme] = [int(part) for part in re.findall(r"\d+", found["ground"])[:3]]
    assert min(grounds["light"]) > 240 and max(grounds["dark"]) < 60
    # In the dark the book's theme would put a light panel behind the block.
    set_theme(widget.page, "dark")
    behind = widget.block.evaluate("block => getComputedStyle(block.parentElement).backgroundColor")
    assert behind == "rgba(0, 0, 0, 0)" or max(int(part) for part in re.findall(r"\d+", behind)[:3]) < 60


@pytest.mark.parametrize("scheme", ("light", "dark"))
def test_without_a_theme_the_system_decides(tmp_path: Path, open_page: Callable[..., Page], scheme: str) -> None:
    for script in (True, False):
        page = open_page(bare(tmp_path, GeluWidget()), color_scheme=scheme, java_script_enabled=script)
        ground = page.locator(".plm-widget").evaluate("root => getComputedStyle(root).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


HOSTS = {
    "the book": "theme => (document.documentElement.dataset.theme = theme)",
    "Colab": "theme => document.documentElement.setAttribute('theme', theme)",
    "JupyterLab": "theme => (document.body.dataset.jpThemeLight = theme === 'light')",
    "VS Code": "theme => (document.body.className = `vscode-${theme}`)",
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(("system", "theme"), [("dark", "light"), ("light", "dark")])
def test_a_host_that_says_a_theme_is_followed(
    host: str, system: str, theme: str, address: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(address, color_scheme=system)
    page.evaluate(HOSTS[host], theme)
    assert page.locator(".plm-widget").evaluate("root => getComputedStyle(root).colorScheme") == theme


def test_rows_of_a_table_that_become_blocks_are_still_rows(address: str, open_page: Callable[..., Page]) -> None:
    """On a phone, where they are no longer laid out as a table, and some browsers then no longer report one."""
    parts = open_page(address, width=320).locator(":is(table, thead, tbody, tr, th, td):is(.plm-values, .plm-values *)")
    roles = parts.evaluate_all("parts => parts.map((part) => part.getAttribute('role'))")
    counts = {"table": 1, "rowgroup": 2, "row": 7, "columnheader": 4, "rowheader": 6, "cell": 18}
    assert {role: roles.count(role) for role in roles} == counts


def test_a_drag_over_a_plot_selects_no_text(widget: Widget) -> None:
    box, mouse = widget.plot.bounding_box(), widget.page.mouse
    assert box is not None
    mouse.move(box["x"] + 10, box["y"] + 10)
    mouse.down()
    mouse.move(box["x"] + box["width"] - 10, box["y"] + box["height"] - 2, steps=5)
    mouse.up()
    assert widget.page.evaluate("String(getSelection())") == ""


def test_plot_follows_the_width(widget: Widget) -> None:
    widget.page.set_viewport_size({"width": 1100, "height": 900})
    widget.page.wait_for_timeout(100)
    wide = widget.plot.bounding_box()
    widget.page.set_viewport_size({"width": 340, "height": 900})
    expect(widget.plot).not_to_have_attribute("width", str(round(wide["width"] if wide else 0)))
    narrow = widget.plot.bounding_box()
    assert narrow is not None and narrow["x"] + narrow["width"] <= 340
    widget.assert_reads(-0.75)


def test_changes_are_announced_politely_and_seldom(widget: Widget) -> None:
    status = widget.root.locator("[role=status]")
    expect(status).to_have_attribute("aria-live", "polite")
    widget.page.wait_for_timeout(800)
    status.evaluate("""status => {
      window.heard = [];
      const observer = new MutationObserver(() => window.heard.push(status.textContent));
      observer.observe(status, { childList: true });
    }""")
    widget.slider.focus()
    for _ in range(12):
        widget.page.keyboard.press("ArrowLeft")
    expect(status).to_contain_text("x = \u22120.87: exact \u22120.16")
    assert len(widget.page.evaluate("heard")) == 1
    assert widget.slider.get_attribute("aria-valuetext") == "\u22120.87"


def test_nothing_is_announced_on_loading(address: str, open_page: Callable[..., Page]) -> None:
    widget = Widget(open_page(address))
    widget.page.wait_for_timeout(800)
    expect(widget.root.locator("[role=status]")).to_have_text("")


def test_curves_are_told_apart_without_colour(widget: Widget) -> None:
    widget.tick(*NAMES)
    dashes = [widget.curve(name).evaluate("path => getComputedStyle(path).strokeDasharray") for name in NAMES]
    marks = [widget.plot.locator(f'.plm-mark[data-curve="{name}"]').get_attribute("d") for name in NAMES]
    assert len(set(dashes)) == len(set(marks)) == len(NAMES)
    for name, dash in zip(NAMES, dashes, strict=True):
        key = widget.row(name).locator("svg .plm-curve")
        assert key.evaluate("path => getComputedStyle(path).strokeDasharray") == dash


# --- any page ---------------------------------------------------------------------------------------------------------


def test_live_widget_takes_the_place_of_the_picture(widget: Widget) -> None:
    assert widget.block.locator(".plm-widget").count() == 1 and widget.block.locator(".plm-static").count() == 0
    height = widget.block.locator(".plm-view").evaluate("view => getComputedStyle(view).minHeight")
    assert height in ("auto", "0px"), "the picture's, only while it is made"


def test_state_given_in_python_is_where_the_page_starts(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    first = GeluWidget(x=2.345, view="derivative", curves=("constant", "sigmoid"))
    second = GeluWidget(x=-1, view="masks", seed=9, draws=321)
    page = open_page(bare(tmp_path, first, second))
    one, other = Widget(page, 0), Widget(page, 1)
    assert one.radio("derivative").is_checked() and one.ticked() == ["sigmoid", "constant"]
    one.assert_reads(2.345)
    assert other.radio("masks").is_checked() and other.seed.input_value() == "9"
    assert_masks(other, -1.0, 9, 321)


def test_script_run_again_changes_nothing(widget: Widget) -> None:
    """Notebook front ends put outputs, with their scripts, into pages that contain earlier ones."""
    widget.set_x(1.25)
    widget.page.evaluate("""async () => {
      const old = document.querySelector('[data-plm-widget="gelu"] script[type="module"]');
      const script = document.createElement('script');
      script.type = 'module';
      script.textContent = old.textContent;
      document.body.append(script);
      await new Promise((done) => setTimeout(done, 100));
    }""")
    assert widget.block.locator(".plm-widget").count() == 1
    widget.assert_reads(1.25)


def test_output_inserted_later_comes_alive(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """As JupyterLab shows stored outputs: the markup is set as HTML, and its scripts are recreated so that they run."""
    page = open_page(bare(tmp_path))
    page.evaluate("""(html) => {
      const host = document.createElement('div');
      host.innerHTML = html;
      for (const old of host.querySelectorAll('script')) {
        const script = document.createElement('script');
        for (const { name, value } of old.attributes) script.setAttribute(name, value);
        script.textContent = old.textContent;
        old.replaceWith(script);
      }
      document.body.append(host);
    }""", GeluWidget(x=-2).html())  # fmt: skip
    Widget(page).assert_reads(-2.0)
