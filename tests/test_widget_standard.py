"""What every widget of the book must do, whatever it shows: on a bare page, without a kernel or other hosts.

What the controls of a widget do to its values is tested in the widget's own file.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from widget_page import (
    CONTRAST,
    GRAPHICS,
    IN_FOCUS,
    SPACE_TEXT,
    STICKING_OUT,
    TWO_FRAMES,
    Strict,
    bare,
    drawn,
    moved_by_pointer,
    operate,
    render_with_model,
    set_theme,
    shown,
)

from plm_lessons import widgets
from plm_lessons.widgets.base import LessonWidget, WidgetValueError, source

NAMES = tuple(widgets.__all__)
MOST_BYTES = 24_000  # of a widget's own script, with its mathematics; compressed, about a third of that
MOST_PACKED = 16_000  # of a widget's whole script, as it is sent
every_widget = pytest.mark.parametrize("name", NAMES)


EVEN = {"encoder": [[[[1 / 3] * 3] * 3] * 2] * 2, "cross": [[[[1 / 3] * 3] * 2] * 2] * 2}
# For each widget, a value of every trait that shows something else than the first state and fits the other values.
OTHER: dict[str, dict[str, Any]] = {
    "AttentionViewer": {
        "sentences": [{"tokens": ["a", "b", "c"], "target_tokens": ["x", "y"], "attentions": EVEN}] * 2,
        **{"sentence": 1, "kind": "cross", "layer": 1, "head": 1, "query": 1, "measure": "spread"},
    },
    "GeluWidget": {"x": 1.5, "curves": ("relu",), "seed": 3, "draws": 25, "view": "masks"},
    "MaskingPatternsWidget": {
        **{"text": "It was a dark night.", "tokenizer": "byte_level_bpe", "masking_rate": 0.3, "mask_share": 0.6},
        **{"random_share": 0.3, "mean_span_length": 2.0, "copies": 3, "seed": 9, "epochs": 30, "unit": "words"},
    },
    "ModelSizesWidget": {
        **{"num_attention_heads": 8, "hidden_size": 512, "embedding_size": 256, "num_hidden_layers": 3},
        **{"vocab_size": 9000, "shared_parameters": "none", "dropout": True, "type_vocab_size": 3, "batch_size": 2},
        **{"max_position_embeddings": 600, "intermediate_size": 1000, "sequence_length": 100, "head": "masked_lm"},
        **{"view": "parts"},
    },
    "RMSNormWidget": {"components": (1.0, -2.0), "log10_scale": -3, "log10_eps": -4.0, "gain": 0.5},
    "RelativeBiasWidget": {
        **{"num_buckets": 8, "max_distance": 40, "direction": "one-sided", "shift": 3, "query": 7, "distance": -2},
        **{"values": tuple(tuple(0.1 * head - 0.2 * b for b in range(8)) for head in range(3)), "head": 1},
        "relative_key_scores": (tuple(tuple(0.1 * i - 0.01 * n for n in range(23)) for i in range(12)),) * 2,
        "absolute_scores": (tuple(tuple(0.02 * i - 0.01 * j for j in range(32)) for i in range(32)),) * 2,
        "mode": "absolute",
    },
    "SentencePairs": {
        **{"pairs": widgets.SentencePairs().pairs[2:7], "seed": 5, "task": "sop"},
        "guesses": (0, 1, None, 0, None),
    },
}


def make(name: str, **state: Any) -> LessonWidget:
    return getattr(widgets, name)(**state)


# --- from Python's side -----------------------------------------------------------------------------------------------


@every_widget
def test_block_is_well_formed_and_points_nowhere(name: str) -> None:
    html = make(name).html()
    parsed = Strict(html)
    assert [tag for tag, _ in parsed.tags].count("script") == 2
    for _, attributes in parsed.tags:
        assert not {"href", "id", "onclick", "onload"} & set(attributes)
        assert (attributes.get("src") or "data:image/svg+xml;base64,").startswith("data:image/svg+xml;base64,")
    assert set(re.findall(r"https?://[^\s\"'`]+", html)) <= {"http://www.w3.org/2000/svg"}
    assert len(make(name)._esm.encode()) - len(source("common.js").encode()) <= MOST_BYTES
    assert len(gzip.compress(make(name)._esm.encode())) <= MOST_PACKED
    svg, _ = drawn(make(name))
    assert not re.search("nan|inf", svg)


@every_widget
def test_display_is_short(name: str) -> None:
    shown = repr(make(name))
    assert shown.startswith(f"{name}(") and len(shown) < 300


@every_widget
def test_display_makes_the_widget_again(name: str) -> None:
    """Defaults are left out; all other values are given, except tables, which are only counted."""
    assert repr(make(name)) == f"{name}()"
    for field, value in OTHER[name].items():
        widget = make(name)
        try:
            setattr(widget, field, value)
        except WidgetValueError:  # it does not fit the other values
            continue
        shown = repr(widget)
        assert shown.startswith(f"{name}({field}=")
        if "=<" not in shown:
            assert eval(shown, vars(widgets)).state() == widget.state()


# --- in the page ------------------------------------------------------------------------------------------------------


@every_widget
def test_comes_alive_under_a_strict_policy(name: str, tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """No eval, no blob, no connection; the picture gives way to the controls. `open_page` fails on a console error."""
    policy = "default-src 'none'; img-src data:; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    page = open_page(bare(tmp_path, make(name), head=head))
    expect(page.locator(".plm-widget")).to_have_count(1)
    assert page.locator(".plm-static").count() == 0
    box = page.locator(".plm-widget").bounding_box()
    assert box is not None and box["height"] > 200 and page.locator(".plm-widget input:visible").count() > 0
    assert page.locator(".plm-widget").inner_text().count("?") >= 1  # the question that playing answers


@every_widget
def test_without_javascript_a_picture_and_a_sentence(name: str, tmp_path: Path, open_page: Callable[..., Page]) -> None:
    for scheme, width in (("light", 320), ("dark", 390)):
        page = open_page(bare(tmp_path, make(name)), width=width, java_script_enabled=False, color_scheme=scheme)
        picture = page.locator(".plm-static")
        image = picture.locator("> img")
        box = image.bounding_box()
        assert box is not None and box["width"] > 200 and box["height"] > 100
        assert image.evaluate("image => image.complete && image.naturalWidth") > 200
        assert len(image.get_attribute("alt") or "") > 20 and picture.locator("table td").count() >= 2
        assert "With JavaScript" in picture.inner_text()
        assert page.locator(".plm-view").locator("input, button, select").count() == 0
        assert picture.evaluate(CONTRAST)["worst"][0] >= 4.5
        assert page.locator(".plm-block").evaluate(STICKING_OUT) == []
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


# Every visible radio button is one state of the layout: what it shows must fit, too.
def each_choice(page: Page) -> list[str]:
    visible = "[...document.querySelectorAll('.plm-widget input[type=radio]')].filter((i) => i.checkVisibility())"
    return page.evaluate(f"{visible}.map((input) => input.value)")


def each_view(page: Page) -> Iterator[str]:
    """Show the widget as it is at first, then with each of its choices made."""
    for value in ["", *each_choice(page)]:
        radio = page.locator(f'input[type=radio][value="{value}"]').first
        if value and radio.is_visible():
            radio.check()
        yield value


@every_widget
def test_no_sideways_scroll(name: str, tmp_path: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(bare(tmp_path, make(name)), width=320)
    for width in (320, 390, 768, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(TWO_FRAMES)
        for _ in each_view(page):
            assert page.locator(".plm-block").evaluate(STICKING_OUT) == [], width
            assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), width


@every_widget
def test_themes_are_followed_live_with_enough_contrast(
    name: str, tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(bare(tmp_path, make(name)))
    for theme in ("light", "dark"):
        set_theme(page, theme)
        for _ in each_view(page):
            found = page.locator(".plm-widget").evaluate(CONTRAST)
            assert found["seen"] > 10 and found["worst"][0] >= 4.5, found["worst"]
            assert_graphics_seen(page)
            shade = [int(part) for part in re.findall(r"\d+", found["ground"])[:3]]
            assert min(shade) > 200 if theme == "light" else max(shade) < 90
    assert page.locator(".plm-widget").evaluate("root => root.getAnimations({ subtree: true }).length") == 0


def assert_graphics_seen(page: Page) -> None:
    """Check that every drawing with a meaning has a contrast of 3 to 1 with its background."""
    found = page.locator(".plm-widget").evaluate(GRAPHICS)
    assert not found["seen"] or found["worst"][0] >= 3, found["worst"]


@every_widget
@pytest.mark.parametrize(("system", "theme"), [("dark", "light"), ("light", "dark")])
def test_forced_colours_leave_all_to_be_read(
    name: str, system: str, theme: str, tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    """With the reader's few colours, as in the contrast themes of Windows, whatever theme the book has."""
    head = f"<script>document.documentElement.dataset.theme = '{theme}'</script>"
    page = open_page(bare(tmp_path, make(name), head=head), forced_colors="active", color_scheme=system)
    for _ in each_view(page):
        found = page.locator(".plm-widget").evaluate(CONTRAST)
        assert found["seen"] > 10 and found["worst"][0] >= 4.5, found["worst"]
        assert_graphics_seen(page)
        shade = [int(part) for part in re.findall(r"\d+", found["ground"])[:3]]
        assert min(shade) > 200 if system == "light" else max(shade) < 60


