"""A finger on the widgets of the built book, as the browser of a telephone reports it: swipes, drags, taps and pinches.

The events are the browser's own (it sends moves before it cancels what becomes a scroll); made-up ones would miss that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page
from test_site import CHAPTERS, ROOT
from widget_page import Finger, shown

WITH_WIDGETS = [name for name in CHAPTERS if "data-plm-widget" in (ROOT / f"{name}.ipynb").read_text(encoding="utf-8")]
SLIDERS = ".plm-widget input[type=range]:visible"
POINTED_AT = ".plm-widget [style*='touch-action']:visible"  # what followPointer got
OTHERS = ".plm-widget :is(canvas, .plm-plot, input[type=number], select):visible"
# What the widgets tell a screen reader.
LISTEN = """() => {
  window.heard = [];
  const watch = new MutationObserver((records) => heard.push(...records.map(({ target }) => target.textContent)));
  const spoken = document.querySelectorAll('.plm-widget [role=status]');
  for (const region of spoken) watch.observe(region, { childList: true });
}"""
PAUSE = 800  # milliseconds; longer than the pause before something is told
# Where the slider's thumb is now, from 0 to 1.
SHARE = "slider => (slider.value - slider.min) / (slider.max - slider.min)"


@pytest.fixture(scope="module", params=WITH_WIDGETS)
def chapter(request: pytest.FixtureRequest, book_site: str, open_shared_page: Callable[..., Page]) -> Page:
    """A chapter on a telephone. No test needs its widgets as they are at first."""
    return open_shared_page(f"{book_site}/{request.param}.html", width=390, height=800, has_touch=True, is_mobile=True)


@pytest.fixture
def telephone(chapter: Page) -> Page:
    """A chapter on a telephone, which takes down from now on what its widgets tell."""
    chapter.wait_for_timeout(PAUSE)
    chapter.evaluate(LISTEN)
    return chapter


def named(part: Locator) -> str:
    return str(part.evaluate("part => `${part.closest('.plm-widget').ariaLabel}: ${part.ariaLabel ?? part.className}`"))


def widget_of(part: Locator) -> Locator:
    return part.locator("xpath=ancestor::*[contains(@class, 'plm-widget')]")


def parts(page: Page, selector: str) -> Iterator[tuple[Locator, Locator]]:
    """Each part, and its widget, on a page where there must be some; each is scrolled into the middle."""
    found = page.locator(selector).all()
    for part in found:
        part.evaluate("part => part.scrollIntoView({ block: 'center', behavior: 'instant' })")
        yield part, widget_of(part)


def test_a_swipe_that_begins_on_a_widget_scrolls_and_changes_nothing(telephone: Page) -> None:
    page, finger = telephone, Finger(telephone)
    assert page.locator(SLIDERS).count() > 1
    stuck, changed = [], []
    for number, (part, widget) in enumerate(parts(page, f"{SLIDERS}, {POINTED_AT}, {OTHERS}")):
        before, top = shown(widget), page.evaluate("scrollY")
        finger.stroke(part, 4, 150 if number % 2 else -150, 0.25 if part.evaluate(SHARE) > 0.5 else 0.75)
        if abs(page.evaluate("scrollY") - top) < 60:
            stuck.append(named(part))
        if shown(widget) != before:
            changed.append(named(part))
    assert (stuck, changed) == ([], [])
    page.wait_for_timeout(PAUSE)
    assert page.evaluate("heard") == []


def test_a_finger_that_goes_sideways_moves_sliders_and_so_does_a_tap(telephone: Page) -> None:
    page, finger = telephone, Finger(telephone)
    for slider, widget in parts(page, SLIDERS):
        for act in ("drag", "tap"):
            before, value = shown(widget, slider), slider.input_value()
            to = 0.25 if slider.evaluate(SHARE) > 0.5 else 0.75
            if act == "drag":
                width = slider.evaluate("slider => slider.clientWidth")
                finger.stroke(slider, (to - 0.5) * width, 5, 0.5, lift=False)
                assert shown(widget, slider) != before, f"{named(slider)} waits until the finger is lifted"
                finger.lift()
            else:
                finger.tap(slider, to)
            assert slider.input_value() != value and shown(widget, slider) != before, (named(slider), act)
    page.wait_for_timeout(PAUSE)
    assert page.evaluate("heard") != []


def test_what_follows_a_finger_follows_it_sideways_and_to_a_tap(telephone: Page) -> None:
    page, finger = telephone, Finger(telephone)
    for part, widget in parts(page, POINTED_AT):
        if part.evaluate("part => part.closest('.plm-widget').querySelector('[value=masks]')?.checked"):
            continue  # the plot of random masks follows nothing
        seen = [shown(widget)]
        finger.tap(part, 0.3)
        seen.append(shown(widget))
        finger.stroke(part, 100, 5, 0.5)
        seen.append(shown(widget))
        finger.tap(part, 0.6)
        seen.append(shown(widget))
        assert [one != next_one for one, next_one in zip(seen, seen[1:], strict=False)] == [True] * 3, named(part)
