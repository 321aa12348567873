"""What the tests of all widgets share: pages to put them on, and what is read from a page."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import numpy as np
from playwright.sync_api import Locator, Page

from plm_lessons.widgets.base import LessonWidget

BARE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>A bare page</title><link rel="icon" href="data:,">{head}</head><body>{body}</body></html>"""
# A page of the book of which a part has not been laid out yet.
UNFINISHED = ".lays-out-late .bd-article-container:not([data-laid-out])"
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def as_number(text: str) -> float:
    return float(text.replace("\u2212", "-"))


def close(found: Any, wanted: Any, tolerance: float) -> None:
    np.testing.assert_allclose(np.array(found, dtype=float), np.array(wanted), rtol=0, atol=tolerance)


def bare(folder: Path, *widgets: LessonWidget, head: str = "") -> str:
    """Write a page that holds the widgets and nothing else; return its address."""
    path = folder / "page.html"
    path.write_text(BARE.format(head=head, body="\n".join(widget.html() for widget in widgets)), encoding="utf-8")
    return path.as_uri()


def wait_until(page: Page, expression: str) -> None:
    """Wait until an expression is true. (`wait_for_function` asks a second time by a way that the site forbids.)"""
    for _ in range(150):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never true: {expression}")


class Strict(HTMLParser):
    """Collects what a browser would see, and fails on an element that is closed out of order."""

    VOID: ClassVar[set[str]] = {"input", "br", "meta", "link", "img"}

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len({name for name, _ in attrs})
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]] = self.texts.get(self.open[-1], "") + data


