"""Sentence pairs: does segment B follow segment A in its document?

A "sentence" in next-sentence prediction (NSP) is any stretch of text, usually several real sentences. So each
document is walked through in chunks of about the sequence length, each chunk is cut in two at a sentence boundary, and
half of the time the second part is replaced by a stretch of another document.

N  pairs (rows of the batch)
S  sequence length: [CLS] A [SEP] B [SEP] and padding

Sources: BERT (arXiv 1810.04805), section 3.1 and appendix A.2; google-research/bert `create_pretraining_data.py`,
`create_instances_from_document`, and `run_pretraining.py` for the labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from plm_lessons.objectives.checks import check_share

IS_NEXT = 0
"""Label of a pair whose second segment follows the first. Mind the direction: 0, not 1, means "is next"."""
IS_RANDOM = 1
"""Label of a pair whose second segment comes from another document."""

Sentence = Sequence[int]
Document = Sequence[Sentence]


class SentencePair(NamedTuple):
    """Two segments, as token ids without special tokens, with their label and where they come from."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    label: int
    """`IS_NEXT` or `IS_RANDOM`."""
    document: int
    """Index of the document that `first` comes from."""
    second_document: int
    """Index of the document that `second` comes from: the same one if and only if the label is `IS_NEXT`."""


class SentencePairBatch(NamedTuple):
    """Pairs as the model reads them: `[CLS] A [SEP] B [SEP]`, padded on the right. All int64."""

    input_ids: Tensor
    """[N, S]"""
    token_type_ids: Tensor
    """[N, S]: 0 on [CLS] A [SEP], 1 on B [SEP], 0 on padding."""
    attention_mask: Tensor
    """[N, S]: 1 on tokens, 0 on padding."""
    labels: Tensor
    """[N]: `IS_NEXT` or `IS_RANDOM`."""


