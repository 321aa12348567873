"""From text to token ids: training and loading the book's tokenizers, and looking inside them.

- `wordpiece`: BERT's
- `byte_level_bpe`: RoBERTa's and GPT-2's
- `unigram`: ALBERT's and T5's
- `merges`, `unigram_training`: how their pieces are found
- `loading`: what they share

The library `tokenizers` does the encoding, and all training but that of Unigram; these modules set it up and show what
it does.
"""

from plm_lessons.tokenization.byte_level_bpe import (
    MergeStep,
    load_gpt2,
    merge_steps,
    piece_bytes,
    train_byte_level_bpe,
)
from plm_lessons.tokenization.loading import TOKENIZERS, encode_documents, load_tokenizer, token_id
from plm_lessons.tokenization.merges import Merge, training_merges
from plm_lessons.tokenization.unigram import segmentations, train_t5_unigram, train_unigram
from plm_lessons.tokenization.wordpiece import PREFIX, SPECIAL_TOKENS, MatchStep, longest_match, train_wordpiece

__all__ = [
    "PREFIX",
    "SPECIAL_TOKENS",
    "TOKENIZERS",
    "MatchStep",
    "Merge",
    "MergeStep",
    "encode_documents",
    "load_gpt2",
    "load_tokenizer",
    "longest_match",
    "merge_steps",
    "piece_bytes",
    "segmentations",
    "token_id",
    "train_byte_level_bpe",
    "train_t5_unigram",
    "train_unigram",
    "train_wordpiece",
    "training_merges",
]