def drawn(widget: LessonWidget) -> tuple[str, list[tuple[str, str]]]:
    """The SVG in the picture, and the rows of the table below it."""
    html = widget.picture()
    image = re.search(r'<img src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert image is not None
    svg = base64.b64decode(image[1]).decode()
    ElementTree.fromstring(svg)
    return svg, re.findall(r'<th scope="row">([^<]*)</th><td>([^<]*)</td>', html)


def path_of(d: str) -> np.ndarray:
    """The points of a drawn path in pixels, across and up."""
    return np.array([[float(part) for part in pair.split()] for pair in re.split("[ML]", d)[1:]]).T


class Scales:
    """Scales from pixels to values, across and up, by the labels of the ticks."""

    def __init__(self, labels: list[tuple[str, float, float, str]]) -> None:
        ticks, names = labels[:-2], labels[-2:]
        assert all(text for *_, text in names)
        self.x = self._line([(x, as_number(text)) for anchor, x, _, text in ticks if anchor == "middle"])
        self.y = self._line([(y - 4, as_number(text)) for anchor, _, y, text in ticks if anchor == "end"])
        self.pixel = abs(float(self.y(1) - self.y(0)))

    @staticmethod
    def _line(pairs: list[tuple[float, float]]) -> Callable[[Any], Any]:
        pixels, values = np.array(pairs).T
        assert len(values) >= 2
        slope, start = np.polyfit(pixels, values, 1)
        return lambda pixel: start + slope * np.asarray(pixel)


IMPORT = """async (source) => {
  window.lib = await import('data:text/javascript;charset=utf-8,' + encodeURIComponent(source));
}"""


# A model like Backbone's: an event for each attribute that changed; save_changes sends the kernel what is unsent.
FAKE = """async ([state, source]) => {
  const lib = await import('data:text/javascript;charset=utf-8,' + encodeURIComponent(source));
  const heard = {}, unsent = new Set();
  const tell = (name) => [...(heard['change:' + name] ?? [])].forEach((callback) => callback());
  window.sent = [];
  window.fake = {
    get: (name) => state[name],
    set(name, value) {
      if (JSON.stringify(state[name]) === JSON.stringify(value)) return;
      state[name] = value;
      unsent.add(name);
      tell(name);
    },
    save_changes() {
      window.sent.push(Object.fromEntries([...unsent].map((name) => [name, state[name]])));
      unsent.clear();
    },
    on: (event, callback) => (heard[event] ??= []).push(callback),
    off: (event, callback) => (heard[event] = (heard[event] ?? []).filter((other) => other !== callback)),
    listeners: () => Object.values(heard).flat().length,
    fromKernel(name, value) {
      state[name] = value;
      tell(name);
    },
  };
  const el = document.createElement('div');
  document.body.append(el);
  window.cleanup = lib.default.render({ model: window.fake, el });
}"""


def render_with_model(page: Page, widget: LessonWidget, **state: Any) -> Page:
    """Render a widget as a notebook does. The page then has `fake` (its model), `sent` (messages) and `cleanup`."""
    page.add_style_tag(content=widget._css)
    page.evaluate(FAKE, [{**json.loads(json.dumps(widget.page_state())), **state}, widget._esm])
    return page


_COLOURS = """
  const numbers = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (colour) => {
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = numbers(colour).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor, [, , , alpha = 1] = numbers(colour);
      if (alpha === 1) return colour;
    }
  };
  const worst = [];
  const note = (what, ink, element) => {
    const [a, b] = [light(ink), light(ground(element))].sort((p, q) => q - p);
    worst.push([(a + 0.05) / (b + 0.05), what]);
  };
"""
CONTRAST = (
    "root => {"
    + _COLOURS
    + """
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let text; (text = walker.nextNode()); ) {
    const owner = text.parentElement, style = getComputedStyle(owner);
    const ink = owner.closest('svg') ? style.fill : style.color;
    if (text.data.trim() && owner.checkVisibility()) note(text.data, ink, owner);
  }
  for (const field of root.querySelectorAll('input[type=number], button'))
    if (field.checkVisibility()) note('text of a control', getComputedStyle(field).color, field);
  for (const curve of root.querySelectorAll('.plm-curve'))
    if (curve.checkVisibility()) note('line of ' + curve.getAttribute('class'), getComputedStyle(curve).stroke, curve);
  return { worst: worst.sort((p, q) => p[0] - q[0])[0], seen: worst.length, ground: ground(root.firstElementChild) };
}"""
)
# Lines and areas of drawings, with their opacity: whichever has more contrast, the line or what it encloses. The
# grid need not be visible, and the lines of the attention viewer are paler the less they mean.
GRAPHICS = (
    "root => {"
    + _COLOURS
    + """
  for (const part of root.querySelectorAll('svg :is(path, rect, line):not(.plm-grid, .plm-heads-line)')) {
    const style = getComputedStyle(part), d = part.getAttribute('d');
    if (d === '' || !part.checkVisibility({ visibilityProperty: true })) continue;
    const back = numbers(ground(part)), first = worst.length;
    for (const kind of d === null || d.includes('Z') ? ['stroke', 'fill'] : ['stroke']) {
      if (style[kind] === 'none') continue;
      const share = Number(style[`${kind}Opacity`]);
      const seen = numbers(style[kind]).slice(0, 3).map((v, i) => share * v + (1 - share) * back[i]);
      note(part.getAttribute('class'), seen.join(), part);
    }
    worst.splice(first, 2, worst.slice(first).sort((p, q) => q[0] - p[0])[0] ?? [1, part.outerHTML]);
  }
  return { worst: worst.sort((p, q) => p[0] - q[0])[0], seen: worst.length };
}"""
)


# What WCAG 1.4.12 asks a page to tolerate, except the space below paragraphs, as a bookmarklet sets it. Without an
# inline style, which the book's policy forbids.
SPACE_TEXT = """() => {
  const sheet = new CSSStyleSheet();
  const wide = 'line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important';
  sheet.replaceSync(`* { ${wide} }`);
  document.adoptedStyleSheets.push(sheet);
}"""


def set_theme(page: Page, theme: str) -> None:
    """Set the theme, with the switch of the book if there is one."""
    switch = page.locator("button.theme-switch-button:visible")
    for _ in range(3):
        if page.evaluate("document.documentElement.dataset.theme") == theme:
            return
        if switch.count():
            switch.first.click()
        else:
            page.evaluate("theme => (document.documentElement.dataset.theme = theme)", theme)
    assert page.evaluate("document.documentElement.dataset.theme") == theme


# Waits until a page with a new size has been laid out and its widgets have been redrawn.
TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
STICKING_OUT = """block => {
  const edge = block.getBoundingClientRect().right + 0.5;
  return [...block.querySelectorAll('*:not(svg, svg *, .plm-unseen)')]
    .filter((part) => part.checkVisibility() && part.getBoundingClientRect().right > edge)
    .map((part) => part.outerHTML.slice(0, 80));
}"""


NAME_OF = """part =>
  (part.getAttribute('aria-label') ?? part.labels?.[0]?.textContent ?? part.textContent).trim()"""
IN_FOCUS = """root => {
  const at = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(at);
  return {
    inside: root.contains(at),
    outline: outlineStyle === 'none' ? 0 : parseFloat(outlineWidth),
    name: (NAME_OF)(at),
  };
}""".replace("NAME_OF", NAME_OF)


# Without an inline style, which the book's policy forbids.
STOP_TRANSITIONS = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync('* { transition: none !important; }');
  document.adoptedStyleSheets.push(sheet);
}"""


CONTROLS = 'input, button, select, textarea, [tabindex="0"]'
# All texts and drawings, except one control, given by its place among all controls, and its own label.
SHOWN = """(root, [place, selector]) => {
  const own = root.querySelectorAll(selector)[place], box = own?.closest('label, fieldset') ?? own;
  const skipped = (part) => box?.contains(part) || part.closest('.plm-unseen');
  const parts = [...root.querySelectorAll('*')].filter((part) => !skipped(part) && part.checkVisibility());
  return JSON.stringify(parts.map((part) => [
    part.tagName, part.className.baseVal ?? part.className, part.getAttribute('style'),
    ...['d', 'x', 'x1', 'y', 'width', 'height', 'transform', 'fill-opacity'].map((name) => part.getAttribute(name)),
    part.type === 'radio' ? '' : part.checked ?? '', part.value ?? '',
    part.tagName === 'CANVAS' ? part.toDataURL() : '',
    [...part.childNodes].filter((child) => child.nodeType === 3).map((child) => child.data).join('|'),
  ]));
}"""
# The controls that can be used now, except radio buttons: place, name and kind of each.
USABLE = f"""(root, selector) => [...root.querySelectorAll(selector)].map((part, place) => [place, part])
  .filter(([, part]) => part.checkVisibility() && !part.disabled && part.type !== 'radio' && part.options?.length !== 1)
  .map(([place, part]) => [place, ({NAME_OF})(part), part.type ?? ''])"""
KEYS = {
    "range": ("ArrowRight", "ArrowLeft", "Home", "End"),
    "number": ("ArrowUp", "ArrowDown"),
    "checkbox": ("Space",),
    "select-one": ("ArrowDown", "ArrowUp"),
    "textarea": ("x",),
    "button": ("Enter",),
}


def shown(root: Locator, but: Locator | None = None) -> str:
    """Everything that a widget shows, except a control and its label; which radio button is chosen does not count."""
    place = "(part, all) => [...part.closest('.plm-widget').querySelectorAll(all)].indexOf(part)"
    return str(root.evaluate(SHOWN, [but.evaluate(place, CONTROLS) if but else -1, CONTROLS]))


def moved_by_pointer(root: Locator) -> Iterator[tuple[str, bool]]:
    """Click on each visible slider at two places; yield its name, and whether anything but itself changed."""
    for slider in root.locator("input[type=range]:visible").all():
        box, before = slider.bounding_box(), shown(root, slider)
        assert box is not None
        seen = set()
        for share in (0.2, 0.8):
            slider.click(position={"x": share * box["width"], "y": box["height"] / 2})
            seen.add(shown(root, slider))
        yield slider.evaluate(NAME_OF), seen != {before}


def operate(root: Locator) -> tuple[list[str], list[str]]:
    """Operate the controls of a widget: see `operate_with`."""
    return operate_with(root.evaluate, lambda place, key: root.locator(CONTROLS).nth(place).press(key))


def operate_with(ask: Callable[[str, Any], Any], press: Callable[[int, str], None]) -> tuple[list[str], list[str]]:
    """Press keys on every control but radio buttons, from the first to the last.

    A control may have no effect yet, like the seed of masks before any is drawn. It gets another chance
    after each of the others.

    Args:
        ask: Calls a function of JavaScript with a widget and a value.
        press: Presses a key on the control at this place among all of the widget.

    Returns:
        The names of the controls that were used, and of those that never changed anything but themselves.
    """

    def usable() -> list[tuple[int, str, str]]:
        return [tuple(found) for found in ask(USABLE, CONTROLS)]

    def changes(place: int, kind: str) -> bool:
        """Press keys on a control until something else changes; return whether it did."""
        ask(f"(root, given) => {{ window.before = ({SHOWN})(root, given); }}", [place, CONTROLS])
        for key in KEYS.get(kind, ("ArrowRight", "ArrowLeft")):
            press(place, key)
            if ask(f"(root, given) => window.before !== ({SHOWN})(root, given)", [place, CONTROLS]):
                return True
        return False

    used, silent = usable(), []
    for control in used:
        if control in usable() and not changes(control[0], control[2]):
            silent.append(control)
    for place, _, kind in usable() if silent else ():
        changes(place, kind)
        silent = [control for control in silent if not changes(control[0], control[2])]
    return [name for _, name, _ in used], [name for _, name, _ in silent]


class Finger:
    """A finger on the screen of a page that was opened with `has_touch`; what it does is the browser's own input."""

    def __init__(self, page: Page) -> None:
        self.page, self.session = page, page.context.new_cdp_session(page)

    def send(self, kind: str, *places: tuple[float, float]) -> None:
        """Touch at these places with as many fingers (`touchStart`, `touchMove`), or with none (`touchEnd`)."""
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def lift(self) -> None:
        """End the touch, and let the page show what came of it."""
        self.send("touchEnd")
        self.page.evaluate(TWO_FRAMES)

    def stroke(self, part: Locator, across: float, down: float, along: float = 0.5, *, lift: bool = True) -> None:
        """Go this far from the part's middle, or from another share of its width, and stay there: nothing rolls on."""
        box = part.bounding_box()
        assert box is not None
        x, y = box["x"] + along * box["width"], box["y"] + box["height"] / 2
        self.send("touchStart", (x, y))
        for share in (0.1, 0.2, 0.4, 0.6, 0.8, 0.98):
            self.send("touchMove", (x + across * share, y + down * share))
        self.page.wait_for_timeout(100)  # a move after a rest has no speed
        self.send("touchMove", (x + across, y + down))
        self.page.evaluate(TWO_FRAMES)
        if lift:
            self.lift()

    def tap(self, part: Locator, along: float) -> None:
        """Tap at this share of the part's width, halfway down."""
        box = part.bounding_box()
        assert box is not None
        self.page.touchscreen.tap(box["x"] + along * box["width"], box["y"] + box["height"] / 2)
        self.page.evaluate(TWO_FRAMES)


