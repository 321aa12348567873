"""An embedding for small tables, each row of which is looked up many times in a batch.

Letters: V rows of the table, H their size.

Source: google-research/bert, modeling.py at commit eedf571, `embedding_postprocessor`, also multiplies with one-hot
vectors, there for speed on the hardware of its time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SmallEmbedding(nn.Embedding):
    """`nn.Embedding` with a gradient that is the same in every run, even on a GPU.

    On a GPU PyTorch sums the gradients of rows that are used often (some 30 times each, on an H200 with PyTorch 2.11)
    in no fixed order. Training resumed after a stop would then diverge from training that never stopped. A matrix
    product has a fixed order.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """[...] whole numbers below V -> [..., H]."""
        return one_hot_product(rows, self.weight, self.padding_idx) if self.weight.is_cuda else super().forward(rows)


def one_hot_product(rows: Tensor, table: Tensor, padding_idx: int | None = None) -> Tensor:
    """[...] and [V, H] -> [..., H]: rows of a table, in the table's own precision; the padding row gets no gradient.

    A number in the table that is not finite affects every row that is looked up.
    """
    numbers = torch.arange(len(table), device=table.device)
    if padding_idx is not None:
        table = torch.where(numbers[:, None] == padding_idx, table.detach(), table)
    with torch.autocast(table.device.type, enabled=False):
        return (rows[..., None] == numbers).to(table.dtype) @ table
