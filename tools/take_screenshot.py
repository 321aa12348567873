"""Take the pictures of the README: the first widget of the BERT chapter as a reader sees it, light and dark.

    python tools/take_screenshot.py

Builds the book if it is out of date, and writes docs/screenshot-light.png and docs/screenshot-dark.png.
Needs Chromium; if it is not on the PATH, set CHROMIUM to its path.
"""

from __future__ import annotations

import argparse
import threading
from typing import Literal

import build_book
from browser import launch
from playwright.sync_api import sync_playwright

from plm_lessons.files import write_atomically

PAGE = "book/bert.html"
PICTURES = build_book.ROOT / "docs"
WIDTH, HEIGHT = 1200, 1000
# How far below the top of the picture the widget begins, so that some of the text above it is visible.
ABOVE = 150
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def main() -> None:
    """Take both pictures."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if not build_book.is_fresh():
        build_book.build()
    httpd = build_book.server(port=0)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{httpd.server_address[1]}/{PAGE}"
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for theme in THEMES:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=theme)
            page.goto(address, wait_until="networkidle")
            top = page.locator(".plm-widget").first.evaluate("part => part.getBoundingClientRect().top + scrollY")
            page.evaluate("top => scrollTo({top, behavior: 'instant'})", top - ABOVE)
            page.wait_for_timeout(500)
            picture = PICTURES / f"screenshot-{theme}.png"
            write_atomically(picture, page.screenshot())
            print(f"{picture.relative_to(build_book.ROOT)}: {picture.stat().st_size:,} bytes")
        browser.close()
    httpd.shutdown()


if __name__ == "__main__":
    main()
