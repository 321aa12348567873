"""The built pages in WebKit, without which no telephone by Apple shows a page, and in Firefox.

What pages have to do is tested in Chromium, by the other files. Here they do it once more, in brief, because engines
differ where nobody expects it: WebKit cut the height of lines to whole pixels, and a map had numbers in wrong rows.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import build_book
import numpy as np
import pytest
from other_browsers import Firefox, FirefoxWithLargerText, WebKit, Window
from test_site import CHAPTERS, PAGES, SITE
from widget_page import BESIDE_ROWS, CONTROLS, OUT_OF_CELLS, bare, operate_with

from plm_lessons.widgets import AttentionViewer, RelativeBiasWidget


@contextmanager
def started(kind: type[Window], folder: Path) -> Iterator[Window]:
    """Start a browser that is there."""
    if missing := kind.missing():
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    window = kind(folder)
    try:
        yield window
    finally:
        window.close()


@pytest.fixture(scope="module", params=[WebKit, Firefox])
def window(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    with started(request.param, tmp_path_factory.mktemp(request.param.__name__)) as window:
        yield window


# What goes wrong in a page is remembered by the page itself: WebKit's driver does not tell.
HEARD = """window.heard = [];
addEventListener('error', ({ message, target: of }) => heard.push(message ?? 'lost: ' + (of.src ?? of.href)), true);
addEventListener('unhandledrejection', ({ reason }) => heard.push(String(reason)));
addEventListener('securitypolicyviolation', (event) => heard.push(event.effectiveDirective + ': ' + event.blockedURI));
console.error = (...words) => heard.push(words.join(' '));"""


@pytest.fixture(scope="module")
def heard_site(book_site: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a copy of the book in which each page runs `HEARD` before anything else."""
    site = shutil.copytree(SITE, tmp_path_factory.mktemp("heard") / "site")
    (site / "heard.js").write_text(HEARD, "utf-8")
    for path in site.rglob("*.html"):
        text = path.read_text("utf-8")
        path.write_text(text.replace("<head>", '<head><script src="/heard.js"></script>', 1), "utf-8")
    httpd = build_book.server(0, site)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    httpd.server_close()


# Widgets without text, and with a drawing that has no width. (One within another is as wide as what is drawn in it.)
EMPTY = """return [...document.querySelectorAll('.plm-block')].filter((block) => {
  const drawings = [...block.querySelectorAll('svg:not(svg svg), canvas')].filter((part) => part.checkVisibility());
  const flat = drawings.some((part) => !part.getBoundingClientRect().width);
  return flat || !block.querySelector('.plm-widget').innerText.trim();
}).map((block) => block.dataset.plmWidget)"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_nothing_goes_wrong_in_it(heard_site: str, window: Window, name: str) -> None:
    window.open(f"{heard_site}/{name}.html")
    assert window.run(EMPTY) == []
    for width in (1200, 700, 390):
        window.resize(width, 900)
        inside, whole = window.run("return [innerWidth, document.scrollingElement.scrollWidth]")
        assert whole <= inside, width
    assert window.run("return heard") == []


def test_what_goes_wrong_is_heard(heard_site: str, window: Window) -> None:
    window.open(f"{heard_site}/{PAGES[0]}.html")
    address = "https://example.org/a.png"
    window.run("document.body.append(Object.assign(new Image(), { src: arguments[0] }))", address)
    for _ in range(50):
        if len(window.run("return heard")) == 2:
            break
        time.sleep(0.1)
    assert sorted(window.run("return heard")) == [f"img-src: {address}", f"lost: {address}"]


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_control_of_every_widget_works(book_site: str, window: Window, name: str) -> None:
    window.open(f"{book_site}/{name}.html")
    for number in range(window.run("return document.querySelectorAll('.plm-widget').length")):
        root = f"document.querySelectorAll('.plm-widget')[{number}]"

        def ask(function: str, value: Any, root: str = root) -> Any:
            return window.run(f"return ({function})({root}, arguments[0])", value)

        def press(place: int, key: str, root: str = root) -> None:
            window.press(window.run(f"return {root}.querySelectorAll(arguments[0])[{place}]", CONTROLS), key)

        used, silent = operate_with(ask, press)
        assert used and silent == [], f"widget {number}"


# Tokens of the attention viewer that are higher than their row.
CUT_TOKENS = """return [...document.querySelectorAll('.plm-heads-lines span, .plm-heads-side span')].filter((part) => {
  const range = document.createRange(), row = part.closest('[role="listitem"], span').getBoundingClientRect();
  range.selectNodeContents(part);
  const { top, bottom, height } = range.getBoundingClientRect();
  return height && (top < row.top - 1 || bottom > row.bottom + 1);
}).map((part) => part.textContent)"""


@pytest.mark.parametrize("kind", [WebKit, Firefox, FirefoxWithLargerText])
def test_words_and_numbers_stand_in_their_rows(kind: type[Window], tmp_path: Path) -> None:
    """Where lines are cut to whole pixels, and where texts alone are larger, they are as high as rows of a drawing."""
    sentence = {"tokens": ["[CLS]", "why", "(gypsum)", "[SEP]"], "attentions": {"encoder": np.full((1, 2, 4, 4), 0.25)}}
    address, profile = bare(tmp_path, RelativeBiasWidget(), AttentionViewer([sentence])), tmp_path / "profile"
    profile.mkdir()
    with started(kind, profile) as window:
        for width in (500, 1200):
            window.open(address, width)
            found = window.run(f"return ({OUT_OF_CELLS})(document.querySelector('.plm-widget'))")
            assert len(found) == 144 and max(upright for _, upright in found) <= 2
            assert kind is FirefoxWithLargerText or max(sideways for sideways, _ in found) <= 0
            assert max(window.run(f"return ({BESIDE_ROWS})(document.querySelector('.plm-widget'))")) <= 2
            assert window.run(CUT_TOKENS) == []


@pytest.mark.parametrize("name", ["BertModel", "AlbertForTokenClassification"])
def test_a_link_into_the_reference_leads_to_its_place(book_site: str, window: Window, name: str) -> None:
    """And it stays there while parts of the page get their height: Firefox held on to what moved."""
    entry = f"plm_lessons.models.{'bert' if name.startswith('Bert') else 'albert'}.{name}"
    window.open(f"{book_site}/book/reference/models.html#{entry}", height=900)
    top = "return document.getElementById(arguments[0]).getBoundingClientRect().top"
    assert window.run(top, entry) == pytest.approx(64, abs=4)


def test_names_in_code_that_lead_to_the_reference_are_underlined(book_site: str, window: Window) -> None:
    window.open(f"{book_site}/{CHAPTERS[0]}.html")
    styles = """const style = getComputedStyle(document.querySelector('.bd-article .highlight pre a'));
      return [style.textDecorationLine, style.textDecorationStyle]"""
    assert window.run(styles) == ["underline", "dotted"]
