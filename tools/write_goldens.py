"""Write the values that the widgets' mathematics is compared with, computed by torch in double precision.

python tools/write_goldens.py            writes gelu.json, rms_norm.json and attention_viewer.json in tests/golden
"""

from __future__ import annotations

import argparse
import base64
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
    """Return the values of a curve of the GELU widget, and its slopes (by autograd), at some points."""
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    y = GELU_CURVES[name](x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    return y.tolist(), slope.tolist()


def gelu() -> dict[str, Any]:
    """Return curves and slopes on a grid wider than the slider and at points of interest; erf and Phi on a wide one."""
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


# Ordinary, all equal, a single component, zero, large beside small, the sliders' limits, and large but nearly equal.
VECTORS = ([3.0, 1.0, 4.0, -1.0, 2.5, 0.5], [2.0] * 8, [-7.0], [0.0] * 3, [10.0, -0.1, 0.1], [-10.0, 10.0], [9.5, 9.75])


def normalised(vector: list[float], eps: float, gain: float) -> dict[str, list[float]]:
    """Apply LayerNorm (of torch, with bias 0) and RMSNorm (of the package) to a vector, in double precision."""
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
    """Return both outputs for several vectors at every scale, with several eps and gains."""
    settings = [(-12, 1.0), (-6, 1.0), (-5.5, 0.35), (0, 1.5), (-6, 0.0)]
    cases = []
    for vector in VECTORS:
        for power in range(-6, 4):
            scaled = [x * 10.0**power for x in vector]
            for log10_eps, gain in settings:
                case = {"x": scaled, "log10_eps": log10_eps, "gain": gain}
                cases.append({**case, **normalised(scaled, 10.0**log10_eps, gain)})
    return {"cases": cases}


# Tokens of several tokenizers, each with its class as a reader would say it: special, punctuation or neither.
CLASSES = {
    **dict.fromkeys(("[CLS]", "[SEP]", "<s>", "</s>", "<pad>", "<extra_id_0>"), "special"),
    **dict.fromkeys((".", ",", "##.", "\u2581,", "\u0120!", "...", "\u2014", "[", "\u3002", "'"), "punctuation"),
    **dict.fromkeys(("cat", "##s", "\u2581", "\u2581the", "\u0120of", "1", "$", "<", "a.", "\u05d0", "\U0001f642"), ""),
}
# The kind of attention, its keys, and the number of its queries.
HEADS = (
    ("encoder", ["[CLS]", "the", "cat", ",", "sat", ".", "[SEP]"], 7),
    ("decoder", ["<pad>", "\u2581a", "\u2581,", "\u2581b", "</s>"], 5),
    ("cross", ["\u2581one", "\u2581two", ".", "</s>"], 6),
    ("encoder", ["alone"], 1),
)


def measured(weights: Tensor, keys: list[str], kind: str) -> dict[str, float | None]:
    """Return what the attention viewer says about one head, [queries, keys]."""
    entropies = torch.distributions.Categorical(probs=weights).entropy()
    found: dict[str, float | None] = {"spread": entropies.mean().exp().item()}
    for name in ("special", "punctuation"):
        found[name] = weights[:, [CLASSES.get(key, "") == name for key in keys]].sum(1).mean().item()
    places = torch.arange(len(weights), dtype=torch.float64)[:, None], torch.arange(len(keys), dtype=torch.float64)
    for offset, name in ((-1, "previous"), (0, "self"), (1, "next")):
        along = weights.diagonal(offset)
        found[name] = along.mean().item() if len(along) and kind != "cross" else None
    distances = (places[0] - places[1]).abs()
    found["distance"] = None if kind == "cross" else (weights * distances).sum(1).mean().item()
    return found


def attention_viewer() -> dict[str, Any]:
    """Return packed weights of two layers with two heads, the unpacked weights, and what is said about each head."""
    generator = torch.Generator().manual_seed(0)
    cases = []
    for kind, keys, queries in HEADS:
        scores = 2 * torch.randn(4, queries, len(keys), generator=generator, dtype=torch.float64)
        scores[3] = 0  # a head with equal weights
        if kind == "decoder":
            scores += torch.full((queries, queries), -math.inf).triu(1)
        codes = (255 * scores.softmax(-1).sqrt()).round()
        weights = codes**2 / (codes**2).sum(-1, keepdim=True)
        case: dict[str, Any] = {"kind": kind, "keys": keys, "queries": queries, "layers": 2, "heads": 2}
        case["weights"] = base64.b64encode(bytes(codes.flatten().int().tolist())).decode()
        case["rows"] = weights.tolist()
        case["measures"] = [measured(head, keys, kind) for head in weights]
        cases.append(case)
    return {"classes": CLASSES, "cases": cases}


GOLDENS: dict[str, Callable[[], dict[str, Any]]] = {
    "gelu": gelu,
    "rms_norm": rms_norm,
    "attention_viewer": attention_viewer,
}


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for name, values in GOLDENS.items():
        text = json.dumps(values(), indent=0, sort_keys=True) + "\n"
        write_atomically(FOLDER / f"{name}.json", text.encode())


if __name__ == "__main__":
    main()
