"""How often each task is drawn when a model learns several at once.

With shares in proportion to the examples, a large task would leave the small ones next to nothing; with equal shares,
a small one would be learnt by heart while a large one has hardly begun. T5 compares two ways in between: a limit, above
which a task's size no longer counts, and a temperature, which brings the shares closer together.

Source: T5 (arXiv 1910.10683), section 3.5.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch

from plm_lessons.checks import check_number, check_whole
from plm_lessons.objectives.checks import check_list, whole_numbers
from plm_lessons.objectives.draws import RowGenerators


def mixing_rates(sizes: Sequence[int], limit: int | None = None, temperature: float = 1.0) -> list[float]:
    """The probability of drawing each task: r_m = min(e_m, K) ** (1/T), divided by the sum over all tasks.

    Args:
        sizes: e_m, the number of examples of each task, at least 1.
        limit: K, the size that a larger task is counted as; None for no limit (examples-proportional).
        temperature: T, at least 1. 1 leaves the shares as they are; the larger T, the closer they are to equal. T5
            tries 2, 4 and 8, with a limit of 2**21.

    Returns:
        The rates; their sum is 1.

    Raises:
        ValueError: there is no task, or an argument is out of its range.
    """
    sizes = whole_numbers("sizes", sizes, least=1)
    if not sizes:
        raise ValueError("sizes must hold at least one number")
    if limit is not None:
        check_whole("limit", limit, least=1)
    check_number("temperature", temperature, low=1)
    weights = [(size if limit is None else min(size, limit)) ** (1 / temperature) for size in sizes]
    return [weight / sum(weights) for weight in weights]


def draw_examples(rates: Sequence[float], sizes: Sequence[int], rows: range, seed: int) -> list[tuple[int, int]]:
    """Draw which example of which task is in each row of an endless mixture.

    A row depends on (seed, row) alone: interrupted training can resume at any row. Draws are independent, with
    replacement. (T5 shuffles each task and reads it in order.)

    Args:
        rates: the rate of each task, from `mixing_rates`.
        sizes: the number of examples of each task.
        rows: numbers of the rows, from 0.
        seed: in [0, 2**32), like each row.

    Returns:
        For each row, (number of the task, number of the example).

    Raises:
        ValueError: `rates` do not sum to 1 or are not as many as `sizes`, or a number is out of its range.
    """
    sizes = whole_numbers("sizes", sizes, least=1)
    check_list("rates", rates, of="shares")
    for number, rate in enumerate(rates):
        check_number(f"rates[{number}]", rate, 0, 1)
    if len(rates) != len(sizes) or abs(sum(rates) - 1) > 1e-6:
        raise ValueError(f"rates must be {len(sizes)} shares that sum to 1, got {list(rates)!r}")
    places = whole_numbers("rows", rows)
    which, place = RowGenerators(seed, 0, places).uniform((len(places), 2)).T.contiguous()
    bounds = torch.tensor(list(accumulate(rates)), dtype=torch.float64)[:-1]  # the last task takes what rounding leaves
    tasks = torch.bucketize(which, bounds, right=True).tolist()
    return [(task, int(share * sizes[task])) for task, share in zip(tasks, place.tolist(), strict=True)]
