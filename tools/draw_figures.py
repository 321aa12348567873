"""Draw the map of the four models for the first page, and the card that link previews show.

    python tools/draw_figures.py map     writes book/map.svg
    python tools/draw_figures.py card    writes book/_static/card.png; needs Chromium (CHROMIUM may hold its path)

The map is inline in the page and takes its colours from book/_static/book.css, so that it follows the theme.
"""

from __future__ import annotations

import argparse
from html import escape
from pathlib import Path
from typing import NamedTuple

from book_site import CARD_SIZE
from browser import launch
from playwright.sync_api import sync_playwright

from plm_lessons.files import write_atomically

BOOK = Path(__file__).resolve().parent.parent / "book"
MAP = BOOK / "map.svg"
CARD = BOOK / "_static" / "card.png"
TITLE = "Pretrained Language Models, Piece by Piece"


class Box(NamedTuple):
    """A model: its name, its year, what it is, and what it changes."""

    name: str
    year: int
    summary: str
    changes: tuple[str, ...] = ()


ANCESTOR = Box("Transformer", 2017, "An encoder reads, a decoder writes.")
ROOT = Box("BERT", 2018, "The encoder alone. It learns by filling", ("gaps and by pairing texts.",))
FAMILY = (
    Box(
        "RoBERTa",
        2019,
        "BERT’s network, another recipe",
        (
            "no more pairs of texts",
            "a new mask each time a text is read",
            "more text, more steps, larger batches",
            "pieces made of bytes",
        ),
    ),
    Box(
        "ALBERT",
        2019,
        "BERT’s work, a ninth of its parameters",
        ("one layer, used at every depth", "a narrow word table, then a map", "which of two texts came first?"),
    ),
    Box(
        "T5",
        2019,
        "Encoder and decoder: it writes",
        ("longer gaps, answered as a text", "distances in place of positions", "every task a text with a prefix"),
    ),
)
ALT = (
    "A map of the models. The Transformer of 2017 has an encoder and a decoder. BERT, 2018, takes the encoder alone, "
    "and learns by filling gaps. RoBERTa keeps BERT's network and changes the recipe; ALBERT uses one layer at every "
    "depth; T5 takes encoder and decoder from the Transformer and the idea of filling gaps from BERT."
)

WIDTH = 360
LEFT, INDENT, RIGHT = 8, 46, 326  # edges of the boxes; the family is indented more than BERT
RAIL, FAR_RAIL = 26, 344  # where the lines from BERT and from the Transformer run down
GAP, LINE, TOP, BOTTOM = 20, 18, 24, 12


def height_of(box: Box) -> int:
    """Return how tall a box is."""
    return TOP + LINE * (1 + len(box.changes)) + BOTTOM


def drawn_box(box: Box, x: int, y: int, kind: str) -> list[str]:
    """Return a box with its text; the changes of a family member are marked as such."""
    mark = "→ " if kind == "member" else ""
    parts = [
        f'<rect class="map-box map-{kind}" x="{x}" y="{y}" width="{RIGHT - x}" height="{height_of(box)}" rx="6"/>',
        f'<text class="map-name" x="{x + 12}" y="{y + TOP}">{escape(box.name)}</text>',
        f'<text class="map-year" x="{RIGHT - 12}" y="{y + TOP}" text-anchor="end">{box.year}</text>',
    ]
    for number, line in enumerate([box.summary, *(mark + change for change in box.changes)], start=1):
        parts.append(f'<text class="map-line" x="{x + 12}" y="{y + TOP + LINE * number}">{escape(line)}</text>')
    return parts


def arrow(path: str, x: int, y: int, way: str) -> list[str]:
    """Return a line with an arrowhead at its end (x, y), which points down, right or left."""
    heads = {"down": "l-4 -7h8z", "right": "l-7 -4v8z", "left": "l7 -4v8z"}
    return [f'<path class="map-arrow" d="{path}"/>', f'<path class="map-head" d="M{x} {y}{heads[way]}"/>']


def draw_map() -> str:
    """Return the map as SVG."""
    below = LEFT + height_of(ANCESTOR)
    root = below + GAP
    y = root + height_of(ROOT) + GAP
    boxes = [*drawn_box(ANCESTOR, LEFT, LEFT, "ancestor"), *drawn_box(ROOT, LEFT, root, "root")]
    arrows = arrow(f"M{RAIL} {below}V{root - 6}", RAIL, root, "down")
    for box in FAMILY:
        middle = y + TOP
        arrows += arrow(f"M{RAIL} {root + height_of(ROOT)}V{middle}H{INDENT - 6}", INDENT, middle, "right")
        if box.name == "T5":
            at = LEFT + TOP
            arrows += arrow(f"M{RIGHT} {at}H{FAR_RAIL}V{middle}H{RIGHT + 6}", RIGHT, middle, "left")
        boxes += drawn_box(box, INDENT, y, "member")
        y += height_of(box) + GAP
    opening = (
        f'<svg class="map" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y - GAP + LEFT}" role="img" '
        f'aria-label="{escape(ALT)}">'
    )
    return "\n".join([opening, *arrows, *boxes, "</svg>\n"])


def card_page() -> str:
    """Return the card as an HTML page."""
    width, height = CARD_SIZE
    return f"""<!doctype html><html data-theme="light"><meta charset="utf-8">
<style>
{(BOOK / "_static" / "book.css").read_text(encoding="utf-8")}
body {{ margin: 0; width: {width}px; height: {height}px; display: flex; align-items: center; background: #fff; }}
body {{ color: #1c2733; font-family: system-ui, sans-serif; }}
html {{ --pst-color-surface: #eef2f6; --pst-color-border: #76828e; }}
div {{ flex: 1; padding: 0 40px 0 64px; }}
h1 {{ font-size: 58px; line-height: 1.15; margin: 0 0 28px; }}
p {{ font-size: 28px; line-height: 1.4; margin: 0; color: #515d69; }}
svg.map {{ height: 590px; width: auto; max-width: none; margin: 0 48px 0 0; flex: none; }}
</style>
<div><h1>{escape(TITLE)}</h1><p>BERT, RoBERTa, ALBERT and T5, built, played with and measured.</p></div>
{draw_map()}</html>"""


def draw_card() -> None:
    """Write the card.

    Raises:
        SystemExit: there is no browser.
    """
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": CARD_SIZE[0], "height": CARD_SIZE[1]})
        page.set_content(card_page())
        write_atomically(CARD, page.screenshot())
        browser.close()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Draw the map of the models and the card of link previews.")
    parser.add_argument("figure", choices=("map", "card"))
    if parser.parse_args().figure == "map":
        write_atomically(MAP, draw_map().encode("utf-8"))
    else:
        draw_card()


if __name__ == "__main__":
    main()
