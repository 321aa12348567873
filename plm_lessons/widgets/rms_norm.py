"""LayerNorm and RMSNorm of the same vector, side by side, to play with.

LayerNorm subtracts the mean and divides by the standard deviation; RMSNorm (Zhang and Sennrich, 2019, equation 4; T5)
only divides by the root of the mean square. So LayerNorm ignores a shift and a scaling of its input, RMSNorm only a
scaling. Both add eps under the root, which matters once the squares of the components are as small as eps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from plm_lessons.widgets.base import LessonWidget, Number, Numbers, Whole
from plm_lessons.widgets.picture import Drawing, figure, table, written

LIMIT = 10.0
MOST_COMPONENTS = 8
MOST_GAIN = 1.5
START = (3.0, 1.0, 4.0, -1.0, 2.5, 0.5)
TEXT: dict[str, Any] = {
    "title": "LayerNorm and RMSNorm of one vector",
    "layerNorm": "LayerNorm",
    "rmsNorm": "RMSNorm",
    "statistics": {
        "mean": "Mean",
        "std": "Standard deviation",
        "rms": "RMS, root of the mean square",
    },
    "eps": "eps",
    "gain": "gain",
    "columns": "Component",
    "component": "number of the component",
    "output": "output",
    "live": "This picture shows the first state. With JavaScript, all components, eps and the gain can be moved.",
}


class Moments(NamedTuple):
    """Mean, variance (divided by n, as LayerNorm does) and mean square of a vector."""

    mean: float
    variance: float
    mean_square: float


def moments(vector: Sequence[float]) -> Moments:
    """The moments of a non-empty vector."""
    n, first = len(vector), vector[0]
    # Relative to the first, so that the mean of equal numbers is exactly that number.
    mean = first + sum(x - first for x in vector) / n
    return Moments(mean, sum((x - mean) ** 2 for x in vector) / n, sum(x * x for x in vector) / n)


def layer_norm(vector: Sequence[float], eps: float, gain: float = 1.0) -> list[float]:
    """gain * (x - mean) / sqrt(variance + eps)."""
    mean, variance, _ = moments(vector)
    return [gain * (x - mean) / math.sqrt(variance + eps) for x in vector]


def rms_norm(vector: Sequence[float], eps: float, gain: float = 1.0) -> list[float]:
    """gain * x / sqrt(mean square + eps)."""
    divisor = math.sqrt(moments(vector).mean_square + eps)
    return [gain * x / divisor for x in vector]


class RMSNormWidget(LessonWidget):
    """A vector whose components can be dragged, and what LayerNorm and RMSNorm make of it.

    Args:
        components: 1 to 8 numbers from -10 to 10, in units of the scale.
        log10_scale: the scale is 10 to this power, a whole number from -6 to 3: all components are multiplied by it.
        log10_eps: eps is 10 to this power, from -12 to 0. T5 has 1e-6, BERT 1e-12, PyTorch's LayerNorm 1e-5.
        gain: the learned weight, here one for all components, from 0 to 1.5. LayerNorm's bias is 0.

    Raises:
        ValueError: for any other value; also when a trait is set later.
    """

    name = "rms_norm"
    fields = ("components", "log10_scale", "log10_eps", "gain")

    components = Numbers(-LIMIT, LIMIT, 1, MOST_COMPONENTS)
    log10_scale = Whole(3, least=-6)
    log10_eps = Number(-12, 0)
    gain = Number(0, MOST_GAIN)

    def __init__(
        self,
        components: Sequence[float] = START,
        log10_scale: int = 0,
        log10_eps: float = -6,
        gain: float = 1,
    ) -> None:
        super().__init__(components=components, log10_scale=log10_scale, log10_eps=log10_eps, gain=gain)

    @property
    def vector(self) -> list[float]:
        """The components times the scale: what is normalised."""
        return [component * 10.0**self.log10_scale for component in self.components]

    def outputs(self) -> dict[str, list[float]]:
        """Both outputs, named "layerNorm" and "rmsNorm" as in the page."""
        vector, eps = self.vector, 10.0**self.log10_eps
        return {
            "layerNorm": layer_norm(vector, eps, self.gain),
            "rmsNorm": rms_norm(vector, eps, self.gain),
        }

    def picture(self) -> str:
        n, found, limit = len(self.components), self.outputs(), MOST_GAIN * math.sqrt(len(self.components))
        key = [(0, TEXT["layerNorm"]), (1, TEXT["rmsNorm"])]
        drawing = Drawing((0.4, n + 0.6), (-limit, limit), TEXT["component"], TEXT["output"], key)
        for (kind, _), values, left in zip(key, found.values(), (-0.3, 0.03), strict=True):
            for i, y in enumerate(values, start=1):
                left_edge, right_edge = i + left, i + left + 0.27
                drawing.curve([(left_edge, 0), (left_edge, y), (right_edge, y), (right_edge, 0)], f"curve c{kind}")
                drawing.mark((left_edge + right_edge) / 2, y, kind)
        mean, variance, mean_square = moments(self.vector)
        statistics = {"mean": mean, "std": math.sqrt(variance), "rms": math.sqrt(mean_square)}
        rows = [(TEXT["statistics"][name], written(value)) for name, value in statistics.items()]
        rows += [(TEXT["eps"], written(10.0**self.log10_eps)), (TEXT["gain"], written(self.gain, 2))]
        rows.append((TEXT["columns"], f"{TEXT['layerNorm']} | {TEXT['rmsNorm']}"))
        columns = zip(self.vector, *found.values(), strict=True)
        for i, (x, *normalised) in enumerate(columns, start=1):
            rows.append((f"x{i} = {written(x)}", " | ".join(map(written, normalised))))
        label = f"{TEXT['title']}: " + "; ".join(f"{name}: {value}" for name, value in rows)
        return figure(TEXT["title"], drawing.image(label), table(rows), TEXT["live"])
