"""A large batch in parts: one after the other (gradient accumulation), or side by side (data parallel).

Both rest on one fact: the gradient of a mean over the whole batch is the sum of the parts' gradients, each weighted by
its share of the predictions. The shares matter: parts differ in how many masked words they hold, and a plain mean of
their mean losses would give a word more weight in a part with few masked words than in one with many.

Letters: B batch, S sequence length, P positions predicted.

Source: RoBERTa (arXiv:1907.11692), section 4.3, which names both ways.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed, nn

from plm_lessons.objectives.checks import check_list
from plm_lessons.training.optimization import mixed_precision

Batch = dict[str, Tensor]
"""The keyword arguments of one call of a model."""

LOSSES = {
    "labels": "masked_lm_loss",
    "next_sentence_label": "next_sentence_loss",
    "sentence_order_label": "sentence_order_loss",
}
"""Each kind of labels, and the loss that a model computes from them as a mean over those that are not -100."""


def process_rank() -> tuple[int, int]:
    """Return this process's number and the number of processes: (0, 1) unless `torch.distributed` is initialised."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def _sum_over_processes(numbers: Tensor) -> Tensor:
    if process_rank()[1] > 1:
        distributed.all_reduce(numbers)  # the default operation is the sum
    return numbers


def accumulate_gradients(model: nn.Module, parts: Sequence[Batch], precision: str = "auto") -> dict[str, float]:
    """Backpropagate the loss of all parts as if they were one batch, and add the gradients to those of the parameters.

    Only one part at a time passes through the model. Where several processes work together (under `torchrun`, after
    `torch.distributed.init_process_group`), each calls this with its own parts; the batch consists of the parts of all
    processes, and every process ends with the same gradients.

    Args:
        model: In training mode. Its loss is the sum of one mean for each kind of labels: see `LOSSES`. If it has
            `training_arguments`, it is called with these besides the batch.
        parts: The batch, cut by rows into at least one part. All have the same kinds of labels. A part may have no
            rows, because the last batch of an epoch may have fewer rows than there are processes.
        precision: See `mixed_precision`.

    Returns:
        `loss` of the whole batch in nats and, if it has several terms, each of them by name.

    Raises:
        ValueError: There is no part, or the parts differ in their kinds of labels.
    """
    check_list("parts", parts, of="batches")
    kinds = [kind for kind in LOSSES if parts and kind in parts[0]]
    if not kinds:
        raise ValueError(f"parts: must hold at least one batch, with labels among {', '.join(LOSSES)}")
    for number, part in enumerate(parts):
        if [kind for kind in LOSSES if kind in part] != kinds:
            raise ValueError(f"parts[{number}] must have the labels that parts[0] has: {', '.join(kinds)}")
    device, arguments = next(model.parameters()).device, getattr(model, "training_arguments", {})
    counts = torch.tensor([[int((part[kind] != -100).sum()) for kind in kinds] for part in parts], device=device)
    totals = _sum_over_processes(counts.sum(dim=0)).clamp(min=1)
    shares = counts.double() / totals  # [parts, kinds]

    sums = torch.zeros(len(kinds), dtype=torch.float64, device=device)
    for part, share in zip(parts, shares, strict=True):
        if not len(part[kinds[0]]):
            continue  # models refuse a batch without rows
        with mixed_precision(device, precision):
            output = model(**{name: value.to(device) for name, value in part.items()}, **arguments)
            # A model with one task gives its loss as `loss`, a model with several also gives each term by name.
            terms = [output.loss] if len(kinds) == 1 else [getattr(output, LOSSES[kind]) for kind in kinds]
            weighted = torch.stack(terms) * share.to(terms[0].dtype)
        weighted.sum().backward()
        sums += weighted.detach()

    if process_rank()[1] > 1:
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                _sum_over_processes(parameter.grad)
    sums = _sum_over_processes(sums)
    named = {LOSSES[kind]: value for kind, value in zip(kinds, sums.tolist(), strict=True)} if len(kinds) > 1 else {}
    return {"loss": sums.sum().item(), **named}
