"""A browser for the tests that look at pages.

It must be a Chromium on this machine: CHROMIUM names it, otherwise the usual names are tried. Without one these tests
are skipped, or fail when REQUIRE_BROWSER=1. No page may ask another host for anything, and none may write an error to
its console: both fail the test that opened the page.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import build_book
import pytest
import torch
from browser import MISSING, chromium_path
from filelock import FileLock
from hypothesis import settings
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from widget_page import UNFINISHED

# The tensors of tests are tiny: a second thread adds nothing but waiting, especially when other programs are running.
torch.set_num_threads(1)
# Workers side by side share the cores; the kernels of the notebooks, which they start, must keep to their share.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // WORKERS)))

# How long an example takes says nothing about what is right.
settings.register_profile("book", deadline=None)
settings.load_profile("book")

# Files that take long, the longest first, so that no worker is left alone with one at the end. (pytest-xdist would
# begin with the files that have most tests; `make test` therefore says --no-loadscope-reorder.)
LONGEST = [
    "test_site.py",
    "bert.ipynb",
    "test_other_browsers.py",
    "test_widget_standard.py",
    "t5.ipynb",
    "test_accessibility.py",
    "albert.ipynb",
    "test_installed.py",
    "electra.ipynb",
    "roberta.ipynb",
    "test_tokenization.py",
    "test_runs.py",
    "test_page_tokenization.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of `LONGEST` first; the others keep their order."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, started once for a module of tests: while it runs, no other event loop can run in this process."""
    path = chromium_path()
    if path is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


class Tab:
    """A page that is watched, and the problems that were seen since it was handed out."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.page = browser.new_context(**options).new_page()
        self.colours = options.get("color_scheme", "light")
        self.problems: list[str] = []
        self.page.context.route("**/*", self._guard)
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))

    def _guard(self, route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in ("file", "data", "blob") or address.hostname in ("127.0.0.1", "localhost"):
            route.fallback()
        else:
            self.problems.append(f"asked for {route.request.url}")
            route.abort()

    def clear(self) -> None:
        """Make it as good as new: an empty page, nothing stored, the pointer in the corner, colours as they were."""
        page = self.page
        if page.url.startswith("http"):
            page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        page.context.clear_cookies()
        page.goto("about:blank")
        page.mouse.move(0, 0)
        page.emulate_media(media="null", color_scheme=self.colours)


class Tabs:
    """Tabs for one test after the other: opening a new one takes several times as long as loading a small page."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.free: dict[str, list[Tab]] = {}

    @contextmanager
    def watched(self) -> Iterator[Callable[..., Page]]:
        """Yield a function that opens pages; at the end, fail for a request to another host and for a console error."""
        taken: list[tuple[str, Tab]] = []

        def open_one(url: str, width: int = 1000, height: int = 900, **options: Any) -> Page:
            look = repr(sorted(options.items()))
            free = self.free.setdefault(look, [])
            tab = free.pop() if free else Tab(self.browser, **options)
            taken.append((look, tab))
            tab.page.set_viewport_size({"width": width, "height": height})
            tab.page.goto(url)
            if options.get("java_script_enabled", True):  # what is out of sight waits for idle moments
                late = tab.page.locator(f"{UNFINISHED}, .plm-block .plm-static")
                expect(late).to_have_count(0, timeout=15_000)
            return tab.page

        yield open_one
        for look, tab in taken:
            if not tab.page.is_closed():
                tab.clear()
                self.free[look].append(tab)
        problems = [problem for _, tab in taken for problem in tab.problems]
        for _, tab in taken:
            tab.problems.clear()
        assert not problems


@pytest.fixture(scope="module")
def tabs(browser: Browser) -> Tabs:
    """The tabs of a module's tests."""
    return Tabs(browser)


@pytest.fixture
def open_page(tabs: Tabs) -> Iterator[Callable[..., Page]]:
    """Opens addresses: `open_page(url, width=1000, height=900, **context_options)` gives a loaded page.

    Its widgets are live. After the test, a request to another machine or an error on the console is a failure.
    """
    with tabs.watched() as open_one:
        yield open_one


@pytest.fixture(scope="module")
def open_shared_page(tabs: Tabs) -> Iterator[Callable[..., Page]]:
    """Like `open_page`, for pages that the tests of a module share because loading takes longer than testing."""
    with tabs.watched() as open_one:
        yield open_one


@pytest.fixture(scope="session")
def book_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the built book, served on this machine; it is built first if it is missing or out of date."""
    with FileLock(tmp_path_factory.getbasetemp().parent / "book.lock"):  # one worker builds, the others wait for it
        if not build_book.is_fresh():
            build_book.build()
    httpd = build_book.server(port=0)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    httpd.server_close()
