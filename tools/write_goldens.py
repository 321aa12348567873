"""Write the values that the widgets' mathematics is compared with, computed by torch in double precision.

python tools/write_goldens.py            writes tests/golden/NAME.json for every widget
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from plm_lessons.files import write_atomically
from plm_lessons.layers.normalization import RMSNorm

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"

ROOT_2_OVER_PI = math.sqrt(2 / math.pi)
GELU_CURVES: dict[str, Callable[[Tensor], Tensor]] = {
    "exact": functional.gelu,
    "tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "sigmoid": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": functional.relu,
    "constant": lambda x: 0.5 * x * (1 + torch.tanh(ROOT_2_OVER_PI * (x + 0.04715 * x**3))),
    # As the notes print it: the tanh ends before the second bracket opens.
    "bracket": lambda x: 0.5 * x * (1 + math.tanh(ROOT_2_OVER_PI) * (x + 0.04715 * x**3)),
}


def gelu_at(name: str, points: list[float]) -> tuple[list[float], list[float]]:
    """A curve of the GELU widget and its slope (by autograd) at some points."""
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    y = GELU_CURVES[name](x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    return y.tolist(), slope.tolist()


def gelu() -> dict[str, Any]:
    """Curves and slopes on a grid wider than the slider and at places of interest; erf and Phi on a wide grid."""
    points = sorted({*(i / 8 for i in range(-64, 65)), -0.7518, 2.70, -1.384, math.sqrt(2), 1e-9, -1e-9})
    curves = {}
    for name in GELU_CURVES:
        values, slopes = gelu_at(name, points)
        curves[name] = {"f": values, "slope": slopes}
    wide = torch.arange(-112, 113, dtype=torch.float64) / 16
    return {
        "x": points,
        "curves": curves,
        "z": wide.tolist(),
        "erf": torch.erf(wide).tolist(),
        "Phi": torch.special.ndtr(wide).tolist(),
    }


# Ordinary, all equal, a single component, zero, large beside small, and what the sliders reach at most.
VECTORS = ([3.0, 1.0, 4.0, -1.0, 2.5, 0.5], [2.0] * 8, [-7.0], [0.0] * 3, [10.0, -0.1, 0.1], [-10.0, 10.0], [9.5, 9.75])


def normalised(vector: list[float], eps: float, gain: float) -> dict[str, list[float]]:
    """What LayerNorm (of torch, without a bias) and RMSNorm (of the package) make of a vector in double precision."""
    x = torch.tensor(vector, dtype=torch.float64)
    layers: dict[str, torch.nn.LayerNorm | RMSNorm] = {
        "layerNorm": torch.nn.LayerNorm(len(vector), eps=eps),
        "rmsNorm": RMSNorm(len(vector), eps=eps),
    }
    found = {}
    for name, layer in layers.items():
        with torch.no_grad():
            layer.double().weight.fill_(gain)
            found[name] = layer(x).tolist()
    return found


def rms_norm() -> dict[str, Any]:
    """Both outputs for several vectors at every scale, some eps and gains."""
    settings = [(-12, 1.0), (-6, 1.0), (-5.5, 0.35), (0, 1.5), (-6, 0.0)]
    cases = []
    for vector in VECTORS:
        for power in range(-6, 4):
            scaled = [x * 10.0**power for x in vector]
            for log10_eps, gain in settings:
                case = {"x": scaled, "log10_eps": log10_eps, "gain": gain}
                cases.append({**case, **normalised(scaled, 10.0**log10_eps, gain)})
    return {"cases": cases}


GOLDENS: dict[str, Callable[[], dict[str, Any]]] = {"gelu": gelu, "rms_norm": rms_norm}


def main() -> None:
    for name, values in GOLDENS.items():
        text = json.dumps(values(), indent=0, sort_keys=True) + "\n"
        write_atomically(FOLDER / f"{name}.json", text.encode())


if __name__ == "__main__":
    main()
