"""Line drawings in pure Python, for readers without JavaScript.

A drawing is an SVG inside an `<img>`: front ends that sanitise HTML (JupyterLab, for untrusted notebooks) remove SVG
elements but leave their text, whereas they keep images. The drawing therefore brings its own colours and its own key.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

WIDTH, PLOT_HEIGHT = 440, 232
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 24, 36
KEY_LINE = 18

# Light and dark. The same as in common.css, which has the live widget's colours.
COLOURS = {
    "page": ("#fff", "#161b22"),
    "ink": ("#1c2733", "#e6ebf0"),
    "quiet": ("#515d69", "#adb8c4"),
    "grid": ("#dde3e9", "#2f3844"),
    "edge": ("#76828e", "#7d8996"),
    "0": ("#0b57a4", "#7db7ff"),
    "1": ("#a84a06", "#ffb070"),
    "2": ("#7a3bb5", "#d0a8ff"),
    "3": ("#55606b", "#b4bec8"),
    "4": ("#0a6f55", "#5fd6b2"),
    "5": ("#bd1a3a", "#ff8b9c"),
}
DASHES = ("none", "8 4", "2 3", "14 4", "9 3 2 3", "5 3")
# Marks that can be told apart without colour: circle, square, diamond, triangles up and down, cross.
MARKS = (
    "M-5 0A5 5 0 1 1 5 0A5 5 0 1 1-5 0Z",
    "M-5-5H5V5H-5Z",
    "M0-6L6 0L0 6L-6 0Z",
    "M-6 5H6L0-6Z",
    "M-6-5H6L0 6Z",
    "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
)

Point = tuple[float, float]


def written(value: float, digits: int = 5) -> str:
    """A number for readers, as `format` in common.js writes it: a true minus sign, powers of ten below 0.001."""
    if value == 0:
        return "0"
    if abs(value) >= 0.001:
        return f"{value:.{digits}f}".replace("-", "\u2212")
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "\u2212")


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round positions from low to high, about `count` of them, in steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / max(count, 3)  # a step is up to 2.5 times that: with fewer, no tick might lie inside
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.9g}") for i in range(first, last + 1)]


def _style() -> str:
    light, dark = (";".join(f"--{name}:{pair[i]}" for name, pair in COLOURS.items()) for i in (0, 1))
    curves = "".join(f".c{i}{{stroke:var(--{i});--own:var(--{i});stroke-dasharray:{DASHES[i]}}}" for i in range(6))
    return (
        f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        "text{font:13px system-ui,sans-serif;fill:var(--quiet)}.page{fill:var(--page)}"
        ".grid{stroke:var(--grid)}.zero{stroke:var(--edge)}.cursor{stroke:var(--ink);stroke-dasharray:3 3}"
        f".curve{{fill:none;stroke-width:2.2}}.band{{fill:var(--0);fill-opacity:.14;stroke:var(--edge)}}{curves}"
        ".mark{fill:var(--own);stroke:var(--page);stroke-dasharray:none}"
    )


def document(content: str, height: int) -> str:
    """A self-contained SVG document: elements on the page's background, in the colours of both themes."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
        f'<style>{_style()}</style><rect class="page" width="{WIDTH}" height="{height}"/>{content}</svg>'
    )


