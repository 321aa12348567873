"""The Chromium of this machine, for everything that opens pages: tests, benchmarks and the pictures of the book."""

from __future__ import annotations

import os
import shutil
import sys

from playwright.sync_api import Browser, Playwright

# The build without a window comes first: without the rest of a desktop browser, pages load in half the time.
NAMES = (
    "chromium-headless-shell",
    "/usr/bin/chromium",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
MISSING = (
    "no browser: install chromium (Debian: apt-get install chromium-headless-shell) or set CHROMIUM to the path of one"
)


def chromium_path() -> str | None:
    """Return the path of the browser, or None.

    If CHROMIUM is set, it is returned even if nothing is there, so that a typing error is noticed.
    """
    return os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)


def launch(playwright: Playwright) -> Browser:
    """Return the browser, started without a window.

    Raises:
        SystemExit: there is no browser.
    """
    path = chromium_path()
    if path is None:
        sys.exit(MISSING)
    return playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