# The map of relative_bias.js

# By how many pixels each number extends beyond its cell, sideways and up or down; below 0 it does not.
OUT_OF_CELLS = """root => {
  const text = root.querySelector('.plm-in-cells').firstChild, map = root.querySelector('.plm-map canvas');
  const { left, top, width } = map.getBoundingClientRect(), size = width / 12, range = document.createRange();
  return [...text.data.matchAll(/[0-9]+/g)].map((found) => {
    range.setStart(text, found.index);
    range.setEnd(text, found.index + found[0].length);
    const box = range.getBoundingClientRect(), column = text.data.slice(0, found.index).split('\\n').at(-1).length;
    const row = text.data.slice(0, found.index).split('\\n').length - 1, x = left + Math.floor(column / 3) * size;
    const middle = (box.top + box.bottom) / 2 - top - (row + 0.5) * size;
    return [Math.max(x - box.left, box.right - x - size), Math.abs(middle)];
  });
}"""

# How many pixels the middle of each word beside the map is from the middle of its row or column.
BESIDE_ROWS = """root => {
  const { left, top, width } = root.querySelector('.plm-map canvas').getBoundingClientRect(), size = width / 12;
  return ['.plm-map-queries', '.plm-map-keys'].flatMap((side, across) => {
    const text = root.querySelector(side).firstChild, range = document.createRange();
    let at = 0;
    return text.data.split('\\n').map((word, n) => {
      range.setStart(text, at);
      range.setEnd(text, at + word.length);
      at += word.length + 1;
      const box = [...range.getClientRects()].at(-1); // WebKit also gives the end of the line before
      const middle = across ? (box.left + box.right) / 2 - left : (box.top + box.bottom) / 2 - top;
      return Math.abs(middle - (n + 0.5) * size);
    });
  });
}"""
