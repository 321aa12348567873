"""GELU, its stand-ins and two misprints of it, to play with.

GELU (Hendrycks and Gimpel, 2016, section 2) is x times the probability that a standard normal number is at most x. The
paper also gives two cheaper forms, with tanh and with the logistic function. BERT's first code used the exact form,
later the tanh form. Study notes print the tanh form with two errors: a constant that lost a digit, and a bracket that
closes too early, which turns it into a polynomial: +2.75 at x = -3, where GELU is -0.004.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from plm_lessons.widgets.base import LessonWidget, Number, OneOf, SomeOf, Whole
from plm_lessons.widgets.picture import Drawing, figure, table, written

LIMIT = 4.0
MOST_DRAWS = 10_000
SAMPLES = 161
VIEWS = ("function", "derivative", "difference", "masks")
TEXT: dict[str, Any] = {
    "title": "GELU, its stand-ins and two misprints",
    "curves": {
        "exact": "exact",
        "tanh": "tanh form",
        "sigmoid": "sigmoid form",
        "relu": "ReLU",
        "constant": "misprint: constant",
        "bracket": "misprint: bracket",
    },
    "axis": {
        "function": "f(x)",
        "derivative": "f\u2032(x)",
        "difference": "f(x) \u2212 exact",
        "masks": "mean of m·x so far",
    },
    "x": "x",
    "draws": "number of masks drawn",
    "count": "Masks drawn",
    "kept": "Kept (m = 1)",
    "mean": "Mean of m·x",
    "expected": "Expected: x·Φ(x), the exact GELU",
    "none": "none yet",
    "live": "This picture shows the first state. With JavaScript, it can be moved and switched.",
}


class Curve(NamedTuple):
    """A function of one real number and its slope."""

    f: Callable[[float], float]
    slope: Callable[[float], float]


def normal_cdf(x: float) -> float:
    """Phi(x), the probability that a standard normal number is at most x."""
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def _normal_density(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


_ROOT = math.sqrt(2 / math.pi)
_SLOPE_LOST = math.tanh(_ROOT)  # with the bracket misplaced, the tanh covers this number alone


def _tanh_form(a: float) -> Curve:
    def slope(x: float) -> float:
        t = math.tanh(_ROOT * (x + a * x**3))
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * _ROOT * (1 + 3 * a * x * x)

    return Curve(lambda x: 0.5 * x * (1 + math.tanh(_ROOT * (x + a * x**3))), slope)


# The same six as CURVES in gelu.js, in the same order.
CURVES = {
    "exact": Curve(lambda x: x * normal_cdf(x), lambda x: normal_cdf(x) + x * _normal_density(x)),
    "tanh": _tanh_form(0.044715),
    "sigmoid": Curve(
        lambda x: x * _logistic(1.702 * x), lambda x: _logistic(1.702 * x) * (1 + 1.702 * x * _logistic(-1.702 * x))
    ),
    "relu": Curve(lambda x: max(0.0, x), lambda x: float(x > 0)),
    "constant": _tanh_form(0.04715),
    "bracket": Curve(
        lambda x: 0.5 * x * (1 + _SLOPE_LOST * (x + 0.04715 * x**3)),
        lambda x: 0.5 * (1 + _SLOPE_LOST * (2 * x + 4 * 0.04715 * x**3)),
    ),
}


def uniforms(seed: int, count: int) -> list[float]:
    """`count` numbers in [0, 1) by mulberry32, a generator small enough to write both in Python and in the page."""
    numbers, low32 = [], 0xFFFFFFFF
    for i in range(1, count + 1):
        state = (seed + i * 0x6D2B79F5) & low32
        z = (state ^ (state >> 15)) * (state | 1) & low32
        z ^= (z + ((z ^ (z >> 7)) * (z | 61) & low32)) & low32
        numbers.append((z ^ (z >> 14)) / 2**32)
    return numbers


class GeluWidget(LessonWidget):
    """Curves of GELU and its relatives with a movable x, and random masks whose mean is GELU.

    Args:
        x: the point at which all curves are read, from -4 to 4.
        view: "function" (the curves), "derivative", "difference" (from the exact curve) or "masks" (masks m that are 1
            with probability Phi(x): the mean of m*x tends to x*Phi(x), which is GELU).
        curves: which to draw, in any order: "exact" (erf), "tanh", "sigmoid", "relu", and the two misprints, "constant"
            (0.04715 for 0.044715) and "bracket" (the tanh covers sqrt(2/pi) alone, and the constant is wrong too).
        seed: the seed of the masks, from 0 to 2**32 - 1.
        draws: how many masks are drawn, from 0 to 10000.

    Raises:
        ValueError: for any other value; also when a trait is set later.
    """

    name = "gelu"
    fields = ("x", "view", "curves", "seed", "draws")

    x = Number(-LIMIT, LIMIT)
    view = OneOf(VIEWS)
    curves = SomeOf(CURVES)
    seed = Whole(2**32 - 1)
    draws = Whole(MOST_DRAWS)

    def __init__(
        self,
        x: float = -0.75,
        view: str = "function",
        curves: tuple[str, ...] = ("exact", "tanh", "bracket"),
        seed: int = 0,
        draws: int = 0,
    ) -> None:
        super().__init__(x=x, view=view, curves=curves, seed=seed, draws=draws)

    def values(self, name: str) -> dict[str, float]:
        """The values of a curve at x: "function", "derivative" and "difference" from the exact curve."""
        x, curve = self.x, CURVES[name]
        return {"function": curve.f(x), "derivative": curve.slope(x), "difference": curve.f(x) - CURVES["exact"].f(x)}

    def kept_so_far(self) -> list[int]:
        """How many of the first 1, 2, ... `draws` masks are 1."""
        chance, kept, counts = normal_cdf(self.x), 0, []
        for u in uniforms(self.seed, self.draws):
            kept += u < chance
            counts.append(kept)
        return counts

    def picture(self) -> str:
        drawing, rows = self._masks() if self.view == "masks" else self._curves()
        label = f"x = {written(self.x, 2)}: " + ", ".join(f"{name} {value}" for name, value in rows)
        rows = [(TEXT["x"], written(self.x, 2)), *rows]
        return figure(TEXT["title"], drawing.image(label), table(rows), TEXT["live"])

    def _curves(self) -> tuple[Drawing, list[tuple[str, str]]]:
        xs = [-LIMIT + 2 * LIMIT * i / (SAMPLES - 1) for i in range(SAMPLES)]

        def seen(name: str, x: float) -> float:
            if self.view == "derivative":
                return CURVES[name].slope(x)
            return CURVES[name].f(x) - (CURVES["exact"].f(x) if self.view == "difference" else 0.0)

        lines = {name: [(x, seen(name, x)) for x in xs] for name in self.curves}
        heights = [y for points in lines.values() for _, y in points]
        low, high = min([0.0, *heights]), max([0.0, *heights])
        # The misplaced bracket leaves every useful range; the table still shows its value.
        floor, ceiling = {"function": (-1.0, 6.0), "derivative": (-2.0, 3.0)}.get(self.view, (low, high))
        low, high = max(low, floor), min(high, ceiling)
        if low == high:
            low, high = -1.0, 1.0
        room = 0.06 * (high - low)
        key = [(list(CURVES).index(name), TEXT["curves"][name]) for name in self.curves]
        drawing = Drawing((-LIMIT, LIMIT), (low - room, high + room), TEXT["x"], TEXT["axis"][self.view], key)
        drawing.curve([(self.x, low - room), (self.x, high + room)], "cursor")
        for (name, points), (kind, _) in zip(lines.items(), key, strict=True):
            drawing.curve(points, f"curve c{kind}")
            drawing.mark(self.x, seen(name, self.x), kind)
        axis, names = TEXT["axis"][self.view], TEXT["curves"]
        rows = [(f"{names[name]}, {axis}", written(seen(name, self.x))) for name in self.curves]
        return drawing, rows

    def _masks(self) -> tuple[Drawing, list[tuple[str, str]]]:
        x, n, kept, chance = self.x, self.draws, self.kept_so_far(), normal_cdf(self.x)
        expected, most = x * chance, max(10, n)
        steps = sorted({round(most ** (i / 159)) for i in range(160)})
        spread = {k: 2 * abs(x) * math.sqrt(chance * (1 - chance) / k) for k in steps}
        means = [(k, x * kept[k - 1] / k) for k in steps if k <= n]
        # Only as high as what is drawn: where nearly every mask is 0, even the mean of a few is small beside x.
        heights = (-0.1, 0.1, expected - spread[1], expected + spread[1], *(mean for _, mean in means))
        y_range = (1.08 * min(heights), 1.08 * max(heights))
        drawing = Drawing((1, most), y_range, TEXT["draws"], TEXT["axis"]["masks"], log_x=True)
        band = [(k, expected + spread[k]) for k in steps] + [(k, expected - spread[k]) for k in reversed(steps)]
        drawing.curve(band, "band")
        drawing.curve([(1, expected), (most, expected)], "cursor")
        drawing.curve(means, "curve c0")
        if n:
            drawing.mark(n, x * kept[-1] / n, 0)
        rows = [
            (TEXT["count"], str(n)),
            (TEXT["kept"], f"{kept[-1]} = {100 * kept[-1] / n:.1f} %" if n else TEXT["none"]),
            (TEXT["mean"], written(x * kept[-1] / n) if n else TEXT["none"]),
            (TEXT["expected"], written(expected)),
        ]
        return drawing, rows
