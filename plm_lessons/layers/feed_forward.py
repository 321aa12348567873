"""The position-wise feed-forward network: the same two-layer perceptron at every position.

Letters: B batch, S sequence length, H hidden size, F intermediate size.
"""

from __future__ import annotations

from torch import Tensor, nn

from plm_lessons.checks import check_sizes
from plm_lessons.layers.activations import activation
from plm_lessons.layers.dropout import Dropout


class FeedForward(nn.Module):
    """`contract(act(expand(x)))`: H -> F -> H (Vaswani et al. 2017, section 3.3; BERT uses F = 4H and GELU)."""

    def __init__(self, hidden_size: int, intermediate_size: int, hidden_act: str) -> None:
        super().__init__()
        check_sizes(hidden_size=hidden_size, intermediate_size=intermediate_size)
        self.expand = nn.Linear(hidden_size, intermediate_size)
        self.contract = nn.Linear(intermediate_size, hidden_size)
        self.activation = activation(hidden_act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        return self.contract(self.activation(self.expand(hidden_states)))


class UnbiasedFeedForward(nn.Module):
    """T5's first form (v1.0, with ReLU): no bias terms, and dropout on the inner vector."""

    def __init__(self, hidden_size: int, intermediate_size: int, hidden_act: str, dropout: float = 0.0) -> None:
        super().__init__()
        check_sizes(hidden_size=hidden_size, intermediate_size=intermediate_size)
        self.expand = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.contract = nn.Linear(intermediate_size, hidden_size, bias=False)
        self.activation = activation(hidden_act)
        self.dropout = Dropout(dropout)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        return self.contract(self.dropout(self.activation(self.expand(hidden_states))))


class GatedFeedForward(nn.Module):
    """T5's second form (v1.1, with the tanh form of GELU): the inner vector is multiplied by a second one, its gate.

    It computes `contract(act(gate(x)) * linear(x))` with three matrices instead of two, and therefore has a smaller F.
    Source: Shazeer, "GLU Variants Improve Transformer" (arXiv:2002.05202), equation 6.
    """

    def __init__(self, hidden_size: int, intermediate_size: int, hidden_act: str, dropout: float = 0.0) -> None:
        super().__init__()
        check_sizes(hidden_size=hidden_size, intermediate_size=intermediate_size)
        self.gate = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.linear = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.contract = nn.Linear(intermediate_size, hidden_size, bias=False)
        self.activation = activation(hidden_act)
        self.dropout = Dropout(dropout)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        return self.contract(self.dropout(self.activation(self.gate(hidden_states)) * self.linear(hidden_states)))
