"""Root-mean-square normalisation, which T5 uses where BERT has a layer norm.

Letters: B batch, S sequence length, H hidden size.

References:
    Zhang & Sennrich, "Root Mean Square Layer Normalization" (arXiv:1910.07467), equation 4.
    T5: Raffel et al. (arXiv:1910.10683), section 2.1; tensorflow/mesh, transformer.py L493-515 at commit da90793.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plm_lessons.checks import check_number, check_sizes


class RMSNorm(nn.Module):
    """`x / sqrt(mean(x**2) + eps) * weight`, over the last dimension.

    A layer norm also subtracts the mean and adds a bias. This one does neither, so it learns one vector of H numbers
    instead of two.

    Args:
        hidden_size: H.
        eps: Added to the mean square.
    """

    def __init__(self, hidden_size: int, eps: float = 1e-6) -> None:
        super().__init__()
        check_sizes(hidden_size=hidden_size)
        check_number("eps", eps, low=0)
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.eps = eps

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        # Squares of half-precision numbers overflow above 255: the sum is taken in float32, or in float64 if that
        # is the input's type. (`transformers` takes it in float32 even then.)
        precise = hidden_states.to(torch.promote_types(hidden_states.dtype, torch.float32))
        normalised = precise * torch.rsqrt(precise.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * normalised.to(self.weight.dtype)
