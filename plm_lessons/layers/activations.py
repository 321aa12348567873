"""Activation functions, by the names that a `config.json` uses.

References:
    GELU: Hendrycks & Gimpel, "Gaussian Error Linear Units" (arXiv:1606.08415), section 2.
    BERT: google-research/bert `modeling.gelu`: erf until February 2019, the tanh form since commit bee6030.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from plm_lessons.checks import check_choice


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """Gaussian error linear unit, `x * Phi(x)`, where Phi is the standard normal distribution function.

    Args:
        x: Any shape, a floating-point type.
        approximate: `"none"` for the exact form, `x * (1 + erf(x / sqrt(2))) / 2`;
            `"tanh"` for `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2`,
            which differs from the exact form by at most 4.8e-4.

    Returns:
        A tensor of the shape and type of `x`.

    Raises:
        ValueError: `approximate` is neither `"none"` nor `"tanh"`, or `x` is not of a floating-point type.
    """
    check_choice("approximate", approximate, ("none", "tanh"))
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = f"has dtype {x.dtype}" if isinstance(x, Tensor) else f"is of type {type(x).__name__}"
        raise ValueError(f"x {kind}: must be a tensor of a floating-point type")
    return F.gelu(x, approximate=approximate)


def quick_gelu(x: Tensor) -> Tensor:
    """The sigmoid form of GELU, `x * sigmoid(1.702 * x)` (section 2 of the paper); it is off by at most 2.1e-2."""
    return x * torch.sigmoid(1.702 * x)


gelu_tanh = partial(gelu, approximate="tanh")

# Configuration files have three names for the tanh form: BERT-like code says `gelu_new` (ALBERT, GPT-2), newer code
# `gelu_pytorch_tanh`, an older factored version `gelu_fast`. They are the same function.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "gelu_python": gelu,
    "gelu_new": gelu_tanh,
    "gelu_fast": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "quick_gelu": quick_gelu,
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
}


def activation(hidden_act: str) -> Callable[[Tensor], Tensor]:
    """The function that a `hidden_act` field names.

    Raises:
        ValueError: No activation has this name.
    """
    check_choice("hidden_act", hidden_act, ACTIVATIONS)
    return ACTIVATIONS[hidden_act]
