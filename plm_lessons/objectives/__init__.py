"""Pre-training objectives: what is hidden from the model, and what it is asked.

- `masking`: masked language modelling (MLM)
- `sentence_pairs`: next-sentence prediction (NSP)
"""

from plm_lessons.objectives.masking import (
    IGNORE_INDEX,
    MaskedBatch,
    candidate_positions,
    choose_positions,
    corrupt_positions,
    gather_masked,
    mask_tokens,
    prediction_count,
    static_copy,
)
from plm_lessons.objectives.sentence_pairs import (
    IS_NEXT,
    IS_RANDOM,
    SentencePair,
    SentencePairBatch,
    next_sentence_pairs,
    pair_batch,
)

__all__ = [
    "IGNORE_INDEX",
    "IS_NEXT",
    "IS_RANDOM",
    "MaskedBatch",
    "SentencePair",
    "SentencePairBatch",
    "candidate_positions",
    "choose_positions",
    "corrupt_positions",
    "gather_masked",
    "mask_tokens",
    "next_sentence_pairs",
    "pair_batch",
    "prediction_count",
    "static_copy",
]
