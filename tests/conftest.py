"""A browser for the tests that look at pages.

It must be a Chromium that is on the machine: CHROMIUM names it, else the usual names are tried. Without one these tests
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

# The tensors of tests are tiny: a second thread adds nothing but waiting, much of it where other programs run.
torch.set_num_threads(1)
# Workers side by side share the cores; the kernels of the notebooks, which they start, must keep to their share.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // WORKERS)))

# How long an example takes says nothing about what is right.
settings.register_profile("book", deadline=None)
settings.load_profile("book")

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


@contextmanager
def watched(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Gives what opens pages; at the end, fails for a request to another host and for an error on a console."""
    problems: list[str] = []
    contexts = []

    def guard(route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in ("file", "data", "blob") or address.hostname in ("127.0.0.1", "localhost"):
            route.fallback()
        else:
            problems.append(f"asked for {route.request.url}")
            route.abort()

    def open_one(url: str, width: int = 1000, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.route("**/*", guard)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(url)
        if options.get("java_script_enabled", True):  # widgets out of sight wait for an idle moment
            expect(page.locator(".plm-block .plm-static")).to_have_count(0, timeout=15_000)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not problems


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens addresses: `open_page(url, width=1000, height=900, **context_options)` gives a loaded page.

    Its widgets are live. After the test, a request that would have left this machine and an error on a console are
    failures.
    """
    with watched(browser) as open_one:
        yield open_one


@pytest.fixture(scope="module")
def open_shared_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """As `open_page`, for pages that the tests of a module share because loading takes longer than what they do."""
    with watched(browser) as open_one:
        yield open_one


@pytest.fixture(scope="session")
def book_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the built book, served on this machine; it is built first where it is missing or out of date."""
    with FileLock(tmp_path_factory.getbasetemp().parent / "book.lock"):  # one worker builds, the others wait for it
        if not build_book.is_fresh():
            build_book.build()
    httpd = build_book.server(port=0)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    httpd.server_close()
