"""What an activation function keeps in training, for the counts of `costs` and `costs_t5`."""

from __future__ import annotations


def vectors_kept(activation: str, then_dropout: bool = False) -> int:
    """Number of vectors that an activation and the linear map after it keep for the backward pass.

    The map keeps its input. Most activations keep theirs; `quick_gelu` also keeps its sigmoid. The derivatives of ReLU
    and tanh follow from their output, which is the map's input unless dropout comes between the two.

    Args:
        activation: A name from `layers.activations`.
        then_dropout: Whether dropout comes between the two; its mask is not counted here.
    """
    if activation in ("relu", "tanh"):
        return 1 + then_dropout
    return 3 if activation == "quick_gelu" else 2
