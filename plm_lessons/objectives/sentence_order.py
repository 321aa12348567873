"""Sentence order: which of two consecutive segments comes first?

In next-sentence prediction a random second segment comes from another document, so the topic gives it away. ALBERT
takes both segments from one place and swaps them half of the time: only coherence is left to learn from.

Sources: ALBERT (arXiv 1909.11942), section 3.1; google-research/albert `create_pretraining_data.py`,
`create_instances_from_document`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch

from plm_lessons.checks import check_choice
from plm_lessons.objectives.draws import SingleDraws
from plm_lessons.objectives.sentence_pairs import (
    Chunk,
    Document,
    SentencePair,
    check_documents,
    cut_into_pairs,
    random_pair,
)

IN_ORDER = 0
"""Label of two segments in the order of their document, as `sentence_order_label` in `transformers`."""
SWAPPED = 1
"""Label of two segments in reverse order."""

SingleSentences = Literal["join", "random"]


def sentence_order_pairs(
    documents: Sequence[Document],
    *,
    max_length: int,
    generator: torch.Generator,
    short_sequence_probability: float = 0.1,
    single_sentences: SingleSentences = "join",
) -> list[SentencePair]:
    """Cut documents into pairs for sentence-order prediction (SOP).

    Chunks are made, cut in two and shortened to fit as in `next_sentence_pairs`. Half of the time the two parts stay as
    they are (`IN_ORDER`), otherwise they are swapped (`SWAPPED`). Nothing is put back, as both parts are always used.

    A chunk of one sentence has no order. One arises where a single sentence reaches the target, or where one is left
    over at the end of a document. The paper does not say what happens to it.

    - `single_sentences="join"`: it does not arise. Every chunk takes in at least a second sentence, and the last chunk
      of a document also one that would be left over. Such a chunk may be too long and lose tokens, as others do.
    - `single_sentences="random"`: as in ALBERT's code, such a sentence is paired with a stretch of another document
      and labelled 1, like a swapped pair. So more than half of the pairs get that label, and some of them can be
      recognised by topic after all.

    Args:
        documents: document -> sentence -> token ids, without special tokens; none of them empty. With "join" every
            document must have at least two sentences; with "random" there must be at least two documents.
        max_length: the largest S of a pair with its three special tokens; at least 5.
        generator: source of randomness. Numbers are drawn from it in blocks, so more are drawn than used.
        short_sequence_probability: share of the documents cut to a shorter target, in [0, 1].
        single_sentences: "join" or "random".

    Returns:
        The pairs, each with 2 to `max_length - 3` tokens; `pair_batch` makes tensors of them.
    """
    check_choice("single_sentences", single_sentences, get_args(SingleSentences))
    join = single_sentences == "join"
    check_documents(documents, at_least=1 if join else 2)
    if join:
        for index, document in enumerate(documents):
            if len(document) == 1:
                raise ValueError(
                    f"documents[{index}] must hold at least two sentences, got one: a single sentence has no order. "
                    "Leave it out, or choose single_sentences='random'"
                )
    draws = SingleDraws(generator)

    def make_pair(chunk: Chunk) -> SentencePair:
        if not chunk.rest:
            return random_pair(chunk, documents, draws)._replace(label=SWAPPED)
        if draws.chance(0.5):
            return SentencePair(chunk.rest, chunk.first, SWAPPED, chunk.document, chunk.document)
        return SentencePair(chunk.first, chunk.rest, IN_ORDER, chunk.document, chunk.document)

    return cut_into_pairs(
        documents, max_length, short_sequence_probability, draws, make_pair, min_sentences=2 if join else 1
    )
