"""The position-wise feed-forward network: the same two-layer perceptron at every position.

Letters: B batch, S sequence length, H hidden size, F intermediate size.
"""

from __future__ import annotations

from torch import Tensor, nn

from plm_lessons.layers.activations import activation


class FeedForward(nn.Module):
    """`contract(act(expand(x)))`: H -> F -> H (Vaswani et al. 2017, section 3.3; BERT uses F = 4H and GELU)."""

    def __init__(self, hidden_size: int, intermediate_size: int, hidden_act: str) -> None:
        super().__init__()
        self.expand = nn.Linear(hidden_size, intermediate_size)
        self.contract = nn.Linear(intermediate_size, hidden_size)
        self.activation = activation(hidden_act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        return self.contract(self.activation(self.expand(hidden_states)))
