"""Pre-training objectives: what is hidden from the model, and what it is asked.

- `masking`: masked language modelling (MLM), with `prediction_counts`: how many tokens are asked for
- `whole_words`: choosing words (BERT) and n-grams of words (ALBERT) instead of tokens
- `dynamic_masking`: masks that recur (BERT) and masks that change every time (RoBERTa)
- `sentence_pairs`: next-sentence prediction (NSP)
- `sentence_order`: sentence-order prediction (SOP, ALBERT)
- `input_formats`: what a row of the training data is made of (RoBERTa), with `padding`
- `span_corruption`: hiding spans and asking for them as text (T5)
- `text_to_text`: tasks cast as text to text (T5), with `mixing`: how often each is drawn
- `draws`: the random numbers for all of them
"""

from plm_lessons.objectives.draws import RowGenerators
from plm_lessons.objectives.dynamic_masking import dynamic_mask, static_copy
from plm_lessons.objectives.input_formats import (
    PackedBatch,
    PackedRow,
    doc_sentences,
    full_sentences,
    packed_batch,
    single_sentence_pairs,
)
from plm_lessons.objectives.masking import (
    IGNORE_INDEX,
    MaskedBatch,
    candidate_positions,
    choose_positions,
    corrupt_positions,
    gather_masked,
    mask_tokens,
)
from plm_lessons.objectives.prediction_counts import prediction_count
from plm_lessons.objectives.sentence_order import IN_ORDER, SWAPPED, sentence_order_pairs
from plm_lessons.objectives.sentence_pairs import (
    IS_NEXT,
    IS_RANDOM,
    SentencePair,
    SentencePairBatch,
    next_sentence_pairs,
    pair_batch,
)
from plm_lessons.objectives.span_corruption import (
    TextToText,
    TextToTextBatch,
    bert_style,
    corrupt_spans,
    drop_tokens,
    iid_mask,
    mass_style,
    random_partition,
    sentinel_ids,
    span_counts,
    span_lengths,
    span_mask,
    text_to_text_batch,
)
from plm_lessons.objectives.whole_words import choose_whole_words, ngram_probabilities, number_words, word_starts

__all__ = [
    "IGNORE_INDEX",
    "IN_ORDER",
    "IS_NEXT",
    "IS_RANDOM",
    "MaskedBatch",
    "PackedBatch",
    "PackedRow",
    "RowGenerators",
    "SWAPPED",
    "SentencePair",
    "SentencePairBatch",
    "TextToText",
    "TextToTextBatch",
    "bert_style",
    "candidate_positions",
    "choose_positions",
    "choose_whole_words",
    "corrupt_positions",
    "corrupt_spans",
    "doc_sentences",
    "drop_tokens",
    "dynamic_mask",
    "full_sentences",
    "gather_masked",
    "iid_mask",
    "mask_tokens",
    "mass_style",
    "next_sentence_pairs",
    "ngram_probabilities",
    "number_words",
    "packed_batch",
    "pair_batch",
    "prediction_count",
    "random_partition",
    "sentence_order_pairs",
    "sentinel_ids",
    "single_sentence_pairs",
    "span_counts",
    "span_lengths",
    "span_mask",
    "static_copy",
    "text_to_text_batch",
    "word_starts",
]
