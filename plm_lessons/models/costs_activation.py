"""What an activation function keeps in training, for the counts of `costs` and `costs_t5`."""

from __future__ import annotations


def vectors_kept(activation: str, then_dropout: bool = False) -> int:
    """Vectors that an activation and the linear map behind it keep for the backward pass.

    The map keeps its input. Most activations keep theirs; `quick_gelu` also its sigmoid. The derivative of ReLU and
    tanh follows from their output, which is the input of the map, if no dropout comes between.

    Args:
        activation: A name of `layers.activations`.
        then_dropout: Whether dropout comes between the two; its mask is not counted here.
    """
    if activation in ("relu", "tanh"):
        return 1 + then_dropout
    return 3 if activation == "quick_gelu" else 2
