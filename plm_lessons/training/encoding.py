"""Labelled examples as inputs of a model: one text, two texts, the words of a text, or a question about a text.

Letters: N examples, W windows, S sequence length.

Source: BERT (arXiv:1810.04805v2), section 4 and figure 4; google-research/bert, run_squad.py for the windows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from plm_lessons.checks import check_whole, each_text
from plm_lessons.downstream import Question
from plm_lessons.objectives.checks import check_items, check_list, whole_numbers
from plm_lessons.objectives.masking import IGNORE_INDEX
from plm_lessons.objectives.padding import pad_rows
from plm_lessons.tokenization.loading import check_tokenizer, token_id
from plm_lessons.training.large_batches import Batch


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str], max_length: int) -> Batch:
    """Encode texts, padded on the right: `[CLS] text [SEP]`, or as the tokenizer frames them.

    Args:
        max_length: S, special tokens included. A longer text is cut, but keeps its special tokens: a model cannot read
            more tokens than its position table has rows. It is for the caller to report how many texts are cut; the
            `overflowing` part of what `tokenizer.encode` returns tells.

    Returns:
        `input_ids`, `attention_mask`, `token_type_ids`, each [N, S of the longest].
    """
    tokenizer, texts = without_limits(tokenizer), list(each_text("texts", texts))
    if not texts:
        raise ValueError("texts: must hold at least one text")
    special = len(tokenizer.encode("").ids)
    check_whole("max_length", max_length, least=special + 1, why=f", because the special tokens take {special}")
    tokenizer.enable_truncation(max_length)
    return _padded_encodings(tokenizer, "texts", tokenizer.encode_batch(texts), max_length)


def encode_pairs(tokenizer: Tokenizer, firsts: Sequence[str], seconds: Sequence[str], max_length: int) -> Batch:
    """Encode pairs of texts: `[CLS] first [SEP] second [SEP]` with segments 0 and 1, or as the tokenizer frames them.

    RoBERTa's tokenizer makes `<s> first </s></s> second </s>`, all in one segment.

    Args:
        max_length: The largest S, special tokens included. A longer pair is an error; it is never cut here.

    Returns:
        As for `encode_texts`.

    Raises:
        ValueError: The numbers of firsts and seconds differ, there are none, or a pair is too long.
    """
    firsts, seconds = list(each_text("firsts", firsts)), list(each_text("seconds", seconds))
    if len(firsts) != len(seconds):
        raise ValueError(f"seconds has {len(seconds)} texts: must have one for each of the {len(firsts)} firsts")
    encodings = without_limits(tokenizer).encode_batch(list(zip(firsts, seconds, strict=True)))
    return _padded_encodings(tokenizer, "pairs", encodings, max_length)


def encode_words(
    tokenizer: Tokenizer, texts: Sequence[str], labels: Sequence[Sequence[int]], max_length: int
) -> tuple[Batch, Tensor]:
    """Encode texts that have a label for each word; words are separated by white space.

    The first piece of a word gets its label. The other pieces and the special tokens get -100, so that nothing is
    predicted there (paper of BERT, section 5.3).

    Args:
        labels: For each text, one label for each word of `text.split()`.
        max_length: The largest S, special tokens included. A longer text is an error; it is never cut here.

    Returns:
        The inputs as from `encode_texts`, and the labels [N, S].

    Raises:
        ValueError: The labels do not fit the words, a text is too long, or a word has no token.
    """
    texts = list(each_text("texts", texts))
    check_list("labels", labels, of="lists of whole numbers")
    if len(labels) != len(texts):
        raise ValueError(f"labels has {len(labels)} rows: must have one for each of the {len(texts)} texts")
    encodings = without_limits(tokenizer).encode_batch(texts)
    inputs = _padded_encodings(tokenizer, "texts", encodings, max_length)
    targets = torch.full_like(inputs["input_ids"], IGNORE_INDEX)
    for number, (encoding, text, row) in enumerate(zip(encodings, texts, labels, strict=True)):
        row, places = whole_numbers(f"labels[{number}]", row, IGNORE_INDEX), first_pieces(encoding, text)
        if len(row) != len(places):
            raise ValueError(
                f"labels[{number}] has {len(row)} entries: must have one for each of the {len(places)} words"
            )
        if None in places:
            word = text.split()[places.index(None)]
            raise ValueError(f"texts[{number}] holds the word {word!r}, which the tokenizer drops entirely")
        targets[number, places] = torch.tensor(row, dtype=torch.int64)
    return inputs, targets


def first_pieces(encoding: Encoding, text: str) -> list[int | None]:
    """Return, for each word of `text.split()`, the place of its first piece in the encoding, or None if it has none.

    A piece belongs to the word that holds its last character: some tokenizers count the space before a word as part of
    the piece.
    """
    words = [match.span() for match in re.finditer(r"\S+", text)]
    owner = {character: word for word, span in enumerate(words) for character in range(*span)}
    places: list[int | None] = [None] * len(words)
    for place, (start, end) in enumerate(encoding.offsets):
        word = owner.get(end - 1)
        if start < end and word is not None and places[word] is None and not encoding.special_tokens_mask[place]:
            places[word] = place
    return places


@dataclass(frozen=True)
class QuestionWindows:
    """Questions about texts as inputs of a model: `[CLS] question [SEP] a window of the text [SEP]`.

    Attributes:
        inputs: As from `encode_texts`, [W, S].
        labels: `start_positions` and `end_positions`, [W]: the first and last token of the answer. Both are 0, the
            place of `[CLS]`, if the window does not hold the whole answer.
        examples: [W] The number of the question that a window belongs to.
        offsets: [W, S, 2] Where a token begins and ends in the text, in characters; both -1 for tokens that are not
            part of the text.
    """

    inputs: Batch
    labels: Batch
    examples: Tensor
    offsets: Tensor


def encode_questions(
    tokenizer: Tokenizer, questions: Sequence[Question], max_length: int, overlap: int = 32
) -> QuestionWindows:
    """Encode questions with their texts; a text that is too long is split into windows that together hold all of it.

    Args:
        max_length: The largest S, special tokens included.
        overlap: How many tokens a window shares with the one before it.

    Raises:
        ValueError: There are no questions, or one leaves too little room for its text.
    """
    whole = without_limits(tokenizer)
    check_items("questions", questions, Question)
    if not questions:
        raise ValueError("questions: must hold at least one question")
    check_whole("max_length", max_length, least=1)
    check_whole("overlap", overlap)
    alone = whole.encode_batch([(asked.question, "") for asked in questions])
    needed = overlap + 1 + max(len(encoding.ids) for encoding in alone)
    for number, encoding in enumerate(alone):
        room = max_length - len(encoding.ids)
        if room <= overlap:
            raise ValueError(f"max_length={max_length} leaves questions[{number}] room for {room} tokens of its text: "
                             f"these must be more than overlap={overlap}, so max_length at least {needed}")  # fmt: skip
    # Cut here, as tokenizers 0.23.0 to 0.23.2 lose the last windows (huggingface/tokenizers#2091).
    rows, examples, answers = [], [], []
    for number, encoding in enumerate(whole.encode_batch([(asked.question, asked.context) for asked in questions])):
        in_text = [sequence == 1 for sequence in encoding.sequence_ids]
        spans = [span if inside else (-1, -1) for span, inside in zip(encoding.offsets, in_text, strict=True)]
        tokens = list(zip(encoding.ids, encoding.type_ids, spans, strict=True))
        length = sum(in_text)  # of the text, whose tokens are contiguous
        first = in_text.index(True) if length else len(tokens)
        before, text, after = tokens[:first], tokens[first : first + length], tokens[first + length :]
        room = max_length - len(before) - len(after)
        answer = _in_tokens(questions[number], [span for _, _, span in text])
        for start in range(0, max(1, length - overlap), room - overlap):
            rows.append(before + text[start : start + room] + after)
            examples.append(number)
            answers.append(answer)
    ids, type_ids, places = zip(*(zip(*row, strict=True) for row in rows), strict=True)
    inputs = _padded(tokenizer, "questions", ids, type_ids, max_length)
    offsets = torch.full((*inputs["input_ids"].shape, 2), -1)
    for row, spans in zip(offsets, places, strict=True):
        row[: len(spans)] = torch.tensor(spans)
    starts, ends = torch.tensor(answers).unbind(1)
    return QuestionWindows(inputs, span_labels(offsets, starts, ends), torch.tensor(examples), offsets)


def _in_tokens(question: Question, spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return an answer's start and end, without characters there that no token holds: a space, a dropped accent."""
    held = [span for span in spans if span[0] < question.end and question.start < span[1]]
    if not held:
        return question.start, question.end
    return max(question.start, min(start for start, _ in held)), min(question.end, max(end for _, end in held))


