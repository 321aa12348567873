"""The loop of pre-training, the same for every family: what is predicted is in the batches.

Source: BERT (arXiv:1810.04805v2), appendix A.2; google-research/bert, run_pretraining.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import islice

import torch
from torch import nn
from tqdm.auto import tqdm

from plm_lessons.training.large_batches import Batch, accumulate_gradients, process_rank
from plm_lessons.training.optimization import adamw, warmup_then_decay


def pretrain(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    steps: int,
    learning_rate: float,
    warmup_steps: int,
    accumulation_steps: int = 1,
    weight_decay: float = 0.01,
    make_optimizer: Callable[[nn.Module, float], torch.optim.Optimizer] | None = None,
    max_gradient_norm: float = 1.0,
    seed: int = 0,
    progress: bool = True,
) -> list[dict[str, float]]:
    """Train a model where it is, CPU or GPU.

    Under `torchrun`, with `torch.distributed` initialised, N processes read the same batches and each takes every N-th:
    the result is that of one process with N times the `accumulation_steps`, dropout aside.

    Args:
        model: Trained in place; in evaluation mode afterwards. In every process it must start with the same weights.
        batches: Keyword arguments of the model, at least `steps` times `accumulation_steps` (times N) of them.
        steps: Updates of the weights.
        learning_rate: The peak, reached after `warmup_steps`; from there it falls linearly to 0.
        accumulation_steps: How many batches together make the gradient of one update.
        weight_decay: Of AdamW.
        make_optimizer: Makes another optimiser than AdamW from (model, learning_rate): `adafactor`.
        max_gradient_norm: A longer gradient is shortened to this.
        seed: Fixes dropout.
        progress: Whether to show a progress bar.

    Returns:
        For each step `step`, `loss` in nats and its terms (see `accumulate_gradients`), `learning_rate`.

    Raises:
        ValueError: The batches end before `steps`, or the loss is no longer a finite number.
    """
    if accumulation_steps < 1:
        raise ValueError(f"accumulation_steps={accumulation_steps}: must be at least 1")
    rank, processes = process_rank()
    source = islice(batches, rank, None, processes)
    optimizer = make_optimizer(model, learning_rate) if make_optimizer else adamw(model, learning_rate, weight_decay)
    schedule = warmup_then_decay(optimizer, warmup_steps, steps)
    device, log = next(model.parameters()).device, []
    model.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed + rank)  # or all processes would drop the same places
        for step in tqdm(range(1, steps + 1), desc="pre-training", unit="step", disable=not progress or rank > 0):
            parts = list(islice(source, accumulation_steps))
            if len(parts) < accumulation_steps:
                read, needed = (step - 1) * accumulation_steps + len(parts), steps * accumulation_steps
                raise ValueError(f"batches ended after {read}: must be at least {needed} for steps={steps}")
            losses = accumulate_gradients(model, parts)
            if not math.isfinite(losses["loss"]):
                raise ValueError(f"the loss is {losses['loss']} at step {step}: try a smaller learning_rate")
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_gradient_norm)
            optimizer.step()
            optimizer.zero_grad()
            log.append({"step": step, **losses, "learning_rate": schedule.get_last_lr()[0]})
            schedule.step()
    model.eval()
    return log