def next_sentence_pairs(
    documents: Sequence[Document],
    *,
    max_length: int,
    generator: torch.Generator,
    short_sequence_probability: float = 0.1,
) -> list[SentencePair]:
    """Cut documents into pairs for next-sentence prediction, as BERT's reference code does.

    For each document:

    1. Choose a target length: `max_length - 3` tokens ([CLS] and two [SEP] need room), or, with
       `short_sequence_probability`, a shorter one, evenly from 2 up to that. It is drawn once per document.
    2. Gather sentences until the target is reached or the document ends: a chunk. It may overshoot the target.
    3. Segment A is the first sentences of the chunk, at least one; where it ends is drawn evenly.
    4. Half of the time B is the rest of the chunk (`IS_NEXT`). Otherwise (`IS_RANDOM`) B is a stretch of another
       document, from a sentence drawn evenly on, until A and B reach the target or that document ends. The rest of
       the chunk is then put back: the next chunk starts there, so no sentence is lost. A chunk of one sentence has no
       rest; it always becomes an `IS_RANDOM` pair.
    5. A pair longer than `max_length - 3` loses tokens, one at a time, from whichever segment is longer (B if equal),
       each time at its front or its back by the toss of a coin. This belongs to the objective: sentences rarely add
       up to the limit. Tokens cut at the end of A or the start of B leave a gap, also in an `IS_NEXT` pair.

    The paper says 50% of the pairs are next ones. By the rules above it is fewer: one-sentence chunks are always
    random pairs, and putting sentences back makes more, shorter chunks after each random pair. Short documents make
    this strong; count the labels before you read an accuracy.

    One thing differs from the reference code. It tries up to ten times to draw another document and then takes what
    it has; with one document every "random" B is from the very same text. Here another document is drawn straight
    away, and a single document is an error. The order of the pairs is that of the documents; shuffle before training.

    Args:
        documents: document -> sentence -> token ids, without special tokens. At least two documents; no document and
            no sentence may be empty.
        max_length: the largest S of a pair with its three special tokens; at least 5.
        generator: source of randomness. Numbers are drawn from it in blocks, so it is left further on than was used.
        short_sequence_probability: share of the documents cut to a shorter target, in [0, 1].

    Returns:
        The pairs, each with 2 to `max_length - 3` tokens.
    """
    _check_documents(documents)
    if max_length < 5:
        raise ValueError(f"max_length must be at least 5 ([CLS] A [SEP] B [SEP]), got {max_length!r}")
    check_share("short_sequence_probability", short_sequence_probability)

    draws = _Draws(generator)
    room = max_length - 3
    pairs = []
    for index, document in enumerate(documents):
        target = room
        if draws.chance(short_sequence_probability):
            target = 2 + draws.below(room - 1)
        start = 0
        while start < len(document):
            end = _chunk_end(document, start, target)
            split = _split_point(start, end, draws)
            first = _tokens(document[start:split])
            if end - start == 1 or draws.chance(0.5):
                label = IS_RANDOM
                other = draws.below(len(documents) - 1)
                other += other >= index  # evenly among all documents but this one
                second = _random_stretch(documents[other], target - len(first), draws)
                start = split  # what follows A was not used: put it back
            else:
                label, other = IS_NEXT, index
                second = _tokens(document[split:end])
                start = end
            first, second = _truncated_pair(first, second, room, draws)
            pairs.append(SentencePair(tuple(first), tuple(second), label, index, other))
    return pairs


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
        max_length: S. None: the longest pair decides. A pair that does not fit is an error, never cut here.
    """
    if not pairs:
        raise ValueError("pairs must hold at least one pair, got none")
    lengths = [len(pair.first) + len(pair.second) + 3 for pair in pairs]
    longest = max(lengths)
    width = longest if max_length is None else max_length
    if longest > width:
        raise ValueError(
            f"max_length must be at least {longest}, the length of pairs[{lengths.index(longest)}] with its three "
            f"special tokens, got {max_length!r}"
        )
    length = torch.tensor(lengths)[:, None]  # [N, 1]
    second_start = torch.tensor([len(pair.first) + 2 for pair in pairs])[:, None]
    position = torch.arange(width)
    attended = position < length  # [N, S]
    rows = ([cls_token_id, *pair.first, sep_token_id, *pair.second, sep_token_id] for pair in pairs)
    input_ids = torch.full((len(pairs), width), pad_token_id)
    input_ids[attended] = torch.tensor(list(chain.from_iterable(rows)))  # row by row, left to right
    return SentencePairBatch(
        input_ids,
        token_type_ids=(attended & (position >= second_start)).long(),
        attention_mask=attended.long(),
        labels=torch.tensor([pair.label for pair in pairs]),
    )


class _Draws:
    """Single random numbers from a torch generator, 4,096 at a time: a call for each would cost more than the work."""

    def __init__(self, generator: torch.Generator) -> None:
        self._uniforms = self._blocks(generator)

    @staticmethod
    def _blocks(generator: torch.Generator) -> Iterator[float]:
        while True:
            yield from torch.rand(4096, generator=generator, device=generator.device, dtype=torch.float64).tolist()

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return next(self._uniforms) < probability

    def below(self, bound: int) -> int:
        """One of 0, 1, ..., bound - 1, evenly."""
        return int(next(self._uniforms) * bound)


def _tokens(sentences: Sequence[Sentence]) -> list[int]:
    return list(chain.from_iterable(sentences))


def _chunk_end(document: Document, start: int, target: int) -> int:
    """Index after the last sentence of the chunk that starts at `start` and has at least `target` tokens, if it can."""
    length, end = 0, start
    while end < len(document) and (length < target or end == start):
        length += len(document[end])
        end += 1
    return end


def _split_point(start: int, end: int, draws: _Draws) -> int:
    """Where A ends: after at least one sentence, and before the last unless that is the only one."""
    return start + 1 + (draws.below(end - start - 1) if end - start > 1 else 0)


def _random_stretch(document: Document, target: int, draws: _Draws) -> list[int]:
    """Sentences from a random one on, at least one, until there are `target` tokens or the document ends."""
    start = draws.below(len(document))
    return _tokens(document[start : _chunk_end(document, start, target)])


def _truncated_pair(first: list[int], second: list[int], room: int, draws: _Draws) -> tuple[list[int], list[int]]:
    """Cut tokens until both fit into `room`, one at a time from the longer segment, at its front or back by chance."""
    fronts, lengths = [0, 0], [len(first), len(second)]
    while sum(lengths) > room:
        longer = 0 if lengths[0] > lengths[1] else 1
        lengths[longer] -= 1
        fronts[longer] += draws.chance(0.5)  # count what goes at the front; the slice below takes off the rest
    return first[fronts[0] : fronts[0] + lengths[0]], second[fronts[1] : fronts[1] + lengths[1]]


def _check_documents(documents: Sequence[Document]) -> None:
    if len(documents) < 2:
        raise ValueError(
            f"documents must hold at least 2 documents, got {len(documents)}: the second segment of a random pair "
            "comes from another document, or its label would be false"
        )
    for index, document in enumerate(documents):
        if len(document) == 0:
            raise ValueError(f"documents[{index}] must hold at least one sentence, got none")
        for position, sentence in enumerate(document):
            if len(sentence) == 0:
                raise ValueError(f"documents[{index}][{position}] must hold at least one token, got none")
            if set(map(type, sentence)) != {int} or min(sentence) < 0:
                raise ValueError(
                    f"documents[{index}][{position}] must be a sequence of token ids (int, not negative), "
                    f"got {sentence!r:.80}"
                )
