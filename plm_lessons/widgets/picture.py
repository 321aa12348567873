"""Line drawings in SVG, in pure Python, for readers without JavaScript."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

WIDTH, HEIGHT = 440, 290
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 24, 36

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
    """A number for reading, as `format` in common.js writes it: a true minus sign, powers of ten below 0.001."""
    if value == 0:
        return "0"
    if abs(value) >= 0.001:
        return f"{value:.{digits}f}".replace("-", "\u2212")
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "\u2212")


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round positions from low to high, about `count` of them, in steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.9g}") for i in range(first, last + 1)]


class Drawing:
    """Axes with curves, a band and marks on them.

    Args:
        x, y: the ranges of the axes.
        x_name, y_name: what stands at the axes.
        log_x: count the horizontal axis in powers of ten.
    """

    def __init__(self, x: Point, y: Point, x_name: str, y_name: str, log_x: bool = False) -> None:
        self.shape: Callable[[float], float] = math.log10 if log_x else float
        self.x_range = (self.shape(x[0]), self.shape(x[1]))
        self.y_range = y
        self.parts: list[str] = []
        self.inside: list[str] = []
        floor, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        x_ticks = [10.0**i for i in range(math.ceil(self.x_range[1]) + 1)] if log_x else ticks(*x, 8)
        for value in (tick for tick in x_ticks if x[0] <= tick <= x[1]):
            at, kind = self.to_x(value), "zero" if value == 0 else "grid"
            self.parts.append(f'<line class="plm-{kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{floor}"/>')
            self._text(at, floor + 16, f"{value:g}", "middle")
        for value in ticks(*y, 7):
            at, kind = self.to_y(value), "zero" if value == 0 else "grid"
            self.parts.append(f'<line class="plm-{kind}" x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
            self._text(LEFT - 6, at + 4, f"{value:g}", "end")
        self._text((LEFT + right) / 2, HEIGHT - 4, x_name, "middle")
        self._text(4, 13, y_name, "start")

    def _text(self, x: float, y: float, text: str, anchor: str) -> None:
        text = escape(text.replace("-", "\u2212"))
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>')

    def to_x(self, value: float) -> float:
        low, high = self.x_range
        return LEFT + (self.shape(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def to_y(self, value: float) -> float:
        low, high = self.y_range
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def curve(self, points: Iterable[Point], css_class: str) -> None:
        """Draws a line through points given in data coordinates; the axes cut it off."""
        path = "L".join(f"{self.to_x(x):.1f} {self.to_y(y):.1f}" for x, y in points)
        if path:
            self.inside.append(f'<path class="{css_class}" d="M{path}"/>')

    def mark(self, x: float, y: float, kind: int) -> None:
        """Puts the mark of curve number `kind` at a point; one beyond the axes is put on their edge."""
        y = min(self.y_range[1], max(self.y_range[0], y))
        place = f"translate({self.to_x(x):.1f} {self.to_y(y):.1f})"
        self.parts.append(f'<path class="plm-mark plm-{kind}" d="{MARKS[kind]}" transform="{place}"/>')

    def svg(self, label: str) -> str:
        """The drawing as an SVG element; `label` is what a screen reader says."""
        x, y, width, height = LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        inside = f'x="{x}" y="{y}" width="{width}" height="{height}" viewBox="{x} {y} {width} {height}"'
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
            f"{''.join(part for part in self.parts if 'plm-mark' not in part)}"
            f'<svg {inside} overflow="hidden">{"".join(self.inside)}</svg>'
            f"{''.join(part for part in self.parts if 'plm-mark' in part)}</svg>"
        )


def key(kind: int) -> str:
    """The piece of line, with its mark, that stands for curve number `kind` in a table."""
    return (
        '<svg width="44" height="14" viewBox="0 0 44 14" aria-hidden="true">'
        f'<path class="plm-curve plm-{kind}" d="M0 7H44"/>'
        f'<path class="plm-mark plm-{kind}" d="{MARKS[kind]}" transform="translate(22 7)"/></svg>'
    )


def table(rows: Sequence[tuple[str, str]], kinds: Sequence[int] = ()) -> str:
    """Names and values, escaped, as an HTML table; `kinds` puts the keys of curves before the last names."""
    keys = [""] * (len(rows) - len(kinds)) + [key(kind) for kind in kinds]
    cells = (
        f'<tr><th scope="row"><span class="plm-key">{piece}{escape(name)}</span></th><td>{escape(value)}</td></tr>'
        for piece, (name, value) in zip(keys, rows, strict=True)
    )
    return f"<table><tbody>{''.join(cells)}</tbody></table>"


def figure(title: str, drawing: str, values: str, sentence: str) -> str:
    """What a widget looks like where no script runs."""
    return (
        f'<div class="plm-widget plm-static" role="group" aria-label="{escape(title)}">'
        f'<p class="plm-title">{escape(title)}</p>{drawing}{values}<p class="plm-quiet">{escape(sentence)}</p></div>'
    )