CUT_OFF = """root => [...root.querySelectorAll('.plm-value')]
  .filter((part) => part.checkVisibility() && part.scrollWidth > part.clientWidth && part.parentNode.clientWidth)
  .filter((part) => getComputedStyle(part).overflowX !== 'visible').map((part) => part.textContent)"""


@every_widget
@pytest.mark.parametrize("width", (320, 1280))
def test_more_space_in_text_cuts_no_value_off(
    name: str, width: int, tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(bare(tmp_path, make(name)), width=width)
    page.evaluate(SPACE_TEXT)
    for _ in each_view(page):
        page.evaluate(TWO_FRAMES)
        assert page.locator(".plm-widget").evaluate(CUT_OFF) == []
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


STOPS = """root => {
  const groups = new Set();
  return [...root.querySelectorAll('input, button, select, textarea, [tabindex="0"]')].filter((control) => {
    if (!control.checkVisibility() || control.disabled) return false;
    if (control.type !== 'radio') return true;
    const fresh = !groups.has(control.name);
    groups.add(control.name);
    return fresh; // Tab stops once in a set of radio buttons
  }).length;
}"""


@every_widget
def test_every_control_is_reached_by_tab_named_and_seen(
    name: str, tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(bare(tmp_path, make(name)))
    root = page.locator(".plm-widget")
    root.evaluate("root => root.parentElement.insertAdjacentHTML('afterend', '<button>What comes next</button>')")
    for stop in range(root.evaluate(STOPS)):
        page.keyboard.press("Tab")
        found = root.evaluate(IN_FOCUS)
        assert found["inside"] and found["name"] and found["outline"] >= 2, f"stop {stop}: {found}"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "What comes next", "a control too many"


@every_widget
def test_two_copies_do_not_disturb_each_other(name: str, tmp_path: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(bare(tmp_path, make(name), make(name)))
    for one, other in ((0, 1), (1, 0)):
        root, quiet = page.locator(".plm-widget").nth(one), page.locator(".plm-widget").nth(other)
        page.wait_for_timeout(800)  # until the previous moves have been announced
        before, still = root.inner_text(), (quiet.inner_text(), quiet.evaluate(CHECKED))
        for slider in root.get_by_role("slider").all():
            if slider.is_visible():
                slider.press("ArrowLeft")
        for radio in root.get_by_role("radio").all():
            if radio.is_visible():
                radio.check()
        assert root.inner_text() != before
        assert (quiet.inner_text(), quiet.evaluate(CHECKED)) == still


CHECKED = "root => [...root.querySelectorAll('input, select')].map((control) => [control.value, control.checked])"


@every_widget
def test_broken_state_leaves_the_picture(name: str, tmp_path: Path, browser: Browser) -> None:
    bare(tmp_path, make(name))
    path = tmp_path / "page.html"
    path.write_text(path.read_text().replace('type="application/json">{', 'type="application/json">{{'))
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(path.as_uri())
    expect(page.locator(".plm-static > img")).to_be_visible()
    assert page.locator("input").count() == 0 and any("JSON" in text for text in said)
    page.close()


# --- the model of a kernel --------------------------------------------------------------------------------------------


@every_widget
def test_senseless_value_is_named_and_the_view_stays(name: str, open_page: Callable[..., Page]) -> None:
    widget = make(name)
    page = render_with_model(open_page("about:blank"), widget)
    root = page.locator(".plm-widget")
    before = root.inner_text()
    good = json.loads(json.dumps(widget.page_state()))
    for field in widget.fields:
        for wrong in ("null", "NaN", "-Infinity", "undefined", "({})", "[[]]"):
            page.evaluate(f"fake.fromKernel({json.dumps(field)}, {wrong})")
            message = root.locator(".plm-message")
            assert message.inner_text().startswith(f"{field} must "), f"{field} = {wrong}: {message.inner_text()!r}"
            assert root.inner_text().replace(message.inner_text() + "\n", "").split() == before.split()
            page.evaluate("([name, value]) => fake.fromKernel(name, value)", [field, good[field]])
            assert message.inner_text() == ""
    assert page.evaluate("sent") == []  # an echo to the kernel would make two views chase each other
    page.evaluate("cleanup()")
    assert page.evaluate("fake.listeners()") == 0


@every_widget
def test_trait_set_in_python_moves_the_view(name: str, open_page: Callable[..., Page]) -> None:
    """One trait after another is set, until the view is that of a widget made with these values."""
    widget = make(name)
    page = render_with_model(open_page("about:blank"), widget)
    root = page.locator(".plm-widget")
    assert set(OTHER[name]) == set(widget.fields), "say in OTHER what each trait can be besides"
    for field, value in OTHER[name].items():
        setattr(widget, field, value)
        page.evaluate("([name, value]) => fake.fromKernel(name, value)", [field, widget.page_state()[field]])
        assert page.locator(".plm-message").inner_text() == "", field
    assert page.evaluate("sent") == []
    made_so = render_with_model(open_page("about:blank"), make(name, **OTHER[name]))
    assert shown(root) == shown(made_so.locator(".plm-widget"))
    assert shown(root) != shown(render_with_model(open_page("about:blank"), make(name)).locator(".plm-widget"))


@every_widget
def test_every_control_changes_what_is_shown_and_sets_its_trait(name: str, open_page: Callable[..., Page]) -> None:
    """In each view of the widget, by keyboard; what is sent gives Python the same state as the page."""
    page_state = "(names) => Object.fromEntries(names.map((name) => [name, fake.get(name)]))"
    page = render_with_model(open_page("about:blank"), make(name))
    for view in each_choice(page) or [""]:
        widget = make(name)
        page.goto("about:blank")
        render_with_model(page, widget)
        root, radio = page.locator(".plm-widget"), page.locator(f'input[type=radio][value="{view}"]')
        if view and not radio.is_checked():
            before = shown(root)
            radio.focus()
            page.keyboard.press("Space")
            assert radio.is_checked() and shown(root) != before, view
        used, silent = operate(root)
        assert used and silent == [], view
        for message in page.evaluate("sent"):
            widget.set_state(message)
        wanted = json.loads(json.dumps(widget.page_state()))
        assert page.evaluate(page_state, list(widget.fields)) == wanted


@every_widget
def test_every_slider_answers_to_the_pointer(name: str, open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), make(name))
    sent = 0
    for slider, moved in moved_by_pointer(page.locator(".plm-widget")):
        messages = page.evaluate("sent.length")
        assert moved and messages > sent, slider
        sent = messages


@every_widget
def test_what_the_view_sends_is_what_python_takes(name: str, open_page: Callable[..., Page]) -> None:
    widget = make(name)
    page = render_with_model(open_page("about:blank"), widget)
    for slider in page.get_by_role("slider").all():
        if slider.is_visible():
            for key in ("ArrowLeft", "End"):
                slider.press(key)
    for control in (*page.get_by_role("radio").all(), *page.get_by_role("button").all()):
        if control.is_visible():
            control.click()
    messages: list[dict[str, Any]] = page.evaluate("sent")
    assert messages
    for message in messages:
        assert set(message) <= set(widget.fields)
        widget.set_state(message)
    # The page, in turn, accepts what Python makes of it.
    for field, value in json.loads(json.dumps(widget.page_state())).items():
        page.evaluate("([name, value]) => fake.fromKernel(name, value)", [field, value])
    assert page.locator(".plm-message").inner_text() == ""