def image(svg: str, height: int, label: str) -> str:
    """An SVG document as an HTML image; `label` is what a screen reader says."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<img src="data:image/svg+xml;base64,{data}" width="{WIDTH}" height="{height}" alt="{escape(label)}"/>'


class Drawing:
    """Axes with curves, a band and marks on them.

    Args:
        x, y: the ranges of the axes.
        x_name, y_name: the labels of the axes.
        key: number and name of each curve that is to be explained.
        log_x: whether the horizontal axis is logarithmic.
        x_marks: positions of the ticks on the horizontal axis; None for round ones.
    """

    def __init__(
        self,
        x: Point,
        y: Point,
        x_name: str,
        y_name: str,
        key: Sequence[tuple[int, str]] = (),
        log_x: bool = False,
        x_marks: Sequence[float] | None = None,
    ) -> None:
        self.shape: Callable[[float], float] = math.log10 if log_x else float
        self.x_range = (self.shape(x[0]), self.shape(x[1]))
        self.y_range = y
        self.top = TOP + KEY_LINE * math.ceil(len(key) / 2) + (4 if key else 0)
        self.floor = self.top + PLOT_HEIGHT
        self.below: list[str] = []
        self.inside: list[str] = []
        self.above: list[str] = []
        for i, (kind, name) in enumerate(key):
            at_x, at_y = 8 + (i % 2) * 216, 14 + KEY_LINE * (i // 2)
            self.below.append(f'<path class="curve c{kind}" d="M{at_x} {at_y}h44"/>')
            self.below.append(self._mark(at_x + 22, at_y, kind))
            self._text(at_x + 52, at_y + 4, name, "start")
        powers = [10.0**i for i in range(math.ceil(self.x_range[1]) + 1)] if log_x else []
        x_ticks = x_marks or powers or ticks(*x, 8)
        for value in (tick for tick in x_ticks if x[0] <= tick <= x[1]):
            at = self.to_x(value)
            self._line("zero" if value == 0 else "grid", at, at, self.top, self.floor)
            self._text(at, self.floor + 16, f"{value:g}", "middle")
        for value in ticks(*y, 7):
            at = self.to_y(value)
            self._line("zero" if value == 0 else "grid", LEFT, WIDTH - RIGHT, at, at)
            self._text(LEFT - 6, at + 4, f"{value:g}", "end")
        self._text((LEFT + WIDTH - RIGHT) / 2, self.floor + BOTTOM - 4, x_name, "middle")
        self._text(4, self.top - 9, y_name, "start")

    def _text(self, x: float, y: float, text: str, anchor: str) -> None:
        text = escape(text.replace("-", "\u2212"))
        self.below.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>')

    def _line(self, kind: str, x1: float, x2: float, y1: float, y2: float) -> None:
        self.below.append(f'<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>')

    @staticmethod
    def _mark(x: float, y: float, kind: int) -> str:
        return f'<path class="c{kind} mark" d="{MARKS[kind]}" transform="translate({x:.1f} {y:.1f})"/>'

    def to_x(self, value: float) -> float:
        low, high = self.x_range
        return LEFT + (self.shape(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def to_y(self, value: float) -> float:
        low, high = self.y_range
        return self.top + (high - value) / (high - low) * PLOT_HEIGHT

    def curve(self, points: Iterable[Point], css_class: str) -> None:
        """Draw a line through points given in data coordinates; it is clipped at the axes."""
        path = "L".join(f"{self.to_x(x):.1f} {self.to_y(y):.1f}" for x, y in points)
        if path:
            self.inside.append(f'<path class="{css_class}" d="M{path}"/>')

    def mark(self, x: float, y: float, kind: int) -> None:
        """Put the mark of curve number `kind` at a point; one above or below the axes is put on their edge."""
        y = min(self.y_range[1], max(self.y_range[0], y))
        self.above.append(self._mark(self.to_x(x), self.to_y(y), kind))

    def svg(self) -> str:
        """The drawing as a self-contained SVG document."""
        box = f"{LEFT} {self.top} {WIDTH - LEFT - RIGHT} {PLOT_HEIGHT}"
        x, y, width, depth = box.split()
        inside = (
            f'<svg x="{x}" y="{y}" width="{width}" height="{depth}" viewBox="{box}" overflow="hidden">'
            f"{''.join(self.inside)}</svg>"
        )
        return document(f"{''.join(self.below)}{inside}{''.join(self.above)}", self.floor + BOTTOM)

    def image(self, label: str) -> str:
        """The drawing as an HTML image; `label` is what a screen reader says."""
        return image(self.svg(), self.floor + BOTTOM, label)


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values, escaped, as an HTML table."""
    cells = (f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    return f"<table><tbody>{''.join(cells)}</tbody></table>"


def figure(title: str, drawing: str, values: str, sentence: str) -> str:
    """What a widget looks like where no script runs. Drawing and values are HTML, the rest is text."""
    return (
        f'<div class="plm-widget plm-static" role="group" aria-label="{escape(title)}">'
        f'<p class="plm-title">{escape(title)}</p>{drawing}{values}<p class="plm-quiet">{escape(sentence)}</p></div>'
    )
