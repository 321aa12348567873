"""What the tests of the objectives share: seeds, statistics that hold for any seed, documents of numbered tokens."""

from __future__ import annotations

import math

import torch

FALSE_ALARM = 1e-8  # chance that a correct program fails one statistical test; for all tests together it is below 1e-6


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_plausible(count: int, trials: int, probability: float, checks: int = 1) -> None:
    """Fail if `count` successes in `trials` independent trials are too far from `probability`.

    Chernoff: a share at least as far off on that side has a chance of at most exp(-trials * KL(share, probability)),
    for any number of trials. So a correct program fails here with a chance below FALSE_ALARM / checks.
    """
    share = count / trials
    outcomes = ((share, probability), (1 - share, 1 - probability))
    divergence = sum(seen * math.log(seen / expected) for seen, expected in outcomes if seen > 0)
    allowed = FALSE_ALARM / (2 * checks)  # halved, for too many and too few
    assert math.exp(-trials * divergence) > allowed, f"share {share:.5f}, expected {probability:.5f}"


def numbered(shapes: list[list[int]]) -> list[list[list[int]]]:
    """Documents with sentences of these lengths, whose tokens are 0, 1, 2, ... throughout."""
    documents, token = [], 0
    for shape in shapes:
        document = []
        for length in shape:
            document.append(list(range(token, token + length)))
            token += length
        documents.append(document)
    return documents