def span_labels(offsets: Tensor, starts: Tensor, ends: Tensor) -> Batch:
    """Find the tokens that hold the first and the last character of each answer.

    Args:
        offsets: [W, S, 2] as in `QuestionWindows`.
        starts, ends: [W] Where the answers begin and end, in characters.

    Returns:
        `start_positions` and `end_positions`, [W]; both are 0 if one of the two tokens is not in the window.
    """
    holds_first = (offsets[..., 0] <= starts[:, None]) & (starts[:, None] < offsets[..., 1])
    holds_last = (offsets[..., 0] < ends[:, None]) & (ends[:, None] <= offsets[..., 1])
    whole = holds_first.any(dim=1) & holds_last.any(dim=1)
    first = holds_first.int().argmax(dim=1)
    last = holds_last.shape[1] - 1 - holds_last.flip(1).int().argmax(dim=1)
    return {"start_positions": first * whole, "end_positions": last * whole}


def without_limits(tokenizer: Tokenizer) -> Tokenizer:
    """Return a copy of the tokenizer that neither cuts nor pads; the caller's tokenizer keeps its settings."""
    check_tokenizer(tokenizer)
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _padded(
    tokenizer: Tokenizer, name: str, ids: Sequence[Sequence[int]], type_ids: Sequence[Sequence[int]], max_length: int
) -> Batch:
    check_whole("max_length", max_length, least=1)
    for number, row in enumerate(ids):
        if len(row) > max_length:
            raise ValueError(f"{name}[{number}] has {len(row)} tokens: must have at most max_length={max_length}")
    input_ids, attention_mask = pad_rows(name, ids, token_id(tokenizer, "[PAD]", "<pad>"))
    token_type_ids, _ = pad_rows(name, type_ids, 0)
    return {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}


def _padded_encodings(tokenizer: Tokenizer, name: str, encodings: Sequence[Encoding], max_length: int) -> Batch:
    ids, type_ids = [one.ids for one in encodings], [one.type_ids for one in encodings]
    return _padded(tokenizer, name, ids, type_ids, max_length)
