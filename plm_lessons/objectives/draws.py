"""Sources of random numbers: one generator for a whole batch, or one stream for each row of the data set.

A `torch.Generator` gives out its numbers in order, so what a row of a batch gets depends on the rows before it. That
is fine for a data set that is made once. Masks that are made during training must not depend on how rows happen to be
batched: `RowGenerators` gives each row numbers of its own.

B  batch: sequences (rows)
S  sequence length, padding included
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plm_lessons.checks import check_whole
from plm_lessons.objectives.checks import whole_numbers

SEEDS = 2**32  # seeds are below this
_APART = 2**32  # numbers between the starts of two draws from one stream; a row is never that long


class RowGenerators:
    """Random numbers for some rows of a data set, determined by (seed, epoch, index of the row) alone.

    Each row has a stream of its own, PCG64 seeded with these three numbers. NumPy's `SeedSequence` mixes them, so that
    the streams of neighbours (the next seed, epoch or row) are unrelated. The k-th draw takes a row's numbers from a
    fixed place in its stream, one for each position from the left: padding on the right changes nothing.

    fairseq does the same with NumPy's older generator, seeded by `hash((seed, epoch, index))`
    (`mask_tokens_dataset.py`).

    Args:
        seed: in [0, 2**32), like `epoch` and every index.
        epoch: number of the pass over the data.
        indices: [B] the places of the rows in the data set.
    """

    def __init__(self, seed: int, epoch: int, indices: Sequence[int] | Tensor) -> None:
        places = whole_numbers("indices", indices)
        for name, number in (("seed", seed), ("epoch", epoch), ("indices", max(places, default=0))):
            check_whole(name, number, 0, SEEDS - 1)  # the limit within which SeedSequence keeps the three apart
        self._streams = [np.random.PCG64((seed, epoch, place)) for place in places]

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """The next draw: [B, S] float64 in [0, 1)."""
        rows, width = shape
        if rows != len(self._streams):
            raise ValueError(
                f"indices must name one row of the data set for each of {rows} rows, got {len(self._streams)}"
            )
        numbers = np.empty((rows, width))
        for stream, row in zip(self._streams, numbers, strict=True):
            np.random.Generator(stream).random(out=row)
            stream.advance(_APART - width)
        return torch.from_numpy(numbers)


Generator = torch.Generator | RowGenerators
"""A source of randomness for a batch."""


def check_seed(seed: Any) -> None:
    """Check that a seed is a whole number in [0, 2**32)."""
    check_whole("seed", seed, most=SEEDS - 1)


def seeded(number: int) -> torch.Generator:
    """A torch generator for a whole number derived from a seed, which may be larger than a seed.

    torch would use only the last 32 bits of a larger number; so all of its bits are mixed into 32 first.
    """
    if number >= SEEDS:
        number = int(np.random.SeedSequence(int(number)).generate_state(1)[0])
    return torch.Generator().manual_seed(int(number))


def check_generator(generator: Any, kind: Any = Generator) -> None:
    """Check for a source of randomness of either kind, or of the given `kind`.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(generator, kind):
        allowed = "a torch.Generator" + " or RowGenerators" * (kind is Generator)
        raise ValueError(f"generator={generator!r:.80}: must be {allowed}")


def uniform(shape: Sequence[int], generator: Generator, device: torch.device) -> Tensor:
    """Numbers in [0, 1), drawn on the generator's device and then moved to `device`."""
    check_generator(generator)
    if isinstance(generator, RowGenerators):
        return generator.uniform(shape).to(device)
    # Not in the default type, which other code may change: the draws would then differ.
    return torch.rand(*shape, generator=generator, device=generator.device, dtype=torch.float32).to(device)


def integers(bound: int, shape: Sequence[int], generator: Generator, device: torch.device) -> Tensor:
    """Integers from 0 to `bound - 1`, all equally likely, int64; drawn as by `uniform`."""
    check_generator(generator)
    if isinstance(generator, RowGenerators):
        return (generator.uniform(shape) * bound).long().to(device)
    return torch.randint(bound, tuple(shape), generator=generator, device=generator.device).to(device)


class SingleDraws:
    """Single random numbers from a torch generator, drawn 4,096 at a time, as a call for each would cost too much."""

    def __init__(self, generator: torch.Generator) -> None:
        check_generator(generator, torch.Generator)
        self._uniforms = self._blocks(generator)

    @staticmethod
    def _blocks(generator: torch.Generator) -> Iterator[float]:
        while True:
            yield from torch.rand(4096, generator=generator, device=generator.device, dtype=torch.float64).tolist()

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return next(self._uniforms) < probability

    def below(self, bound: int) -> int:
        """One of 0, 1, ..., bound - 1, all equally likely."""
        return int(next(self._uniforms) * bound)
