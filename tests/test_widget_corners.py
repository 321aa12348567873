"""Moves that change nothing, limits that meet, blocks that leave the page: where view and model could disagree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect
from widget_page import Finger, bare, render_with_model

from plm_lessons import widgets
from plm_lessons.widgets import (
    AttentionViewer,
    GeluWidget,
    MaskingPatternsWidget,
    ModelSizesWidget,
    RelativeBiasWidget,
    RMSNormWidget,
    SentencePairs,
)


def heads(tokens: int, count: int) -> list[list[list[list[float]]]]:
    """One layer of heads with equal weights."""
    return np.full((1, count, tokens, tokens), 1 / tokens).tolist()


def slider(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=name, exact=True)


def message(page: Page) -> Locator:
    return page.locator(".plm-message")


def taken(widget: Any, sent: list[dict[str, Any]]) -> None:
    """Set what the view sent as the kernel sets it: all at once."""
    for changes in sent:
        with widget.hold_trait_notifications():
            for name, value in changes.items():
                setattr(widget, name, value)


def test_a_slider_that_was_moved_in_vain_goes_back(open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), ModelSizesWidget())  # S is 512, as many as there are positions
    length = slider(page, "sequence length, S")
    before = length.input_value()
    for key in ("ArrowRight", "End"):
        length.press(key)
        assert length.input_value() == before and length.get_attribute("aria-valuetext") == "512"
        expect(message(page)).to_contain_text("S cannot exceed")
    length.press("ArrowLeft")
    assert length.get_attribute("aria-valuetext") == "384" and message(page).inner_text() == ""


def test_an_error_goes_when_the_old_value_is_typed_again(open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), GeluWidget())
    field = page.get_by_role("spinbutton", name="x as a number", exact=True)
    before = field.input_value()
    field.fill("9")
    field.press("Tab")
    assert field.get_attribute("aria-invalid") == "true" and "must be" in message(page).inner_text()
    field.fill(before)
    assert field.get_attribute("aria-invalid") is None and message(page).inner_text() == ""


def test_a_button_tells_what_it_did_even_if_that_was_nothing(open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), RMSNormWidget())
    for name in ("Tiny vector", "Shift all by +1", "Tiny vector"):
        page.get_by_role("button", name=name).click()
        expect(page.locator(".plm-verdict")).to_contain_text(name)


def test_another_kind_of_attention_brings_a_head_that_it_has(open_page: Callable[..., Page]) -> None:
    sentence = {
        "name": "one",
        "tokens": ["a", "b"],
        "target_tokens": ["c", "d"],
        "attentions": {"encoder": heads(2, 4), "cross": heads(2, 2)},
    }
    widget = AttentionViewer([sentence], head=3)
    page = render_with_model(open_page("about:blank"), widget)
    page.get_by_role("radio", name="cross: decoder to encoder").check()
    assert message(page).inner_text() == ""
    taken(widget, page.evaluate("sent"))
    assert (widget.kind, widget.head) == ("cross", 1)


def test_a_wider_model_stays_within_the_limits(open_page: Callable[..., Page]) -> None:
    widget = ModelSizesWidget(hidden_size=1024, intermediate_size=65536, num_attention_heads=16)
    page = render_with_model(open_page("about:blank"), widget)
    slider(page, "hidden size, H").press("End")
    assert "must be" not in message(page).inner_text()
    taken(widget, page.evaluate("sent"))
    assert widget.hidden_size == 8192 and widget.intermediate_size == 131072


def test_a_distance_that_another_design_has_not_becomes_the_nearest(open_page: Callable[..., Page]) -> None:
    widget = RelativeBiasWidget(distance=-140)
    page = render_with_model(open_page("about:blank"), widget)
    slider(page, "max_distance").press("Home")
    far = slider(page, "distance")
    assert far.get_attribute("aria-valuetext") == far.get_attribute("min").replace("-", "−")  # type: ignore[union-attr]
    page.get_by_role("radio", name="relative_key (Shaw)").check()
    assert far.get_attribute("aria-valuetext") == "−11" and far.input_value() == "-11"
    taken(widget, page.evaluate("sent"))
    assert widget.distance == -11


def test_the_first_epoch_is_said(open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), MaskingPatternsWidget(epochs=1))
    for name in ("Back", "To epoch 1"):
        page.get_by_role("button", name=name).click()
        expect(message(page)).to_have_text("This is the first epoch.")
        page.get_by_role("button", name="Next epoch").click()
        expect(message(page)).to_have_text("")
        page.get_by_role("button", name="Back").click()


def test_an_alert_is_said_once(open_page: Callable[..., Page]) -> None:
    text = "one two three four five six seven eight nine ten eleven twelve thirteen"
    impossible = MaskingPatternsWidget(text=text, unit="spans", masking_rate=0.5, mean_span_length=1)
    page = render_with_model(open_page("about:blank"), impossible)
    expect(message(page)).to_contain_text("No mask fits")
    page.evaluate("""() => {
      window.times = 0;
      const seen = { childList: true, characterData: true, subtree: true };
      const count = new MutationObserver((records) => (window.times += records.length));
      count.observe(document.querySelector('.plm-message'), seen);
    }""")
    for _ in range(3):
        page.get_by_role("button", name="Next epoch").click()
    assert page.evaluate("times") == 0


@pytest.mark.parametrize("mode", ["absolute", "relative_key"])
def test_trained_scores_may_all_be_zero(mode: str) -> None:
    shape = {"absolute": (1, 32, 32), "relative_key": (1, 12, 23)}[mode]
    zeros: Any = {f"{mode}_scores": np.zeros(shape).tolist()}
    assert "<img" in RelativeBiasWidget(mode=mode, **zeros).html()


@pytest.mark.parametrize("name", widgets.__all__)
def test_the_name_of_a_slider_is_its_label_and_its_value_is_no_second_live_region(
    name: str, open_page: Callable[..., Page]
) -> None:
    page = render_with_model(open_page("about:blank"), getattr(widgets, name)())
    kinds = page.evaluate("[...document.querySelectorAll('label')].map((label) => label.control?.tagName)")
    assert "OUTPUT" not in kinds
    assert page.locator("output").count() == 0 and page.locator("[aria-live], [role=status]").count() == 1


@pytest.mark.parametrize("token", ["donaudampfschifffahrtsgesell", "W" * 64])
def test_a_long_token_does_not_widen_the_page(token: str, open_page: Callable[..., Page]) -> None:
    sentence = {"name": "one", "tokens": ["a", token], "attentions": heads(2, 1)}
    page = open_page("about:blank")
    page.set_viewport_size({"width": 320, "height": 700})
    render_with_model(page, AttentionViewer([sentence], query=1))
    assert page.evaluate("document.documentElement.scrollWidth") == 320


@pytest.mark.parametrize("widget", [AttentionViewer, RelativeBiasWidget])
def test_a_theme_may_change_while_a_block_is_out_of_the_page(widget: Any, open_page: Callable[..., Page]) -> None:
    """`open_page` fails on a console error. When the block is back, the next move brings the new colours."""
    page = render_with_model(open_page("about:blank"), widget())
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    page.evaluate(
        """async (changes) => {
      window.block = document.querySelector('.plm-widget').parentElement;
      block.remove();
      document.documentElement.dataset.theme = 'dark';
      for (const [name, value] of changes) fake.fromKernel(name, value);
      await new Promise(requestAnimationFrame);
      document.body.append(block);
    }""",
        [["head", 1]] if widget is AttentionViewer else [["shift", 3]],
    )
    page.get_by_role("slider").last.press("ArrowLeft")
    page.get_by_role("slider").last.press("ArrowRight")
    painted, wanted = page.evaluate("""() => {
      const canvas = [...document.querySelectorAll('.plm-widget canvas')].at(-1), { width, height } = canvas;
      const { data } = canvas.getContext('2d').getImageData(0, 0, width, height), found = new Set();
      for (let n = 0; n < data.length; n += 4) if (data[n + 3] > 100) found.add([...data.slice(n, n + 3)].join());
      const { color, borderTopColor } = getComputedStyle(canvas);
      return [[...found], [color, borderTopColor].map((one) => one.match(/\\d+/g).slice(0, 3).map(Number))];
    }""")
    assert painted
    for colour in painted:  # a canvas stores transparent colours in few bits
        assert any(np.abs(np.subtract([int(part) for part in colour.split(",")], one)).max() < 8 for one in wanted)


@pytest.mark.parametrize("widget", [AttentionViewer, RelativeBiasWidget])
def test_only_another_theme_makes_a_widget_ask_for_colours(widget: Any, open_page: Callable[..., Page]) -> None:
    """The book's theme changes the page's classes as its reader scrolls, and whoever asks then stops the scrolling."""
    page = render_with_model(open_page("about:blank"), widget())
    asked = page.evaluate("""async () => {
      const ask = window.getComputedStyle, counts = [];
      let count = 0;
      window.getComputedStyle = (...what) => (count++, ask(...what));
      for (const name of ['scrolled', 'scrolled more', 'more vscode-dark']) {
        count = 0;
        document.body.className = name;
        await new Promise(requestAnimationFrame);
        counts.push(count);
      }
      return counts;
    }""")
    assert asked[:2] == [0, 0] and asked[2] > 0


def test_a_widget_that_was_taken_to_be_as_wide_as_another_is_drawn_anew(
    tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    """Far from the reader, where the browser has laid nothing out, in a column that is narrower."""
    head = """<style>.plm-block ~ .plm-block { margin-top: 9000px; width: 400px; content-visibility: auto; }</style>"""
    page = open_page(bare(tmp_path, GeluWidget(), GeluWidget(x=1.0), head=head))
    wide, narrow = page.locator(".plm-widget").all()
    expect(page.locator(".plm-static")).to_have_count(0)
    drawing = narrow.locator(".plm-plot > svg")
    first = drawing.get_attribute("width")
    narrow.scroll_into_view_if_needed()
    expect(drawing).not_to_have_attribute("width", first or "")
    width = int(drawing.get_attribute("width") or 0)
    assert 300 < width < 400 < int(wide.locator(".plm-plot > svg").get_attribute("width") or 0)


@pytest.mark.parametrize("widget", [AttentionViewer, RelativeBiasWidget])
def test_a_second_widget_that_is_not_in_the_page_yet_waits_until_it_is(
    widget: Any, open_page: Callable[..., Page]
) -> None:
    """As JupyterLab does it: it has no width, and is not as wide as the first one."""
    page = render_with_model(open_page("about:blank"), widget())
    shape = """() => [...document.querySelectorAll('.plm-widget')].map((one) =>
      [...one.querySelectorAll('canvas, svg')].map((part) => [part.clientWidth, part.clientHeight]))"""
    [first] = page.evaluate(shape)
    page.evaluate("document.body.append = document.documentElement.append = (box) => (window.box = box)")
    render_with_model(page, widget())
    assert len(page.evaluate(shape)) == 1
    page.evaluate("Element.prototype.append.call(document.body, box)")
    page.evaluate("() => new Promise((done) => setTimeout(done, 100))")
    assert page.evaluate(shape) == [first, first]


# --- hands ------------------------------------------------------------------------------------------------------------


def test_starting_again_takes_the_last_verdict_away(open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), RMSNormWidget())
    verdict = page.locator(".plm-verdict")
    before = verdict.inner_text()
    for name in ("Shift all by +1", "Shift all by −1"):
        page.get_by_role("button", name=name).click()
        expect(verdict).to_contain_text(name)
    page.get_by_role("button", name="Start again").click()
    expect(verdict).to_have_text(before)


def test_a_second_click_or_a_key_held_down_does_not_skip_the_answer(open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), SentencePairs())
    guess, following = page.get_by_role("button", name="B follows A"), page.get_by_role("button", name="Next pair")
    guess.dblclick()
    expect(following).to_be_visible()
    following.click()
    expect(following).to_be_hidden()
    guess.focus()
    page.keyboard.down("Enter")
    for _ in range(3):
        page.keyboard.down("Enter")  # as if the keyboard repeated it
    page.keyboard.up("Enter")
    expect(following).to_be_visible()
    assert len([one for one in page.evaluate("fake.get('guesses')") if one is not None]) == 2


POINTERS = [
    (GeluWidget, ".plm-plot"),
    (RelativeBiasWidget, "[role=application]"),
    (RelativeBiasWidget, "form > div:has(> svg)"),
]


SLID = [
    (GeluWidget(), "x", "x"),
    (ModelSizesWidget(hidden_size=520, num_attention_heads=8), "hidden size, H", "hidden_size"),  # between two steps
    (ModelSizesWidget(), "attention heads, A", "num_attention_heads"),  # may take the hidden size along
    (MaskingPatternsWidget(), "share of mask tokens", "mask_share"),  # takes from another share
    (RMSNormWidget(), "x1", "components"),
]


def on_a_telephone(open_page: Callable[..., Page], widget: Any) -> tuple[Page, Finger, Callable[[], int]]:
    """A page with room to scroll, a finger, and a function that says how much the widget has sent."""
    page = render_with_model(open_page("about:blank", width=390, height=800, has_touch=True), widget)
    page.add_style_tag(content="body { padding: 800px 0; }")
    return page, Finger(page), lambda: int(page.evaluate("sent.length"))


def scroll_to(part: Locator) -> None:
    part.evaluate("part => part.scrollIntoView({ block: 'center' })")


@pytest.mark.parametrize(("widget", "part"), POINTERS)
def test_a_finger_that_scrolls_moves_nothing_and_a_tap_does(
    widget: Any, part: str, open_page: Callable[..., Page]
) -> None:
    page, finger, sent = on_a_telephone(open_page, widget())
    shown = page.locator(part).first
    scroll_to(shown)
    top = page.evaluate("scrollY")
    finger.stroke(shown, 4, -150)
    assert page.evaluate("scrollY") > top + 60 and sent() == 0
    finger.tap(shown, 0.4)
    assert sent() == 1
    assert "pinch-zoom" in shown.evaluate("part => part.style.touchAction")


def test_a_finger_that_went_sideways_leads_up_and_down_too(open_page: Callable[..., Page]) -> None:
    page, finger, _ = on_a_telephone(open_page, RelativeBiasWidget())
    shown = page.locator("[role=application]").first
    scroll_to(shown)
    top, (x, y) = page.evaluate("scrollY"), place_of(shown)
    finger.send("touchStart", (x, y))
    for across, down in ((10, 0), (20, 0), (30, 0), (40, 0), (40, 40), (40, 80)):
        finger.send("touchMove", (x + across, y + down))
    finger.lift()
    assert page.evaluate("sent.at(-1).query > sent[0].query") and page.evaluate("scrollY") == top


@pytest.mark.parametrize(("widget", "name", "trait"), SLID)
def test_a_finger_that_scrolls_leaves_sliders_and_what_depends_on_them(
    widget: Any, name: str, trait: str, open_page: Callable[..., Page]
) -> None:
    """The value must not even be sent and taken back: what moved along with it would stay where it is."""
    page, finger, sent = on_a_telephone(open_page, widget)
    moved = slider(page, name)
    scroll_to(moved)
    top, before = page.evaluate("scrollY"), moved.input_value()
    for along in (0.1, 0.9):
        finger.stroke(moved, 4, -150 if along < 0.5 else 150, along)
        assert abs(page.evaluate("scrollY") - top) > 60
        assert sent() == 0 and moved.input_value() == before
        scroll_to(moved)
    finger.stroke(moved, 60, 5, 0.1, lift=False)
    assert page.evaluate("trait => trait in sent[0]", trait) and moved.input_value() != before
    finger.lift()
    before, dragged = moved.input_value(), sent()
    finger.tap(moved, 0.9)
    assert sent() == dragged + 1 and moved.input_value() != before


def place_of(part: Locator) -> tuple[float, float]:
    part.scroll_into_view_if_needed()
    box = part.bounding_box()
    assert box is not None
    return box["x"] + 0.4 * box["width"], box["y"] + 0.5 * box["height"]


@pytest.mark.parametrize(("widget", "part"), POINTERS)
def test_a_drag_that_began_elsewhere_moves_nothing(widget: Any, part: str, open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), widget())
    shown, mouse, sent = page.locator(part).first, page.mouse, lambda: len(page.evaluate("sent"))
    x, y = place_of(shown)
    mouse.move(x, y)
    mouse.move(2, y)  # beside the widget
    before = sent()
    mouse.down()
    mouse.move(x, y, steps=5)
    mouse.move(x + 60, y + 20, steps=5)
    mouse.up()
    assert sent() == before
    # A drag that begins there is followed until the button is released; another one from elsewhere is not.
    mouse.down()
    mouse.move(x - 40, y, steps=2)
    assert sent() > before
    mouse.up()
    mouse.move(2, y)
    before = sent()
    mouse.down()
    mouse.move(x, y, steps=3)
    mouse.up()
    assert sent() == before


@pytest.mark.parametrize(("widget", "part"), POINTERS)
def test_one_finger_moves_and_two_do_not(widget: Any, part: str, open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank", has_touch=True), widget())
    x, y = place_of(page.locator(part).first)
    session, sent = page.context.new_cdp_session(page), lambda: len(page.evaluate("sent"))

    def touch(kind: str, *places: tuple[float, float]) -> None:
        fingers = [{"x": x + across, "y": y + down, "id": n} for n, (across, down) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", (0, 0))
    for across in (20, 40, 60):
        touch("touchMove", (across, 0))
    assert sent() > 0
    touch("touchEnd")
    before = sent()
    touch("touchStart", (0, 0))
    touch("touchStart", (0, 0), (60, 20))
    for wider in (20, 40, 60):
        touch("touchMove", (-wider, 0), (60 + wider, 20))
    touch("touchEnd")
    assert sent() == before


def test_shortcuts_of_the_browser_are_left_to_it(open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), RelativeBiasWidget())
    shown = page.locator("[role=application]").first
    for keys, sent in (("Alt+ArrowLeft", 0), ("Control+ArrowDown", 0), ("ArrowDown", 1)):
        shown.press(keys)
        assert len(page.evaluate("sent")) == sent
    page = render_with_model(open_page("about:blank"), AttentionViewer())
    for keys, layer in (("Alt+ArrowDown", 0), ("Control+ArrowDown", 0), ("Meta+ArrowDown", 0), ("ArrowDown", 1)):
        page.locator("input[name=head]:checked").press(keys)
        assert page.evaluate("fake.get('layer')") == layer, keys


def test_a_phone_does_not_zoom_into_what_is_typed_in(open_page: Callable[..., Page], tmp_path: Path) -> None:
    """iOS does so below 16 pixels, and stays zoomed in."""
    address = bare(tmp_path, ModelSizesWidget(), MaskingPatternsWidget())
    fields = open_page(address, width=390, has_touch=True, is_mobile=True).locator(
        ".plm-widget :is(input[type=number], select, textarea)"
    )
    kinds = {"number", "select-one", "textarea"}
    found = fields.evaluate_all("all => all.map((one) => [one.type, parseFloat(getComputedStyle(one).fontSize)])")
    assert {kind for kind, _ in found} == kinds and min(size for _, size in found) >= 16


def test_no_head_is_the_best_where_all_are_zero(open_page: Callable[..., Page]) -> None:
    backwards = np.tril(np.ones((3, 3))) / np.arange(1, 4)[:, None]  # a decoder never looks at the next token
    sentence = {"name": "one", "tokens": ["a", "b", "c"], "attentions": [[backwards.tolist()] * 2]}
    page = render_with_model(open_page("about:blank"), AttentionViewer([sentence], measure="next"))
    assert page.locator(".plm-heads-best").count() == 0
    page.get_by_role("radio", name="Weight on the token before").check()
    assert page.locator(".plm-heads-best").count() == 2


def test_the_first_letters_of_a_text_are_told_what_spans_need(open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), MaskingPatternsWidget(unit="spans", tokenizer="t5_unigram"))
    page.get_by_role("textbox").fill("T")
    expect(message(page)).to_contain_text("No mask fits: there must be two tokens")


@pytest.mark.parametrize("name", widgets.__all__)
def test_a_notebook_is_given_one_way_to_render(name: str, open_page: Callable[..., Page]) -> None:
    """A named export beside the default one makes anywidget warn in the console."""
    names = """async (code) => {
      const file = new Blob([code], { type: 'text/javascript' });
      return Object.keys(await import(URL.createObjectURL(file)));
    }"""
    found = open_page("about:blank").evaluate(names, getattr(widgets, name)()._esm)
    assert "default" in found and "render" not in found


@pytest.mark.parametrize("trait", ["x", "draws"])
def test_a_number_that_python_does_not_write_is_refused_like_others(trait: str) -> None:
    with pytest.raises(ValueError, match=rf"^GeluWidget\.{trait} must be .*got a value too long to be written"):
        GeluWidget(**{trait: 10**5000})  # type: ignore[arg-type]
