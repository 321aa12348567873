"""The four input formats that RoBERTa compares: what one row of the training data is made of.

| format         | one row holds                                                    | NSP | function                |
|----------------|------------------------------------------------------------------|-----|-------------------------|
| SEGMENT-PAIR   | two segments of many sentences, of one document or of two        | yes | `next_sentence_pairs`   |
| SENTENCE-PAIR  | two single sentences, of one document or of two                  | yes | `single_sentence_pairs` |
| FULL-SENTENCES | as many sentences in a row as fit; runs on into the next document | no  | `full_sentences`        |
| DOC-SENTENCES  | the same, but ends where its document ends                       | no  | `doc_sentences`         |

SEGMENT-PAIR is BERT's own format. Between it and the last two, both the loss and the format change; SENTENCE-PAIR keeps
the loss and so shows the effect of the format alone. The paper supposes that single sentences are too short for
learning long-range dependencies. RoBERTa trains on FULL-SENTENCES. DOC-SENTENCES did slightly better, but its rows
differ in length, so that batches with the same number of tokens need a varying number of rows.

N  rows
S  sequence length: <s>, tokens, </s> and padding

Source: RoBERTa (arXiv 1907.11692), section 4.2 and table 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from plm_lessons.checks import check_whole
from plm_lessons.objectives.checks import check_items, check_token_ids
from plm_lessons.objectives.draws import SingleDraws
from plm_lessons.objectives.padding import pad_rows
from plm_lessons.objectives.sentence_pairs import (
    IS_NEXT,
    Chunk,
    Document,
    Sentence,
    SentencePair,
    check_documents,
    check_room_for_pairs,
    next_or_random_pair,
    truncated_pair,
)


class PackedRow(NamedTuple):
    """Consecutive sentences as token ids; `packed_batch` puts <s> and </s> around them."""

    tokens: tuple[int, ...]
    """The sentences, with a separator wherever one document ends and the next begins."""
    documents: tuple[int, ...]
    """Indices of the documents that the tokens come from, in order."""

    @property
    def crosses_documents(self) -> bool:
        """Whether the row holds text of more than one document."""
        return len(self.documents) > 1


class PackedBatch(NamedTuple):
    """Packed rows as the model reads them: `<s> tokens </s>`, padded on the right. Both int64."""

    input_ids: Tensor
    """[N, S]"""
    attention_mask: Tensor
    """[N, S]: 1 on tokens, 0 on padding."""


def single_sentence_pairs(
    documents: Sequence[Document], *, max_length: int, generator: torch.Generator
) -> list[SentencePair]:
    """SENTENCE-PAIR: next-sentence prediction on two single sentences.

    Sentence A moves through each document. Half of the time B is the sentence after it (`IS_NEXT`), and both are used
    up. Otherwise, and always if A is the last of its document, B is a sentence of another document (`IS_RANDOM`): first
    the document is drawn evenly, then the sentence. Thus every sentence is used once in its own place.

    Such rows are much shorter than 512 tokens. RoBERTa puts more of them into a batch, until it holds about as many
    tokens as one of SEGMENT-PAIR.

    Args:
        documents: document -> sentence -> token ids, without special tokens. At least two documents; no document and
            no sentence may be empty.
        max_length: the largest S of a pair with its three special tokens; at least 5. A longer pair is cut as in step 5
            of `next_sentence_pairs`; with 512, hardly any is.
        generator: source of randomness. Numbers are drawn from it in blocks, so more are drawn than used.

    Returns:
        The pairs, in the order of the documents.
    """
    check_documents(documents, at_least=2)
    check_room_for_pairs(max_length)
    draws = SingleDraws(generator)
    pairs = []
    for index, document in enumerate(documents):
        start = 0
        while start < len(document):
            follower = document[start + 1] if start + 1 < len(document) else ()
            chunk = Chunk(index, tuple(document[start]), tuple(follower), target=0)  # 0: B is one sentence, no more
            pair = next_or_random_pair(chunk, documents, draws)
            pairs.append(truncated_pair(pair, max_length - 3, draws))
            start += 2 if pair.label == IS_NEXT else 1
    return pairs


def full_sentences(documents: Sequence[Document], *, max_length: int, sep_token_id: int) -> list[PackedRow]:
    """FULL-SENTENCES: rows of whole sentences, filled up across document boundaries.

    Sentences are added in order as long as the row has room. Where a document ends, the next one follows after an extra
    separator. A row that begins with a new document has no separator in front, and no row ends with one.

    The paper does not say what happens to a sentence that is longer than a row; fairseq makes an overlong row of it
    (`token_block_utils_fast.pyx`, "complete"). Here it is cut into pieces of `max_length - 2` tokens, the last possibly
    shorter, each treated as a sentence. So every token of every document occurs exactly once, in order.

    Args:
        documents: document -> sentence -> token ids, without special tokens; none of them empty. Neighbours in this
            list become neighbours in a row: shuffle before, not after.
        max_length: the largest S, with <s> and </s>; at least 3.
        sep_token_id: id of the separator, in RoBERTa </s>.

    Returns:
        The rows, each with 1 to `max_length - 2` tokens, separators included.
    """
    _check_packing(documents, max_length)
    check_token_ids(sep_token_id=sep_token_id)
    return list(_packed(enumerate(documents), max_length - 2, (sep_token_id,)))


def doc_sentences(documents: Sequence[Document], *, max_length: int) -> list[PackedRow]:
    """DOC-SENTENCES: like `full_sentences`, but no row crosses a document boundary.

    The last row of a document may therefore be short.

    Args:
        documents: document -> sentence -> token ids, without special tokens; none of them empty.
        max_length: the largest S, with <s> and </s>; at least 3.

    Returns:
        The rows, each with 1 to `max_length - 2` tokens of one document.
    """
    _check_packing(documents, max_length)
    return [row for document in enumerate(documents) for row in _packed([document], max_length - 2, ())]


def packed_batch(
    rows: Sequence[PackedRow],
    *,
    cls_token_id: int,
    sep_token_id: int,
    pad_token_id: int,
    max_length: int | None = None,
) -> PackedBatch:
    """Put packed rows into tensors: `<s> tokens </s>`, padded on the right.

    Args:
        rows: at least one row.
        cls_token_id: id of <s> (BERT: [CLS]).
        sep_token_id: id of </s> (BERT: [SEP]).
        pad_token_id: id of <pad>.
        max_length: S; if None, the length of the longest row. A row that does not fit is refused, not cut.
    """
    check_items("rows", rows, PackedRow)
    check_token_ids(cls_token_id=cls_token_id, sep_token_id=sep_token_id, pad_token_id=pad_token_id)
    framed = [[cls_token_id, *row.tokens, sep_token_id] for row in rows]
    return PackedBatch(*pad_rows("rows", framed, pad_token_id, max_length))


def _packed(documents: Iterable[tuple[int, Document]], room: int, separator: tuple[int, ...]) -> Iterator[PackedRow]:
    """Rows of at most `room` tokens from these (index, document), filled with whole sentences as far as they fit."""
    tokens: list[int] = []
    sources: list[int] = []
    for index, document in documents:
        for sentence in _pieces(document, room):
            border = separator if sources and sources[-1] != index else ()
            if len(tokens) + len(border) + len(sentence) > room:
                yield PackedRow(tuple(tokens), tuple(sources))
                tokens, sources, border = [], [], ()
            tokens += [*border, *sentence]
            if sources[-1:] != [index]:
                sources.append(index)
    if tokens:
        yield PackedRow(tuple(tokens), tuple(sources))


def _pieces(document: Document, room: int) -> Iterator[Sentence]:
    """The sentences; those longer than `room` are cut into pieces."""
    for sentence in document:
        for start in range(0, len(sentence), room):
            yield sentence[start : start + room]


def _check_packing(documents: Sequence[Document], max_length: int) -> None:
    check_documents(documents)
    check_whole("max_length", max_length, least=3, why=" (<s> token </s>)")
