"""How quickly widgets respond, how soon the pages that hold them are live, and how heavy these pages are.

    python benchmarks/widgets.py            every widget by itself
    python benchmarks/widgets.py --book     and the pages of the built book (built first if it is out of date)
    python benchmarks/widgets.py --against FOLDER    only the pages, in turns with those of another build of the book

Measured in headless Chromium, for a processor four times slower than this one, as the developer tools do for "a
mid-range phone".

* *A move.* Each slider of a widget, in each view, is set to 60 places in turn, three times over. What counts is the
  work of the page's main thread from the event to the painted frame (script, style, layout and paint), minus the cost
  of a frame in which nothing moves. The thread's own clock is read and multiplied by four, so that other programs do
  not count. The slider with the highest 95th percentile is then measured once more, on a fresh page, because the
  highest of many is high partly by chance; the table has these last times. Target: 16 ms.
* *Live.* A page is opened at one of its widgets, as by a link into the chapter, in a browser slowed down four times.
  The times run from the start of the navigation, to this machine: until the document has been read, until that widget
  is live, and until all widgets are; those out of sight wait until the browser is idle. They are medians of five loads,
  for the widget that takes longest. Because they are read from the clock on the wall, other programs should rest.
  Target: live within 500 ms after the document has been read. Against another build there is a row for each widget at
  which a page is opened: what the machine does meanwhile, it does to both.
* *Weight.* Everything that a page requests, text compressed by gzip at level 6, as a host sends it. Target: 600 kB.

Needs Chromium; if it is not on the PATH, set CHROMIUM to its path.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, CDPSession, Response, ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

import build_book  # noqa: E402
from browser import launch  # noqa: E402

from plm_lessons import widgets  # noqa: E402

SLOWDOWN = 4
MOVES = 60
ROUNDS = 3  # so that a single garbage collection does not decide the 95th percentile
LOADS = 5
VIEWPORT: ViewportSize = {"width": 1000, "height": 900}
PAGE = '<!doctype html><html lang="en"><meta charset="utf-8"><title>A widget</title><body>{}</body></html>'

# A message that is sent before a frame is painted arrives after it.
MOVE = """async ([index, turn, turns]) => {
  const slider = [...document.querySelectorAll('.plm-widget input[type=range]')][index];
  await new Promise(requestAnimationFrame);
  const channel = new MessageChannel(), painted = new Promise((done) => (channel.port1.onmessage = done));
  if (turn >= 0) {
    const low = Number(slider.min), step = Number(slider.step) || 1, steps = Math.round((slider.max - low) / step);
    slider.value = low + step * (steps < turns ? turn % (steps + 1) : Math.round((turn * steps) / turns));
    slider.dispatchEvent(new Event('input', { bubbles: true }));
  }
  channel.port2.postMessage(0);
  await painted;
}"""
SLIDERS = """() => [...document.querySelectorAll('.plm-widget input[type=range]')]
  .map((slider, index) => [index, slider.getAttribute('aria-label'), slider.checkVisibility()])"""
RADIOS = """() => [...document.querySelectorAll('.plm-widget input[type=radio]')]
  .filter((radio) => radio.checkVisibility()).map((radio) => radio.value)"""
WHEN_LIVE = """(place) => {
  const alive = (block) => block.plmLive && !block.querySelector('.plm-static');
  const look = () => {
    const blocks = [...document.querySelectorAll('.plm-block')];
    if (blocks[place] && !window.isShown) {
      blocks[place].scrollIntoView({ behavior: 'instant' });
      window.isShown = true;
    }
    if (blocks[place] && alive(blocks[place])) window.liveAfter ??= performance.now();
    if (document.readyState !== 'loading' && blocks.every(alive)) window.allLiveAfter = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""


def work(session: CDPSession) -> float:
    """Return how many milliseconds the main thread of a page has worked so far."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1000 * next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


def moves(browser: Browser, html: str, only: str = "") -> Iterator[tuple[str, list[float]]]:
    """Yield the name of each slider of a widget, in each view, and how many milliseconds each of its moves took.

    Args:
        only: The name of the one slider to measure.
    """
    page = browser.new_page(viewport=VIEWPORT)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.set_content(PAGE.format(html))
    page.locator(".plm-widget:not(.plm-static)").wait_for()

    def cost(index: int, turn: int) -> float:
        before = work(session)
        page.evaluate(MOVE, [index, turn, MOVES])
        return work(session) - before

    for view in ["", *page.evaluate(RADIOS)]:
        if view:
            radio = page.locator(f'.plm-widget input[type=radio][value="{view}"]').first
            if not radio.is_visible() or radio.is_checked():
                continue
            radio.check()
        for index, name, visible in page.evaluate(SLIDERS):
            told = f"{name} ({view})" if view else name
            if visible and only in ("", told):
                idle = statistics.median(cost(index, -1) for _ in range(9))
                cost(index, 0)
                turns = ROUNDS * list(range(1, MOVES + 1))
                times = [SLOWDOWN * max(0.0, cost(index, turn) - idle) for turn in turns]
                yield told, times
    page.close()


def report_moves(browser: Browser) -> None:
    """Print a row for each widget: its slowest slider."""
    print("| widget | module, kB (gzip) | sliders | slowest | p50, ms | p95, ms |\n|:--|--:|--:|:--|--:|--:|")
    for name in widgets.__all__:
        widget = getattr(widgets, name)()
        found = {slider: statistics.quantiles(times, n=20) for slider, times in moves(browser, widget.html())}
        module = widget._esm.encode()
        size = f"{len(module) / 1000:.0f} ({len(gzip.compress(module, 6)) / 1000:.0f})"
        if not found:
            print(f"| {name} | {size} | 0 | | | |")
            continue
        slowest = max(found, key=lambda slider: found[slider][18])
        [(_, again)] = moves(browser, widget.html(), slowest)
        cuts = statistics.quantiles(again, n=20)
        print(f"| {name} | {size} | {len(found)} | {slowest} | {cuts[9]:.1f} | {cuts[18]:.1f} |", flush=True)


def load(browser: Browser, address: str, place: int) -> tuple[float, float, float, int, int]:
    """Measure a page that is opened at its widget number `place`.

    Returns milliseconds until it is read, until that widget is live and until all are, the number of its widgets, and
    the bytes of everything that it requested.
    """
    page = browser.new_page(viewport=VIEWPORT)
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    page.add_init_script(f"({WHEN_LIVE})({place})")
    page.goto(address, wait_until="networkidle")
    while not page.evaluate("window.allLiveAfter"):  # `wait_for_function` is forbidden by the pages' own policy
        page.wait_for_timeout(50)
    read, live, all_live, count = page.evaluate(
        "[performance.timing.domInteractive - performance.timing.navigationStart, window.liveAfter ?? allLiveAfter,"
        " allLiveAfter, document.querySelectorAll('.plm-block').length]"
    )
    weight = sum(map(packed_size, answers))
    page.close()
    return read, live, all_live, count, weight


def report_turns(browser: Browser, address: str, other: str) -> None:
    """Print how soon all widgets of a page are live after it has been read, here and in another build of the book."""
    print("| page | opened at widget | all live, ms | in the other build, ms | ratio |\n|:--|--:|--:|--:|--:|")
    for path, count in pages():
        for place in range(count):
            turns = [
                [load(browser, f"{one}/book/{path.name}", place) for one in (address, other)] for _ in range(LOADS)
            ]
            here, there = (statistics.median(turn[i][2] - turn[i][0] for turn in turns) for i in range(2))
            print(f"| {path.stem} | {place + 1} | {here:.0f} | {there:.0f} | {here / there:.2f} |", flush=True)


def pages() -> Iterator[tuple[Path, int]]:
    """Yield each page of the built book, and how many widgets it has."""
    for path in sorted(build_book.SITE.glob("book/*.html")):
        yield path, path.read_text(encoding="utf-8").count('class="plm-block"')


def packed_size(answer: Response) -> int:
    """Return the bytes of an answer as a host sends it: text compressed, pictures and fonts as they are."""
    body = b"" if answer.status >= 300 else answer.body()
    kind = answer.headers.get("content-type", "")
    is_text = kind.startswith("text/") or any(name in kind for name in ("javascript", "json", "svg"))
    return len(gzip.compress(body, 6)) if is_text else len(body)


def report_pages(browser: Browser, address: str) -> None:
    """Print a row for each page of the book that has widgets, and for its first page."""
    print("\n| page | widgets | read after, ms | live after, ms | all live after, ms | weight, kB gzip |")
    print("|:--|--:|--:|--:|--:|--:|")
    for path, count in pages():
        if not count and path.stem != "index":
            continue
        found = [
            [load(browser, f"{address}/book/{path.name}", place) for _ in range(LOADS)]
            for place in range(max(count, 1))
        ]
        slowest = max(found, key=lambda loads: statistics.median(live - read for read, live, *_ in loads))
        read, live, all_live = (statistics.median(one[place] for one in slowest) for place in range(3))
        weight = slowest[0][-1] / 1000
        print(f"| {path.stem} | {count} | {read:.0f} | {live:.0f} | {all_live:.0f} | {weight:.0f} |", flush=True)


def serve(site: Path) -> str:
    """Serve a built book as long as this program runs; return its address."""
    httpd = build_book.server(port=0, site=site)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{httpd.server_address[1]}"


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--book", action="store_true", help="also measure the pages of the book")
    parser.add_argument(
        "--against", type=Path, metavar="FOLDER", help="another build: its _build/html, or a copy of it"
    )
    arguments = parser.parse_args()
    if arguments.against and not (arguments.against / "_headers").is_file():
        parser.error(f"--against {arguments.against}: must be the folder of a built book, and holds no _headers")
    if (arguments.book or arguments.against) and not build_book.is_fresh():
        build_book.build()
    with sync_playwright() as playwright:
        browser = launch(playwright)
        print(f"Chromium {browser.version}, on a processor {SLOWDOWN} times slower\n")
        if arguments.against:
            report_turns(browser, serve(build_book.SITE), serve(arguments.against))
        else:
            report_moves(browser)
            if arguments.book:
                report_pages(browser, serve(build_book.SITE))
        browser.close()


if __name__ == "__main__":
    main()
