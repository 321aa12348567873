"""Sentence pairs: does segment B follow segment A in its document?

A "sentence" in next-sentence prediction (NSP) is any stretch of text, usually several real sentences. So each
document is read in chunks of about the sequence length, each chunk is cut in two at a sentence boundary, and half of
the time the second part is replaced with a stretch of another document.

N  pairs (rows of the batch)
S  sequence length: [CLS] A [SEP] B [SEP] and padding

Sources: BERT (arXiv 1810.04805), section 3.1 and appendix A.2; google-research/bert `create_pretraining_data.py`,
`create_instances_from_document`, and `run_pretraining.py` for the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from plm_lessons.checks import check_whole
from plm_lessons.objectives.checks import check_items, check_list, check_share, check_token_ids, whole_numbers
from plm_lessons.objectives.draws import SingleDraws
from plm_lessons.objectives.padding import pad_rows

IS_NEXT = 0
"""Label of a pair whose second segment follows the first. Note that 0, not 1, means "is next"."""
IS_RANDOM = 1
"""Label of a pair whose second segment comes from another document."""

Sentence = Sequence[int]
Document = Sequence[Sentence]


class SentencePair(NamedTuple):
    """Two segments, as token ids without special tokens, with their label and where they come from."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    label: int
    """`IS_NEXT` or `IS_RANDOM` (sentence order: `IN_ORDER` or `SWAPPED`)."""
    document: int
    """Index of the document that `first` comes from."""
    second_document: int
    """Index of the document that `second` comes from: in NSP the same one if and only if the label is `IS_NEXT`."""

    @property
    def crosses_documents(self) -> bool:
        """Whether the segments come from two documents."""
        return self.document != self.second_document


class SentencePairBatch(NamedTuple):
    """Pairs as the model reads them: `[CLS] A [SEP] B [SEP]`, padded on the right. All int64."""

    input_ids: Tensor
    """[N, S]"""
    token_type_ids: Tensor
    """[N, S]: 0 on [CLS] A [SEP], 1 on B [SEP], 0 on padding."""
    attention_mask: Tensor
    """[N, S]: 1 on tokens, 0 on padding."""
    labels: Tensor
    """[N]: the labels of the pairs."""


def next_sentence_pairs(
    documents: Sequence[Document],
    *,
    max_length: int,
    generator: torch.Generator,
    short_sequence_probability: float = 0.1,
) -> list[SentencePair]:
    """Cut documents into pairs for next-sentence prediction, as BERT's reference code does.

    For each document:

    1. Choose a target length: `max_length - 3` tokens ([CLS] and two [SEP] need room) or, with
       `short_sequence_probability`, a shorter one, drawn evenly from 2 up to that. It is drawn once per document.
    2. Gather sentences until the target is reached or the document ends: a chunk. It may exceed the target.
    3. Segment A is the first sentences of the chunk, at least one; where it ends is drawn evenly.
    4. Half of the time B is the rest of the chunk (`IS_NEXT`). Otherwise (`IS_RANDOM`) B is a stretch of another
       document: from an evenly drawn sentence until A and B reach the target or that document ends. The rest of the
       chunk is then put back: the next chunk starts there, so no sentence is lost. A chunk of one sentence has no rest;
       it always becomes an `IS_RANDOM` pair.
    5. A pair longer than `max_length - 3` loses tokens, one at a time, from whichever segment is longer (B if equal),
       each time at its front or its back by the toss of a coin. This belongs to the objective: sentences rarely add
       up to the limit. Tokens cut at the end of A or the start of B leave a gap, also in an `IS_NEXT` pair.

    The paper says that 50% of the pairs are next ones. By these rules it is fewer: one-sentence chunks always become
    random pairs, and putting sentences back makes more and shorter chunks after each random pair. Short documents make
    the effect strong; count the labels before you interpret an accuracy.

    One thing differs from the reference code. It tries up to ten times to draw another document and then takes what it
    has; with only one document, every "random" B is from the same text. Here another document is drawn straight away,
    and a single document is an error. The pairs are in the order of the documents; shuffle them before training.

    Args:
        documents: document -> sentence -> token ids, without special tokens. At least two documents; no document and
            no sentence may be empty.
        max_length: the largest S of a pair with its three special tokens; at least 5.
        generator: source of randomness. Numbers are drawn from it in blocks, so more are drawn than used.
        short_sequence_probability: share of the documents cut to a shorter target, in [0, 1].

    Returns:
        The pairs, each with 2 to `max_length - 3` tokens.
    """
    check_documents(documents, at_least=2)
    draws = SingleDraws(generator)

    def make_pair(chunk: Chunk) -> SentencePair:
        return next_or_random_pair(chunk, documents, draws)

    return cut_into_pairs(documents, max_length, short_sequence_probability, draws, make_pair)


def pair_batch(
    pairs: Sequence[SentencePair],
    *,
    cls_token_id: int,
    sep_token_id: int,
    pad_token_id: int,
    max_length: int | None = None,
) -> SentencePairBatch:
    """Put pairs into tensors: `[CLS] A [SEP] B [SEP]`, padded on the right.

    Args:
        pairs: at least one pair.
        cls_token_id: id of [CLS].
        sep_token_id: id of [SEP].
        pad_token_id: id of [PAD].
        max_length: S; if None, the length of the longest pair. A pair that does not fit is refused, not cut.
    """
    check_items("pairs", pairs, SentencePair)
    check_token_ids(cls_token_id=cls_token_id, sep_token_id=sep_token_id, pad_token_id=pad_token_id)
    rows = [[cls_token_id, *pair.first, sep_token_id, *pair.second, sep_token_id] for pair in pairs]
    input_ids, attention_mask = pad_rows("pairs", rows, pad_token_id, max_length)
    second_start = torch.tensor([len(pair.first) + 2 for pair in pairs])[:, None]  # [N, 1]
    in_second = torch.arange(input_ids.shape[1]) >= second_start  # [N, S]
    return SentencePairBatch(
        input_ids,
        token_type_ids=attention_mask * in_second,
        attention_mask=attention_mask,
        labels=torch.tensor(whole_numbers("label of pairs", [pair.label for pair in pairs])),
    )


