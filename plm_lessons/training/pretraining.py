"""The pre-training loop, the same for every family: the batches decide what is predicted.

Source: BERT (arXiv:1810.04805v2), appendix A.2; google-research/bert, run_pretraining.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from plm_lessons.checks import check_number, check_whole
from plm_lessons.training.large_batches import Batch, accumulate_gradients, process_rank
from plm_lessons.training.optimization import adamw, check_finite, share_of_peak


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
    precision: str = "auto",
    progress: bool = True,
) -> list[dict[str, float]]:
    """Train a model on its own device, CPU or GPU.

    Under `torchrun`, with `torch.distributed` initialised, N processes read the same batches and each takes every N-th:
    the result is that of one process with N times the `accumulation_steps`, dropout aside.

    Args:
        model: Trained in place; in evaluation mode afterwards. It must start with the same weights in every process.
        batches: Keyword arguments of the model; at least `steps` times `accumulation_steps` (times N) batches.
        steps: The number of updates of the weights.
        learning_rate: The peak, reached after `warmup_steps`; from there the rate falls linearly to 0.
        accumulation_steps: How many batches together make the gradient of one update.
        weight_decay: The weight decay of AdamW.
        make_optimizer: Makes an optimiser other than AdamW from (model, learning_rate), such as `adafactor`.
        max_gradient_norm: A gradient with a larger norm is scaled down to this norm.
        seed: Fixes dropout.
        precision: See `mixed_precision`.
        progress: Whether to show a progress bar.

    Returns:
        The entries of `training_steps`.

    Raises:
        ValueError: An argument is impossible, or as for `training_steps`.
    """
    check_whole("steps", steps, least=1)
    check_number("learning_rate", learning_rate, low=0)
    share_of_peak(0, warmup_steps, steps)  # refuses an impossible warm-up
    optimizer = make_optimizer(model, learning_rate) if make_optimizer else adamw(model, learning_rate, weight_decay)
    entries = training_steps(
        model,
        optimizer,
        batches,
        steps=range(1, steps + 1),
        learning_rate=lambda step: learning_rate * share_of_peak(step - 1, warmup_steps, steps),
        accumulation_steps=accumulation_steps,
        max_gradient_norm=max_gradient_norm,
        seed=seed,
        precision=precision,
    )
    silent = not progress or process_rank()[0] > 0
    try:
        return list(tqdm(entries, total=steps, desc="pre-training", unit="step", disable=silent))
    finally:
        model.eval()


def training_steps(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    *,
    steps: range,
    learning_rate: Callable[[int], float],
    accumulation_steps: int = 1,
    max_gradient_norm: float = 1.0,
    seed: int = 0,
    precision: str = "auto",
) -> Iterator[dict[str, float]]:
    """Update the weights once for each entry that the caller takes.

    Between two entries the caller may look at the model, save it, or stop. A step depends only on the weights, the
    optimiser's state, its batches and its number. So a loop that resumes at step n with the same weights, state and
    batches continues as if it had never stopped.

    Args:
        model: Put into training mode at each step.
        optimizer: The optimiser of the model's parameters.
        batches: The batches, starting with those of the first step.
        steps: The numbers of the steps.
        learning_rate: Gives the learning rate of a step from its number.
        accumulation_steps, max_gradient_norm, seed, precision: As for `pretrain`.

    Returns:
        For each step: `step`, `loss` in nats and its terms (see `accumulate_gradients`), `learning_rate`, and
        `gradient_norm`, the norm of the gradient before clipping.

    Raises:
        ValueError: The batches end too early, or the loss or the gradient is no longer finite, which is found before
            the weights are changed.
    """
    check_whole("accumulation_steps", accumulation_steps, least=1)
    check_number("max_gradient_norm", max_gradient_norm, low=0, above=True)
    check_whole("seed", seed)
    rank, processes = process_rank()
    source, taken = iter(batches), processes * accumulation_steps
    device = next(model.parameters()).device
    optimizer.zero_grad()
    for step in steps:
        together = list(islice(source, taken))  # all of a step, so that the processes find the end together
        if len(together) < taken:
            read, needed = (step - steps[0]) * taken + len(together), len(steps) * taken
            raise ValueError(f"batches ended after {read}: there must be at least {needed} for steps={len(steps)}")
        rate = learning_rate(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.train()
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(_seed_of_step(seed, step, rank))
            losses = accumulate_gradients(model, together[rank::processes], precision)
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), max_gradient_norm))
        check_finite("loss", losses["loss"], step)
        check_finite("length of the gradient", norm, step)
        optimizer.step()
        optimizer.zero_grad()
        yield {"step": step, **losses, "learning_rate": rate, "gradient_norm": norm}


def _seed_of_step(seed: int, step: int, rank: int) -> int:
    """Return a seed of dropout for a step and a process; with one seed, all processes would drop the same places.

    The three numbers are mixed into 32 bits: PyTorch's generator on the CPU uses no more of its seed.
    """
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0])
