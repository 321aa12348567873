"""Masks that recur and masks that always change: static masking (BERT) and dynamic masking (RoBERTa).

Both give the masks of one epoch; what differs is how many masks a row ever gets: ten in BERT's data, and a new one each
time it is read in RoBERTa's. To count the masks of each row over 40 epochs:
`[len({tuple(labels[row].tolist()) for labels in labels_by_epoch}) for row in range(rows)]`.

B  batch: sequences (rows)
S  sequence length, padding included

Sources: RoBERTa (arXiv 1907.11692), section 4.1; google-research/bert `create_pretraining_data.py`, `dupe_factor`;
fairseq `data/mask_tokens_dataset.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from plm_lessons.checks import check_whole
from plm_lessons.objectives.draws import RowGenerators, check_seed, seeded
from plm_lessons.objectives.masking import MaskedBatch, mask_tokens


def static_copy(
    input_ids: Tensor, candidates: Tensor, *, epoch: int, seed: int, copies: int = 10, **masking: Any
) -> MaskedBatch:
    """Static masking: the masked data set as `epoch` sees it, if `copies` masked copies had been made beforehand.

    BERT masked its data before training. To soften that, the data were written out ten times (`dupe_factor=10`), each
    copy with masks of its own: over BERT's 40 epochs each mask is seen four times (RoBERTa, section 4.1). Here a copy
    is not stored but made again from `(seed, epoch % copies)`: the same masks each time, for a tenth of the memory.

    The reference code differs in two ways. It shuffles the ten copies together, whereas here they take turns, one per
    epoch. And each of its copies also draws the sentence pairs anew; for that, call `next_sentence_pairs` once per
    copy, since this function varies only the masks.

    Args:
        input_ids: [B, S] the whole data set: a row's masks depend on its place in it.
        candidates: [B, S] bool.
        epoch: from 0 up; epochs 0, 10, 20, ... see the same masks if `copies` is 10.
        seed: in [0, 2**32); different seeds give different copies.
        copies: number of distinct copies, at least 1.
        **masking: the other arguments of `mask_tokens`, except `generator`.

    Returns:
        The masked data set of this epoch.
    """
    check_whole("copies", copies, least=1)
    check_whole("epoch", epoch)
    generator = generator_of_copy(seed, copies, epoch)
    return mask_tokens(input_ids, candidates, generator=generator, **masking)


def generator_of_copy(seed: int, copies: int, epoch: int) -> torch.Generator:
    """The generator for the copy whose turn it is in an epoch; arguments as for `static_copy`."""
    check_seed(seed)
    # Not `seed + copy`: copy 1 of seed 0 would then be copy 0 of seed 1.
    return seeded(int(seed) * copies + epoch % copies)


def dynamic_mask(
    input_ids: Tensor,
    candidates: Tensor,
    indices: Sequence[int] | Tensor,
    *,
    epoch: int,
    seed: int,
    **masking: Any,
) -> MaskedBatch:
    """Dynamic masking: mask a batch at the moment the model reads it, with a new mask in every epoch.

    The mask of a row depends on its tokens, its index in the data set, the epoch and the seed, and on nothing else:
    not on the other rows of the batch, on the number of workers that make batches, or on the padding to its right.
    So training can be interrupted and resumed, or split among machines, and every row still gets the same masks.

    RoBERTa's own settings differ from BERT's in three details, which are arguments of `mask_tokens`:

    - `candidates`: every token that is not padding; <s> and </s> may be chosen too;
    - `selection="rounded"`: the count is rounded up or down by chance;
    - `random_token_ids`: the vocabulary without <s>, <pad>, </s> and <unk>.

    Args:
        input_ids: [B, S] some rows of the data set, padded on the right if at all.
        candidates: [B, S] bool.
        indices: [B] the places of these rows in the data set; each in [0, 2**32), like `epoch` and `seed`.
        epoch: number of the pass over the data, from 0 up.
        seed: different seeds give different masks.
        **masking: the other arguments of `mask_tokens`, except `generator`.

    Returns:
        The masked batch.
    """
    return mask_tokens(input_ids, candidates, generator=RowGenerators(seed, epoch, indices), **masking)
