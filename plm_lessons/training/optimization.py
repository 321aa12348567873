"""The optimisers of BERT and T5, BERT's learning-rate schedule, and the precision to compute in.

Source: BERT (arXiv:1810.04805v2), appendix A.2; google-research/bert, optimization.py at commit eedf571. Where `adamw`
and `share_of_peak` differ from that code, their docstrings say so.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from plm_lessons.checks import check_choice, check_number, check_whole


def adamw(model: nn.Module, learning_rate: float, weight_decay: float = 0.01) -> torch.optim.AdamW:
    """AdamW as BERT uses it: beta 0.9 and 0.999, epsilon 1e-6, decay on matrices but not on biases and layer norms.

    Every parameter of one dimension is a bias or belongs to a norm. The reference code leaves out Adam's bias
    correction, which the paper does not mention; here it is done as in Adam's paper and in PyTorch. Without it the
    first update is (1 - 0.9) / sqrt(1 - 0.999) = 3.2 times as large, which a warm-up makes harmless.
    """
    check_number("learning_rate", learning_rate, low=0)
    check_number("weight_decay", weight_decay, low=0)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in parameters if parameter.dim() > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.999), eps=1e-6, fused=True)


def adafactor(model: nn.Module, learning_rate: float = 0.01) -> torch.optim.Adafactor:
    """AdaFactor as T5 uses it: steps are relative to the size of the weights, and little memory is needed.

    In step n each matrix moves by at most about min(`learning_rate`, 1 / sqrt(n)) of its own root mean square. With
    0.01 that is T5's rate, 1 / sqrt(max(n, 10,000)) (arXiv:1910.10683, section 3.1.2). Small weights thus take small
    steps. T5 needs that: its queries start far smaller than its embeddings (`T5ForConditionalGeneration.draw_matrix`),
    and steps of the same size for all, as in `adamw`, are too large for the queries or too small for the embeddings.
    Of the squared gradients, only the means of each row and column are stored.

    Source: Shazeer & Stern (arXiv:1804.04235), algorithms 4 and 5.
    """
    check_number("learning_rate", learning_rate, low=0)
    return torch.optim.Adafactor(model.parameters(), lr=learning_rate, weight_decay=0.0)


SCHEDULES = ("linear", "cosine", "constant")


def share_of_peak(
    step: int, warmup_steps: int, total_steps: int, schedule: str = "linear", cooldown_steps: int = 0
) -> float:
    """Return the learning rate as a share of its peak, from 0 to 1.

    The share rises linearly during the warm-up. Then it falls to 0, linearly or along half a cosine, or stays constant.
    BERT warms up for 10,000 of 1,000,000 steps, then decays linearly; in fine-tuning, for about a tenth of the steps.
    The linear decay starts from the peak, as in `transformers`. In the reference code it starts at step 0, hidden by
    the warm-up, so that the rate drops by `warmup_steps / total_steps` of its peak where the warm-up ends.

    Args:
        step: Counted from 0.
        warmup_steps: From 0 to `total_steps`.
        total_steps: At least 1.
        schedule: One of `SCHEDULES`.
        cooldown_steps: During this many last steps, all after the warm-up, the schedule's share is also scaled linearly
            down to 0.
    """
    check_whole("step", step)
    check_whole("total_steps", total_steps, least=1)
    check_whole("warmup_steps", warmup_steps, 0, total_steps, why=" = total_steps")
    check_whole("cooldown_steps", cooldown_steps, 0, total_steps - warmup_steps, why=" = total_steps - warmup_steps")
    check_choice("schedule", schedule, SCHEDULES)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    left = max(0, total_steps - step)
    to_go = left / max(1, total_steps - warmup_steps)  # from 1 to 0
    share = {"linear": to_go, "cosine": (1 - math.cos(math.pi * to_go)) / 2, "constant": 1.0}[schedule]
    return share * min(1.0, left / cooldown_steps) if cooldown_steps else share


def warmup_then_decay(
    optimizer: torch.optim.Optimizer, warmup_steps: int, total_steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return the linear schedule of `share_of_peak` as a PyTorch scheduler."""
    share_of_peak(0, warmup_steps, total_steps)  # refuses what is impossible, before any step
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share_of_peak(step, warmup_steps, total_steps))


def check_finite(name: str, value: float, step: int) -> None:
    """Stop training that diverges.

    Raises:
        ValueError: The value is not a finite number.
    """
    if not math.isfinite(value):
        raise ValueError(f"the {name} is {value} at step {step}: try a smaller learning_rate")


def best_device() -> torch.device:
    """Return the GPU if there is one, otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


PRECISIONS = ("auto", "float32")


def mixed_precision(device: torch.device, precision: str = "auto") -> AbstractContextManager[object]:
    """Return a context that multiplies matrices in bfloat16 where the hardware is faster with it, otherwise in float32.

    Weights, gradients and the optimiser's state stay float32. Bfloat16 pays off where the hardware has instructions for
    its products: on GPUs since Ampere (older ones emulate them) and on CPUs with AVX512-BF16 or AMX. Without them it is
    slower.

    Args:
        device: Where the products are computed.
        precision: "auto" for the choice above; "float32" for a context that changes nothing.
    """
    check_choice("precision", precision, PRECISIONS)
    if precision == "float32":
        return nullcontext()
    if device.type == "cuda":
        pays = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        pays = _cpu_multiplies_bfloat16()
    else:
        pays = False
    return torch.autocast(device.type, dtype=torch.bfloat16) if pays else nullcontext()


def _cpu_multiplies_bfloat16() -> bool:
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)