class Chunk(NamedTuple):
    """Consecutive sentences of a document, cut in two at a sentence boundary."""

    document: int
    """Index of the document."""
    first: tuple[int, ...]
    """Tokens of the first sentences, at least one."""
    rest: tuple[int, ...]
    """Tokens of the sentences after them; empty if the chunk is a single sentence."""
    target: int
    """Number of tokens that the pair should have, give or take a sentence."""


def cut_into_pairs(
    documents: Sequence[Document],
    max_length: int,
    short_sequence_probability: float,
    draws: SingleDraws,
    make_pair: Callable[[Chunk], SentencePair],
    min_sentences: int = 1,
) -> list[SentencePair]:
    """The steps that objectives on pairs share: 1 to 3 and 5 of `next_sentence_pairs`; `make_pair` is step 4.

    If a pair takes its second segment from another document, the rest of the chunk is put back. A chunk has at least
    `min_sentences`, if its document has: it may exceed the target for that, and the last chunk takes in the remainder.
    """
    check_room_for_pairs(max_length)
    check_share("short_sequence_probability", short_sequence_probability)
    room = max_length - 3
    pairs = []
    for index, document in enumerate(documents):
        target = room
        if draws.chance(short_sequence_probability):
            target = 2 + draws.below(room - 1)
        start = 0
        while start < len(document):
            end = chunk_end(document, start, target, min_sentences)
            if len(document) - end < min_sentences:
                end = len(document)
            # A ends after at least one sentence, and before the last unless that is the only one.
            split = start + 1 + (draws.below(end - start - 1) if end - start > 1 else 0)
            pair = make_pair(Chunk(index, _tokens(document[start:split]), _tokens(document[split:end]), target))
            pairs.append(truncated_pair(pair, room, draws))
            start = end if pair.second_document == index else split
    return pairs


def next_or_random_pair(chunk: Chunk, documents: Sequence[Document], draws: SingleDraws) -> SentencePair:
    """Half of the time the two parts of the chunk; otherwise, or if there is no second part, a `random_pair`."""
    if not chunk.rest or draws.chance(0.5):
        return random_pair(chunk, documents, draws)
    return SentencePair(chunk.first, chunk.rest, IS_NEXT, chunk.document, chunk.document)


def random_pair(chunk: Chunk, documents: Sequence[Document], draws: SingleDraws) -> SentencePair:
    """Pair the first part of the chunk with a stretch of another document; `documents` must hold at least two."""
    other = draws.below(len(documents) - 1)
    other += other >= chunk.document  # evenly among all documents but this one
    start = draws.below(len(documents[other]))
    end = chunk_end(documents[other], start, chunk.target - len(chunk.first))
    return SentencePair(chunk.first, _tokens(documents[other][start:end]), IS_RANDOM, chunk.document, other)


def chunk_end(document: Document, start: int, target: int, min_sentences: int = 1) -> int:
    """Index after the chunk from `start`: it has `target` tokens and `min_sentences`, or ends with its document."""
    length, end = 0, start
    while end < len(document) and (length < target or end - start < min_sentences):
        length += len(document[end])
        end += 1
    return end


def truncated_pair(pair: SentencePair, room: int, draws: SingleDraws) -> SentencePair:
    """Cut tokens until the pair fits into `room`, one at a time from the longer segment, at front or back by chance."""
    fronts, lengths = [0, 0], [len(pair.first), len(pair.second)]
    while sum(lengths) > room:
        longer = 0 if lengths[0] > lengths[1] else 1
        lengths[longer] -= 1
        fronts[longer] += draws.chance(0.5)  # count what goes at the front; the slice below takes off the rest
    first = pair.first[fronts[0] : fronts[0] + lengths[0]]
    second = pair.second[fronts[1] : fronts[1] + lengths[1]]
    return pair._replace(first=first, second=second)


def check_room_for_pairs(max_length: int) -> None:
    """Check that a pair has room for three special tokens and one token in each segment."""
    check_whole("max_length", max_length, least=5, why=" ([CLS] A [SEP] B [SEP])")


def check_documents(documents: Sequence[Document], at_least: int = 1) -> None:
    """Check that documents hold sentences, and sentences token ids; none of them may be empty."""
    check_list("documents", documents, of="documents")
    if len(documents) < at_least:
        needed = "1 document" if at_least == 1 else f"{at_least} documents"
        reason = "" if at_least == 1 else ": the second segment of a random pair comes from another one"
        raise ValueError(f"documents must hold at least {needed}, got {len(documents)}{reason}")
    for index, document in enumerate(documents):
        check_list(f"documents[{index}]", document, of="sentences")
        if len(document) == 0:
            raise ValueError(f"documents[{index}] must hold at least one sentence, got none")
        for position, sentence in enumerate(document):
            check_list(f"documents[{index}][{position}]", sentence, of="token ids")
            if len(sentence) == 0:
                raise ValueError(f"documents[{index}][{position}] must hold at least one token, got none")
            if set(map(type, sentence)) != {int} or min(sentence) < 0:
                raise ValueError(
                    f"documents[{index}][{position}] must be a sequence of token ids (int, not negative), "
                    f"got {sentence!r:.80}"
                )


def _tokens(sentences: Sequence[Sentence]) -> tuple[int, ...]:
    return tuple(chain.from_iterable(sentences))
