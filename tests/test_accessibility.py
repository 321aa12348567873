"""What axe-core finds on the pages of the built book and in every widget: nothing serious."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from test_site import PAGES
from widget_page import STOP_TRANSITIONS, bare, set_theme

from plm_lessons import widgets

GRAVE = ("serious", "critical")
# test_site.py measures the contrast of every text of a page in both themes. In the dark one, where the colours are the
# book's own, axe-core measures it again, except in these: each word there is an element; that takes most of a minute.
NO_CODE = """axe.configure({ rules: [
  { id: 'color-contrast', selector: '*:not(.highlight *, .sig *, .katex *)' },
] })"""
VIEWS = """() => [...document.querySelectorAll('.plm-widget input[type=radio]')]
  .filter((input) => input.checkVisibility()).map((input) => input.value)"""


def assert_nothing_grave(page: Page, where: str, configure: str = "") -> None:
    """Check that no rule of axe-core is violated whose violation it calls serious or critical."""
    page.evaluate(Axe().axe_script)
    page.evaluate(configure)
    options = {"resultTypes": ["violations"], "preload": False}
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    grave = [violation for violation in found if violation["impact"] in GRAVE]
    told = [f"{v['id']}: {v['help']}; {node['html'][:120]} {node['any']}" for v in grave for node in v["nodes"][:3]]
    assert not told, "\n".join([where, *told])


@pytest.mark.parametrize("name", widgets.__all__)
def test_widget(name: str, tmp_path: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(bare(tmp_path, getattr(widgets, name)()))
    for theme in ("dark", "light"):
        set_theme(page, theme)
        assert_nothing_grave(page, f"{name}, {theme}")
    for view in page.evaluate(VIEWS):
        radio = page.locator(f'.plm-widget input[type=radio][value="{view}"]').first
        if radio.is_visible() and not radio.is_checked():
            radio.check()
            assert_nothing_grave(page, f"{name}, {view}")


@pytest.mark.parametrize("name", widgets.__all__)
def test_picture_of_a_widget(name: str, open_page: Callable[..., Page]) -> None:
    page = open_page("about:blank")
    page.set_content(f"<html lang=en><title>{name}</title><main>{getattr(widgets, name)().picture()}</main></html>")
    page.add_style_tag(content=getattr(widgets, name)()._css)
    assert_nothing_grave(page, name)


@pytest.mark.parametrize("name", PAGES)
def test_page_of_the_book(book_site: str, open_page: Callable[..., Page], name: str) -> None:
    page = open_page(f"{book_site}/{name}.html", color_scheme="dark", bypass_csp=True)  # axe-core sets styles
    page.evaluate(STOP_TRANSITIONS)
    assert_nothing_grave(page, name, NO_CODE)
